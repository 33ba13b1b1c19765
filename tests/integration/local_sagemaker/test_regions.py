"""Who and where: the region is the client's, and the caller is the same one everywhere."""

from __future__ import annotations

import uuid
from typing import Any

import boto3
import pytest

from .conftest import ROLE, Service, condition, definition, poll, training_arguments
from .test_pipelines import refused

REGION = "eu-west-1"


@pytest.fixture(scope="module")
def ireland(local_sagemaker: Any) -> Any:
    """A client of the same server in another region than its own variables name."""
    return boto3.client(
        "sagemaker", region_name=REGION, endpoint_url=local_sagemaker.endpoint_url,
        aws_access_key_id=local_sagemaker.env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=local_sagemaker.env["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip


def test_names_and_arns_are_of_the_clients_region(service: Service, ireland: Any) -> None:
    name = service.create()
    with refused("ResourceNotFound", f"arn:aws:sagemaker:{REGION}:123456789012:pipeline/{name}"):
        ireland.describe_pipeline(PipelineName=name)
    text = definition(condition("Check", {"Get": "Execution.PipelineArn"}, "x"))
    arn = ireland.create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=ROLE)["PipelineArn"]
    assert arn == f"arn:aws:sagemaker:{REGION}:123456789012:pipeline/{name}"
    assert arn != service.sagemaker.describe_pipeline(PipelineName=name)["PipelineArn"]
    assert [found["PipelineArn"] for found in ireland.list_pipelines(PipelineNamePrefix=name)["PipelineSummaries"]] == [
        arn
    ]
    execution = ireland.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    assert execution.startswith(f"{arn}/execution/")
    with refused("ResourceNotFound", "does not exist"):
        service.sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)
    poll(
        lambda: ireland.describe_pipeline_execution(PipelineExecutionArn=execution)["PipelineExecutionStatus"],
        lambda status: status == "Succeeded",
    )
    ireland.delete_pipeline(PipelineName=name)
    assert service.sagemaker.describe_pipeline(PipelineName=name)


def test_jobs_of_one_name_in_two_regions(service: Service, ireland: Any) -> None:
    name = f"job-{uuid.uuid4().hex[:8]}"
    script = "echo $AWS_REGION/$AWS_DEFAULT_REGION > /opt/ml/model/region"
    for client, region in ((service.sagemaker, "us-east-1"), (ireland, REGION)):
        output = f"{service.output}/{region}"
        request = training_arguments(script, output) | {
            "OutputDataConfig": {"S3OutputPath": output, "CompressionType": "NONE"}
        }
        arn = client.create_training_job(**request, TrainingJobName=name)["TrainingJobArn"]
        assert arn == f"arn:aws:sagemaker:{region}:123456789012:training-job/{name}"
        job = poll(
            lambda client=client: client.describe_training_job(TrainingJobName=name),
            lambda job: job["TrainingJobStatus"] in ("Completed", "Failed"),
        )
        assert job["TrainingJobStatus"] == "Completed", job
        key = f"output/{region}/{name}/output/model/region"
        written = service.s3.get_object(Bucket=service.bucket, Key=key)["Body"].read().decode().strip()
        assert written == f"{region}/{region}"


def test_a_token_counts_in_its_region(service: Service, ireland: Any) -> None:
    request = {
        "PipelineName": f"twice-{uuid.uuid4().hex[:8]}", "ClientRequestToken": uuid.uuid4().hex, "RoleArn": ROLE,
        "PipelineDefinition": definition(condition("Check", 1, 1)),
    }  # fmt: skip
    arns = [client.create_pipeline(**request)["PipelineArn"] for client in (service.sagemaker, ireland)]
    assert [arn.split(":")[3] for arn in arns] == ["us-east-1", REGION]
    assert ireland.describe_pipeline(PipelineName=request["PipelineName"])["PipelineArn"] == arns[1]


def test_packages_of_one_group_name_in_two_regions(service: Service, ireland: Any) -> None:
    group = f"group-{uuid.uuid4().hex[:8]}"
    for client, region in ((service.sagemaker, "us-east-1"), (ireland, REGION)):
        client.create_model_package_group(ModelPackageGroupName=group)
        for number in (1, 2):
            arn = client.create_model_package(ModelPackageGroupName=group)["ModelPackageArn"]
            assert arn == f"arn:aws:sagemaker:{region}:123456789012:model-package/{group}/{number}"
        assert len(client.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]) == 2


def test_the_caller_is_a_session_of_the_role_everywhere(service: Service, local_sagemaker: Any) -> None:
    caller = local_sagemaker.client("sts").get_caller_identity()
    created = service.sagemaker.describe_pipeline(PipelineName=service.create())["CreatedBy"]["IamIdentity"]
    assert caller["Arn"] == created["Arn"] == "arn:aws:sts::123456789012:assumed-role/LocalSageMakerRole/local"
    iam = local_sagemaker.client("iam")
    role = iam.get_role(RoleName="LocalSageMakerRole")["Role"]
    assert caller["UserId"] == created["PrincipalId"] == f"{role['RoleId']}:local"
    with refused("ValidationError", "Must specify userName"):
        iam.get_user()
