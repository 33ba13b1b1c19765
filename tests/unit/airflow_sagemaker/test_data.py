"""The data files say what the installed botocore and SDK say."""

from __future__ import annotations

from importlib.util import find_spec

import botocore.session
import pytest

from airflow_sagemaker.config import instance_types
from airflow_sagemaker.config.data import load_data, refresh

of_the_project = pytest.mark.skipif(
    find_spec("sagemaker") is None, reason="compares with the newest botocore and SDK, which are not installed"
)


@of_the_project
def test_instance_types_are_botocores() -> None:
    shape = botocore.session.get_session().get_service_model("sagemaker").shape_for("TrainingInstanceType")
    assert instance_types.training_instance_types() == set(shape.enum)


@of_the_project
def test_images_are_the_sdks_tables() -> None:
    assert load_data("pytorch_images") == refresh.pytorch_images()


def test_a_type_that_only_botocore_knows_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_types, "training_instance_types", frozenset)
    assert instance_types.instance_type_problem("ml.m5.large") == ""
    assert instance_types.instance_type_problem("ml.m5.tiny")
