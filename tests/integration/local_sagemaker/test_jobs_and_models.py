"""Jobs made directly, processing with property files, registration, and the SDK's own pipeline as a client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import DEADLINE, IMAGE, ROLE, WAITS, Service, condition, poll, training_arguments
from .test_pipelines import refused

pytestmark = pytest.mark.aws


def ended(service: Service, name: str) -> dict[str, Any]:
    return poll(
        lambda: service.sagemaker.describe_training_job(TrainingJobName=name),
        lambda job: job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"),
    )


def test_training_job_by_itself(service: Service) -> None:
    name = f"job-{uuid.uuid4().hex[:8]}"
    request = training_arguments("echo loss=0.125", service.output) | {"TrainingJobName": name}
    arn = service.sagemaker.create_training_job(**request, Tags=[{"Key": "a", "Value": "b"}])["TrainingJobArn"]
    with refused("ResourceInUse", "already exists"):
        service.sagemaker.create_training_job(**request)
    job = ended(service, name)
    assert job["TrainingJobStatus"] == "Completed"
    assert [item["Status"] for item in job["SecondaryStatusTransitions"]][-1] == "Completed"
    assert {item["MetricName"]: item["Value"] for item in job["FinalMetricDataList"]} == {"loss": 0.125}
    assert service.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    [found] = service.sagemaker.list_training_jobs(NameContains=name, StatusEquals="Completed")["TrainingJobSummaries"]
    assert found["TrainingJobArn"] == arn
    assert service.sagemaker.list_training_jobs(NameContains=name, StatusEquals="Failed")["TrainingJobSummaries"] == []
    with refused("ValidationException", "Completed"):
        service.sagemaker.stop_training_job(TrainingJobName=name)


def test_jobs_are_found_by_where_their_model_is(service: Service) -> None:
    prefix = f"job-{uuid.uuid4().hex[:8]}"
    for name in (f"{prefix}-1", f"{prefix}-2"):
        service.sagemaker.create_training_job(
            **training_arguments("echo loss=0.125", f"{service.output}/{prefix}"), TrainingJobName=name
        )
        ended(service, name)

    def names(*filters: tuple[str, str, str], **more: Any) -> list[str]:
        given = [{"Name": name, "Operator": operator, "Value": value} for name, operator, value in filters]
        reply = service.sagemaker.search(
            Resource="TrainingJob", SearchExpression={"Filters": given}, SortBy="CreationTime", **more
        )
        return [result["TrainingJob"]["TrainingJobName"] for result in reply["Results"]]

    here = ("ModelArtifacts.S3ModelArtifacts", "Contains", f"/{prefix}/")
    assert names(here) == [f"{prefix}-2", f"{prefix}-1"]
    assert names(here, SortOrder="Ascending", MaxResults=1) == [f"{prefix}-1"]
    assert names(here, ("TrainingJobName", "Equals", f"{prefix}-2")) == [f"{prefix}-2"]
    assert names(here, ("TrainingJobStatus", "NotEquals", "Completed")) == []
    with refused("ValidationException", "Filter TrainingJobNames Equals is not supported"):
        names(("TrainingJobNames", "Equals", "x"))
    with refused("ValidationException", "Search for Experiment is not supported"):
        service.sagemaker.search(Resource="Experiment")


def test_queued_job_is_stopped_at_once(service: Service) -> None:
    names = [f"queue-{uuid.uuid4().hex[:8]}" for _ in range((os.cpu_count() or 1) + 1)]
    for name in names:
        service.sagemaker.create_training_job(**training_arguments(WAITS, service.output), TrainingJobName=name)
    for name in reversed(names):
        service.sagemaker.stop_training_job(TrainingJobName=name)
    assert {ended(service, name)["TrainingJobStatus"] for name in names} == {"Stopped"}


def test_a_job_without_a_stopping_condition_may_run_for_a_day(service: Service) -> None:
    name = f"job-{uuid.uuid4().hex[:8]}"
    request = training_arguments("true", service.output) | {"TrainingJobName": name}
    del request["StoppingCondition"]
    service.sagemaker.create_training_job(**request)
    service.sagemaker.create_processing_job(
        ProcessingJobName=name,
        AppSpecification={"ImageUri": IMAGE, "ContainerEntrypoint": ["/bin/true"]},
        ProcessingResources={"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
        RoleArn=ROLE,
    )
    training = service.sagemaker.describe_training_job(TrainingJobName=name)
    processing = service.sagemaker.describe_processing_job(ProcessingJobName=name)
    assert training["StoppingCondition"] == processing["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}


def test_missing_jobs(service: Service) -> None:
    with refused("ValidationException", "Requested resource not found"):
        service.sagemaker.describe_training_job(TrainingJobName="none")
    with refused("ValidationException", "Could not find requested job with name: none"):
        service.sagemaker.describe_processing_job(ProcessingJobName="none")


def processing(name: str, script: str, output: str) -> dict[str, Any]:
    place = {"S3Uri": output, "LocalPath": "/opt/ml/processing/report", "S3UploadMode": "EndOfJob"}
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["/bin/bash", "-c", script]},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
            },
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": place}]},
            "RoleArn": ROLE,
        },
        "PropertyFiles": [{"PropertyFileName": "Report", "OutputName": "report", "FilePath": "report.json"}],
    }


@pytest.mark.parametrize(("score", "outcome"), [(0.9, "True"), (0.1, "False")])
def test_property_file_decides_a_condition(service: Service, score: float, outcome: str) -> None:
    script = f"""echo '{{"scores": [{{"auc": {score}}}]}}' > /opt/ml/processing/report/report.json"""
    report = processing("Report", script, f"{service.output}/report-{score}")
    value = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Report.PropertyFiles.Report"}, "Path": "scores[0].auc"}}
    check = condition("Check", value, 0)
    check["Arguments"]["Conditions"] = [{"Type": "GreaterThan", "LeftValue": value, "RightValue": 0.5}]
    arn = service.start(service.create(report, check))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Succeeded", service.steps(arn)
    assert service.steps(arn)["Check"]["Metadata"]["Condition"]["Outcome"] == outcome


def test_missing_property_file_fails_its_reader_by_name(service: Service) -> None:
    report = processing("Report", "true", f"{service.output}/none")
    value = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Report.PropertyFiles.Report"}, "Path": "a"}}
    arn = service.start(service.create(report, condition("Check", value, 0)))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Failed"
    assert "report.json" in service.steps(arn)["Check"]["FailureReason"]


def test_registration_makes_versions_of_a_group(service: Service) -> None:
    group = f"group-{uuid.uuid4().hex[:8]}"
    data = f"s3://{service.bucket}/model.tar.gz"
    service.s3.put_object(Bucket=service.bucket, Key="model.tar.gz", Body=b"weights")
    container = {"Image": IMAGE, "ModelDataUrl": {"Get": "Parameters.Model"}}
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": group,
            "InferenceSpecification": {"Containers": [container]},
            "ModelApprovalStatus": "PendingManualApproval",
        },
    }
    model = {"Name": "Model", "Type": "Model", "Arguments": {"PrimaryContainer": container, "ExecutionRoleArn": ROLE}}
    name = service.create(register, model, parameters=[{"Name": "Model", "Type": "String", "DefaultValue": data}])
    arns = []
    for _ in range(2):
        execution = service.start(name)
        assert service.wait(execution)["PipelineExecutionStatus"] == "Succeeded", service.steps(execution)
        arns.append(service.steps(execution)["Register"]["Metadata"]["RegisterModel"]["Arn"])
        assert ":model/" in service.steps(execution)["Model"]["Metadata"]["Model"]["Arn"]
    assert [arn.rsplit("/", 2)[1:] for arn in arns] == [[group, "1"], [group, "2"]]
    service.sagemaker.update_model_package(ModelPackageArn=arns[0], ModelApprovalStatus="Approved")
    approved = service.sagemaker.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    assert [item["ModelPackageArn"] for item in approved["ModelPackageSummaryList"]] == arns[:1]
    described = service.sagemaker.describe_model_package(ModelPackageName=arns[1])
    assert described["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == data
    service.sagemaker.delete_model_package(ModelPackageName=arns[1])
    assert service.sagemaker.create_model_package(ModelPackageGroupName=group)["ModelPackageArn"].endswith(f"{group}/3")
    with pytest.raises(ClientError, match="still has model packages"):
        service.sagemaker.delete_model_package_group(ModelPackageGroupName=group)


def run_sdk(program: str, service: Service, name: str, folder: Path) -> list[dict[str, Any]]:
    """The JSON objects that a script with the SDK prints."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | service.server.env
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(program)), name, ROLE, service.bucket, IMAGE],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=3 * DEADLINE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_the_sdks_own_classes_are_clients(service: Service, tmp_path: Path) -> None:
    """Pipeline, ScriptProcessor, PropertyFile, JsonGet, ConditionStep, FailStep, ModelBuilder and ModelStep."""
    name = f"sdk-{uuid.uuid4().hex[:8]}"
    service.s3.put_object(Bucket=service.bucket, Key="model.tar.gz", Body=b"weights")
    good, bad = run_sdk("sdk_pipeline.py", service, name, tmp_path)
    assert good["status"] == "Succeeded", good
    assert set(good["steps"]) == {"Score", "GoodEnough", "Register"}
    [package] = service.sagemaker.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"]
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert bad["status"] == "Failed"
    assert bad["steps"]["TooLow"]["FailureReason"] == "an AUC of 0.1 is too low"
    assert bad["steps"]["Score"]["StepStatus"] == "Succeeded"


@pytest.mark.slow
def test_functions_as_steps_of_the_sdk(service: Service, tmp_path: Path) -> None:
    """`@step` with a warm pool: each job imports the SDK. The reason's form is that of the SDK's own tests."""
    [done] = run_sdk("sdk_step_decorator.py", service, f"sdk-{uuid.uuid4().hex[:8]}", tmp_path)
    assert (done["sum"], done["steps"]["Add"]["StepStatus"]) == (5, "Succeeded")
    assert done["steps"]["Refuse"]["FailureReason"].startswith("ClientError: AlgorithmError: ")
    assert "ValueError" in done["steps"]["Refuse"]["FailureReason"]
