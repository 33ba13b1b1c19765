"""The reference page is the one that the models give."""

from __future__ import annotations

from pathlib import Path

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.reference import document

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "configuration.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == document(), "run: python -m airflow_sagemaker.reference docs/reference/configuration.md"


def test_each_setting_is_described() -> None:
    for name, info in PytorchTrainingConfig.model_fields.items():
        assert info.description, name
        assert f"| `{name}` |" in document()
