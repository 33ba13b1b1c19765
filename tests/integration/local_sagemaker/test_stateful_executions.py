"""Random sequences of Start, Stop, Retry, UpdatePipelineExecution and tags against a model of executions with jobs."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from .conftest import WAITS, Service, condition, training

ENDS = {"pass": "Succeeded", "fail": "Failed", "job": "Succeeded", "hang": None}
"""How an execution of each kind ends when nobody stops it; `hang` never does."""
RUNNING = frozenset({"Executing", "Stopping"})
MAX_HANGING = 2
"""At most; as many as there are job slots on the smallest machine, so that some are stopped while they are queued."""
KEYS = st.sampled_from(["a", "b"])
CHOICE = st.integers(0, 99)


@dataclass
class Execution:
    """What the client knows: `end` is None until it has seen one."""

    arn: str
    kind: str
    name: str
    stop_token: str | None = None
    end: str | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def possible(self) -> set[str]:
        """The states that Describe may give now."""
        if self.end:
            return {self.end}
        own = ENDS[self.kind]
        if self.stop_token is None:
            return {"Executing"} | ({own} if own else set())
        # a stop that was accepted ends as Stopped, whatever the last step was about to do
        return {"Stopping", "Stopped"}


class Executions(RuleBasedStateMachine):
    """One pipeline whose parameter says what an execution of it does."""

    service: ClassVar[Service]

    def __init__(self) -> None:
        super().__init__()
        self.client = self.service.sagemaker
        self.executions: list[Execution] = []

    @initialize()
    def begin(self) -> None:
        kind = {"Get": "Parameters.Kind"}
        fail = {"Name": "Fail", "Type": "Fail", "Arguments": {"ErrorMessage": "as asked"}}
        self.pipeline = self.service.create(
            condition("IsFail", kind, "fail", IfSteps=[fail]),
            condition("IsJob", kind, "job", IfSteps=[training("Job", "true", self.service.output)]),
            condition("IsHang", kind, "hang", IfSteps=[training("Hang", WAITS, self.service.output)]),
            parameters=[{"Name": "Kind", "Type": "String"}],
        )

    def pick(self, choice: int) -> Execution:
        return self.executions[choice % len(self.executions)]

    def hanging(self) -> int:
        return sum(item.kind == "hang" and not item.stop_token and not item.end for item in self.executions)

    def refused(self, code: str, call: Any, **request: Any) -> None:
        with pytest.raises(ClientError) as caught:
            call(**request)
        assert caught.value.response["Error"]["Code"] == code

    def see_end(self, item: Execution) -> None:
        """Wait for the end, where there will be one without another call."""
        if item.end or (item.kind == "hang" and not item.stop_token):
            return
        if item.kind == "job" and self.hanging() >= min(MAX_HANGING, os.cpu_count() or 1):
            return  # it may have to wait for a slot
        item.end = self.service.wait(item.arn)["PipelineExecutionStatus"]
        expected = {"Stopped"} if item.stop_token else {ENDS[item.kind]}
        assert item.end in expected, (item, self.service.steps(item.arn))

    @rule(kind=st.sampled_from(sorted(ENDS)))
    def start(self, kind: str) -> None:
        if kind == "hang" and self.hanging() >= MAX_HANGING:
            return
        name = f"run-{len(self.executions)}"
        arn = self.service.start(
            self.pipeline,
            PipelineParameters=[{"Name": "Kind", "Value": kind}],
            PipelineExecutionDisplayName=name,
        )
        self.executions.append(Execution(arn, kind, name))

    @precondition(lambda self: self.executions)
    @rule(choice=CHOICE)
    def settle(self, choice: int) -> None:
        self.see_end(self.pick(choice))

    @precondition(lambda self: self.executions)
    @rule(choice=CHOICE)
    def stop(self, choice: int) -> None:
        item, token = self.pick(choice), uuid.uuid4().hex
        request = {"PipelineExecutionArn": item.arn, "ClientRequestToken": token}
        if item.end:
            self.refused("ValidationException", self.client.stop_pipeline_execution, **request)
        elif item.kind == "hang" and not item.stop_token:
            self.client.stop_pipeline_execution(**request)
            item.stop_token = token
        elif item.stop_token:
            self.refused("ValidationException", self.client.stop_pipeline_execution, **request)
        else:  # it may be ending at this very moment
            try:
                self.client.stop_pipeline_execution(**request)
                item.stop_token = token
            except self.client.exceptions.ClientError:
                self.see_end(item)
                assert item.end

    @precondition(lambda self: any(item.stop_token for item in self.executions))
    @rule(choice=CHOICE)
    def stop_with_the_same_token(self, choice: int) -> None:
        """The first answer again, whatever has become of the execution."""
        stopped = [item for item in self.executions if item.stop_token]
        item = stopped[choice % len(stopped)]
        before = self.describe(item)
        request = {"PipelineExecutionArn": item.arn, "ClientRequestToken": item.stop_token}
        assert self.client.stop_pipeline_execution(**request)["PipelineExecutionArn"] == item.arn
        if before["PipelineExecutionStatus"] == "Stopped":
            assert self.describe(item)["PipelineExecutionStatus"] == "Stopped"

    @precondition(lambda self: self.executions)
    @rule(choice=CHOICE)
    def retry(self, choice: int) -> None:
        item = self.pick(choice)
        self.see_end(item)
        if item.kind == "hang" and self.hanging() >= MAX_HANGING:
            return
        request = {"PipelineExecutionArn": item.arn, "ClientRequestToken": uuid.uuid4().hex}
        if item.end in ("Failed", "Stopped"):
            for _ in range(2):  # the token makes it one
                self.client.retry_pipeline_execution(**request)
            item.end = item.stop_token = None
        elif item.end or item.kind == "hang":
            self.refused("ConflictException", self.client.retry_pipeline_execution, **request)

    @precondition(lambda self: self.executions)
    @rule(choice=CHOICE, name=st.text("abc-", min_size=3, max_size=9))
    def rename(self, choice: int, name: str) -> None:
        item = self.pick(choice)
        name = f"r{name.strip('-')}"
        self.client.update_pipeline_execution(PipelineExecutionArn=item.arn, PipelineExecutionDisplayName=name)
        item.name = name

    @precondition(lambda self: self.executions)
    @rule(choice=CHOICE, key=KEYS, value=st.none() | st.sampled_from(["1", "2"]))
    def tag(self, choice: int, key: str, value: str | None) -> None:
        item = self.pick(choice)
        if value is None:
            self.client.delete_tags(ResourceArn=item.arn, TagKeys=[key])
            item.tags.pop(key, None)
        else:
            self.client.add_tags(ResourceArn=item.arn, Tags=[{"Key": key, "Value": value}])
            item.tags[key] = value

    def describe(self, item: Execution) -> dict[str, Any]:
        return dict(self.client.describe_pipeline_execution(PipelineExecutionArn=item.arn))

    @invariant()
    def service_agrees(self) -> None:
        if not self.executions:
            return
        found = self.client.list_pipeline_executions(PipelineName=self.pipeline, SortOrder="Ascending")
        summaries = found["PipelineExecutionSummaries"]
        seen = [(item["PipelineExecutionArn"], item["PipelineExecutionDisplayName"]) for item in summaries]
        assert seen == [(item.arn, item.name) for item in self.executions]
        for item, summary in zip(self.executions, summaries, strict=True):
            status = summary["PipelineExecutionStatus"]
            assert status in item.possible, item
            assert ("PipelineExecutionFailureReason" in summary) == (status == "Failed")
        item = self.executions[-1]
        described = self.describe(item)
        assert described["PipelineExecutionStatus"] in item.possible, item
        assert ("FailureReason" in described) == (described["PipelineExecutionStatus"] == "Failed")
        tags = self.client.list_tags(ResourceArn=item.arn)["Tags"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == item.tags

    def teardown(self) -> None:
        for item in self.executions:
            if item.kind == "hang" and not item.stop_token and not item.end:
                self.client.stop_pipeline_execution(PipelineExecutionArn=item.arn)
                item.stop_token = "at the end"
        for item in self.executions:
            self.see_end(item)
            assert item.end
            jobs = self.client.list_training_jobs(NameContains=item.arn.rsplit("/", 1)[-1])["TrainingJobSummaries"]
            assert {job["TrainingJobStatus"] for job in jobs} <= {"Completed", "Stopped"}
            # retried or not, what has succeeded did not run again
            assert sum(job["TrainingJobStatus"] == "Completed" for job in jobs) <= 1


def test_random_sequences_of_stops_and_retries(service: Service) -> None:
    machine = type("Bound", (Executions,), {"service": service})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=8,
            stateful_step_count=16,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
