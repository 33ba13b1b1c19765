"""The mark that keeps looks for live executions short: used while it is good, and never trusted beyond that."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.connections import AwsTarget
from airflow_sagemaker.aws.executions import Executions
from airflow_sagemaker.aws.live_executions import GOOD_FOR, live_executions
from airflow_sagemaker.aws.stopping import stop_execution
from airflow_sagemaker.aws.versions import deploy_pipeline
from tests.support.pipelines import TARGET, WAITS, Pipelines


class Looks:
    """A pipeline with two live executions, and the marks that looks at it leave."""

    def __init__(self, pipelines: Pipelines, folder: Path) -> None:
        self.pipelines, self.folder = pipelines, folder
        made = self.made = pipelines.deployed(WAITS)
        self.name = made.pipeline_name
        self.older, self.newer = pipelines.start(made), pipelines.start(made)
        begun = pipelines.executions.describe(self.newer).started_at
        assert begun is not None
        self.between = begun - timedelta(milliseconds=1)

    def look(self, executions: Executions | None = None) -> list[str]:
        found = live_executions(executions or self.pipelines.executions, self.name)
        return [execution.arn for execution in found]

    @property
    def mark(self) -> Path:
        (file,) = self.folder.glob("live-executions/*.json")
        return file

    def write_mark(self, **values: Any) -> None:
        """By default one under which everything created before the newer execution has ended: it hides the older."""
        now = datetime.now(UTC)
        fresh = {"since": self.between.isoformat(), "whole_at": now.isoformat(), "newest": self.newer}
        self.mark.write_text(json.dumps(fresh | values))


@pytest.fixture
def looks(pipelines: Pipelines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Looks:
    monkeypatch.setenv("AIRFLOW_SAGEMAKER_CACHE_DIR", str(tmp_path))
    return Looks(pipelines, tmp_path)


def both(looks: Looks) -> list[str]:
    return [looks.newer, looks.older]


def test_a_look_reads_back_to_the_mark_and_a_live_execution_holds_the_mark_back(looks: Looks) -> None:
    assert looks.look() == both(looks)
    assert looks.look() == both(looks), "the mark left by the first look lies before the executions"
    looks.write_mark()
    assert looks.look() == [looks.newer], "with a good mark nothing older is read"


def test_a_mark_of_an_equally_named_pipeline_in_another_account_is_not_trusted(looks: Looks) -> None:
    looks.look()
    looks.write_mark(newest=looks.newer.replace("123456789012", "210987654321"))
    assert looks.look() == both(looks)
    looks.write_mark(since=(datetime.now(UTC) + timedelta(minutes=1)).isoformat(), newest="elsewhere")
    assert looks.look() == both(looks)


def test_a_mark_expires(looks: Looks) -> None:
    looks.look()
    looks.write_mark(whole_at=(datetime.now(UTC) - GOOD_FOR).isoformat())
    assert looks.look() == both(looks)
    whole_at = datetime.fromisoformat(json.loads(looks.mark.read_text())["whole_at"])
    assert datetime.now(UTC) - whole_at < GOOD_FOR, "the whole list was read, and the new mark says so"


def test_a_mark_from_the_future_is_not_trusted(looks: Looks) -> None:
    looks.look()
    looks.write_mark(whole_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert looks.look() == both(looks)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"{}",
        b'{"since": 1, "whole_at": 2, "newest": 3}',
        b'{"since": "2013-07-04T00:00:00"}',
    ],
)
def test_a_damaged_mark_means_reading_the_whole_list(looks: Looks, damaged: bytes) -> None:
    looks.look()
    looks.mark.write_bytes(damaged)
    assert looks.look() == both(looks)


def test_a_mark_without_a_time_zone_is_damaged(looks: Looks) -> None:
    looks.look()
    without = datetime.now(UTC).replace(tzinfo=None).isoformat()
    for values in ({"whole_at": without}, {"since": looks.between.replace(tzinfo=None).isoformat()}):
        looks.write_mark(**values)
        assert looks.look() == both(looks)


def test_another_region_has_a_mark_of_its_own(looks: Looks) -> None:
    looks.look()
    looks.write_mark()
    assert looks.look() == [looks.newer]
    there = Executions(Aws(AwsTarget(TARGET.aws_conn_id, "eu-west-1"), logging.getLogger("test")))
    deploy_pipeline(there.aws, looks.made)
    version = {"PipelineVersionAlias": looks.made.version_alias}
    arn = there.start(looks.name, version=version, display_name="d", token="t" * 32, parameters={}, description="{}")
    assert arn is not None
    assert looks.look(there) == [arn]
    stop_execution(there, arn)


def test_a_folder_that_cannot_be_written_costs_a_longer_list_only(looks: Looks) -> None:
    (looks.folder / "live-executions").write_text("in the way")
    assert looks.look() == both(looks)
