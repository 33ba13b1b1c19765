"""Other users of the same machine: what they may read, call and hold up."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import boto3
import psutil
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from local_sagemaker.testing import LocalSageMaker, start_local_sagemaker
from tests.faults.local_sagemaker.conftest import Server

NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSageMaker]:
    found = start_local_sagemaker(tmp_path_factory.mktemp("neighbours"), "--stop-grace", "2")
    yield found
    found.stop()


def port_of(server: LocalSageMaker) -> int:
    return urlsplit(server.endpoint_url).port or 0


def calls_of_every_service(server: LocalSageMaker, secret: str) -> dict[str, Callable[[], Any]]:
    def client(service: str) -> Any:
        keys = {"aws_access_key_id": server.env["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": secret}
        return boto3.client(service, endpoint_url=server.endpoint_url, region_name="us-east-1", **keys)

    return {
        "sagemaker": client("sagemaker").list_pipelines,
        "logs": client("logs").describe_log_groups,
        "sts": client("sts").get_caller_identity,
        "iam": client("iam").list_roles,
        "codeartifact": lambda: client("codeartifact").get_authorization_token(domain="abc"),
    }


@pytest.mark.parametrize("service", ["sagemaker", "logs", "sts", "iam", "codeartifact"])
def test_the_access_key_id_alone_opens_nothing(server: LocalSageMaker, service: str) -> None:
    calls_of_every_service(server, server.env["AWS_SECRET_ACCESS_KEY"])[service]()
    with pytest.raises(ClientError, match="signature we calculated does not match") as refused:
        calls_of_every_service(server, "f" * 40)[service]()
    speaks_xml = service in ("sts", "iam")
    expected = "SignatureDoesNotMatch" if speaks_xml else "InvalidSignatureException"
    assert refused.value.response["Error"]["Code"] == expected
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize(("hours", "text"), [(-1, "Signature expired"), (1, "Signature not yet current")])
def test_a_clock_that_is_off_is_named(server: LocalSageMaker, hours: int, text: str) -> None:
    wrong = datetime.now().astimezone().utcnow() + timedelta(hours=hours)
    with (
        mock.patch("botocore.auth.get_current_datetime", return_value=wrong),
        pytest.raises(ClientError, match=text),
    ):
        server.client("sagemaker").list_pipelines()


def signed(server: LocalSageMaker, host: str) -> tuple[int, bytes]:
    """A rightly signed ListPipelines under another Host: what a page of another site could send had it the keys."""
    request = AWSRequest("POST", f"http://{host}/", data=b"{}", headers={"X-Amz-Target": "SageMaker.ListPipelines"})
    keys = Credentials(server.env["AWS_ACCESS_KEY_ID"], server.env["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(keys, "sagemaker", "us-east-1").add_auth(request)
    with closing(http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=30)) as connection:
        connection.request("POST", "/", b"{}", {**dict(request.headers.items()), "Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_a_foreign_host_is_refused_on_every_method(server: LocalSageMaker, host: str, method: str) -> None:
    host = host.format(port=port_of(server))
    with closing(http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=30)) as connection:
        connection.request(method, "/", headers={"Host": host})
        assert connection.getresponse().status == 403
    assert signed(server, host)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "127.9.9.9", "[::1]:81", "sagemaker.localhost:4600"])
def test_every_name_of_loopback_is_served(server: LocalSageMaker, host: str) -> None:
    assert signed(server, host)[0] == 200


def test_no_key_stands_in_a_log(server: LocalSageMaker) -> None:
    server.client("s3").create_bucket(Bucket="keys")
    script = (
        "env; python3 -c 'import json, os; print(json.dumps(dict(os.environ)))'"
        "; echo $AWS_ACCESS_KEY_ID,$AWS_SECRET_ACCESS_KEY >/opt/ml/output/failure; exit 1"
    )
    server.client("sagemaker").create_training_job(TrainingJobName="keys", **training(script))
    described = ended(server, "keys")
    assert "AWS_ACCESS_KEY_ID=******" in (server.data_dir / "jobs/training/keys/host-1/output.log").read_text()
    keys = [server.env[f"AWS_{name}"].encode() for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")]
    texts = [json.dumps(described, default=str).encode(), json.dumps(log_events(server, "keys")).encode()]
    logs = [path for path in server.data_dir.rglob("*.log") if path.is_file()]
    assert all(key not in text for key in keys for text in [*texts, *(path.read_bytes() for path in logs)])


def training(script: str) -> dict[str, Any]:
    return {
        "RoleArn": "arn:aws:iam::123456789012:role/LocalSageMakerRole",
        "AlgorithmSpecification": {
            "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", script],
        },
        "OutputDataConfig": {"S3OutputPath": "s3://keys/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
    }


def ended(server: LocalSageMaker, name: str) -> dict[str, Any]:
    while True:
        found = server.client("sagemaker").describe_training_job(TrainingJobName=name)
        if found["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
            return dict(found)


def log_events(server: LocalSageMaker, job: str) -> list[str]:
    found = server.client("logs").filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{job}/"
    )
    return [event["message"] for event in found["events"]]


def test_nothing_in_the_data_folder_is_for_others(server: LocalSageMaker) -> None:
    assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700
    open_to_others = [
        path for path in server.data_dir.glob("*") if path.name != "serve.log" and path.lstat().st_mode & 0o077
    ]
    assert open_to_others == []


def as_nobody(work: Callable[[], int]) -> int:
    """The exit status of a child that is another user."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            status = work()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def page_status(server: LocalSageMaker) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=30)) as connection:
        connection.request("GET", "/ui/jobs")
        return connection.getresponse().status


@AS_ROOT
def test_pages_show_another_user_nothing(server: LocalSageMaker) -> None:
    assert page_status(server) == 200
    assert as_nobody(lambda: page_status(server) - 300) == 401 - 300


@AS_ROOT
def test_another_users_folder_is_not_served_from(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.stat().st_mode & 0o001 == 0:
            pytest.skip("nobody cannot get here")
    from local_sagemaker.errors import StartError
    from local_sagemaker.server import lock

    def refused() -> int:
        try:
            lock(tmp_path)
        except StartError as error:
            return 7 if "belongs to user" in str(error) else 1
        return 0

    assert as_nobody(refused) == 7


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    tmp_path.chmod(0o777)
    with pytest.raises(RuntimeError, match="can be written to by other users"):
        start_local_sagemaker(tmp_path)


def test_idle_and_half_sent_requests_hold_nobody_up(server: LocalSageMaker) -> None:
    """More connections than the server keeps: all of them idle, or with a request that never ends."""
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
    key = f"Authorization: Credential={server.env['AWS_ACCESS_KEY_ID']}/x/y/z/aws4_request\r\n".encode()
    parts = [b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", head, head + b"X: " + b"x" * 60_000,
             head + b"Content-Length: 60000\r\n\r\n" + b"x" * 50_000,
             head + key + b"Content-Length: 8000000\r\n\r\n" + b"x" * 200_000]  # fmt: skip
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    held = []
    try:
        for number in range(2000):
            held.append(socket.create_connection(("127.0.0.1", port_of(server)), timeout=30))
            held[-1].setblocking(False)
            try:
                held[-1].send(parts[number % len(parts)])
            except BlockingIOError:
                continue
        client = server.client("sagemaker")
        for _ in range(20):
            client.list_pipelines()
        assert process.num_fds() < 1700
        assert process.memory_info().rss - before < 250 * 2**20
    finally:
        for connection in held:
            connection.close()
    assert server.client("sagemaker").list_pipelines()["PipelineSummaries"] == []


@pytest.mark.parametrize("length", [b"", b"Content-Length: 0\r\n"])
def test_a_client_that_expects_100_continue_and_sends_no_body(server: LocalSageMaker, length: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=30) as connection:
        request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n" + length + b"\r\n"
        for _ in range(2):  # on one connection
            connection.sendall(request)
            response = http.client.HTTPResponse(connection)
            response.begin()
            assert (response.status, response.read()) == (200, b"ok\n")


@pytest.mark.parametrize("signed_by", ["AWS_ACCESS_KEY_ID", None])
def test_a_body_of_100_mb_gets_an_answer(server: LocalSageMaker, signed_by: str | None) -> None:
    key = server.env[signed_by] if signed_by else "AKIASOMEBODY"
    authorization = f"AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/sagemaker/aws4_request"
    request = urllib.request.Request(
        server.endpoint_url, b"x" * 100 * 2**20, {"Authorization": authorization, "X-Amz-Target": "SageMaker.X"}
    )
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert refused.value.code == 413
    assert json.load(refused.value)["__type"] == "RequestEntityTooLargeException"
    assert process.memory_info().rss - before < 32 * 2**20


def test_a_body_without_the_key_is_refused_before_it_is_kept(server: LocalSageMaker) -> None:
    request = urllib.request.Request(server.endpoint_url, b"x" * 2**20, {"X-Amz-Target": "SageMaker.X"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert refused.value.code == 403


@pytest.mark.parametrize("host", ["::1", "localhost", "127.0.0.9"])
def test_any_address_of_loopback_can_be_served(serve: Callable[..., Server], host: str) -> None:
    server = serve(None, None, "--host", host)
    assert server.is_ready, server.log()
    address = {"::1": "[::1]", "localhost": "127.0.0.1"}.get(host, host)
    assert server.endpoint_url.startswith(f"http://{address}:")
    server.client("s3").create_bucket(Bucket="keys")
    script = "echo $AWS_ENDPOINT_URL; echo x >/opt/ml/model/x"
    server.client("sagemaker").create_training_job(TrainingJobName="there", **training(script))
    assert ended(server, "there")["TrainingJobStatus"] == "Completed"
    assert log_events(server, "there") == [server.endpoint_url]
    assert page_status_of(server) == 200


def page_status_of(server: LocalSageMaker) -> int:
    with urllib.request.urlopen(f"{server.endpoint_url}/ui/jobs", timeout=30) as answer:
        return int(answer.status)


def test_a_flood_of_short_lines_needs_no_memory(server: LocalSageMaker) -> None:
    def most_memory() -> int:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024

    server.client("sagemaker").create_training_job(TrainingJobName="short", **training("true"))
    ended(server, "short")
    before = most_memory()
    script = "yes | head -n 600000; echo loss=0.5"
    server.client("sagemaker").create_training_job(TrainingJobName="flood", **training(script))
    assert ended(server, "flood")["TrainingJobStatus"] == "Completed"
    assert log_events(server, "flood")[0] == "y"
    assert most_memory() - before < 60
