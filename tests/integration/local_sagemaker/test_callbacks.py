"""Callback steps: their message, the answers to it, and what is refused."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.testing import start_local_sagemaker

from .conftest import Service, condition, definition, poll
from .test_pipelines import refused

OUTPUTS = [
    {"OutputName": "verdict", "OutputType": "String"},
    {"OutputName": "count", "OutputType": "Integer"},
    {"OutputName": "share", "OutputType": "Float"},
    {"OutputName": "good", "OutputType": "Boolean"},
]


def callback(name: str = "Ask", queue: Any = None, **step: Any) -> dict[str, Any]:
    url = queue or f"https://sqs.us-east-1.amazonaws.com/123456789012/queue-{uuid.uuid4().hex[:12]}"
    return {"Name": name, "Type": "Callback", "SqsQueueUrl": url, "OutputParameters": OUTPUTS, "Arguments": {}, **step}


def token_of(service: Service, arn: str, name: str = "Ask") -> str:
    step = service.wait_step(arn, name, "Executing", "Stopping")
    return str(step["Metadata"]["Callback"]["CallbackToken"])


def messages(service: Service, step: dict[str, Any], count: int = 1) -> list[dict[str, Any]]:
    folder = service.server.data_dir / "callbacks" / step["SqsQueueUrl"].rsplit("/", 1)[-1]
    paths = poll(lambda: sorted(folder.glob("*.json")), lambda found: len(found) >= count)
    return [json.loads(path.read_text()) for path in paths]


def test_a_callback_with_outputs_lets_the_pipeline_go_on(service: Service) -> None:
    ask = callback(Arguments={"limit": {"Get": "Parameters.Limit"}, "fixed": {"a": [1]}})
    values = {
        output["OutputName"]: {"Get": f"Steps.Ask.OutputParameters['{output['OutputName']}']"} for output in OUTPUTS
    }
    right = {"verdict": "yes", "count": 3, "share": 0.5, "good": True}
    tests = [{"Type": "Equals", "LeftValue": values[name], "RightValue": right[name]} for name in right]
    check = {"Name": "Check", "Type": "Condition", "Arguments": {"Conditions": tests, "IfSteps": [], "ElseSteps": []}}
    limit = {"Name": "Limit", "Type": "Integer", "DefaultValue": 7}
    arn = service.start(service.create(ask, check, parameters=[limit]))
    [message] = messages(service, ask)
    token = token_of(service, arn)
    assert message == {
        "token": token, "pipelineExecutionArn": arn, "status": "Executing",
        "arguments": {"limit": 7, "fixed": {"a": [1]}},
    }  # fmt: skip
    outputs = [
        {"Name": "verdict", "Value": "yes"}, {"Name": "count", "Value": "3"}, {"Name": "share", "Value": ".5"},
        {"Name": "good", "Value": "true"},
    ]  # fmt: skip
    answer = service.sagemaker.send_pipeline_execution_step_success(CallbackToken=token, OutputParameters=outputs)
    assert answer["PipelineExecutionArn"] == arn
    assert service.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    steps = service.steps(arn)
    assert steps["Check"]["Metadata"]["Condition"]["Outcome"] == "True"
    told = steps["Ask"]["Metadata"]["Callback"]
    assert (told["CallbackToken"], told["SqsQueueUrl"]) == (token, ask["SqsQueueUrl"])
    assert {item["Name"]: item["Value"] for item in told["OutputParameters"]} == {
        "verdict": "yes", "count": "3", "share": "0.5", "good": "true",
    }  # fmt: skip


def test_a_reported_failure_fails_the_step_and_a_retry_asks_again(service: Service) -> None:
    ask = callback()
    arn = service.start(service.create(ask))
    first = token_of(service, arn)
    service.sagemaker.send_pipeline_execution_step_failure(CallbackToken=first, FailureReason="no approval")
    assert service.wait(arn)["PipelineExecutionStatus"] == "Failed"
    assert service.steps(arn)["Ask"]["FailureReason"] == "no approval"
    service.sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn)
    second = token_of(service, arn)
    assert second != first
    with refused("ResourceNotFound", first):
        service.sagemaker.send_pipeline_execution_step_success(CallbackToken=first)
    service.sagemaker.send_pipeline_execution_step_success(CallbackToken=second)
    assert service.wait(arn)["PipelineExecutionStatus"] == "Succeeded"


def test_a_step_that_stops_waits_for_its_callback(service: Service) -> None:
    ask = callback()
    arn = service.start(service.create(ask, condition("After", 1, 1, DependsOn=["Ask"])))
    token = token_of(service, arn)
    service.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert [item["status"] for item in messages(service, ask, 2)] == ["Executing", "Stopping"]
    assert service.wait(arn, "Stopping")["PipelineExecutionStatus"] == "Stopping"
    assert service.steps(arn)["Ask"]["StepStatus"] == "Stopping"
    service.sagemaker.send_pipeline_execution_step_success(CallbackToken=token)
    assert service.wait(arn)["PipelineExecutionStatus"] == "Stopped"
    assert {name: step["StepStatus"] for name, step in service.steps(arn).items()} == {"Ask": "Stopped"}


def test_what_a_callback_may_not_say(service: Service) -> None:
    arn = service.start(service.create(callback()))
    token = token_of(service, arn)
    succeed = service.sagemaker.send_pipeline_execution_step_success
    for outputs, text in (
        ([("other", "1")], "Step 'Ask' has no output parameter 'other'"),
        ([("count", "1.5")], "Output parameter 'count' must be of type Integer, found '1.5'"),
        ([("good", "maybe")], "Output parameter 'good' must be of type Boolean"),
        ([("verdict", "a"), ("verdict", "b")], "Output parameter 'verdict' is given more than once"),
    ):
        with refused("ValidationException", text):
            succeed(CallbackToken=token, OutputParameters=[{"Name": name, "Value": value} for name, value in outputs])
    with refused("ResourceNotFound", "Callback token 'abcdefghij' does not exist"):
        succeed(CallbackToken="abcdefghij")
    assert service.steps(arn)["Ask"]["StepStatus"] == "Executing"  # none of them ended it
    once = uuid.uuid4().hex
    succeed(CallbackToken=token, ClientRequestToken=once)
    assert succeed(CallbackToken=token, ClientRequestToken=once)["PipelineExecutionArn"] == arn
    with refused("ValidationException", "was used before"):
        succeed(CallbackToken=token, ClientRequestToken=once, OutputParameters=[{"Name": "verdict", "Value": "no"}])
    assert service.wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    for late in (succeed, service.sagemaker.send_pipeline_execution_step_failure):
        with refused("ConflictException", "has already ended: its status is Succeeded"):
            late(CallbackToken=token)


def test_an_output_that_was_not_given_fails_who_uses_it(service: Service) -> None:
    arn = service.start(
        service.create(callback(), condition("Check", {"Get": "Steps.Ask.OutputParameters['count']"}, 1))
    )
    service.sagemaker.send_pipeline_execution_step_success(CallbackToken=token_of(service, arn))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Failed"
    assert "there is no 'count'" in service.steps(arn)["Check"]["FailureReason"]


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (callback(queue="queue"), "SqsQueueUrl of step 'Ask' must be a URL such as"),
        (callback(queue="https://sqs/../.."), "SqsQueueUrl of step 'Ask' must be a URL such as"),
        (callback(OutputParameters=[{"OutputName": "a", "OutputType": "List"}]), "OutputType of 'a' must be one of"),
        (callback(OutputParameters=[{"OutputName": "a", "OutputType": "String"}] * 2), "has 'a' more than once"),
        (callback(OutputParameters={}), "OutputParameters of step 'Ask' must be a list"),
        (callback(Queue="x"), "step 'Ask' has the unknown member 'Queue'"),
        (callback(Arguments={"a": {"Get": "Parameters.None"}}), "names the parameter 'None', which is not defined"),
        (callback(queue={"Get": "Parameters.None"}), "names the parameter 'None', which is not defined"),
    ],
)
def test_a_broken_callback_step(service: Service, step: dict[str, Any], text: str) -> None:
    with refused("ValidationException", text):
        service.create(step)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("OutputParameters['none']", "names an output that step 'Ask' does not declare"),
        ("Arn", "it has OutputParameters"),
    ],
)
def test_a_reference_to_what_a_callback_does_not_have(service: Service, path: str, text: str) -> None:
    with refused("ValidationException", text):
        service.create(callback(), condition("Check", {"Get": f"Steps.Ask.{path}"}, 1))


def test_a_queue_that_is_no_url_when_it_is_known(service: Service) -> None:
    queue = {"Name": "Queue", "Type": "String", "DefaultValue": "nowhere"}
    arn = service.start(service.create(callback(queue={"Get": "Parameters.Queue"}), parameters=[queue]))
    assert service.wait(arn)["PipelineExecutionStatus"] == "Failed"
    assert "SqsQueueUrl of step 'Ask' must be a URL" in service.steps(arn)["Ask"]["FailureReason"]


class Hook(ThreadingHTTPServer):
    """Answers 503 first, then 200, and keeps what came."""

    daemon_threads = True

    def __init__(self) -> None:
        self.received: list[tuple[str, str, dict[str, Any]]] = []
        self.again = threading.Event()
        super().__init__(("127.0.0.1", 0), HookRequest)


class HookRequest(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Hook)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.received.append((self.path, self.headers["X-Sqs-Queue-Url"], body))
        self.send_response(503 if len(self.server.received) == 1 else 204)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_hook_gets_a_message_until_it_takes_it(tmp_path: Path, hook: Hook) -> None:
    url = f"http://127.0.0.1:{hook.server_port}/approvals?of=me"
    server = start_local_sagemaker(tmp_path / "data", "--callback-hook", url)
    try:
        client, ask = server.client("sagemaker"), callback()
        client.create_pipeline(
            PipelineName="p", PipelineDefinition=definition(ask), RoleArn="arn:aws:iam::123456789012:role/R"
        )
        arn = client.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]
        first, second = poll(lambda: hook.received, lambda found: len(found) >= 2)[:2]
        assert first == second
        path, queue, body = first
        assert (path, queue) == ("/approvals?of=me", ask["SqsQueueUrl"])
        assert client.send_pipeline_execution_step_success(CallbackToken=body["token"])["PipelineExecutionArn"] == arn
    finally:
        server.stop()


@pytest.mark.parametrize("url", ["http://example.com/", "https://127.0.0.1/", "127.0.0.1:80", "http://127.0.0.1:x/"])
def test_a_hook_beyond_this_machine_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(RuntimeError, match="is not an http URL on this machine"):
        start_local_sagemaker(tmp_path / "data", "--callback-hook", url)
