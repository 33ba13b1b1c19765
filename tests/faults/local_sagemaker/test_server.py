"""The server's own process: its folder, its ports, its children."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.support.waiting import wait_until

from .conftest import ROOT, Server, processes_of
from .pipelines import ROLE, create, job, start, training, wait_end
from .scenarios import QUEUE, wait_message


def refusal(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """The one line of a server that does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "local_sagemaker", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_second_server_over_the_folder_is_refused(serve: Callable[..., Server]) -> None:
    first = serve()
    line = refusal("serve", "--data-dir", str(first.data_dir), "--port", "0")
    assert f"another local SageMaker serves {first.data_dir} (process {first.process.pid})" in line
    assert first.client("sagemaker").list_pipelines()["PipelineSummaries"] == []


def test_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = refusal("serve", "--data-dir", str(tmp_path), "--port", port)
        assert f"port {port} cannot be used" in line
        assert "--port" in line
        line = refusal("serve", "--data-dir", str(tmp_path), "--port", "0", "--s3-port", port)
        assert f"port {port} for S3 cannot be used" in line


@pytest.mark.parametrize("name", ["sagemaker.db", "s3.db", "logs.db"])
def test_a_damaged_database_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("damaged")
    line = refusal("serve", "--data-dir", str(tmp_path), "--port", "0")
    assert f"{tmp_path / name} cannot be opened: file is not a database" in line
    assert (tmp_path / name).read_text() == "damaged"
    assert processes_of(tmp_path) == []


def test_other_hosts_need_keys(tmp_path: Path) -> None:
    line = refusal("serve", "--data-dir", str(tmp_path), "--port", "0", "--host", "0.0.0.0")
    assert "LOCAL_SAGEMAKER_ACCESS_KEY_ID" in line


def test_env_prints_what_serve_printed(serve: Callable[..., Server], tmp_path: Path) -> None:
    assert "no local SageMaker has served" in refusal("env", "--data-dir", str(tmp_path / "empty"))
    server = serve()
    command = [sys.executable, "-m", "local_sagemaker", "env", "--data-dir", str(server.data_dir)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert dict(line.removeprefix("export ").split("=", 1) for line in printed.splitlines()) == server.env
    assert (server.data_dir / "endpoint.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_every_child_ends_with_the_server(serve: Callable[..., Server], sig: int) -> None:
    server = serve()
    assert len(processes_of(server.data_dir)) >= 2
    server.stop(sig)
    wait_until(lambda: not processes_of(server.data_dir), "the end of all children")


def test_signal_that_another_thread_takes_ends_the_server_too(serve: Callable[..., Server]) -> None:
    server = serve()
    threads = [int(entry.name) for entry in Path(f"/proc/{server.process.pid}/task").iterdir()]
    other = next(thread for thread in threads if thread != server.process.pid)
    tgkill = 234 if os.uname().machine == "x86_64" else 131
    assert ctypes.CDLL(None).syscall(tgkill, server.process.pid, other, signal.SIGTERM) == 0
    assert server.process.wait(timeout=40) == 0


def s3_of(server: Server) -> int:
    """The process that is its S3."""
    processes = processes_of(server.data_dir)
    (found,) = [pid for pid in processes if b"\0local_sagemaker.s3\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return found


@pytest.mark.slow
def test_uploads_in_many_parts_take_bounded_memory(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Forty parts are under way at once, and none of them as a whole."""
    server = serve()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="large")
    large = tmp_path / "large"
    with large.open("wb") as stream:
        stream.truncate(2**29)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: s3.upload_file(str(large), "large", key), "abcd"))
    assert {item["Size"] for item in s3.list_objects_v2(Bucket="large")["Contents"]} == {2**29}
    status = Path(f"/proc/{s3_of(server)}/status").read_text()
    peak = next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak < 200, "MB"


def test_s3_is_started_again(serve: Callable[..., Server]) -> None:
    server = serve()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="a/b", Body=b"content")
    left = server.data_dir / "s3" / ".incomplete" / "left"
    left.write_bytes(b"part of an upload")
    os.kill(s3_of(server), signal.SIGKILL)

    def content() -> bytes | None:
        with contextlib.suppress(ClientError, BotoCoreError):
            return bytes(s3.get_object(Bucket="kept", Key="a/b")["Body"].read())
        return None

    assert wait_until(content, "a response of the new S3 process") == b"content"
    wait_until(lambda: not left.exists(), "the removal of the incomplete upload")


def test_objects_are_files_and_files_are_objects(serve: Callable[..., Server]) -> None:
    server = serve()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="both")
    s3.put_object(Bucket="both", Key="x/one", Body=b"1")
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="both")["Contents"]] == ["x/one"]
    assert (server.data_dir / "s3/both/x/one").read_bytes() == b"1"
    (server.data_dir / "s3/both/x/two").write_bytes(b"2")
    wait_until(lambda: s3.list_objects_v2(Bucket="both", Prefix="x/")["KeyCount"] == 2, "the new file in the listing")
    assert s3.get_object(Bucket="both", Key="x/two")["Body"].read() == b"2"


def test_server_keeps_its_ports_and_keys_when_asked(serve: Callable[..., Server]) -> None:
    first = serve()
    first.stop()
    port = first.env["AWS_ENDPOINT_URL"].rsplit(":", 1)[1]
    second = serve(None, None, "--port", port)
    assert second.env == first.env


def test_etag_follows_a_file_that_was_changed_by_hand(serve: Callable[..., Server]) -> None:
    """ETags are stored: the store must notice what did not go through it, and a kill must not spoil it."""
    server = serve()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="sums")
    s3.put_object(Bucket="sums", Key="one", Body=b"before")
    assert s3.head_object(Bucket="sums", Key="one")["ETag"].strip('"') == hashlib.md5(b"before").hexdigest()
    (server.data_dir / "s3/sums/one").write_bytes(b"after it")
    server.kill()
    again = serve().client("s3")
    assert again.head_object(Bucket="sums", Key="one")["ETag"].endswith('-1"')  # one that is no MD5
    assert again.get_object(Bucket="sums", Key="one")["Body"].read() == b"after it"


def test_data_folder_with_a_difficult_name(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(tmp_path / 'it\'s, a: "folder" {x}')
    s3 = server.client("s3")
    s3.create_bucket(Bucket="named")
    s3.put_object(Bucket="named", Key="a", Body=b"1")
    assert (server.data_dir / "s3/named/a").read_bytes() == b"1"


def test_many_objects_at_once(serve: Callable[..., Server]) -> None:
    server = serve()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="many")
    keys = [f"folder-{number % 60}/object-{number}" for number in range(300)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket="many", Key=key, Body=b"x"), keys))
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="many")
    assert sorted(item["Key"] for page in pages for item in page["Contents"]) == sorted(keys)


def test_signatures_count_where_others_can_call(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_SAGEMAKER_ACCESS_KEY_ID", "AKIASHARED")
    monkeypatch.setenv("LOCAL_SAGEMAKER_SECRET_ACCESS_KEY", "a-shared/secret")
    server = serve(None, None, "--host", "0.0.0.0")
    assert server.env["AWS_ACCESS_KEY_ID"] == "AKIASHARED"
    assert server.client("sagemaker").list_pipelines()["PipelineSummaries"] == []
    assert server.client("sts").get_caller_identity()["Account"] == "123456789012"
    token = server.client("codeartifact").get_authorization_token(domain="own", domainOwner="123456789012")
    assert token["authorizationToken"]
    server.env["AWS_SECRET_ACCESS_KEY"] = "wrong"
    for service, call in (("sagemaker", "list_pipelines"), ("sts", "get_caller_identity"), ("s3", "list_buckets")):
        with pytest.raises(ClientError, match=r"Signature|403"):
            getattr(server.client(service), call)()
    with urllib.request.urlopen(f"{server.env['AWS_ENDPOINT_URL']}/health", timeout=10) as answer:
        assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(server.env["AWS_ENDPOINT_URL"], timeout=10)
    basic = base64.b64encode(b"AKIASHARED:a-shared/secret").decode()
    request = urllib.request.Request(server.env["AWS_ENDPOINT_URL"], headers={"Authorization": f"Basic {basic}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert b"local SageMaker" in answer.read()


def test_throttling_on_request(serve: Callable[..., Server]) -> None:
    server = serve(None, None, "--throttle", "5")
    impatient = server.client("sagemaker")

    def hurry() -> None:
        for _ in range(50):
            impatient.list_pipelines()

    with pytest.raises(ClientError, match="Rate exceeded") as caught:
        hurry()
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"
    impatient.list_training_jobs()  # each action has a rate of its own
    patient = server.client("sagemaker", config=Config(retries={"mode": "standard", "max_attempts": 8}))
    for _ in range(7):
        assert patient.list_pipelines()["PipelineSummaries"] == []


def test_gc_forgets_what_ended_and_keeps_the_rest(serve: Callable[..., Server]) -> None:
    server = serve()
    ask = {"Name": "Ask", "Type": "Callback", "SqsQueueUrl": QUEUE, "Arguments": {}}
    create(server, training("Train", "echo done"), ask)
    arn = start(server)
    token = wait_message(server, arn, "Executing")["token"]
    server.client("sagemaker").send_pipeline_execution_step_success(CallbackToken=token)
    wait_end(server, arn)
    sagemaker = server.client("sagemaker")
    [found] = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    folder = server.data_dir / "jobs/training" / found["TrainingJobName"]
    collect = [sys.executable, "-m", "local_sagemaker", "gc", "--data-dir", str(server.data_dir), "--older-than"]

    def run(*options: str) -> str:
        return subprocess.run([*collect, *options], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert run("P1D") == "deleted 0 executions and 0 jobs with 0.0 MB of job folders\n"
    time.sleep(1.1)  # the shortest age that can be named is one second
    assert run("PT1S", "--dry-run").startswith("would delete 1 executions and 1 jobs")
    assert folder.exists()
    assert run("PT1S").startswith("deleted 1 executions and 1 jobs")
    assert not folder.exists()
    assert list((server.data_dir / "callbacks").rglob("*.json")) == []
    assert sagemaker.list_pipeline_executions(PipelineName="kill")["PipelineExecutionSummaries"] == []
    assert sagemaker.list_training_jobs()["TrainingJobSummaries"] == []
    assert start(server) != arn


def test_spot_interruption_on_request(serve: Callable[..., Server]) -> None:
    server = serve()
    server.client("s3").create_bucket(Bucket="kill")
    # the first life leaves a checkpoint and waits, the second finds it and ends
    script = "ls /opt/ml/checkpoints/seen || { touch /opt/ml/checkpoints/seen; echo first life; sleep 300; }"
    sagemaker = server.client("sagemaker")
    request = job(script) | {
        "TrainingJobName": "spot",
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 600},
        "CheckpointConfig": {"S3Uri": "s3://kill/checkpoints"},
    }
    sagemaker.create_training_job(**request)
    command = ["interrupt", "--data-dir", str(server.data_dir)]
    assert "Training job 'none' does not exist" in refusal(*command, "none")

    def log() -> str:
        files = list((server.data_dir / "jobs/training/spot").glob("host-*/output.log"))
        return files[0].read_text() if files else ""

    wait_until(lambda: "first life" in log(), "the job's first line")
    subprocess.run([sys.executable, "-m", "local_sagemaker", *command, "spot"], cwd=ROOT, check=True, timeout=60)

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName="spot")
        return None if found["TrainingJobStatus"] == "InProgress" else found

    found = wait_until(ended, "the end of the job")
    assert found["TrainingJobStatus"] == "Completed"
    assert "Interrupted" in [item["Status"] for item in found["SecondaryStatusTransitions"]]
    assert "is not running" in refusal(*command, "spot")


def test_execution_of_many_steps_does_not_keep_the_next_one_waiting(serve: Callable[..., Server]) -> None:
    server = serve(None, None, "--max-jobs", "1")
    client = server.client("sagemaker")
    server.client("s3").create_bucket(Bucket="kill")
    for name, count in (("wide", 6), ("narrow", 1)):
        steps = [{"Name": f"T{n}", "Type": "Training", "Arguments": job("sleep 0.3")} for n in range(count)]
        text = json.dumps({"Version": "2020-12-01", "Steps": steps})
        client.create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=ROLE)
    wide, narrow = (
        client.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"] for name in ("wide", "narrow")
    )
    for arn in (narrow, wide):
        assert wait_end(server, arn)["PipelineExecutionStatus"] == "Succeeded"
    order = sorted((moment, arn) for arn in (wide, narrow) for moment in job_starts(client, arn))
    assert [arn for _, arn in order].index(narrow) < 5, order  # in the order of their coming it is the last of seven


def job_starts(client: Any, arn: str) -> list[datetime]:
    steps = client.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    names = [step["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[-1] for step in steps]
    return [client.describe_training_job(TrainingJobName=name)["TrainingStartTime"] for name in names]
