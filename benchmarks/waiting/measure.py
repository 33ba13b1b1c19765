"""One side of the comparison in a separate process: `measure.py SIDE SPEC.json`, one JSON on stdout.

`ours`: all triggers in one event loop, as in a triggerer. `provider_trigger`: the same with the amazon provider's
SageMakerPipelineTrigger, if aiobotocore is installed. `provider`: its SageMakerPipelineSensor.poke, for each sensor
every poll interval, in a thread pool. `idle`: an event loop that only measures its lag while another side runs, which
shows the lag that the machine causes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

for entry in ("plugins", "."):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / entry))


def percentile(values: list[float], share: float) -> float:
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))], 4) if values else 0.0


async def lags(stop: Callable[[], bool], found: list[tuple[float, float]]) -> None:
    """Measure every 20 ms how late the event loop resumes, and how long it has computed in the meantime."""
    while not stop():
        begun, computed = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.02)
        found.append((time.perf_counter() - begun - 0.02, time.thread_time() - computed))


def lag_figures(lag: list[tuple[float, float]]) -> dict[str, float]:
    late, busy = ([sample[part] for sample in lag] for part in (0, 1))
    return {
        "loop_lag_p50_ms": round(percentile(late, 0.5) * 1000, 2),
        "loop_lag_p99_ms": round(percentile(late, 0.99) * 1000, 2),
        "loop_computing_p99_ms": round(percentile(busy, 0.99) * 1000, 2),
        "loop_computing_max_ms": round(max(busy, default=0.0) * 1000, 2),
    }


async def idle(spec: dict[str, Any]) -> dict[str, Any]:
    lag: list[tuple[float, float]] = []
    while not Path(spec["ready"]).exists():
        await asyncio.sleep(0.05)
    await lags(Path(spec["measured"]).exists, lag)
    return lag_figures(lag)


def our_trigger(arn: str, spec: dict[str, Any]) -> Any:
    from airflow_sagemaker.triggers import SageMakerTrainingPipelineTrigger

    return SageMakerTrainingPipelineTrigger(
        arn, aws_conn_id="bench", poll_interval=spec["interval"], progress=spec["progress"]
    )


def their_trigger(arn: str, spec: dict[str, Any]) -> Any:
    from airflow.providers.amazon.aws.triggers.sagemaker import SageMakerPipelineTrigger

    return SageMakerPipelineTrigger(
        waiter_type=SageMakerPipelineTrigger.Type.COMPLETE, pipeline_execution_arn=arn,
        waiter_delay=int(spec["interval"]), waiter_max_attempts=10_000, aws_conn_id="bench",
    )  # fmt: skip


async def triggers(spec: dict[str, Any], made: Callable[[str, dict[str, Any]], Any]) -> dict[str, Any]:
    noticed: dict[str, float] = {}

    async def wait(arn: str) -> None:
        with contextlib.suppress(Exception):  # the provider's raises when an execution was stopped
            await anext(made(arn, spec).run())
        noticed[arn] = time.time()

    made(spec["arns"][0], spec)  # so that its imports are not counted
    memory = psutil.Process().memory_info().rss
    tasks = [asyncio.create_task(wait(arn)) for arn in spec["arns"]]
    stop, lag = asyncio.Event(), list[tuple[float, float]]()
    await asyncio.sleep(spec["settle"])
    assert not noticed, "ended before anything was stopped"
    cpu = time.process_time()
    watcher = asyncio.create_task(lags(stop.is_set, lag))
    Path(spec["ready"]).touch()
    await asyncio.sleep(spec["seconds"])
    cpu = time.process_time() - cpu
    Path(spec["measured"]).touch()
    # Now some executions are ended from outside; how soon are they noticed?
    deadline = time.time() + spec["interval"] * 4 + 20
    while len(noticed) < spec["ended"] and time.time() < deadline:
        await asyncio.sleep(0.05)
    stop.set()
    await watcher
    grown = psutil.Process().memory_info().rss - memory
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "cpu_seconds_per_minute": round(cpu * 60 / spec["seconds"], 2),
        **lag_figures(lag),
        "memory_added_mb": round(grown / 1e6, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, 1),
        "noticed": noticed,
    }


def provider(spec: dict[str, Any]) -> dict[str, Any]:
    from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerPipelineSensor

    sensors = [
        SageMakerPipelineSensor(task_id=f"s{number}", pipeline_exec_arn=arn, aws_conn_id="bench")
        for number, arn in enumerate(spec["arns"])
    ]
    pool = ThreadPoolExecutor(8)
    list(pool.map(lambda sensor: sensor.poke({}), sensors))
    cpu, begun = time.process_time(), time.monotonic()
    Path(spec["ready"]).touch()
    rounds = max(1, round(spec["seconds"] / spec["interval"]))
    for number in range(rounds):
        list(pool.map(lambda sensor: sensor.poke({}), sensors))
        time.sleep(max(0.0, begun + (number + 1) * spec["interval"] - time.monotonic()))
    took = time.monotonic() - begun
    Path(spec["measured"]).touch()
    return {
        "rounds": rounds,
        "seconds": round(took, 1),
        "cpu_seconds_per_minute": round((time.process_time() - cpu) * 60 / took, 2),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, 1),
    }


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    side, given = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: PTH123, SIM115 - what libraries print is not the result
    sides: dict[str, Callable[[], Any]] = {
        "ours": lambda: asyncio.run(triggers(given, our_trigger)),
        "provider_trigger": lambda: asyncio.run(triggers(given, their_trigger)),
        "provider": lambda: provider(given),
        "idle": lambda: asyncio.run(idle(given)),
    }
    result = sides[side]()
    out.write(json.dumps(result) + "\n")
