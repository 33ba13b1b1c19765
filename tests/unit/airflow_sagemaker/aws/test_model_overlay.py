"""The shapes that the package adds to botocore's model, against the newest botocore that is installed here."""

from __future__ import annotations

import json
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import pytest
from botocore.validate import ParamValidator

from airflow_sagemaker.aws import model_overlay
from airflow_sagemaker.aws.connections import AwsTarget
from airflow_sagemaker.aws.model_overlay.refresh import FILE, build_overlay

ALIAS = "PipelineVersionAlias"


@pytest.fixture(scope="module")
def newest() -> dict[str, Any]:
    model: dict[str, Any] = botocore.loaders.Loader().load_service_model("sagemaker", "service-2")
    if ALIAS not in model["shapes"]:
        pytest.skip("the installed botocore does not know version aliases")
    return model


def without_aliases(model: dict[str, Any]) -> dict[str, Any]:
    """The model as a botocore before 1.44 has it, as far as aliases go."""
    shapes = {}
    for name, shape in model["shapes"].items():
        if name.startswith(ALIAS) or name == "AliasOperations":
            continue
        newer = (ALIAS, "SelectedInstance")
        members = {m: described for m, described in shape.get("members", {}).items() if not m.startswith(newer)}
        shapes[name] = {**shape, "members": members} if "members" in shape else shape
    return {**model, "shapes": shapes}


class OldLoader(botocore.loaders.Loader):
    """A loader whose own SageMaker model knows no aliases."""

    def load_data_with_path(self, name: str) -> Any:
        content, path = super().load_data_with_path(name)
        if name == "sagemaker/2017-07-24/service-2":
            content = without_aliases(content)
        return content, path


def session_of(loader: botocore.loaders.Loader) -> boto3.Session:
    made = botocore.session.Session()
    made.register_component("data_loader", loader)
    return boto3.Session(region_name="eu-central-1", botocore_session=made)


def client_of(session: boto3.Session) -> Any:
    return session.client("sagemaker", aws_access_key_id="x", aws_secret_access_key="x")


def alias_problems(client: Any) -> str:
    shape = client.meta.service_model.operation_model("StartPipelineExecution").input_shape
    given = {"PipelineName": "p", ALIAS: "d-1", "ClientRequestToken": "t" * 32}
    return str(ParamValidator().validate(given, shape).generate_report())


def test_the_file_is_what_the_newest_botocore_says(newest: dict[str, Any]) -> None:
    assert json.loads(FILE.read_text()) == build_overlay(newest), (
        "run python -m airflow_sagemaker.aws.model_overlay.refresh"
    )


def test_it_changes_nothing_where_the_aliases_are_known(newest: dict[str, Any]) -> None:
    session = model_overlay.add_overlay(session_of(botocore.loaders.Loader()))
    merged = session._session.get_component("data_loader").load_service_model("sagemaker", "service-2")
    assert merged == newest


def test_an_older_model_with_it_is_the_newest_one_but_for_the_prose(newest: dict[str, Any]) -> None:
    session = model_overlay.add_overlay(session_of(OldLoader()))
    merged = session._session.get_component("data_loader").load_service_model("sagemaker", "service-2")
    assert build_overlay(merged) == build_overlay(newest)


def test_it_lets_an_older_boto3_send_an_alias_and_leaves_other_sessions_alone(newest: dict[str, Any]) -> None:
    ours, theirs = client_of(model_overlay.add_overlay(session_of(OldLoader()))), client_of(session_of(OldLoader()))
    assert alias_problems(ours) == ""
    assert ALIAS in alias_problems(theirs)


def test_the_clients_of_a_connection_know_aliases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OVERLAY", json.dumps({"conn_type": "aws", "login": "x", "password": "x"}))
    client = AwsTarget("overlay", "eu-central-1").client("sagemaker")
    assert alias_problems(client) == ""


def test_botocore_has_no_extras_of_its_own_that_ours_would_hide() -> None:
    with pytest.raises(botocore.exceptions.DataNotFoundError):
        botocore.loaders.Loader().load_data("sagemaker/2017-07-24/service-2.sdk-extras")
