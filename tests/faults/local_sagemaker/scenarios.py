"""What a client does while the server is killed under it, and what must be true however often that happened.

`play` does its calls from the first to the last; it may be called again after a crash, on the next server over the same
folder, because every call has a token or finds what the call before it left. `check` looks at the end.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from . import counted
from .conftest import Server
from .pipelines import (
    IMAGE,
    PIPELINE,
    RETRY,
    ROLE,
    TOKEN,
    Step,
    condition,
    create,
    definition,
    executions,
    job,
    job_ends,
    start,
    statuses,
    steps,
    succeed,
    training,
    wait_end,
    wait_training,
)


@dataclass(frozen=True)
class Scenario:
    """`play` raises BotoCoreError when the server dies under it."""

    play: Callable[[Server], None]
    check: Callable[[Server], None]
    options: Callable[[Path], tuple[str, ...]] = lambda _folder: ()
    """Of `serve`, for a server over that folder."""


def train(server: Server) -> None:
    create(server, training("Train", "echo trained; sleep 0.2"), condition("Check", 1, after="Train"))
    succeed(server, start(server))


def check_train(server: Server) -> None:
    [arn] = executions(server)
    assert statuses(server, arn) == {"Train": "Succeeded", "Check": "Succeeded"}
    assert job_ends(server)["Completed"] == 1


def stop(server: Server) -> None:
    """Stop an execution whose job runs: what was answered as Stopping ends as Stopped, whatever happens between."""
    create(server, training("Train", "echo up; sleep 300"), condition("Check", 1, after="Train"))
    arn = start(server)
    wait_training(server, arn)
    server.client("sagemaker").stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=TOKEN)
    wait_end(server, arn)


def check_stop(server: Server) -> None:
    [arn] = executions(server)
    found = wait_end(server, arn)
    assert (found["PipelineExecutionStatus"], statuses(server, arn)) == ("Stopped", {"Train": "Stopped"})
    assert set(job_ends(server)) <= {"Stopped", "Failed"}  # Failed: those that were lost with a server before the stop


def retry(server: Server) -> None:
    """Fail, mend what was wrong, retry: what had succeeded is kept."""
    mended = server.data_dir / "mended"
    create(server, training("First", "echo first"), training("Second", f"test -e {mended}", DependsOn=["First"]))
    arn = start(server)
    if wait_end(server, arn)["PipelineExecutionStatus"] == "Failed" and not mended.exists():
        assert statuses(server, arn) == {"First": "Succeeded", "Second": "Failed"}
    mended.touch()
    server.client("sagemaker").retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=TOKEN)
    succeed(server, arn)


def check_retry(server: Server) -> None:
    [arn] = executions(server)
    assert statuses(server, arn) == {"First": "Succeeded", "Second": "Succeeded"}
    assert "FailureReason" not in wait_end(server, arn)
    names = [item["TrainingJobName"] for item in completed(server)]
    assert sum("-First-" in name for name in names) == 1
    assert sum("-Second-" in name for name in names) == 1


def completed(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.client("sagemaker").list_training_jobs(StatusEquals="Completed")[
        "TrainingJobSummaries"
    ]
    return found


def versions(server: Server) -> None:
    """Two versions, started by their aliases; then new aliases, name and tags, and a pipeline that comes and goes."""
    client = server.client("sagemaker")
    create(server, condition("One", 1), PipelineVersionAliases=["one"])
    first = start(server, "1" * 32, PipelineVersionAlias="one")
    with suppress(ClientError):  # refused when it was done before the crash: the definition is the latest already
        client.update_pipeline(
            PipelineName="kill", PipelineDefinition=definition(condition("Two", 1)), PipelineVersionAliases=["two"]
        )
    second = start(server, "2" * 32, PipelineVersionAlias="two")
    with suppress(client.exceptions.ResourceNotFound):  # removed before the crash
        client.update_pipeline_version(
            PipelineArn=PIPELINE,
            PipelineVersionId=1,
            PipelineVersionAliasOperations={"Remove": ["one"], "Add": ["old"]},
        )
    client.update_pipeline_execution(PipelineExecutionArn=first, PipelineExecutionDisplayName="renamed")
    client.add_tags(ResourceArn=PIPELINE, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    client.delete_tags(ResourceArn=PIPELINE, TagKeys=["a"])
    with suppress(ClientError):  # made before the crash
        client.create_pipeline(PipelineName="gone", PipelineDefinition=definition(condition("One", 1)), RoleArn=ROLE)
    with suppress(client.exceptions.ResourceNotFound):  # deleted before the crash
        client.delete_pipeline(PipelineName="gone")
    for arn in (first, second):
        succeed(server, arn)


def check_versions(server: Server) -> None:
    client = server.client("sagemaker")
    found = client.list_pipeline_versions(PipelineName="kill")["PipelineVersionSummaries"]
    assert [(item["PipelineVersionId"], item["PipelineVersionAliases"]) for item in found] == [
        (2, ["two"]), (1, ["old"]),
    ]  # fmt: skip
    first, second = executions(server)
    assert (statuses(server, first), statuses(server, second)) == ({"One": "Succeeded"}, {"Two": "Succeeded"})
    described = client.describe_pipeline_execution(PipelineExecutionArn=first)
    assert (described["PipelineVersionId"], described["PipelineExecutionDisplayName"]) == (1, "renamed")
    assert client.list_tags(ResourceArn=PIPELINE)["Tags"] == [{"Key": "b", "Value": "2"}]
    assert [item["PipelineName"] for item in client.list_pipelines()["PipelineSummaries"]] == ["kill"]


def work(server: Server) -> None:
    """Process, train on what that gave, register; a second execution takes both results from the cache."""
    with suppress(ClientError):  # made before the crash
        server.client("s3").create_bucket(Bucket="kill")
    create(server, *work_steps())
    for token in ("1" * 32, "2" * 32):
        succeed(server, start(server, token))


def work_steps() -> list[Step]:
    cached = {"CacheConfig": {"Enabled": True, "ExpireAfter": "30d"}, "RetryPolicies": RETRY}
    place = {"S3Uri": "s3://kill/report", "LocalPath": "/opt/ml/processing/report", "S3UploadMode": "EndOfJob"}
    script = """echo '{"rows": 1}' > /opt/ml/processing/report/report.json"""
    process = {
        "Name": "Process",
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
        **cached,
    }
    rows = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Process.PropertyFiles.Report"}, "Path": "rows"}}
    train = training("Train", "cp /opt/ml/input/data/report/report.json /opt/ml/model/", **cached)
    uri = {"Get": "Steps.Process.ProcessingOutputConfig.Outputs['report'].S3Output.S3Uri"}
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}
    train["Arguments"]["InputDataConfig"] = [{"ChannelName": "report", "DataSource": source}]
    model = {"Image": IMAGE, "ModelDataUrl": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}}
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {"ModelPackageGroupName": "group", "InferenceSpecification": {"Containers": [model]}},
    }
    return [process, condition("Check", rows, after="Process"), train, register]


def check_work(server: Server) -> None:
    first, second = executions(server)
    for arn in (first, second):
        assert statuses(server, arn) == dict.fromkeys(("Process", "Check", "Train", "Register"), "Succeeded")
    for name in ("Process", "Train"):
        assert "CacheHitResult" not in steps(server, first)[name]
        assert steps(server, second)[name]["CacheHitResult"] == {"SourcePipelineExecutionArn": first}
    assert (job_ends(server)["Completed"], job_ends(server, "Processing")["Completed"]) == (1, 1)
    client = server.client("sagemaker")
    packages = client.list_model_packages(ModelPackageGroupName="group", SortOrder="Ascending")
    assert [item["ModelPackageVersion"] for item in packages["ModelPackageSummaryList"]] == [1, 2]
    names = [steps(server, arn)["Register"]["Metadata"]["RegisterModel"]["Arn"] for arn in (first, second)]
    assert [item["ModelPackageArn"] for item in packages["ModelPackageSummaryList"]] == names
    package = client.describe_model_package(ModelPackageName=names[1])
    key = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"].removeprefix("s3://kill/")
    assert server.client("s3").head_object(Bucket="kill", Key=key)["ContentLength"] > 0


QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/asked"


def ask(server: Server) -> None:
    """Answer two callbacks, the second one of an execution that stops, from the messages alone."""
    outputs = [{"OutputName": "good", "OutputType": "Integer"}]
    step = {"Name": "Ask", "Type": "Callback", "SqsQueueUrl": QUEUE, "OutputParameters": outputs, "Arguments": {"a": 1}}
    create(server, step, condition("Check", {"Get": "Steps.Ask.OutputParameters['good']"}))
    client = server.client("sagemaker")
    first, second = start(server, "1" * 32), start(server, "2" * 32)
    client.send_pipeline_execution_step_success(
        CallbackToken=wait_message(server, first, "Executing")["token"],
        OutputParameters=[{"Name": "good", "Value": "1"}],
        ClientRequestToken="3" * 32,
    )
    succeed(server, first)
    wait_message(server, second, "Executing")
    client.stop_pipeline_execution(PipelineExecutionArn=second, ClientRequestToken=TOKEN)
    client.send_pipeline_execution_step_failure(
        CallbackToken=wait_message(server, second, "Stopping")["token"], ClientRequestToken="4" * 32
    )
    wait_end(server, second)


def wait_message(server: Server, arn: str, status: str) -> dict[str, Any]:
    """The message that was delivered for an execution."""
    deadline = time.monotonic() + 60
    while True:
        bodies = [json.loads(path.read_text()) for path in (server.data_dir / "callbacks" / "asked").glob("*.json")]
        for body in bodies:
            if (body["pipelineExecutionArn"], body["status"]) == (arn, status):
                return dict(body)
        if server.process.poll() is not None:
            raise EndpointConnectionError(endpoint_url=server.endpoint_url)
        assert time.monotonic() < deadline, server.log()[-3000:]
        time.sleep(0.05)


def check_ask(server: Server) -> None:
    first, second = executions(server)
    assert statuses(server, first) == {"Ask": "Succeeded", "Check": "Succeeded"}
    assert (wait_end(server, second)["PipelineExecutionStatus"], statuses(server, second)) == (
        "Stopped", {"Ask": "Stopped"},
    )  # fmt: skip
    tokens = {steps(server, arn)["Ask"]["Metadata"]["Callback"]["CallbackToken"] for arn in (first, second)}
    bodies = [json.loads(path.read_text()) for path in (server.data_dir / "callbacks" / "asked").glob("*.json")]
    assert sorted(body["status"] for body in bodies) == ["Executing", "Executing", "Stopping"]  # each once, by name
    assert {body["token"] for body in bodies} == tokens


FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:count"


def call(server: Server) -> None:
    """A function that was lost with its server is not called again by itself, but by a retry."""
    outputs = [{"OutputName": "good", "OutputType": "Integer"}]
    step = {"Name": "Call", "Type": "Lambda", "FunctionArn": FUNCTION, "OutputParameters": outputs}
    step["Arguments"] = {"file": str(server.data_dir / "calls")}
    create(server, step, condition("Check", {"Get": "Steps.Call.OutputParameters['good']"}))
    arn = start(server)
    attempt = 0
    while wait_end(server, arn)["PipelineExecutionStatus"] != "Succeeded":
        assert "the server ended while" in steps(server, arn)["Call"]["FailureReason"].replace("local SageMaker ", "")
        server.client("sagemaker").retry_pipeline_execution(
            PipelineExecutionArn=arn, ClientRequestToken=f"{attempt:032}"
        )
        attempt += 1


def check_call(server: Server) -> None:
    [arn] = executions(server)
    assert statuses(server, arn) == {"Call": "Succeeded", "Check": "Succeeded"}
    calls = (server.data_dir / "calls").read_text().split()
    assert 1 <= len(calls) <= 3  # one more with each server that was killed
    assert len(set(calls)) == len(calls)


def trigger(server: Server) -> None:
    """A failure that other steps wait for: they run once, whenever the server was killed."""
    fails = training("Train", "exit 1", RetryPolicies=[])
    notify = training("Notify", "echo told", DependsOn=[{"Step": "Train", "Trigger": "Failed"}])
    clean = condition("Clean", 1) | {"DependsOn": [{"Step": "Train", "Trigger": "Any"}]}
    create(server, fails, notify, clean, condition("Report", 1, after="Notify"), condition("Deploy", 1, after="Train"))
    arn = start(server)
    found = wait_end(server, arn)
    assert found["PipelineExecutionStatus"] == "CompletedWithFailures", (steps(server, arn), server.log()[-3000:])


def check_trigger(server: Server) -> None:
    [arn] = executions(server)
    assert statuses(server, arn) == {
        "Train": "Failed", "Notify": "Succeeded", "Clean": "Succeeded", "Report": "Succeeded",
    }  # fmt: skip
    names = [item["TrainingJobName"] for item in completed(server)]
    assert [name.split("-")[2] for name in names] == ["Notify"]


TRAIN = f"""#!{sys.executable}
import json, os, time
base = os.environ["SAGEMAKER_BASE_DIR"]
with open(base + "/input/config/hyperparameters.json") as stream:
    time.sleep(0.2)
    print("loss=" + json.load(stream)["rate"])
with open(base + "/model/weights", "w") as stream:
    stream.write("w")
"""


def with_train(folder: Path) -> tuple[str, ...]:
    """A job Python that has `train`, as sagemaker-training brings it."""
    python = folder.with_name("job") / "bin" / "python"
    if not python.exists():
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
        python.with_name("train").write_text(TRAIN)
        python.with_name("train").chmod(0o755)
    return "--job-python", str(python)


def tune(server: Server) -> None:
    """A tuning job's trials are done once each; one that was lost with its server is tried again."""
    with suppress(ClientError):  # made before the crash
        server.client("s3").create_bucket(Bucket="kill")
    arguments = job("")
    algorithm = {"TrainingImage": IMAGE, "TrainingInputMode": "File"}
    arguments["AlgorithmSpecification"] = algorithm | {"MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}]}
    ranges = {"ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0.1", "MaxValue": "1"}]}
    config = {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2},
        "ParameterRanges": ranges,
    }
    request = {"HyperParameterTuningJobConfig": config, "TrainingJobDefinition": arguments}
    create(server, {"Name": "Tune", "Type": "Tuning", "Arguments": request}, condition("Check", 1, after="Tune"))
    succeed(server, start(server))


def check_tune(server: Server) -> None:
    [arn] = executions(server)
    assert statuses(server, arn) == {"Tune": "Succeeded", "Check": "Succeeded"}
    client = server.client("sagemaker")
    [tuning] = client.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]
    ended = client.describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=tuning["HyperParameterTuningJobName"]
    )
    counters = ended["TrainingJobStatusCounters"]
    jobs = client.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=tuning["HyperParameterTuningJobName"], MaxResults=100
    )["TrainingJobSummaries"]
    assert (counters["Completed"], counters["InProgress"], counters["NonRetryableError"]) == (3, 0, 0)
    assert counters["RetryableError"] == len(jobs) - 3
    rates = [item["TunedHyperParameters"]["rate"] for item in jobs]
    done = [item["TunedHyperParameters"]["rate"] for item in jobs if item["TrainingJobStatus"] == "Completed"]
    assert set(rates) == set(done)  # a lost trial's values were tried again
    assert len(set(done)) == 3


def with_function(_folder: Path) -> tuple[str, ...]:
    return "--lambda", f"{FUNCTION}={counted.__name__}:{counted.count.__name__}"


SCENARIOS = {
    "train": Scenario(train, check_train),
    "stop": Scenario(stop, check_stop),
    "retry": Scenario(retry, check_retry),
    "versions": Scenario(versions, check_versions),
    "work": Scenario(work, check_work),
    "ask": Scenario(ask, check_ask),
    "call": Scenario(call, check_call, with_function),
    "trigger": Scenario(trigger, check_trigger),
    "tune": Scenario(tune, check_tune, with_train),
}
