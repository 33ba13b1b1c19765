"""What an execution does next, decided in its database: no server, and a job ends when the test says so."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_sagemaker.definition import Definition, parse
from local_sagemaker.engine.advance import Advance, finish_job
from local_sagemaker.identifiers import now
from local_sagemaker.requests.checks import RequestChecks
from local_sagemaker.store import jobs as job_records
from local_sagemaker.store.database import Database

Step = dict[str, Any]
ROLE = "arn:aws:iam::123456789012:role/Role"
PIPELINE = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p"
ARN = f"{PIPELINE}/execution/abcdefghijkl"


def train(name: str, **members: Any) -> Step:
    return {
        "Name": name,
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {
                "TrainingImage": "1" * 12 + ".dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["true"],
            },
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/output"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            "RoleArn": ROLE,
        },
        **members,
    }


def check(name: str, left: Any, then: list[Step], otherwise: list[Step], **members: Any) -> Step:
    test = {"Type": "Equals", "LeftValue": left, "RightValue": 1}
    return {
        "Name": name,
        "Type": "Condition",
        "Arguments": {"Conditions": [test], "IfSteps": then, "ElseSteps": otherwise},
        **members,
    }


def fail(name: str, message: str) -> Step:
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}}


class Execution:
    """One execution in a database of its own."""

    def __init__(self, folder: Path, *steps: Step, parallelism: int | None = None) -> None:
        self.folder = folder
        self.db = Database(folder / "sagemaker.db")
        text = json.dumps({"Version": "2020-12-01", "Steps": steps})
        self.definition: Definition = parse(text)
        with self.db.write() as connection:
            connection.execute(
                "INSERT INTO pipelines (name, arn, display_name, role_arn, created, modified)"
                " VALUES ('p', ?, 'p', ?, 0, 0)",
                (PIPELINE, ROLE),
            )
            connection.execute("INSERT INTO versions (pipeline, version, definition, created) VALUES (?, 1, ?, 0)",
                               (PIPELINE, text))  # fmt: skip
            connection.execute(
                "INSERT INTO executions (arn, id, pipeline, version, status, role_arn, parameters, parallelism,"
                " created, modified) VALUES (?, 'abcdefghijkl', ?, 1, 'Executing', ?, '{}', ?, 0, 0)",
                (ARN, PIPELINE, ROLE, parallelism),
            )

    @property
    def row(self) -> sqlite3.Row:
        return self.db.read().execute("SELECT * FROM executions").fetchone()  # type: ignore[no-any-return]

    def advance(self) -> Advance:
        with self.db.write() as connection:
            execution = connection.execute("SELECT * FROM executions").fetchone()
            advance = Advance(connection, execution, self.definition, RequestChecks(self.folder / "s3"))
            advance.run()
        return advance

    def end(self, step: str, status: str, **description: Any) -> None:
        """The job of a step ends."""
        with self.db.write() as connection:
            row = connection.execute("SELECT * FROM steps WHERE name = ?", (step,)).fetchone()
            job = connection.execute("SELECT * FROM jobs WHERE arn = ?", (row["job"],)).fetchone()
            ended = job_records.apply_changes(connection, job, {"TrainingJobStatus": status, **description})
            assert ended is not None
            execution = connection.execute("SELECT * FROM executions").fetchone()
            finish_job(connection, execution, row, self.definition.steps[step], job_records.TRAINING, ended)

    def states(self) -> dict[str, str]:
        return {row["name"]: row["status"] for row in self.db.read().execute("SELECT * FROM steps ORDER BY seq")}

    def set_status(self, status: str) -> None:
        with self.db.write() as connection:
            connection.execute("UPDATE executions SET status = ?", (status,))


def test_a_step_waits_for_what_it_needs(tmp_path: Path) -> None:
    execution = Execution(tmp_path, train("B", DependsOn=["A"]), train("A"))
    assert [job.kind for job in execution.advance().submit] == ["training"]
    assert execution.states() == {"A": "Executing"}
    execution.end("A", "Completed")
    execution.advance()
    assert execution.states() == {"A": "Succeeded", "B": "Executing"}
    execution.end("B", "Completed")
    execution.advance()
    assert execution.row["status"] == "Succeeded"


def test_no_more_steps_at_once_than_asked_for(tmp_path: Path) -> None:
    execution = Execution(tmp_path, *(train(name) for name in "ABCD"), parallelism=2)
    assert len(execution.advance().submit) == 2
    assert execution.advance().submit == []
    execution.end("A", "Completed")
    assert len(execution.advance().submit) == 1


@pytest.mark.parametrize(("left", "taken"), [(1, "Then"), (2, "Otherwise")])
def test_one_branch_is_taken(tmp_path: Path, left: int, taken: str) -> None:
    execution = Execution(tmp_path, check("Check", left, [train("Then")], [train("Otherwise")]))
    execution.advance()
    assert execution.states() == {"Check": "Succeeded", taken: "Executing"}


def test_after_a_failure_nothing_starts_and_what_runs_ends(tmp_path: Path) -> None:
    execution = Execution(tmp_path, train("A"), train("B"), train("C", DependsOn=["A"]))
    execution.advance()
    execution.end("B", "Failed", FailureReason="AlgorithmError: no")
    execution.advance()
    assert execution.row["status"] == "Executing"
    execution.end("A", "Completed")
    assert execution.advance().submit == []
    assert execution.row["status"] == "Failed"
    assert execution.states() == {"A": "Succeeded", "B": "Failed"}


def test_a_stop_reaches_what_runs_and_nothing_starts(tmp_path: Path) -> None:
    execution = Execution(tmp_path, train("A"), train("B", DependsOn=["A"]))
    job = execution.advance().submit[0]
    execution.set_status("Stopping")
    assert execution.advance().stop == [job.arn]
    execution.end("A", "Stopped")
    assert execution.advance().submit == []
    assert (execution.row["status"], execution.states()) == ("Stopped", {"A": "Stopped"})


def test_a_fault_of_the_service_is_tried_again_when_its_time_has_come(tmp_path: Path) -> None:
    policy = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 60, "MaxAttempts": 1}
    execution = Execution(tmp_path, train("A", RetryPolicies=[policy]))
    execution.advance()
    execution.end("A", "Failed", FailureReason="InternalServerError: lost")
    (when,) = execution.advance().timers
    assert 50 < when - now() <= 60
    with execution.db.write() as connection:
        connection.execute("UPDATE steps SET not_before = 1")
    assert len(execution.advance().submit) == 1
    execution.end("A", "Failed", FailureReason="InternalServerError: lost")
    execution.advance()
    assert (execution.row["status"], execution.states()) == ("Failed", {"A": "Failed"})


def test_a_fail_step_ends_it_with_its_message(tmp_path: Path) -> None:
    execution = Execution(tmp_path, check("Check", 2, [], [fail("TooLow", "too low")]))
    execution.advance()
    step = execution.db.read().execute("SELECT * FROM steps WHERE name = 'TooLow'").fetchone()
    assert (execution.row["status"], step["failure_reason"]) == ("Failed", "too low")


def test_a_value_that_is_missing_fails_its_step_alone(tmp_path: Path) -> None:
    left = {"Get": "Steps.A.FinalMetricDataList['auc'].Value"}
    execution = Execution(tmp_path, train("A"), check("Check", left, [], []))
    execution.advance()
    execution.end("A", "Completed")
    execution.advance()
    assert execution.states() == {"A": "Succeeded", "Check": "Failed"}


NAMES = "ABCDE"


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_graph_ends_and_no_step_starts_before_what_it_needs(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    needs = {name: data.draw(st.sets(st.sampled_from(NAMES[:index] or "A"), max_size=3)) - {name}
             for index, name in enumerate(NAMES)}  # fmt: skip
    order = data.draw(st.permutations(NAMES))
    limit = data.draw(st.sampled_from([None, 1, 2]))
    steps = [train(name, DependsOn=sorted(needs[name])) for name in order]
    execution = Execution(tmp_path_factory.mktemp("graph"), *steps, parallelism=limit)
    for _ in range(len(NAMES) + 1):
        execution.advance()
        states = execution.states()
        running = sorted(name for name, status in states.items() if status == "Executing")
        assert limit is None or len(running) <= limit
        assert all(states.get(other) == "Succeeded" for name in running for other in needs[name])
        if not running:
            break
        outcome = data.draw(st.sampled_from(["Completed", "Completed", "Failed"]))
        execution.end(data.draw(st.sampled_from(running)), outcome)
    while execution.row["status"] == "Executing":
        running = [name for name, status in execution.states().items() if status == "Executing"]
        assert running, "nothing runs, and it has not ended"
        execution.end(running[0], "Completed")
        execution.advance()
    failed = "Failed" in execution.states().values()
    assert execution.row["status"] == ("Failed" if failed else "Succeeded")
    assert failed or set(execution.states()) == set(NAMES)
    execution.db.close()
