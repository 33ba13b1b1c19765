"""A 60-day backfill on PostgreSQL while workers, the triggerer and the scheduler are killed at random."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from local_stack.stack import Stack

from tests.faults.airflow_stack.conftest import Faulty, running_faulty
from tests.support.postgres import programs

pytestmark = [pytest.mark.timeout(2400), pytest.mark.soak]

FIRST, DAYS = date(2013, 7, 1), 60
SEED = int(os.environ.get("SOAK_SEED", "20130701"))
LONGEST_SECONDS = 2100
VICTIMS = {"task": 9, "executor worker": 5, "triggerer": 4, "scheduler": 1}
"""What is killed, by how often."""


@pytest.fixture
def soaked(tmp_path: Path) -> Iterator[Faulty]:
    if programs() is None:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    with running_faulty(tmp_path, AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD="8") as made:
        yield made


def all_executions(stack: Stack) -> list[dict[str, Any]]:
    client = stack.client("sagemaker")
    try:
        pages = client.get_paginator("list_pipeline_executions").paginate(PipelineName="faulty")
        return [execution for page in pages for execution in page["PipelineExecutionSummaries"]]
    except client.exceptions.ResourceNotFound:
        return []


def strike(faulty: Faulty, chance: random.Random) -> str | None:
    """SIGKILL one process of the stack; what it was, or None when there was none of its kind."""
    kind = chance.choices(list(VICTIMS), list(VICTIMS.values()))[0]
    if kind in ("triggerer", "scheduler"):
        faulty.kill_and_restart(kind)
        return kind
    scheduler = psutil.Process(faulty.child("scheduler").process.pid)
    try:
        executors = [p for p in scheduler.children() if "LocalExecutor" in " ".join(p.cmdline())]
        found = executors if kind == "executor worker" else [t for e in executors for t in e.children()]
        if not found:
            return None
        os.kill(chance.choice(found).pid, signal.SIGKILL)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None
    return kind


def test_sixty_days_with_random_kills_end_with_sixty_executions(soaked: Faulty) -> None:
    airflow, stack = soaked.airflow, soaked.stack
    for number in range(DAYS):
        soaked.put_channels((FIRST + timedelta(days=number)).isoformat())
    airflow.call("PATCH", "/dags/soak", json={"is_paused": False})
    body = {
        "dag_id": "soak",
        "from_date": f"{FIRST}T00:00:00Z",
        "to_date": f"{FIRST + timedelta(days=DAYS - 1)}T00:00:00Z",
        "max_active_runs": 12,
        "reprocess_behavior": "none",
    }
    airflow.call("POST", "/backfills", json=body)
    chance, kills = random.Random(SEED), Counter[str]()
    begun, next_kill = time.monotonic(), time.monotonic() + 15
    while True:
        runs = airflow.get("/dags/soak/dagRuns", limit=100)["dag_runs"]
        states = Counter(run["state"] for run in runs)
        if len(runs) == DAYS and states["success"] + states["failed"] == DAYS:
            break
        assert time.monotonic() - begun < LONGEST_SECONDS, f"{states} after {LONGEST_SECONDS} s; killed {kills}"
        if time.monotonic() >= next_kill:
            if victim := strike(soaked, chance):
                kills[victim] += 1
                print(f"{time.monotonic() - begun:6.0f} s: killed {victim}; {dict(states)}", flush=True)
            next_kill = time.monotonic() + chance.uniform(2, 8)
        time.sleep(0.5)
    seconds = time.monotonic() - begun

    executions = all_executions(stack)
    tries = Counter[str]()
    found = {}
    for run in runs:
        run_id = run["dag_run_id"]
        assert run["state"] == "success", soaked.story("soak", run_id)
        for task in airflow.task_instances("soak", run_id):
            tries[task["task_id"]] += task["try_number"]
        found[run["partition_key"]] = airflow.xcom("soak", run_id, "wait")["execution_arn"]
    print(
        json.dumps(
            {"seconds": round(seconds), "executions": len(executions), "killed": kills, "tries": tries, "seed": SEED}
        )
    )
    assert len(executions) == DAYS
    assert sorted(found.values()) == sorted(e["PipelineExecutionArn"] for e in executions), "all accounted for"
    owners = [json.loads(e["PipelineExecutionDescription"])["partition"] for e in executions]
    assert sorted(owners) == sorted(found)
    assert {e["PipelineExecutionStatus"] for e in executions} == {"Succeeded"}
    assert sum(kills.values()) >= 10, kills
