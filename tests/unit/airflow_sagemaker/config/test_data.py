"""The data files say what the installed botocore and SDK say."""

from __future__ import annotations

import datetime
from importlib.util import find_spec

import botocore.session
import pytest

from airflow_sagemaker.config import container_images as images
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
def test_every_image_is_the_one_that_the_sdk_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    from sagemaker.core import image_uris

    for version, image in load_data("pytorch_images")["versions"].items():
        family = "pytorch" if image["py_versions"] else "pytorch-amzn2023"
        for instance_type in ("ml.m5.large", "ml.g5.xlarge"):
            py = {"py_version": max(image["py_versions"])} if image["py_versions"] else {}
            theirs = image_uris.retrieve(
                family, "eu-central-1", version=version, instance_type=instance_type, image_scope="training", **py
            )
            assert images.training_image("eu-central-1", instance_type, version) == theirs


@pytest.mark.parametrize(
    ("version", "day", "said"),
    [
        ("2.10", "2026-10-23", ""),
        ("2.10", "2026-10-24", "receives no security patches after 2027-01-21"),
        ("2.10", "2027-01-22", "has had no security patches since 2027-01-21"),
        ("2.5.1", "2026-01-01", "no longer receives security patches"),
        ("2.14", "2027-01-01", ""),
    ],
)
def test_the_end_of_an_images_patches_is_said_ninety_days_before(version: str, day: str, said: str) -> None:
    warning = images.patch_warning(version, datetime.date.fromisoformat(day))
    assert (said in warning) if said else not warning


@of_the_project
def test_images_are_the_sdks_tables() -> None:
    assert load_data("pytorch_images") == refresh.pytorch_images()


def test_a_type_that_only_botocore_knows_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_types, "training_instance_types", frozenset)
    assert instance_types.instance_type_problem("ml.m5.large") == ""
    assert instance_types.instance_type_problem("ml.m5.tiny")
