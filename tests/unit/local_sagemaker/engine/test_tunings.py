"""What is next for a tuning job, from its request and its training jobs alone."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.engine.tunings import Plan, plan
from local_sagemaker.identifiers import now
from local_sagemaker.store.jobs import LOST

_TUNING = "SELECT ? AS status, ? AS request, ? AS created"
_JOB = "SELECT ? AS trial, ? AS status, ? AS live, ? AS objective, ? AS description"
Job = tuple[int, str, bool, float | None, str]


def row(select: str, *values: Any) -> sqlite3.Row:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    found: sqlite3.Row = connection.execute(select, values).fetchone()
    return found


def planned(
    *jobs: Job, status: str = "InProgress", kind: str = "Minimize", age: float = 0, **limits: float | None
) -> Plan:
    target = limits.pop("target", None)
    config = {
        "Strategy": "Random",
        "HyperParameterTuningJobObjective": {"Type": kind, "MetricName": "loss"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 9, "MaxParallelTrainingJobs": 3} | limits,
        "TuningJobCompletionCriteria": {} if target is None else {"TargetObjectiveMetricValue": target},
    }
    tuning = row(_TUNING, status, json.dumps({"HyperParameterTuningJobConfig": config}), now() - age)
    return plan(tuning, [row(_JOB, *job) for job in jobs])


def running(trial: int) -> Job:
    return trial, "InProgress", True, None, "{}"


def done(trial: int, objective: float | None) -> Job:
    return trial, "Completed", False, objective, "{}"


def lost(trial: int) -> Job:
    return trial, "Failed", False, None, json.dumps({"FailureReason": LOST})


@given(
    trials=st.lists(st.sampled_from(["running", "done", "lost"]), max_size=9),
    number=st.integers(1, 9),
    at_once=st.integers(1, 9),
)
def test_no_trial_is_left_out_and_no_more_run_than_may(trials: list[str], number: int, at_once: int) -> None:
    make = {"running": running, "done": lambda trial: done(trial, 0.5), "lost": lost}
    jobs = [make[state](trial) for trial, state in enumerate(trials[:number], 1)]
    found = planned(*jobs, MaxNumberOfTrainingJobs=number, MaxParallelTrainingJobs=at_once)
    live = sum(job[2] for job in jobs)
    waiting = [trial for trial in range(1, number + 1) if trial > len(jobs) or jobs[trial - 1] == lost(trial)]
    assert found.trials == tuple(waiting[: max(at_once - live, 0)])
    assert found.end == (None if waiting or live else ("Completed", None))
    assert not found.stops


@pytest.mark.parametrize(("kind", "reached", "missed"), [("Minimize", 0.4, 0.6), ("Maximize", 0.6, 0.4)])
def test_a_target_that_is_reached_stops_what_runs_and_then_ends(kind: str, reached: float, missed: float) -> None:
    assert planned(done(1, missed), running(2), kind=kind, target=0.5).trials == (3, 4)
    assert planned(done(1, reached), running(2), kind=kind, target=0.5) == Plan(stops=True)
    assert planned(done(1, reached), done(2, None), kind=kind, target=0.5) == Plan(end=("Completed", None))


def test_the_longest_runtime_stops_what_runs_and_then_ends() -> None:
    assert planned(running(1), age=119, MaxRuntimeInSeconds=120).trials == (2, 3)
    assert planned(running(1), age=121, MaxRuntimeInSeconds=120) == Plan(stops=True)
    assert planned(done(1, 0.5), age=121, MaxRuntimeInSeconds=120) == Plan(end=("Stopped", None))


def test_a_stop_waits_for_what_runs() -> None:
    assert planned(running(1), status="Stopping") == Plan(stops=True)
    assert planned(done(1, 0.5), status="Stopping") == Plan(end=("Stopped", None))
