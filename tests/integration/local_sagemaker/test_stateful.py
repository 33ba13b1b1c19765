"""Random sequences of calls against a model of pipelines, versions, aliases and tokens."""

from __future__ import annotations

import uuid
from typing import Any

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

from .conftest import ROLE, Service, condition, definition

pytestmark = pytest.mark.aws

ALIASES = st.sampled_from(["a", "b", "c"])
NUMBERS = st.integers(1, 3)
TOKENS = st.sampled_from([letter * 32 for letter in "xyz"])


def text(number: int) -> str:
    return definition(condition("Check", number, 1))


class Pipelines(RuleBasedStateMachine):
    """One pipeline; `versions` are its definitions, `aliases` where each points, `tokens` what each started."""

    service: Service

    def __init__(self) -> None:
        super().__init__()
        self.client = self.service.sagemaker
        self.name = f"state-{uuid.uuid4().hex[:12]}"
        self.salt = uuid.uuid4().hex
        self.versions: list[str] = []
        self.aliases: dict[str, int] = {}
        self.tokens: dict[str, tuple[str | None, str]] = {}
        self.executions: dict[str, int] = {}

    def refused(self, code: str, call: Any, **request: Any) -> None:
        with pytest.raises(ClientError) as caught:
            call(**request)
        assert caught.value.response["Error"]["Code"] == code

    @initialize()
    def begin(self) -> None:
        self.create(1, "a")

    @rule(number=NUMBERS, alias=ALIASES)
    def create(self, number: int, alias: str) -> None:
        request = {
            "PipelineName": self.name, "PipelineDefinition": text(number), "RoleArn": ROLE,
            "PipelineVersionAliases": [alias],
        }  # fmt: skip
        if self.versions:
            self.refused("ValidationException", self.client.create_pipeline, **request)
        else:
            self.client.create_pipeline(**request)
            self.versions, self.aliases = [text(number)], {alias: 1}

    @rule(number=NUMBERS, alias=st.none() | ALIASES)
    def update(self, number: int, alias: str | None) -> None:
        request: dict[str, Any] = {"PipelineName": self.name, "PipelineDefinition": text(number)}
        if alias:
            request["PipelineVersionAliases"] = [alias]
        if not self.versions:
            self.refused("ResourceNotFound", self.client.update_pipeline, **request)
        elif self.versions[-1] == text(number) and alias:
            self.refused("ValidationException", self.client.update_pipeline, **request)
        elif self.versions[-1] != text(number) and alias in self.aliases:
            self.refused("ConflictException", self.client.update_pipeline, **request)
        else:
            answer = self.client.update_pipeline(**request)
            if self.versions[-1] != text(number):
                self.versions.append(text(number))
                self.aliases |= {alias: len(self.versions)} if alias else {}
            assert answer["PipelineVersionId"] == len(self.versions)

    @precondition(lambda self: self.versions)
    @rule(alias=ALIASES, data=st.data(), remove=st.booleans())
    def change_alias(self, alias: str, data: st.DataObject, remove: bool) -> None:
        version = data.draw(st.integers(1, len(self.versions)))
        request = {
            "PipelineArn": f"arn:aws:sagemaker:us-east-1:123456789012:pipeline/{self.name}",
            "PipelineVersionId": version,
            "PipelineVersionAliasOperations": {"Remove" if remove else "Add": [alias]},
        }
        held = self.aliases.get(alias)
        if remove and held != version:
            self.refused("ResourceNotFound", self.client.update_pipeline_version, **request)
        elif not remove and held not in (None, version):
            self.refused("ConflictException", self.client.update_pipeline_version, **request)
        else:
            self.client.update_pipeline_version(**request)
            self.aliases.pop(alias, None)
            self.aliases |= {} if remove else {alias: version}

    @rule(token=TOKENS, alias=st.none() | ALIASES)
    def start(self, token: str, alias: str | None) -> None:
        request = {"PipelineName": self.name, "ClientRequestToken": self.salt[:16] + token}
        request |= {"PipelineVersionAlias": alias} if alias else {}
        if token in self.tokens:
            used, arn = self.tokens[token]
            if used != alias:
                self.refused("ValidationException", self.client.start_pipeline_execution, **request)
            else:
                assert self.client.start_pipeline_execution(**request)["PipelineExecutionArn"] == arn
        elif not self.versions or (alias and alias not in self.aliases):
            self.refused("ResourceNotFound", self.client.start_pipeline_execution, **request)
        else:
            arn = self.client.start_pipeline_execution(**request)["PipelineExecutionArn"]
            self.tokens[token] = (alias, arn)
            self.executions[arn] = self.aliases[alias] if alias else len(self.versions)

    @precondition(lambda self: self.versions)
    @rule(chance=st.integers(0, 5))
    def delete(self, chance: int) -> None:
        if chance:  # seldom, or no pipeline lives long enough to have versions and aliases in conflict
            return
        for arn in self.executions:
            self.service.wait(arn)
        self.client.delete_pipeline(PipelineName=self.name)
        self.versions, self.aliases, self.executions, self.tokens = [], {}, {}, {}

    @invariant()
    def service_agrees(self) -> None:
        if not self.versions:
            self.refused("ResourceNotFound", self.client.describe_pipeline, PipelineName=self.name)
            return
        assert self.client.describe_pipeline(PipelineName=self.name)["PipelineDefinition"] == self.versions[-1]
        listed = self.client.list_pipeline_versions(PipelineName=self.name)["PipelineVersionSummaries"]
        assert [item["PipelineVersionId"] for item in listed] == list(range(len(self.versions), 0, -1))
        held = {alias: item["PipelineVersionId"] for item in listed for alias in item.get("PipelineVersionAliases", [])}
        assert held == self.aliases
        found = self.client.list_pipeline_executions(PipelineName=self.name)["PipelineExecutionSummaries"]
        assert {item["PipelineExecutionArn"] for item in found} == set(self.executions)

    def teardown(self) -> None:
        for arn, version in self.executions.items():
            ended = self.service.wait(arn)
            assert (ended["PipelineExecutionStatus"], ended["PipelineVersionId"]) == ("Succeeded", version)


def test_random_sequences_of_calls(service: Service) -> None:
    machine = type("Bound", (Pipelines,), {"service": service})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=20,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
