"""A ClientRequestToken runs its action once, and only for the same request."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_sagemaker.actions.request_tokens import answer_once
from local_sagemaker.errors import ConflictException, ValidationException
from local_sagemaker.identifiers import in_region
from local_sagemaker.store.database import Database

START = {"PipelineName": "p", "ClientRequestToken": "t" * 32}


class Action:
    """Counts its runs, and returns the count."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.runs = 0

    def once(self, request: dict[str, str], name: str = "StartPipelineExecution") -> int:
        response = answer_once(self.connection, name, request, self._run)
        return int(response["Run"])

    def _run(self) -> tuple[dict[str, int], str]:
        self.runs += 1
        return {"Run": self.runs}, f"arn:{self.runs}"


@pytest.fixture
def action(tmp_path: Path) -> Iterator[Action]:
    database = Database(tmp_path / "d.db")
    with database.write() as connection:
        yield Action(connection)
    database.close()


def test_the_same_request_gets_the_first_response(action: Action) -> None:
    assert [action.once(START), action.once(dict(reversed(START.items())))] == [1, 1]
    assert action.runs == 1


def test_without_a_token_each_call_runs(action: Action) -> None:
    assert [action.once({"PipelineName": "p"}), action.once({"PipelineName": "p"})] == [1, 2]


def test_the_token_of_another_request_is_rejected(action: Action) -> None:
    action.once(START)
    with pytest.raises(ValidationException, match=r"ClientRequestToken 't{32}' was used before for StartPipeline"):
        action.once({**START, "PipelineName": "q"})
    assert action.runs == 1


def test_actions_and_regions_have_their_own_tokens(action: Action) -> None:
    found = [action.once(START), action.once(START, "StopPipelineExecution")]
    with in_region("eu-central-1"):
        found += [action.once(START), action.once(START)]
    assert found == [1, 2, 3, 3]


def test_an_action_that_fails_leaves_its_token_free(action: Action) -> None:
    def fail() -> tuple[dict[str, int], str]:
        raise ConflictException("busy")

    with pytest.raises(ConflictException):
        answer_once(action.connection, "StartPipelineExecution", START, fail)
    assert action.once(START) == 1
