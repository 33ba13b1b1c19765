"""Pipelines, versions and aliases, as a boto3 client sees them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import PASSES, ROLE, Service, condition, definition, training

pytestmark = pytest.mark.aws


def other(value: int) -> str:
    return definition(condition("Check", value, value))


def refused(code: str, text: str = "") -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)(?s:.*){text}")


def test_describe_gives_back_what_was_created(service: Service) -> None:
    name = service.create(
        PipelineDescription="daily",
        ParallelismConfiguration={"MaxParallelExecutionSteps": 3},
        Tags=[{"Key": "team", "Value": "flights"}],
        PipelineVersionAliases=["d-1", "live"],
    )
    found = service.sagemaker.describe_pipeline(PipelineName=name)
    assert found["PipelineDefinition"] == definition(PASSES)
    assert found["PipelineDescription"] == "daily"
    assert found["PipelineStatus"] == "Active"
    assert found["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 3}
    assert found["PipelineVersionAliases"] == ["d-1", "live"]
    tags = service.sagemaker.list_tags(ResourceArn=found["PipelineArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "flights"}]


def test_pipeline_is_found_by_arn_and_whatever_the_case(service: Service) -> None:
    name = f"Mixed-{uuid.uuid4().hex[:8]}"
    arn = service.sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=other(1), RoleArn=ROLE)["PipelineArn"]
    assert arn.endswith(f":pipeline/{name}")
    for other_name in (arn, arn.lower(), name.upper()):
        assert service.sagemaker.describe_pipeline(PipelineName=other_name)["PipelineName"] == name
    execution = service.start(arn)
    found = service.sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution.lower())
    assert found["PipelineExecutionArn"] == execution
    found = service.sagemaker.list_pipeline_executions(PipelineName=arn)["PipelineExecutionSummaries"]
    assert [item["PipelineExecutionArn"] for item in found] == [execution]


def test_second_creation_is_refused_with_the_text_that_upsert_looks_for(service: Service) -> None:
    name = service.create()
    with refused("ValidationException", "Pipeline names must be unique within an AWS account and region"):
        service.sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=other(1), RoleArn=ROLE)


def test_unknown_pipeline(service: Service) -> None:
    for call in ("describe_pipeline", "start_pipeline_execution", "list_pipeline_executions", "list_pipeline_versions"):
        with refused("ResourceNotFound", "does not exist"):
            getattr(service.sagemaker, call)(PipelineName="no-such-pipeline")


def test_update_with_a_new_definition_makes_a_version(service: Service) -> None:
    name = service.create(PipelineVersionAliases=["d-1"])
    answer = service.sagemaker.update_pipeline(
        PipelineName=name, PipelineDefinition=other(2), PipelineVersionAliases=["d-2"]
    )
    assert answer["PipelineVersionId"] == 2
    found = service.sagemaker.list_pipeline_versions(PipelineName=name)["PipelineVersionSummaries"]
    assert [(item["PipelineVersionId"], item["PipelineVersionAliases"]) for item in found] == [
        (2, ["d-2"]),
        (1, ["d-1"]),
    ]
    assert service.sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"] == other(2)
    first = service.sagemaker.describe_pipeline(PipelineName=name, PipelineVersionAlias="d-1")
    assert first["PipelineDefinition"] == definition(PASSES)


def test_update_without_a_change_makes_no_version_and_takes_no_alias(service: Service) -> None:
    name = service.create()
    answer = service.sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=definition(PASSES))
    assert answer["PipelineVersionId"] == 1
    with refused("ValidationException", "PipelineVersionAliases"):
        service.sagemaker.update_pipeline(
            PipelineName=name, PipelineDefinition=definition(PASSES), PipelineVersionAliases=["x"]
        )


def test_alias_is_unique_in_its_pipeline(service: Service) -> None:
    name = service.create(PipelineVersionAliases=["d-1"])
    with refused("ConflictException", "'d-1' is already assigned to version 1"):
        service.sagemaker.update_pipeline(
            PipelineName=name, PipelineDefinition=other(2), PipelineVersionAliases=["d-1"]
        )
    # the refusal left no version behind
    found = service.sagemaker.list_pipeline_versions(PipelineName=name)["PipelineVersionSummaries"]
    assert len(found) == 1
    service.create(PipelineVersionAliases=["d-1"])


def test_alias_moves_by_removal_and_addition(service: Service) -> None:
    name = service.create(PipelineVersionAliases=["live"])
    arn = service.sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=other(2))["PipelineArn"]
    change = service.sagemaker.update_pipeline_version
    with refused("ConflictException"):
        change(PipelineArn=arn, PipelineVersionId=2, PipelineVersionAliasOperations={"Add": ["live"]})
    change(PipelineArn=arn, PipelineVersionId=1, PipelineVersionAliasOperations={"Remove": ["live"]})
    change(
        PipelineArn=arn,
        PipelineVersionId=2,
        PipelineVersionDisplayName="second",
        PipelineVersionAliasOperations={"Add": ["live"]},
    )
    found = service.sagemaker.describe_pipeline(PipelineName=name, PipelineVersionAlias="live")
    assert (found["PipelineVersionDisplayName"], found["PipelineDefinition"]) == ("second", other(2))


@pytest.mark.parametrize("aliases", [["123"], [f"a{n}" for n in range(11)], ["bad alias"]])
def test_bad_aliases(service: Service, aliases: list[str]) -> None:
    with refused("ValidationException", "(?i:alias)"):
        service.create(PipelineVersionAliases=aliases)


def test_start_by_alias_runs_that_version(service: Service) -> None:
    name = service.create(PipelineVersionAliases=["d-1"])
    service.sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=other(2))
    arn = service.start(name, PipelineVersionAlias="d-1")
    found = service.wait(arn)
    assert (found["PipelineVersionId"], found["PipelineVersionAliases"]) == (1, ["d-1"])
    answer = service.sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
    assert answer["PipelineDefinition"] == definition(PASSES)
    with refused("ResourceNotFound", "d-9"):
        service.start(name, PipelineVersionAlias="d-9")
    with refused("ResourceNotFound"):
        service.start(name, PipelineVersionId=7)
    with refused("ValidationException"):
        service.start(name, PipelineVersionId=1, PipelineVersionAlias="d-1")
    by_alias = service.sagemaker.list_pipeline_executions(PipelineName=name, PipelineVersionAlias="d-1")
    assert [item["PipelineExecutionArn"] for item in by_alias["PipelineExecutionSummaries"]] == [arn]


def test_list_pages_without_repeating_or_skipping(service: Service) -> None:
    prefix = f"page-{uuid.uuid4().hex[:8]}"
    names = [f"{prefix}-{number}" for number in range(7)]
    for name in names:
        service.sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=other(1), RoleArn=ROLE)
    pages = service.sagemaker.get_paginator("list_pipelines").paginate(
        PipelineNamePrefix=prefix, SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 2}
    )
    assert [item["PipelineName"] for page in pages for item in page["PipelineSummaries"]] == names
    newest = service.sagemaker.list_pipelines(PipelineNamePrefix=prefix, MaxResults=3)
    assert [item["PipelineName"] for item in newest["PipelineSummaries"]] == names[:-4:-1]
    with refused("ValidationException", "NextToken"):
        service.sagemaker.list_pipelines(PipelineNamePrefix=f"{prefix}-1", NextToken=newest["NextToken"])
    with refused("ValidationException", "NextToken"):
        service.sagemaker.list_pipelines(NextToken="nonsense")


def test_deleting_takes_the_executions_along(service: Service) -> None:
    name = service.create()
    arn = service.start(name)
    service.wait(arn)
    service.sagemaker.delete_pipeline(PipelineName=name)
    with refused("ResourceNotFound"):
        service.sagemaker.describe_pipeline(PipelineName=name)
    with refused("ResourceNotFound"):
        service.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)


def test_definition_may_lie_in_s3(service: Service) -> None:
    service.s3.put_object(Bucket=service.bucket, Key="definitions/one.json", Body=other(5).encode())
    name = f"from-s3-{uuid.uuid4().hex[:8]}"
    location = {"Bucket": service.bucket, "ObjectKey": "definitions/one.json"}
    service.sagemaker.create_pipeline(PipelineName=name, PipelineDefinitionS3Location=location, RoleArn=ROLE)
    assert service.sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"] == other(5)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("not json", "not JSON"),
        ("[]", "must be a JSON object"),
        (json.dumps({"Version": "2020-12-01", "Steps": []}), "at least one step"),
        (json.dumps({"Version": "1", "Steps": [PASSES]}), "Version"),
        (definition(PASSES, PASSES), "'Check' occurs more than once"),
        (definition({**PASSES, "DependsOn": ["Ghost"]}), "'Ghost', which does not exist"),
        (definition({**PASSES, "DependsOn": ["B"]}, {**PASSES, "Name": "B", "DependsOn": ["Check"]}), "cycle"),
        (definition(condition("Check", {"Get": "Parameters.P"}, 1)), "parameter 'P'"),
        (definition(condition("Check", {"Get": "Steps.Ghost.Outcome"}, 1)), "'Ghost'"),
        (definition(condition("Check", {"Get": "Somewhere"}, 1)), "Somewhere"),
        (definition({"Name": "T", "Type": "Training", "Arguments": {"Foo": 1}}), "Foo"),
        (definition({**PASSES, "Colour": "red"}), "Colour"),
        (
            definition({**PASSES, "DependsOn": ["F"]}, {"Name": "F", "Type": "Fail", "Arguments": {}}),
            "Check can not depends on F",
        ),
        (definition(PASSES, parameters=[{"Name": "P", "Type": "Integer", "DefaultValue": "x"}]), "Integer"),
    ],
)  # fmt: skip
def test_bad_definitions_are_refused_by_name(service: Service, text: str, named: str) -> None:
    with refused("ValidationException", f"Unable to parse pipeline definition(?s:.*)({named})"):
        service.sagemaker.create_pipeline(PipelineName="bad", PipelineDefinition=text, RoleArn=ROLE)


def test_number_parameter_is_no_text(service: Service) -> None:
    rate = {"Name": "Rate", "Type": "Float", "DefaultValue": 0.5}
    asked = {"Get": "Parameters.Rate"}
    step = training("Train", "true", service.output, Arguments={"HyperParameters": {"rate": asked}})
    with refused("ValidationException", r"Cannot assign property reference \[Parameters.Rate\] to argument of type"):
        service.create(step, parameters=[rate])
    step["Arguments"]["HyperParameters"]["rate"] = {"Std:Join": {"On": "", "Values": [asked]}}
    assert service.create(step, parameters=[rate])
