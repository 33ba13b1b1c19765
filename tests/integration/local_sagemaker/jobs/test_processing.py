"""Processing jobs: inputs at their local paths, outputs in S3, the exit message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.local_jobs import BUCKET, IMAGE, ROLE, WAITS, Backend, Jobs
from tests.support.waiting import wait_until


def processing_request(command: list[str], **members: Any) -> dict[str, Any]:
    return {
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": command},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        **members,
    }


def s3_input(name: str, key: str, local: str) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": f"s3://{BUCKET}/{key}",
            "LocalPath": local,
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
            "S3CompressionType": "None",
        },
    }


def output(name: str, key: str, local: str, mode: str = "EndOfJob") -> dict[str, Any]:
    return {
        "OutputName": name,
        "S3Output": {"S3Uri": f"s3://{BUCKET}/{key}", "LocalPath": local, "S3UploadMode": mode},
    }


SCRIPT = """
import json, os, pathlib, sys
config = json.loads(pathlib.Path("/opt/ml/config/processingjobconfig.json").read_text())
hosts = json.loads(pathlib.Path("/opt/ml/config/resourceconfig.json").read_text())
rows = pathlib.Path("/opt/ml/processing/input/raw/deep/rows.csv").read_text()
seen = {"argv": sys.argv[1:], "job": config["ProcessingJobName"], "host": hosts["current_host"], "rows": rows,
        "mine": os.environ["MINE"], "inputs": [item["InputName"] for item in config["ProcessingInputs"]]}
pathlib.Path("/opt/ml/processing/train/seen.json").write_text(json.dumps(seen))
pathlib.Path("/opt/ml/output").mkdir(exist_ok=True)
pathlib.Path("/opt/ml/output/message").write_text("42 rows")
print("done")
"""


@pytest.mark.parametrize("way", ["jobs", "rewriting_jobs"])
def test_a_script_reads_its_inputs_and_its_outputs_are_stored(
    request: pytest.FixtureRequest, backend: Backend, way: str
) -> None:
    jobs: Jobs = request.getfixturevalue(way)
    name = f"process-{way}".replace("_", "-")
    backend.put("proc/code/run.py", SCRIPT)
    backend.put("proc/raw/deep/rows.csv", "a,b")
    job = processing_request(
        ["python3", "/opt/ml/processing/input/code/run.py"],
        Environment={"MINE": "yes"},
        ProcessingInputs=[
            s3_input("raw", "proc/raw/", "/opt/ml/processing/input/raw"),
            s3_input("code", "proc/code/run.py", "/opt/ml/processing/input/code"),
        ],
        ProcessingOutputConfig={"Outputs": [output("train", f"proc/out/{name}", "/opt/ml/processing/train")]},
    )
    job["AppSpecification"]["ContainerArguments"] = ["--partition", "2013-07-04"]
    ended = jobs.run(name, job, kind="processing")
    assert ended["ProcessingJobStatus"] == "Completed", jobs.log(name, "processing")
    assert ended["ExitMessage"] == "42 rows"
    assert ended["ProcessingStartTime"] <= ended["ProcessingEndTime"]
    seen = json.loads(backend.read(f"proc/out/{name}/seen.json"))
    assert seen == {
        "argv": ["--partition", "2013-07-04"],
        "job": name,
        "host": "algo-1",
        "rows": "a,b",
        "mine": "yes",
        "inputs": ["raw", "code"],
    }
    streams = backend.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/ProcessingJobs", logStreamNamePrefix=f"{name}/algo-1-"
    )["logStreams"]
    assert len(streams) == 1


def test_a_failure_says_why_and_keeps_the_exit_message(jobs: Jobs) -> None:
    text = "open('/opt/ml/output/message', 'w').write('bad rows'); raise ValueError('no rows for the partition')"
    ended = jobs.run("process-fails", processing_request(["python3", "-c", text]), kind="processing")
    assert ended["ProcessingJobStatus"] == "Failed"
    assert ended["ExitMessage"] == "bad rows"
    assert "ValueError: no rows for the partition, exit code: 1" in ended["FailureReason"]


def test_continuous_outputs_go_up_while_the_job_runs(jobs: Jobs, backend: Backend) -> None:
    text = f"open('/opt/ml/processing/out/a', 'w').write('early'); {WAITS}"
    job = processing_request(
        ["python3", "-c", text],
        ProcessingOutputConfig={"Outputs": [output("o", "proc/live", "/opt/ml/processing/out", "Continuous")]},
    )
    arn = jobs.submit("process-live", job, kind="processing")
    wait_until(lambda: backend.path("proc/live/a").exists(), "the output is in S3")
    assert jobs.status(arn) == "InProgress"
    jobs.supervisor.stop(arn)
    assert jobs.wait(arn)["ProcessingJobStatus"] == "Stopped"


def test_a_local_path_outside_is_refused(jobs: Jobs, backend: Backend) -> None:
    backend.put("proc/x", "x")
    job = processing_request(["true"], ProcessingInputs=[s3_input("x", "proc/x", "/etc")])
    ended = jobs.run("process-outside", job, kind="processing")
    assert "LocalPath '/etc' is not below /opt/ml" in ended["FailureReason"]


def test_an_input_that_matches_nothing_is_named(jobs: Jobs) -> None:
    job = processing_request(["true"], ProcessingInputs=[s3_input("x", "proc/nothing", "/opt/ml/processing/x")])
    ended = jobs.run("process-nothing", job, kind="processing")
    assert f'No S3 objects found under S3 URL "s3://{BUCKET}/proc/nothing"' in ended["FailureReason"]
