"""S3 URIs under which nothing is, capacity that is not there, and members that nobody may ignore."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from local_sagemaker.testing import LocalSageMaker, start_local_sagemaker

from .conftest import IMAGE, REGION, ROLE, Service, poll, training, training_arguments
from .test_pipelines import refused


def channel(uri: Any) -> list[dict[str, Any]]:
    return [{"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}]


@pytest.mark.aws
def test_a_training_job_without_its_data(service: Service) -> None:
    uri = f"s3://{service.bucket}/none-{uuid.uuid4().hex}/"
    text = (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in'
        f' the selected region ({REGION}), that objects exist under that S3 prefix, and that the role "{ROLE}" has'
        f' "s3:ListBucket" permissions on bucket "{service.bucket}".'
    )
    with refused("ValidationException", re.escape(text)):
        service.sagemaker.create_training_job(
            **training_arguments("true", service.output, InputDataConfig=channel(uri)), TrainingJobName="none"
        )


@pytest.mark.aws
def test_a_step_without_its_data_fails(service: Service) -> None:
    uri = f"s3://{service.bucket}/none-{uuid.uuid4().hex}"
    step = training(
        "Train", "true", service.output, Arguments={"InputDataConfig": channel({"Get": "Parameters.Input"})}
    )
    parameter = {"Name": "Input", "Type": "String", "DefaultValue": uri}
    arn = service.start(service.create(step, parameters=[parameter]))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Failed"
    reason = service.steps(arn)["Train"]["FailureReason"]
    assert reason.startswith("ClientError: Failed to invoke sagemaker:CreateTrainingJob. Error Details: No S3 objects")
    assert f'"{uri}"' in reason


def test_a_prefix_may_end_inside_a_name(service: Service) -> None:
    prefix = f"data-{uuid.uuid4().hex}"
    service.s3.put_object(Bucket=service.bucket, Key=f"{prefix}/train/part-0", Body=b"1")
    for uri in (prefix, f"{prefix}/tr", f"{prefix}/train/part-0"):
        name = f"prefix-{uuid.uuid4().hex[:12]}"
        arguments = training_arguments("true", service.output, InputDataConfig=channel(f"s3://{service.bucket}/{uri}"))
        service.sagemaker.create_training_job(**arguments, TrainingJobName=name)
    for uri in (f"{prefix}/no", f"{prefix}x", f"{prefix}/train/part-0/"):
        arguments = training_arguments("true", service.output, InputDataConfig=channel(f"s3://{service.bucket}/{uri}"))
        with refused("ValidationException", "No S3 objects found"):
            service.sagemaker.create_training_job(**arguments, TrainingJobName="none")


@pytest.mark.aws
def test_a_model_without_its_data(service: Service) -> None:
    uri = f"s3://{service.bucket}/none-{uuid.uuid4().hex}/model.tar.gz"
    name, container = f"model-{uuid.uuid4().hex[:12]}", {"Image": IMAGE, "ModelDataUrl": uri}
    with refused("ValidationException", re.escape(f"Could not find model data at {uri}.")):
        service.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    step = {"Name": "M", "Type": "Model", "Arguments": {"PrimaryContainer": container, "ExecutionRoleArn": ROLE}}
    arn = service.start(service.create(step))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Failed"
    assert service.steps(arn)["M"]["FailureReason"].endswith(f"Could not find model data at {uri}.")
    service.s3.put_object(Bucket=service.bucket, Key=uri.split("/", 3)[3], Body=b"model")
    service.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)


def test_a_model_package_without_its_data(service: Service) -> None:
    uri = f"s3://{service.bucket}/none-{uuid.uuid4().hex}/model.tar.gz"
    group, containers = f"group-{uuid.uuid4().hex[:12]}", [{"Image": IMAGE, "ModelDataUrl": uri}]
    package = {"ModelPackageGroupName": group, "InferenceSpecification": {"Containers": containers}}
    service.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    with refused("ValidationException", re.escape(f"Could not find model data at {uri}.")):
        service.sagemaker.create_model_package(**package)
    other = {"Name": "other", "Containers": containers}
    with refused("ValidationException", re.escape(f"Could not find model data at {uri}.")):
        service.sagemaker.create_model_package(ModelPackageGroupName=group, AdditionalInferenceSpecifications=[other])
    arn = service.start(service.create({"Name": "R", "Type": "RegisterModel", "Arguments": package}))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Failed"
    assert service.steps(arn)["R"]["FailureReason"].endswith(f"Could not find model data at {uri}.")
    service.s3.put_object(Bucket=service.bucket, Key=uri.split("/", 3)[3], Body=b"model")
    made = service.sagemaker.create_model_package(**package, ClientToken=group)
    service.s3.delete_object(Bucket=service.bucket, Key=uri.split("/", 3)[3])
    again = service.sagemaker.create_model_package(**package, ClientToken=group)
    assert again["ModelPackageArn"] == made["ModelPackageArn"]


def test_a_value_against_its_pattern_fails_the_step_and_not_the_pipeline(service: Service) -> None:
    """As in the SDK's tests: CreatePipeline accepts the response type `*`."""
    specification = {
        "Containers": [{"Image": IMAGE}],
        "SupportedContentTypes": ["*"],
        "SupportedResponseMIMETypes": ["*"],
    }
    package = {"ModelPackageGroupName": f"group-{uuid.uuid4().hex[:12]}", "InferenceSpecification": specification}
    arn = service.start(service.create({"Name": "R", "Type": "RegisterModel", "Arguments": package}))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Failed"
    reason = service.steps(arn)["R"]["FailureReason"]
    assert reason.startswith("ClientError: Failed to invoke sagemaker:CreateModelPackage. Error Details: ")
    assert "Value '*' at 'inferenceSpecification.supportedResponseMIMETypes.1.member' failed to satisfy" in reason
    with refused("ValidationException", "Model Validation failed: .*Member must have length less than or equal"):
        service.create(
            {"Name": "R", "Type": "RegisterModel", "Arguments": package | {"ModelPackageGroupName": "x" * 999}}
        )


def test_a_warm_pool_is_accepted(service: Service) -> None:
    resources = {
        "InstanceType": "ml.m5.large",
        "InstanceCount": 1,
        "VolumeSizeInGB": 1,
        "KeepAlivePeriodInSeconds": 300,
    }
    arn = service.start(service.create(training("T", "true", service.output, Arguments={"ResourceConfig": resources})))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Succeeded"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("MlflowConfig", {"MlflowResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:mlflow-app/app-ABCDEFGHIJKL"}),
        (
            "ServerlessJobConfig",
            {
                "JobType": "FineTuning",
                "BaseModelArn": "arn:aws:sagemaker:us-east-1:aws:hub-content/SageMakerPublicHub/Model/a-model/1.0.0",
            },
        ),
        (
            "ModelPackageConfig",
            {"ModelPackageGroupArn": "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/g"},
        ),
        ("StoppingCondition", {"MaxRuntimeInSeconds": 60, "MaxPendingTimeInSeconds": 7200}),
        ("ResourceConfig", {"InstanceType": "ml.trn1.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}),
    ],
)
def test_what_cannot_be_done_is_refused_by_the_action_and_in_a_step(
    service: Service, member: str, value: dict[str, Any]
) -> None:
    arguments = training_arguments("true", service.output, **{member: value})
    named = f"{member}(.[A-Za-z]+( ml.trn1.2xlarge)?)? is not supported by the local SageMaker"
    with refused("ValidationException", named):
        service.sagemaker.create_training_job(**arguments, TrainingJobName="refused")
    with refused("ValidationException", f"Step 'T': {named}"):
        service.create({"Name": "T", "Type": "Training", "Arguments": arguments})


@pytest.fixture(scope="module")
def short_of_capacity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSageMaker]:
    server = start_local_sagemaker(
        tmp_path_factory.mktemp("capacity"), "--no-capacity", "ml.g5.12xlarge", "--no-capacity", "ml.p5.48xlarge"
    )
    yield server
    server.stop()


def test_the_first_preference_with_capacity_is_taken(short_of_capacity: LocalSageMaker) -> None:
    service = Service(short_of_capacity)
    preferences = [
        {"InstanceType": kind} for kind in ("ml.p5.48xlarge", "ml.g5.12xlarge", "ml.g5.4xlarge", "ml.m5.large")
    ]
    resources = {"InstancePreferences": preferences, "InstanceCount": 1, "VolumeSizeInGB": 1}
    script = "grep -o 'ml[a-z0-9.]*' /opt/ml/input/config/resourceconfig.json | sort -u"
    step = training("T", f'test "$({script})" = ml.g5.4xlarge', service.output, Arguments={"ResourceConfig": resources})
    arn = service.start(service.create(step))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Succeeded", service.steps(arn)
    found = service.job(arn, "T")["ResourceConfig"]
    assert (found["SelectedInstanceType"], found["SelectedInstanceCount"]) == ("ml.g5.4xlarge", 1)
    assert found["InstancePreferences"] == preferences


def test_without_capacity_a_job_fails_and_a_policy_tries_it_again(short_of_capacity: LocalSageMaker) -> None:
    service = Service(short_of_capacity)
    resources = {"InstanceType": "ml.g5.12xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}
    policy = {"ExceptionType": ["SageMaker.CAPACITY_ERROR"], "IntervalSeconds": 1, "MaxAttempts": 1}
    step = training("T", "true", service.output, Arguments={"ResourceConfig": resources}, RetryPolicies=[policy])
    arn = service.start(service.create(step))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Failed"
    found = service.steps(arn)["T"]
    assert found["FailureReason"].startswith("CapacityError: Unable to provision requested ML compute capacity")
    assert found["AttemptCount"] == 2
    processing = {"InstanceType": "ml.g5.12xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}
    name = f"p-{uuid.uuid4().hex[:12]}"
    service.sagemaker.create_processing_job(
        ProcessingJobName=name,
        AppSpecification={"ImageUri": IMAGE, "ContainerEntrypoint": ["true"]},
        ProcessingResources={"ClusterConfig": processing},
        RoleArn=ROLE,
    )
    job = poll(
        lambda: service.sagemaker.describe_processing_job(ProcessingJobName=name),
        lambda job: job["ProcessingJobStatus"] == "Failed",
    )
    assert job["FailureReason"].startswith("CapacityError: ")
