"""An Airflow that is too old is refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_sagemaker

IMPORTS = Path(airflow_sagemaker.__file__).parents[1]


@pytest.mark.parametrize("module", ["operators", "sensors", "triggers"])
@pytest.mark.parametrize("version", ["3.0.6", "3.1.8"])
def test_an_older_airflow_is_refused_at_import_with_one_line(tmp_path: Path, module: str, version: str) -> None:
    metadata = tmp_path / f"apache_airflow_core-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: apache-airflow-core\nVersion: {version}\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{IMPORTS}"}
    command = [sys.executable, "-c", f"import airflow_sagemaker.{module}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: airflow_sagemaker requires Apache Airflow 3.2 or later, found {version}: older versions lack "
        "partition keys and plugin pages, and before 3.1.2 do not retry killed tasks"
    )
