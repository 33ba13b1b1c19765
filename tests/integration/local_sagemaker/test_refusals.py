"""What AWS takes and this server does not: refused by name."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import ROLE, Service, definition, training, training_arguments
from .test_pipelines import refused


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (definition({"Name": "T", "Type": "Transform", "Arguments": {}}), "Transform, which this local SageMaker"),
        (
            '{"Version": "2020-12-01", "Steps": ' + "[" * 5000 + "]" * 5000 + "}",
            "not JSON: its values are nested",
        ),
    ],
)
def test_definitions_it_cannot_run(service: Service, text: str, named: str) -> None:
    with refused("ValidationException", f"Unable to parse pipeline definition(?s:.*)({named})"):
        service.sagemaker.create_pipeline(PipelineName="bad", PipelineDefinition=text, RoleArn=ROLE)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_cache_where_the_service_has_none(service: Service, enabled: bool) -> None:
    fail = {"Name": "F", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}, "CacheConfig": {"Enabled": enabled}}
    text = "Step 'F' is of type Fail, which has no CacheConfig .*Training, Processing, Tuning, Callback, Lambda"
    with refused("ValidationException", text):
        service.create(fail)


def test_property_files_of_a_step_that_writes_none(service: Service) -> None:
    files = [{"PropertyFileName": "Report", "OutputName": "report", "FilePath": "report.json"}]
    fail = {"Name": "F", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}, "PropertyFiles": files}
    with refused("ValidationException", "Step 'F' is of type Fail, which has no PropertyFiles"):
        service.create(fail)


def test_definition_outside_of_its_bucket(service: Service) -> None:
    location = {"Bucket": service.bucket, "ObjectKey": "../../sagemaker.db"}
    with refused("ValidationException", "no such object"):
        service.sagemaker.update_pipeline(PipelineName=service.create(), PipelineDefinitionS3Location=location)


def test_unsupported_start_members(service: Service) -> None:
    with refused("ValidationException", "SelectiveExecutionConfig"):
        service.start(service.create(), SelectiveExecutionConfig={"SelectedSteps": [{"StepName": "Check"}]})


def test_unsupported_action(service: Service) -> None:
    with pytest.raises(ClientError, match=r"UnknownOperationException(?s:.*)ListEndpoints"):
        service.sagemaker.list_endpoints()


@pytest.mark.parametrize(
    ("service_name", "action"),
    [("ec2", "describe_instances"), ("sns", "list_topics"), ("sqs", "list_queues"), ("ecr", "describe_repositories")],
)
def test_an_unsupported_service_is_named_in_the_protocol_of_its_clients(
    local_sagemaker: Any, service_name: str, action: str
) -> None:
    client = local_sagemaker.client(service_name)
    with pytest.raises(ClientError, match=f"UnknownOperationException.*service '{service_name}' is not supported"):
        getattr(client, action)()


def test_what_jobs_cannot_honour(service: Service) -> None:
    arguments = training_arguments("true", service.output)
    arguments["AlgorithmSpecification"]["TrainingInputMode"] = "Pipe"
    with refused("ValidationException", "TrainingInputMode"):
        service.sagemaker.create_training_job(**arguments, TrainingJobName="pipe")
    step = {"Name": "T", "Type": "Training", "Arguments": arguments}
    with refused("ValidationException", "Step 'T'(?s:.*)TrainingInputMode"):
        service.sagemaker.create_pipeline(PipelineName="pipe", PipelineDefinition=definition(step), RoleArn=ROLE)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 9}},
            "It is only supported when",
        ),
        ({"EnableManagedSpotTraining": True}, "It must be present"),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 8},
            },
            "greater than or equal to MaxRuntimeInSeconds",
        ),
    ],
)
def test_the_waiting_time_belongs_to_spot_instances(service: Service, members: dict[str, Any], text: str) -> None:
    arguments = training_arguments("true", service.output, **members)
    with refused("ValidationException", f"Invalid MaxWaitTimeInSeconds.*{text}"):
        service.sagemaker.create_training_job(**arguments, TrainingJobName="spot")


OTHER_IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
ALLOWED_BY = r"AWS's PyTorch containers .* allow the image: serve --image '\*/sagemaker-xgboost:\*'"


def with_image(image: Any, output: str) -> dict[str, Any]:
    arguments = training_arguments("true", output)
    return {"AlgorithmSpecification": arguments["AlgorithmSpecification"] | {"TrainingImage": image}}


def test_an_image_of_another_framework(service: Service) -> None:
    """Where it is known, at the first call that names it; an image that a parameter names, when its step runs."""
    named = f"AlgorithmSpecification.TrainingImage '{OTHER_IMAGE}' is not supported .* {ALLOWED_BY}"
    known = training("Train", "true", service.output, Arguments=with_image(OTHER_IMAGE, service.output))
    with refused("ValidationException", f"Unable to parse pipeline definition. Step 'Train': {named}"):
        service.create(known)
    with refused("ValidationException", f"AppSpecification.ImageUri '{OTHER_IMAGE}' .* {ALLOWED_BY}"):
        service.sagemaker.create_processing_job(
            ProcessingJobName=f"p-{uuid.uuid4().hex[:12]}",
            AppSpecification={"ImageUri": OTHER_IMAGE, "ContainerEntrypoint": ["true"]},
            ProcessingResources={
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
            },
            RoleArn=ROLE,
        )

    later = with_image({"Get": "Parameters.Image"}, service.output)
    parameter = {"Name": "Image", "Type": "String", "DefaultValue": OTHER_IMAGE}
    name = service.create(training("Train", "true", service.output, Arguments=later), parameters=[parameter])
    arn = service.start(name)
    assert service.wait(arn)["PipelineExecutionStatus"] == "Failed"
    reason = service.steps(arn)["Train"]["FailureReason"]
    assert re.search(f"Failed to invoke sagemaker:CreateTrainingJob. Error Details: {named}", reason)


def test_logs_actions_and_patterns(local_sagemaker: Any) -> None:
    logs, group = local_sagemaker.client("logs"), f"/test/{uuid.uuid4().hex}"
    logs.create_log_group(logGroupName=group)
    with pytest.raises(ClientError, match="not supported"):
        logs.filter_log_events(logGroupName=group, filterPattern="{ $.a = 1 }")
    with pytest.raises(ClientError, match=r"UnknownOperationException(?s:.*)PutRetentionPolicy"):
        logs.put_retention_policy(logGroupName=group, retentionInDays=1)
