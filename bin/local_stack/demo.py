"""bin/demo: one partition of real flights, from raw rows to a trained model, with a real Airflow."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from local_stack import demo_report
from local_stack.errors import StackError
from local_stack.rest import TaskInstance
from local_stack.settings import USERNAME
from local_stack.stack import Stack, default_home, running_stack

DAG_ID = "flight_delay_training"
TASKS = ("extract", "preprocess", "start_training", "wait_for_training", "report", "promote")
SCORING_DAG_ID = "flight_delay_scoring"
SCORING_TASKS = ("next_day", "start_scoring", "wait_for_scores")
RUN_SECONDS = 900
FINISHED = {"success", "failed", "upstream_failed", "skipped", "removed"}

console = Console(highlight=False)


def main(
    partition: Annotated[str, typer.Option(help="Date to train for, YYYY-MM-DD.")] = "2013-07-04",
    keep: Annotated[bool, typer.Option("--keep", help="Keep Airflow and its UI running until Ctrl-C.")] = False,
    home: Annotated[
        Path | None, typer.Option(help="Folder for databases, models and logs. Default: var/ here.")
    ] = None,
) -> None:
    """Train, promote and score for one date partition with the shipped DAGs, and show the results."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _require_trainable(partition)
        begun = time.monotonic()
        with running_stack(default_home(home), schedules=False, progress=_say) as stack, _switched_on(stack):
            run_id = _run(stack, DAG_ID, TASKS, partition)
            scoring_id = _run(stack, SCORING_DAG_ID, SCORING_TASKS, partition)
            demo_report.show(console, stack, DAG_ID, run_id, TASKS)
            demo_report.show_champion(console, stack, DAG_ID, run_id)
            demo_report.show_scores(console, stack, SCORING_DAG_ID, scoring_id)
            seconds = time.monotonic() - begun
            console.print(f"[green]A model was trained for {partition} and has scored, in {seconds:.0f} s.[/green]\n")
            if keep:
                _stay(stack)
            else:
                command = "bin/airflow-local" + (f" --home {home}" if home else "")
                console.print(f"To look at this run in Airflow's UI: [bold]{command}[/bold]", soft_wrap=True)
    except KeyboardInterrupt:
        console.print("interrupted; all processes have been stopped")
        raise typer.Exit(130) from None
    except StackError as error:
        Console(stderr=True, highlight=False).print(f"demo: {error}", style="red", soft_wrap=True, markup=False)
        raise typer.Exit(1) from None


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    console.print(f"[dim]{text} ...[/dim]")


def _require_trainable(partition: str) -> None:
    """Reject an invalid date at once, instead of a minute later in the first task."""
    from preprocessing.errors import WindowError
    from preprocessing.flights.table import FLIGHTS
    from preprocessing.window import parse_partition

    try:
        FLIGHTS.window(parse_partition(partition))
    except WindowError as error:
        raise StackError(str(error)) from None


@contextmanager
def _switched_on(stack: Stack) -> Iterator[None]:
    """Unpause the DAGs, and pause them again: otherwise the next `bin/airflow-local` would start a run for today."""
    client = stack.airflow
    for dag_id in (DAG_ID, SCORING_DAG_ID):
        there = partial(client.exists, f"/dags/{dag_id}")
        stack.processes.wait_until(there, what=f"the DAG {dag_id}", seconds=90)
        client.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})
    try:
        yield
    finally:
        for dag_id in (DAG_ID, SCORING_DAG_ID):
            client.call("PATCH", f"/dags/{dag_id}", json={"is_paused": True})


def _run(stack: Stack, dag_id: str, tasks: Sequence[str], partition: str) -> str:
    """Trigger a DAG for `partition`, wait until it ends, and return the run's id; StackError unless it succeeded."""
    run_id = str(stack.airflow.trigger(dag_id, partition=partition)["dag_run_id"])
    console.print(f"triggered [bold]{dag_id}[/bold] for the partition [bold]{partition}[/bold]", soft_wrap=True)
    state = _follow(stack, dag_id, tasks, run_id)
    if state != "success":
        raise StackError(_failure(stack, dag_id, run_id, state))
    return run_id


def _follow(stack: Stack, dag_id: str, tasks: Sequence[str], run_id: str) -> str:
    """Print each task's state changes until the run has ended; return the run's last state."""
    seen: dict[str, str] = {}
    deadline = time.monotonic() + RUN_SECONDS
    while True:
        stack.processes.check()
        state = str(stack.airflow.run(dag_id, run_id)["state"])
        for task in sorted(stack.airflow.task_instances(dag_id, run_id), key=lambda t: tasks.index(t["task_id"])):
            _say_task(task, seen)
        if state in ("success", "failed"):
            return state
        if time.monotonic() > deadline:
            raise StackError(f"the run {run_id} has not ended after {RUN_SECONDS} s; see the logs in {stack.home.logs}")
        time.sleep(0.5)


def _say_task(task: TaskInstance, seen: dict[str, str]) -> None:
    name, state = task["task_id"], task["state"]
    if state in (None, "scheduled", "queued") or seen.get(name) == state:
        return
    seen[name] = state
    took = f" after {task['duration']:.1f} s" if state in FINISHED and task.get("duration") else ""
    colour = {"success": "green", "failed": "red", "upstream_failed": "red"}.get(state, "cyan")
    console.print(f"  {name:<20} [{colour}]{state}[/{colour}]{took}")


def _failure(stack: Stack, dag_id: str, run_id: str, state: str) -> str:
    """The failed task, and the end of its log."""
    tasks = stack.airflow.task_instances(dag_id, run_id)
    failed = [t for t in tasks if t["state"] == "failed"]
    if not failed:
        return f"the run {run_id} ended as {state}"
    task = failed[0]
    log = stack.airflow.log(dag_id, run_id, task["task_id"], task["try_number"])
    with tempfile.NamedTemporaryFile(
        "w", dir=stack.home.logs, prefix=f"{task['task_id']}-", suffix=".log", delete=False
    ) as out:
        out.write(log)
    told = [line for line in log.splitlines() if not line.startswith(("::group::", "::endgroup::"))]
    tail = "\n".join(told[-15:])
    return f"the task {task['task_id']} failed (full log: {out.name}):\n{tail}"


def _stay(stack: Stack) -> None:
    console.print(f"Airflow's UI: [bold]{stack.url}[/bold]   user: {USERNAME}   password: {stack.password}")
    console.print("Ctrl-C stops everything.")
    try:
        while True:
            time.sleep(1)
            stack.processes.check()
    except KeyboardInterrupt:
        console.print("stopped")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app(prog_name="bin/demo")
