"""Deployments at the same moment: one version per definition, whoever comes first."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from airflow_sagemaker.aws.executions import Executions
from airflow_sagemaker.aws.versions import deploy_pipeline
from tests.support.pipelines import Pipelines, compiled


def fail_step(text: str) -> dict[str, Any]:
    return {"Name": "End", "Type": "Fail", "Arguments": {"ErrorMessage": text}}


def versions(pipelines: Pipelines, name: str) -> Counter[str]:
    found = pipelines.server.client("sagemaker").list_pipeline_versions(PipelineName=name)
    return Counter(alias for v in found["PipelineVersionSummaries"] for alias in v.get("PipelineVersionAliases", []))


def together(count: int, work: Any) -> list[Any]:
    """Run `work(number)` in `count` threads that begin at the same moment."""
    barrier = threading.Barrier(count)

    def one(number: int) -> Any:
        barrier.wait(60)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_thirty_deployments_at_once_leave_one_version(pipelines: Pipelines) -> None:
    made = compiled(f"race-{uuid.uuid4().hex[:8]}", [fail_step("same")])
    clients = [pipelines.another() for _ in range(30)]
    together(30, lambda number: deploy_pipeline(clients[number].aws, made))
    assert versions(pipelines, made.pipeline_name) == {made.version_alias: 1}
    found = pipelines.server.client("sagemaker").list_pipeline_versions(PipelineName=made.pipeline_name)
    assert len(found["PipelineVersionSummaries"]) == 1


def test_two_definitions_at_once_each_start_their_own(pipelines: Pipelines) -> None:
    name = f"race-{uuid.uuid4().hex[:8]}"
    two = [compiled(name, [fail_step(text)]) for text in ("one", "two")]
    clients = [pipelines.another() for _ in range(8)]

    def start(number: int) -> tuple[str, str]:
        deploy_pipeline(clients[number].aws, two[number % 2])
        return two[number % 2].version_alias, pipelines.start(two[number % 2])

    for alias, arn in together(8, start):
        described = Executions(pipelines.executions.aws).describe(arn)
        assert alias in described.version_aliases
    assert versions(pipelines, name) == {made.version_alias: 1 for made in two}


def test_an_alias_removed_by_hand_is_given_back_without_a_new_version(pipelines: Pipelines) -> None:
    made = compiled(f"hand-{uuid.uuid4().hex[:8]}", [fail_step("x")])
    deploy_pipeline(pipelines.executions.aws, made)
    client = pipelines.server.client("sagemaker")
    version = client.list_pipeline_versions(PipelineName=made.pipeline_name)["PipelineVersionSummaries"][0]
    client.update_pipeline_version(
        PipelineArn=version["PipelineArn"],
        PipelineVersionId=version["PipelineVersionId"],
        PipelineVersionAliasOperations={"Remove": [made.version_alias]},
    )
    deploy_pipeline(pipelines.executions.aws, made)
    assert versions(pipelines, made.pipeline_name) == {made.version_alias: 1}


def test_a_definition_deployed_by_hand_in_between_does_not_change_what_is_started(pipelines: Pipelines) -> None:
    made = compiled(f"hand-{uuid.uuid4().hex[:8]}", [fail_step("ours")])
    deploy_pipeline(pipelines.executions.aws, made)
    theirs = compiled(made.pipeline_name, [fail_step("theirs")])
    pipelines.server.client("sagemaker").update_pipeline(
        PipelineName=made.pipeline_name, PipelineDefinition=theirs.definition, RoleArn=made.role_arn
    )
    described = pipelines.executions.describe(pipelines.start(made))
    assert described.version_aliases == (made.version_alias,)
