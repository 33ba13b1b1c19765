"""CloudWatch Logs: what jobs write and the operator's log reader uses."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

from .conftest import Service, poll, training

pytestmark = pytest.mark.aws


@pytest.fixture
def logs(service: Service) -> Any:
    return service.server.client("logs")


@pytest.fixture
def group(logs: Any) -> str:
    name = f"/test/{uuid.uuid4().hex}"
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="one")
    return name


def put(logs: Any, group: str, *messages: str, stream: str = "one") -> None:
    moment = int(time.time() * 1000)
    events = [{"timestamp": moment + index, "message": text} for index, text in enumerate(messages)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def test_pages_go_forward_until_the_token_repeats(logs: Any, group: str) -> None:
    put(logs, group, *(str(number) for number in range(7)))
    seen, token = [], {}
    while True:
        page = logs.get_log_events(logGroupName=group, logStreamName="one", startFromHead=True, limit=3, **token)
        if page["nextForwardToken"] == token.get("nextToken"):
            break
        seen += [event["message"] for event in page["events"]]
        token = {"nextToken": page["nextForwardToken"]}
    assert seen == [str(number) for number in range(7)]
    put(logs, group, "later")
    assert [e["message"] for e in logs.get_log_events(logGroupName=group, logStreamName="one", **token)["events"]] == [
        "later"
    ]


def test_without_a_token_the_tail_comes_first(logs: Any, group: str) -> None:
    put(logs, group, *"abcdef")
    tail = logs.get_log_events(logGroupName=group, logStreamName="one", limit=2)
    assert [event["message"] for event in tail["events"]] == ["e", "f"]
    before = logs.get_log_events(logGroupName=group, logStreamName="one", limit=3, nextToken=tail["nextBackwardToken"])
    assert [event["message"] for event in before["events"]] == ["b", "c", "d"]


def test_filter_by_terms_over_streams(logs: Any, group: str) -> None:
    logs.create_log_stream(logGroupName=group, logStreamName="two")
    put(logs, group, "Train Loss: 0.5", "noise")
    put(logs, group, "Train Loss: 0.4", stream="two")
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, filterPattern='"Train Loss"', PaginationConfig={"PageSize": 1}
    )
    found = [(event["logStreamName"], event["message"]) for page in pages for event in page["events"]]
    assert sorted(found) == [("one", "Train Loss: 0.5"), ("two", "Train Loss: 0.4")]


def test_missing_and_existing_names(logs: Any, group: str) -> None:
    with pytest.raises(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=group)
    with pytest.raises(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_stream(logGroupName=group, logStreamName="one")
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log stream does not exist"):
        logs.get_log_events(logGroupName=group, logStreamName="none")
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log group does not exist"):
        logs.describe_log_streams(logGroupName="/none")


def test_job_writes_under_the_names_of_the_service(service: Service, logs: Any) -> None:
    arn = service.start(service.create(training("Train", "echo hello from the job", service.output)))
    service.wait(arn, "Succeeded")
    job, group = service.job(arn, "Train")["TrainingJobName"], "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
    assert [stream["logStreamName"].startswith(f"{job}/algo-1-") for stream in streams] == [True]
    read = lambda: logs.get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"])["events"]  # noqa: E731
    poll(read, lambda events: "hello from the job" in [event["message"].strip() for event in events])
