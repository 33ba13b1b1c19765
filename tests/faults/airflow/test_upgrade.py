"""An upgrade while executions run: what the package of an earlier commit has started, this one continues with.

The earlier package runs in its own worker program, from the repository's history, so that its records, deferrals and
executions are the real ones.
"""

from __future__ import annotations

import asyncio
import io
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk._shared.module_loading import import_string

from tests.faults.airflow.conftest import ROOT, Bench, Workshop, running_forge

BEFORE = "09052e4"
"""Before the package was divided into folders, and its records and triggers with it."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def earlier(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """The workshop with that commit's package and worker."""
    archive = subprocess.run(
        ["git", "archive", BEFORE, "plugins", "tests/faults/airflow/worker.py"],
        cwd=ROOT, capture_output=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if archive.returncode != 0:
        pytest.skip(f"this checkout lacks commit {BEFORE}: {archive.stderr.decode().strip()}")
    path = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tree:
        tree.extractall(path / "tree", filter="data")
    with running_forge(path, path / "tree") as forge:
        yield replace(workshop, forge=forge)


@pytest.fixture
def before(bench: Bench, earlier: Workshop) -> Bench:
    """The same bench before the upgrade."""
    return replace(bench, shop=earlier)


@pytest.mark.parametrize("point", ["before_record", "after_record", "before_arn", "after_arn", "before_xcom"])
def test_a_worker_killed_before_the_upgrade(before: Bench, bench: Bench, point: str) -> None:
    before.work(halt=point).kill_at(point)
    started = [e["PipelineExecutionArn"] for e in bench.executions()]
    retried = bench.work(try_number=2).result()
    assert retried["returned"], retried
    assert [e["PipelineExecutionArn"] for e in bench.executions()] == [retried["returned"]]
    assert set(started) <= {retried["returned"]}


def test_a_clear_after_the_upgrade_trains_anew_once(before: Bench, bench: Bench) -> None:
    first = before.work().result()["returned"]
    cleared = bench.work(max_tries=2, try_number=2).result()["returned"]
    assert cleared != first
    assert len(bench.executions()) == 2
    assert (bench.status(first), bench.status(cleared)) == ("Stopped", "Executing")


def test_a_task_deferred_before_the_upgrade_resumes_after_it(
    before: Bench, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before.seconds = 2
    deferred = before.work(operator={"config": before.config(), "deferrable": True}).result()
    assert deferred["error"] == "TaskDeferred", deferred
    path, arguments = deferred["trigger"]
    for name, value in bench.environment().items():
        monkeypatch.setenv(name, value)
    event = asyncio.run(first_event(import_string(path)(**arguments)))
    resumed = bench.work(event=event, operator={"config": before.config(), "deferrable": True}).result()
    assert [e["PipelineExecutionArn"] for e in bench.executions()] == [resumed["returned"]], resumed
    assert resumed["pushed"]["outcome"]["status"] == "Succeeded"


async def first_event(trigger: Any) -> Any:
    return (await anext(trigger.run())).payload


def test_the_record_is_the_earlier_packages(before: Bench, bench: Bench) -> None:
    """Otherwise nothing above would show anything."""
    written_before, written_now = before.work(run_id="before"), bench.work(run_id="now")
    for worker, there in ((written_before, False), (written_now, True)):
        assert worker.result()["returned"]
        assert ("unseen_clears" in worker.store.read_text()) is there
