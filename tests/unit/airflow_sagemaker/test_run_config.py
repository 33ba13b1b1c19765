"""The configuration as the operator is given it: a file beside the DAG."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker.exceptions import ConfigurationError
from airflow_sagemaker.start.run_config import given_data


def read(folder: Path, text: str) -> dict[str, Any]:
    (folder / "training.yaml").write_text(text)
    context = {"dag": SimpleNamespace(fileloc=str(folder / "dag.py"))}
    return given_data("training.yaml", context, lambda content, _: content)


def test_a_relative_file_lies_beside_the_dag(tmp_path: Path) -> None:
    assert read(tmp_path, "pipeline_name: flights\n") == {"pipeline_name": "flights"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bucket: a\nbucket: b\n", "bucket stands twice(?s:.*)line 2"),
        ("- bucket\n", "must hold a mapping"),
        ("bucket: [\n", "cannot be read as YAML"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as refused:
        read(tmp_path, text)
    assert "config" in str(refused.value)
