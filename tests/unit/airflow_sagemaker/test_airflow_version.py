"""An Airflow that is too old is refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"


@pytest.mark.parametrize("module", ["operators", "sensors", "triggers"])
def test_an_older_airflow_is_refused_at_import_with_one_line(tmp_path: Path, module: str) -> None:
    metadata = tmp_path / "apache_airflow_core-3.2.9.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: apache-airflow-core\nVersion: 3.2.9\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{PLUGINS}"}
    command = [sys.executable, "-c", f"import airflow_sagemaker.{module}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: airflow_sagemaker needs Apache Airflow 3.3 or later (its task state store), found 3.2.9"
    )
