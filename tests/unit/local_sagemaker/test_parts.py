"""Small parts: the model's checks, retry policies, the cache key, the database, paths into S3."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker import service_model
from local_sagemaker.engine import retry
from local_sagemaker.errors import StartError
from local_sagemaker.identifiers import step_job_name
from local_sagemaker.logs.pattern import matches
from local_sagemaker.s3.files import S3ReadError, read_object
from local_sagemaker.steps import cache
from local_sagemaker.steps.request_steps import JobStep
from local_sagemaker.steps.step_types import STEP_TYPES
from local_sagemaker.store.database import Database
from local_sagemaker.store.schema import MIGRATIONS


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({}, "Value null at 'pipelineName'"),
        ({"PipelineName": "a"}, ""),
        ({"PipelineName": 7}, "'pipelineName' failed to satisfy constraint: Member must be a string, found an integer"),
        ({"PipelineName": "-a"}, "satisfy regular expression pattern"),
        (
            {"PipelineName": "a", "MaxResults": 101},
            "'maxResults' failed to satisfy constraint: Member must have value less",
        ),
        ({"PipelineName": "a", "MaxResults": True}, "found a boolean"),
        ({"PipelineName": "a", "SortOrder": "Up"}, "enum value set: [Ascending, Descending]"),
        ({"PipelineName": "a", "CreatedAfter": "now"}, "'createdAfter'"),
        ({"PipelineName": "a", "NextToken": "x" * 8193}, "less than or equal to 8192"),
        ({"PipelineName": "a", "Nope": 1}, "at 'Nope'"),
    ],
)
def test_requests_are_checked_by_member(request_: dict[str, Any], named: str) -> None:
    broken = list(service_model.violations(service_model.input_shape("ListPipelineExecutions"), request_))
    assert len(broken) == bool(named)
    assert named in service_model.validation_text(broken)


def test_nested_members_are_named() -> None:
    request = {"PipelineArn": "x", "Tags": [{"Key": "k"}]}
    broken = list(
        service_model.violations(service_model.input_shape("CreatePipeline").members["Tags"], request["Tags"], "tags")
    )
    assert broken == ["Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null"]


POLICY = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxAttempts": 2}
LOST = "InternalServerError: gone"


def test_retries_back_off_until_they_are_used_up() -> None:
    pauses = [retry.delay([POLICY], LOST, attempts=n, running_seconds=0) for n in (1, 2, 3)]
    assert pauses == [2.0, 6.0, None]


def test_users_own_failures_are_not_retried() -> None:
    assert retry.delay([POLICY], "AlgorithmError: exit code 1", attempts=1, running_seconds=0) is None
    assert retry.delay([], LOST, attempts=1, running_seconds=0) is None


def test_policy_expires() -> None:
    policy = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "ExpireAfterMin": 1}
    assert retry.delay([policy], LOST, attempts=40, running_seconds=59) is not None
    assert retry.delay([policy], LOST, attempts=1, running_seconds=60) is None


def test_cache_key_is_for_one_step_of_one_pipeline() -> None:
    key = cache.key("p", "s", "Training", {"HyperParameters": {"a": "1", "b": "2"}})
    assert key == cache.key("p", "s", "Training", {"HyperParameters": {"b": "2", "a": "1"}})
    assert key != cache.key("p", "s", "Training", {"HyperParameters": {"a": "2", "b": "2"}})
    assert key != cache.key("q", "s", "Training", {"HyperParameters": {"a": "1", "b": "2"}})


def test_cache_key_compares_what_the_guide_lists() -> None:
    compared = {entry.creates: entry.cached_by for entry in STEP_TYPES.values() if isinstance(entry, JobStep)}
    assert "HyperParameters" in compared["CreateTrainingJob"]
    for action, members in compared.items():
        assert set(members) <= set(service_model.input_shape(action).members)
        assert not {"OutputDataConfig", "ResourceConfig", "ProcessingOutputConfig", "ProcessingResources"} & {*members}


def test_job_names_fit() -> None:
    name = step_job_name("abcdefghijkl", "A_long_" * 9)
    assert len(name) <= 63
    assert name.startswith("pipelines-abcdefghijkl-A-long-")
    assert not list(
        service_model.violations(service_model.input_shape("CreateTrainingJob").members["TrainingJobName"], name)
    )


def test_the_names_of_tuning_jobs_fit() -> None:
    name = step_job_name("abcdefghijkl", "A_long_" * 9, most=32)
    assert len(name) <= 32
    assert name.startswith("abcdefghijkl-A-long-")
    member = service_model.input_shape("CreateHyperParameterTuningJob").members["HyperParameterTuningJobName"]
    assert not list(service_model.violations(member, name))


def test_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    db = Database(tmp_path / "d.db")

    def half() -> None:
        with db.write() as connection:
            connection.execute("INSERT INTO tags VALUES ('a', 'b', 'c')")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert db.read().execute("SELECT count(*) FROM tags").fetchone()[0] == 0


def test_failed_commit_does_not_swallow_the_next_write(tmp_path: Path) -> None:
    database = Database(tmp_path / "test.db")

    def orphan() -> None:
        with database.write() as connection:
            connection.execute("PRAGMA defer_foreign_keys=ON")  # found out at COMMIT
            connection.execute(
                "INSERT INTO versions (pipeline, version, definition, created) VALUES ('none', 1, '', 0)"
            )

    with pytest.raises(sqlite3.IntegrityError):
        orphan()
    with database.write() as connection:
        connection.execute("INSERT INTO tags VALUES ('arn', 'key', 'value')")
    assert [row["key"] for row in database.read().execute("SELECT key FROM tags")] == ["key"]
    assert database.read().execute("SELECT * FROM versions").fetchall() == []


def test_newer_database_is_refused(tmp_path: Path) -> None:
    db = Database(tmp_path / "d.db")
    with db.write() as connection:
        connection.execute("PRAGMA user_version=999")
    db.close()
    with pytest.raises(StartError, match="newer version"):
        Database(tmp_path / "d.db")


def test_objects_outside_of_the_buckets_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    bucket = tmp_path / "s3" / "bucket"
    bucket.mkdir(parents=True)
    (bucket / "link").symlink_to(tmp_path / "secret")
    (bucket / "ok").write_text("content")
    assert read_object(tmp_path / "s3", "s3://bucket/ok", limit=7) == b"content"
    for uri in ("s3://bucket/../../secret", "s3://../secret", "s3://bucket/link", "file:///etc/passwd", "s3://bucket"):
        with pytest.raises(S3ReadError):
            read_object(tmp_path / "s3", uri, limit=100)
    with pytest.raises(S3ReadError, match="larger"):
        read_object(tmp_path / "s3", "s3://bucket/ok", limit=6)


def test_log_patterns() -> None:
    assert matches("Loss 0.5", "Train Loss: 0.5")
    assert not matches("Loss -Train", "Train Loss: 0.5")
    assert matches("?a ?b", "only b")
    assert matches("", "anything")


def test_rows_of_an_earlier_schema_are_kept(tmp_path: Path) -> None:
    """Tables are rebuilt on the way: what refers to their rows must still be there, and still go with them."""
    path = tmp_path / "d.db"
    connection = sqlite3.connect(path)
    for script in MIGRATIONS[:2]:
        connection.executescript(script)
    connection.executescript("""
        PRAGMA user_version=2;
        INSERT INTO pipelines (name, arn, display_name, role_arn, created, modified) VALUES ('p', 'A', 'p', 'r', 1, 1);
        INSERT INTO versions (pipeline, version, definition, created) VALUES ('A', 1, '{}', 1);
        INSERT INTO aliases VALUES ('A', 'live', 1, 1);
        INSERT INTO executions (arn, id, pipeline, version, status, role_arn, parameters, created, modified)
            VALUES ('A/execution/x', 'x', 'A', 1, 'Succeeded', 'r', '{}', 1, 1);
        INSERT INTO jobs (arn, kind, name, status, live, begun, request, description, created, modified)
            VALUES ('J', 'training', 'j', 'Completed', 0, 1, '{}', '{}', 1, 1);
        INSERT INTO resources (arn, kind, name, description, created, modified, last_version)
            VALUES ('G', 'model-package-group', 'g', '{}', 1, 1, 4);
        INSERT INTO resources (arn, kind, name, parent, description, created, modified)
            VALUES ('P', 'model-package', 'g/4', 'g', '{}', 1, 1);
    """)
    connection.close()
    db = Database(path)
    counts = {
        table: db.read().execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("pipelines", "versions", "aliases", "executions", "jobs", "resources")
    }
    assert counts == {"pipelines": 1, "versions": 1, "aliases": 1, "executions": 1, "jobs": 1, "resources": 2}
    assert db.read().execute("SELECT parent FROM resources WHERE arn = 'P'").fetchone()[0] == "G"
    with db.write() as writer:
        assert writer.execute("PRAGMA foreign_key_check").fetchall() == []
        writer.execute("DELETE FROM pipelines")
    assert db.read().execute("SELECT count(*) FROM executions").fetchone()[0] == 0
