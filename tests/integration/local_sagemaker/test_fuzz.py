"""Requests made from the service's model, broken in one place: refused by name, never a 500, the server stays up."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from local_sagemaker import service_model
from local_sagemaker.actions import ACTIONS
from local_sagemaker.logs import LOG_ACTIONS

# a job that happened to be valid would run
HARMLESS = sorted(name for name in ACTIONS if name not in ("CreateTrainingJob", "CreateProcessingJob"))
SAMPLES = {
    "RoleArn": "arn:aws:iam::123456789012:role/Role",
    "PipelineArn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/fuzz",
    "PipelineExecutionArn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/fuzz/execution/abcdefghijkl",
    "ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/fuzz",
}
BOUNDED = settings(deadline=None, suppress_health_check=list(HealthCheck))


def values(shape: Any, name: str = "", depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that mostly fit a shape."""
    kind = shape.type_name
    if kind == "structure":
        members = {key: values(member, key, depth + 1) for key, member in shape.members.items() if depth < 3}
        required = {key: strategy for key, strategy in members.items() if key in shape.required_members}
        optional = {key: strategy for key, strategy in members.items() if key not in required}
        return st.fixed_dictionaries(required, optional=optional)
    if kind == "list":
        return st.lists(values(shape.member, "", depth + 1), max_size=2)
    if kind == "map":
        return st.dictionaries(values(shape.key), values(shape.value, "", depth + 1), max_size=2)
    if kind == "string":
        return _strings(shape, name)
    if kind in ("integer", "long"):
        return st.integers(shape.metadata.get("min", -5), min(shape.metadata.get("max", 50), 2**40))
    return {"boolean": st.booleans(), "timestamp": st.integers(0, 2**31)}.get(kind, st.floats(0, 1))


def _strings(shape: Any, name: str) -> st.SearchStrategy[str]:
    if shape.enum:
        return st.sampled_from(shape.enum)
    low = shape.metadata.get("min", 0)
    samples = [SAMPLES[name]] if name in SAMPLES else []
    return st.sampled_from([*samples, "a" * max(low, 1), "fuzz".ljust(low, "z"), "b" * max(low, 3)])


class Raw:
    """Requests without botocore's own checks."""

    def __init__(self, server: Any) -> None:
        self.url = server.endpoint_url
        self.host = server.endpoint_url.removeprefix("http://")
        self.key, self.secret = (server.env[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))

    def signed(
        self, method: str, path: str, body: bytes, headers: dict[str, str], service: str, key: str | None = None
    ) -> dict[str, str]:
        """The headers with a signature by the server's secret key."""
        request = AWSRequest(method, self.url + path, data=body, headers=headers)
        SigV4Auth(Credentials(key or self.key, self.secret), service, "us-east-1").add_auth(request)
        return dict(request.headers.items())

    def post(
        self, operation: str, body: bytes, prefix: str = "SageMaker", key: str | None = None, service: str = "sagemaker"
    ) -> tuple[int, dict[str, Any]]:
        """Sign with the server's key, or another one; with none for an empty key."""
        headers = {"X-Amz-Target": f"{prefix}.{operation}"}
        if key != "":
            headers = self.signed("POST", "/", body, headers, service, key)
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, json.loads(content)


@pytest.fixture(scope="module")
def raw(local_sagemaker: Any) -> Raw:
    return Raw(local_sagemaker)


def check(status: int, answer: dict[str, Any]) -> str:
    """A success, or a refusal with a code and a sentence."""
    if status == 200:
        return ""
    assert status in (400, 403, 413), answer
    assert answer["__type"] not in ("InternalFailure", "")
    assert len(answer["message"]) > 15, answer
    return str(answer["message"])


Case = Callable[[Raw, st.DataObject], None]


def fitting_request(raw: Raw, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(HARMLESS))
    request = data.draw(values(service_model.input_shape(operation)))
    check(*raw.post(operation, json.dumps(request).encode()))


def fitting_log_request(raw: Raw, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(sorted(LOG_ACTIONS)))
    request = data.draw(values(service_model.input_shape(operation, "logs")))
    check(*raw.post(operation, json.dumps(request).encode(), "Logs_20140328"))


def fits(shape: Any, value: Any) -> bool:
    return not list(service_model.violations(shape, value))


def one_broken_member(raw: Raw, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(sorted(ACTIONS)))
    shape = service_model.input_shape(operation)
    request = data.draw(values(shape))
    assume(shape.members)
    name = data.draw(st.sampled_from([*shape.members, "Unknown"]))
    request[name] = data.draw(
        st.sampled_from(
            [None, 7, 7.5, True, [], {}, [[]], {"x": 1}, "", "x" * 3000, "\u2028\x00", -1, 10**30, "é" * 300]
        )
    )
    member = shape.members.get(name)
    if request[name] is None:
        assume(name in shape.required_members)
    else:
        assume(member is None or not fits(member, request[name]))
    message = check(*raw.post(operation, json.dumps(request).encode()))
    assert name[1:] in message


HEADERS = {
    "X-Amz-Target": st.sampled_from(
        ["SageMaker.", "SageMaker.ListPipelines", "Logs_20140328.X", "x", "\xff", "a" * 9000]
    ),
    "Content-Type": st.sampled_from(["", "application/x-www-form-urlencoded", "text/plain; charset=x"]),
    "Host": st.sampled_from(["127.0.0.1", "localhost:1", "example.com", "[::1]:80", ""]),
    "Range": st.sampled_from(["bytes=0-", "bytes=9-1", "x"]),
}
SCOPES = ("sts", "iam", "sagemaker", "logs", "codeartifact", "s3", "ec2", "")
PATHS = ("/", "/ui/jobs", "/ui/executions/x", "/health", "/v1/authorization-token", "/codeartifact/x", "/%00")
FORMS = (
    "Action=GetCallerIdentity", "Action=AssumeRole&RoleArn=x", "Action=GetUser", "Action=GetRole", "Action=CreateRole",
    "Action=GetRole&RoleName=%ff", "Action=ListUsers&MaxItems=x", "Action=%ff", "=&=&", "Version=1", "domain=a",
)  # fmt: skip
QUERIES = ("", *(f"?{form}" for form in FORMS), "?after=9", "?before=x&after=-1", "?" + "a=b&" * 500)


def any_http_request(raw: Raw, data: st.DataObject) -> None:
    """Whatever comes in over HTTP: methods, paths, queries, scopes and headers that no client of AWS sends."""
    method = data.draw(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"]))
    path = data.draw(st.sampled_from(PATHS))
    query = data.draw(st.sampled_from(QUERIES))
    headers = data.draw(st.fixed_dictionaries({}, optional=HEADERS))
    body = data.draw(st.sampled_from([*(form.encode() for form in FORMS), b"", b"\x00" * 100, b"{}"]))
    scope = data.draw(st.sampled_from(SCOPES))
    if data.draw(st.booleans()):
        headers = raw.signed(method, path + query, body, headers, scope)
    connection = http.client.HTTPConnection(raw.host, timeout=30)
    connection.request(method, path + query, body, {name: value.encode("latin-1") for name, value in headers.items()})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status < 500, (method, path, query, headers, body)


CASES: dict[str, tuple[Case, int]] = {
    "fitting": (fitting_request, 150),
    "fitting_logs": (fitting_log_request, 60),
    "broken": (one_broken_member, 150),
    "http": (any_http_request, 60),
}
"""And how many requests of each are tried each time; all together, with --soak, more than 20,000."""


def try_many(raw: Raw, case: Case, examples: int) -> None:
    # a shorter example of a failure is not worth the minutes that looking for it takes over HTTP
    @settings(BOUNDED, max_examples=examples, phases=[Phase.reuse, Phase.generate])
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        case(raw, data)

    run()


@pytest.mark.parametrize("name", CASES)
def test_generated_requests_are_answered_or_refused_by_name(raw: Raw, name: str) -> None:
    try_many(raw, *CASES[name])


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CASES)
def test_twenty_thousand_generated_requests(raw: Raw, name: str) -> None:
    case, examples = CASES[name]
    try_many(raw, case, 50 * examples)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff\xfe", b"\x00", b'{"a": NaN}', b'{"PipelineName": "\\ud800"}',
        b"{" * 9000, b"[" * 100_000, b'{"PipelineName": 1e999}', b'{"MaxResults": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_broken_bodies(raw: Raw, body: bytes) -> None:
    for operation in ("DescribePipeline", "CreatePipeline"):
        assert check(*raw.post(operation, body))


def test_huge_body_is_refused_and_the_server_stays_up(raw: Raw, local_sagemaker: Any) -> None:
    connection = http.client.HTTPConnection(raw.host, timeout=60)
    connection.putrequest("POST", "/")
    connection.putheader("X-Amz-Target", "SageMaker.CreatePipeline")
    connection.putheader("Content-Length", str(100 * 1024 * 1024))
    connection.endheaders()
    with contextlib.suppress(OSError):  # the server may close before it has read everything
        for _ in range(100):
            connection.send(b"x" * 1024 * 1024)
        assert connection.getresponse().status in (400, 413)
    assert local_sagemaker.client("sagemaker").list_pipelines(MaxResults=1)


def test_only_the_key_of_the_server_is_let_in(raw: Raw) -> None:
    status, answer = raw.post("ListPipelines", b"{}", key="AKIASOMEBODYELSE")
    assert (status, answer["__type"]) == (403, "UnrecognizedClientException")
    status, answer = raw.post("ListPipelines", b"{}", key="")
    assert (status, answer["__type"]) == (403, "MissingAuthenticationTokenException")
    status, answer = raw.post("List", b"{}", "Dynamo", service="dynamodb")
    assert "dynamodb" in answer["message"]


def test_nothing_was_logged_as_a_fault(local_sagemaker: Any) -> None:
    """Runs last in this file: answers that do not fit the model, or exceptions, are logged by the server."""
    text = (local_sagemaker.data_dir / "serve.log").read_text()
    assert [line for line in text.splitlines() if " ERROR " in line] == []
