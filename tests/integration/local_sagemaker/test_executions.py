"""Executions: parameters, tokens, branches, jobs, stop, retry, cache."""

from __future__ import annotations

import contextlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import PASSES, WAITS, Service, condition, poll, training
from .test_pipelines import refused

pytestmark = pytest.mark.aws

STRING = {"Name": "Colour", "Type": "String", "EnumValues": ["red", "green"]}
NUMBER = {"Name": "Count", "Type": "Integer", "DefaultValue": 3}
RATE = {"Name": "Rate", "Type": "Float", "DefaultValue": 0.5}


def parameters(**values: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def test_parameters_are_typed_and_listed(service: Service) -> None:
    name = service.create(condition("Check", {"Get": "Parameters.Count"}, 5), parameters=[STRING, NUMBER])
    arn = service.start(name, PipelineParameters=parameters(Colour="red", Count="5"))
    service.wait(arn, "Succeeded")
    assert service.steps(arn)["Check"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    found = service.sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
    assert found["PipelineParameters"] == parameters(Colour="red", Count="5")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (parameters(), "Colour"),
        (parameters(Colour="blue"), "red, green"),
        (parameters(Colour="red", Count="many"), "Count"),
        (parameters(Colour="red", Count="1_000"), "Count"),
        (parameters(Colour="red", Rate="nan"), "Rate"),
        (parameters(Colour="red", Other="1"), "Other"),
        (parameters(Colour=""), "too short"),
        (parameters(Colour="red") * 2, "more than once"),
        (parameters(Colour="x" * 1025), "length less than or equal to 1024"),
    ],
)
def test_bad_parameters_are_refused_by_name(service: Service, given: list[dict[str, str]], named: str) -> None:
    name = service.create(parameters=[STRING, NUMBER, RATE])
    with refused("ValidationException", named):
        service.start(name, PipelineParameters=given)
    found = service.sagemaker.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]
    assert found == []


def test_same_token_gives_the_same_execution(service: Service) -> None:
    name, token = service.create(), uuid.uuid4().hex
    first = service.start(name, ClientRequestToken=token, PipelineExecutionDisplayName="one")
    assert service.start(name, ClientRequestToken=token, PipelineExecutionDisplayName="one") == first
    with refused("ValidationException", "other parameters"):
        service.start(name, ClientRequestToken=token, PipelineExecutionDisplayName="two")
    found = service.sagemaker.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]
    assert [item["PipelineExecutionArn"] for item in found] == [first]


def test_only_the_chosen_branch_runs(service: Service) -> None:
    fail = {
        "Name": "Fail",
        "Type": "Fail",
        "Arguments": {"ErrorMessage": {"Std:Join": {"On": " ", "Values": ["no", 1]}}},
    }
    name = service.create(
        condition("Check", {"Get": "Parameters.Count"}, 3, IfSteps=[condition("Then", 1, 1)], ElseSteps=[fail]),
        parameters=[NUMBER],
    )
    good, bad = service.start(name), service.start(name, PipelineParameters=parameters(Count="4"))
    assert service.wait(good)["PipelineExecutionStatus"] == "Succeeded"
    assert set(service.steps(good)) == {"Check", "Then"}
    ended = service.wait(bad)
    assert ended["PipelineExecutionStatus"] == "Failed"
    assert ended["FailureReason"] == "Step failure: One or multiple steps failed."
    step = service.steps(bad)["Fail"]
    assert (step["StepStatus"], step["FailureReason"]) == ("Failed", "no 1")
    assert step["Metadata"] == {"Fail": {"ErrorMessage": "no 1"}}


def test_training_step_runs_and_its_properties_are_used(service: Service) -> None:
    train = training("Train", "echo loss=0.25; echo model > /opt/ml/model/weights", service.output)
    check = condition("Check", {"Get": "Steps.Train.FinalMetricDataList['loss'].Value"}, 0.25)
    arn = service.start(service.create(train, check))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert service.steps(arn)["Check"]["Metadata"]["Condition"]["Outcome"] == "True"
    job = service.job(arn, "Train")
    assert job["TrainingJobStatus"] == "Completed"
    key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{service.bucket}/")
    assert service.s3.head_object(Bucket=service.bucket, Key=key)["ContentLength"] > 0
    assert job["TrainingJobName"].startswith(f"pipelines-{arn.rsplit('/', 1)[-1]}-Train-")


def test_failing_job_fails_its_step_and_nothing_follows(service: Service) -> None:
    name = service.create(training("Train", "echo oops; exit 3", service.output), {**PASSES, "DependsOn": ["Train"]})
    arn = service.start(name)
    assert service.wait(arn)["PipelineExecutionStatus"] == "Failed"
    steps = service.steps(arn)
    assert set(steps) == {"Train"}
    assert "3" in steps["Train"]["FailureReason"]
    own = service.job(arn, "Train")["FailureReason"]
    assert own.startswith("AlgorithmError: ")
    assert steps["Train"]["FailureReason"] == f"ClientError: {own}"


def test_retry_runs_on_from_what_did_not_succeed(service: Service) -> None:
    # the job succeeds once its marker is in the output bucket: the first attempt fails
    channel = {
        "ChannelName": "marker",
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{service.bucket}/marker/"}},
    }
    script = "grep -q go /opt/ml/input/data/marker/state"
    train = training("Train", script, service.output, DependsOn=["Check"], Arguments={"InputDataConfig": [channel]})
    service.s3.put_object(Bucket=service.bucket, Key="marker/state", Body=b"wait")
    arn = service.start(service.create(PASSES, train))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Failed"
    checked = service.steps(arn)["Check"]["EndTime"]
    service.s3.put_object(Bucket=service.bucket, Key="marker/state", Body=b"go")
    token = uuid.uuid4().hex
    for _ in range(2):
        service.sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=token)
    found = service.wait(arn)
    assert found["PipelineExecutionStatus"] == "Succeeded"
    assert "FailureReason" not in found
    assert service.steps(arn)["Check"]["EndTime"] == checked
    with refused("ConflictException", "Succeeded"):
        service.sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn)


def test_stop_ends_the_job_and_starts_nothing_more(service: Service) -> None:
    sleeper = training("Train", WAITS, service.output)
    arn = service.start(service.create(sleeper, {**PASSES, "DependsOn": ["Train"]}))
    service.wait_step(arn, "Train", "Executing")
    service.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert service.wait(arn)["PipelineExecutionStatus"] == "Stopped"
    steps = service.steps(arn)
    assert (set(steps), steps["Train"]["StepStatus"]) == ({"Train"}, "Stopped")
    assert service.job(arn, "Train")["TrainingJobStatus"] == "Stopped"
    with refused("ValidationException", "Only pipelines with 'Executing' status can be stopped.*Stopped"):
        service.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)


def test_cache_takes_an_earlier_result(service: Service) -> None:
    cached = {"CacheConfig": {"Enabled": True, "ExpireAfter": "30d"}}
    text = {"Get": "Parameters.Output"}
    name = service.create(
        training("Train", "echo loss=0.5", text, **cached), parameters=[{"Name": "Output", "Type": "String"}]
    )
    first = service.start(name, PipelineParameters=parameters(Output=service.output))
    assert service.wait(first)["PipelineExecutionStatus"] == "Succeeded"
    # the output path is no part of the key: the hit leaves the artifact where it was
    second = service.start(name, PipelineParameters=parameters(Output=f"{service.output}/other"))
    assert service.wait(second)["PipelineExecutionStatus"] == "Succeeded"
    step = service.steps(second)["Train"]
    assert step["CacheHitResult"] == {"SourcePipelineExecutionArn": first}
    assert step["Metadata"] == service.steps(first)["Train"]["Metadata"]


def test_cache_takes_no_result_of_other_values_and_none_that_has_expired(service: Service) -> None:
    cached = {"CacheConfig": {"Enabled": True, "ExpireAfter": "PT4S"}}
    values = {"HyperParameters": {"rate": {"Get": "Parameters.Rate"}}}
    name = service.create(
        training("Train", "true", service.output, Arguments=values, **cached),
        parameters=[{"Name": "Rate", "Type": "String"}],
    )

    def is_hit(rate: str) -> bool:
        arn = service.start(name, PipelineParameters=parameters(Rate=rate))
        assert service.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
        return "CacheHitResult" in service.steps(arn)["Train"]

    assert not is_hit("0.1")
    assert is_hit("0.1")  # a hit does not make the result younger
    assert not is_hit("0.2")
    poll(lambda: is_hit("0.1"), lambda hit: not hit)


def test_running_pipeline_cannot_be_deleted(service: Service) -> None:
    name = service.create(training("Train", WAITS, service.output))
    arn = service.start(name)
    with refused("ConflictException", "running"):
        service.sagemaker.delete_pipeline(PipelineName=name)
    service.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    service.wait(arn, "Stopped")
    service.sagemaker.delete_pipeline(PipelineName=name)


def test_parallelism_limits_the_steps_at_once(service: Service) -> None:
    steps = [training(f"T{number}", "sleep 0.3", service.output) for number in range(3)]
    arn = service.start(service.create(*steps), ParallelismConfiguration={"MaxParallelExecutionSteps": 1})
    assert service.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    spans = sorted((step["StartTime"], step["EndTime"]) for step in service.steps(arn).values())
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_summaries_carry_what_a_poller_needs(service: Service) -> None:
    name = service.create()
    arn = service.start(name, PipelineExecutionDisplayName="run-7", PipelineExecutionDescription="why")
    ended = service.wait(arn)
    service.sagemaker.update_pipeline_execution(PipelineExecutionArn=arn, PipelineExecutionDisplayName="run-8")
    found = service.sagemaker.list_pipeline_executions(
        PipelineName=name, CreatedBefore=ended["CreationTime"] + timedelta(seconds=5)
    )
    summary = found["PipelineExecutionSummaries"][0]
    assert (summary["PipelineExecutionDisplayName"], summary["PipelineExecutionDescription"]) == ("run-8", "why")
    assert summary["StartTime"] == ended["CreationTime"]


def test_fail_step_tells_the_outcome_of_a_condition(service: Service) -> None:
    """The texts of the SDK's own tests against the service (tests/integ/sagemaker/workflow/test_fail_steps.py)."""
    text = {"Std:Join": {"On": ": ", "Values": ["xxx == yyy returns", {"Get": "Steps.Check.Outcome"}]}}
    fails = {"Name": "F", "Type": "Fail", "Arguments": {"ErrorMessage": text}}
    arn = service.start(service.create(condition("Check", 1, 2), fails))
    service.wait(arn, "Failed")
    assert service.steps(arn)["F"]["FailureReason"] == "xxx == yyy returns: false"


def test_fail_step_without_a_message(service: Service) -> None:
    arn = service.start(service.create({"Name": "F", "Type": "Fail", "Arguments": {}}))
    service.wait(arn, "Failed")
    step = service.steps(arn)["F"]
    assert ("FailureReason" in step, step["Metadata"]) == (False, {"Fail": {"ErrorMessage": ""}})


def test_request_that_is_wrong_only_when_resolved_fails_its_step(service: Service) -> None:
    name = service.create(
        training("Train", "true", {"Get": "Parameters.Output"}),
        parameters=[{"Name": "Output", "Type": "String", "DefaultValue": "no-uri"}],
    )
    arn = service.start(name)
    service.wait(arn, "Failed")
    step = service.steps(arn)["Train"]
    assert step["FailureReason"].startswith("ClientError: Failed to invoke sagemaker:CreateTrainingJob. Error Details:")
    assert "outputDataConfig.s3OutputPath" in step["FailureReason"]
    assert (step["Metadata"], step["AttemptCount"]) == ({}, 1)


def test_pipeline_of_many_steps(service: Service) -> None:
    steps = [condition(f"S{n}", 1, 1, DependsOn=[f"S{n - 1}"] if n else []) for n in range(400)]
    arn = service.start(service.create(*steps))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    pages = service.sagemaker.get_paginator("list_pipeline_execution_steps").paginate(PipelineExecutionArn=arn)
    assert sum(len(page["PipelineExecutionSteps"]) for page in pages) == 400


def test_many_executions_with_stops_between_all_settle(service: Service) -> None:
    steps = [training("A", "echo loss=1", service.output), training("B", "exit $((RANDOM % 2))", service.output)]
    name = service.create(*steps, {**PASSES, "DependsOn": ["A", "B"]})

    def run(number: int) -> str:
        arn = service.start(name)
        if number % 3 == 0:
            with contextlib.suppress(ClientError):  # it may have ended before the stop came
                service.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
        ended = service.wait(arn)["PipelineExecutionStatus"]
        assert {step["StepStatus"] for step in service.steps(arn).values()} <= {"Succeeded", "Failed", "Stopped"}
        for job in (f"pipelines-{arn.rsplit('/', 1)[-1]}-{step}" for step in "AB"):
            found = service.sagemaker.list_training_jobs(NameContains=job)["TrainingJobSummaries"]
            assert {item["TrainingJobStatus"] for item in found} <= {"Completed", "Failed", "Stopped"}
        return str(ended)

    with ThreadPoolExecutor(12) as pool:
        ends = list(pool.map(run, range(12)))
    assert set(ends) <= {"Succeeded", "Failed", "Stopped"}


def nested(depth: int) -> dict[str, Any]:
    inner = [nested(depth - 1)] if depth > 1 else []
    return condition(f"Level{depth}", 3.0, 3.0, IfSteps=inner)


def test_conditions_nested_as_in_airflows_system_test(service: Service) -> None:
    """apache/airflow, providers/amazon, example_sagemaker_pipeline.py: 31 Condition steps inside one another."""
    arn = service.start(service.create(nested(31)))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    names = [f"Level{depth}" for depth in range(31, 0, -1)]
    found = service.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn, SortOrder="Ascending")
    assert [step["StepName"] for step in found["PipelineExecutionSteps"]] == names


@pytest.mark.parametrize("negated", [True, False])
def test_a_negated_condition(service: Service, negated: bool) -> None:
    inner = {"Type": "Equals", "LeftValue": 1, "RightValue": 2 if negated else 1}
    step = condition("Check", 1, 1)
    step["Arguments"]["Conditions"] = [{"Type": "Not", "Condition": inner}]
    arn = service.start(service.create(step))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert service.steps(arn)["Check"]["Metadata"]["Condition"]["Outcome"] == str(negated)
    step["Arguments"]["Conditions"] = [{"Type": "Not", "Expression": inner}]
    with refused("ValidationException", "The Not condition in step 'Check' misses 'Condition'"):
        service.create(step)
