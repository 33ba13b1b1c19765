"""Every operation under every fault at every moment of a task run's life, and what must hold in each cell.

* At most one live execution per clear epoch.
* None lives that no task follows and that `orphans` does not list, which knows it by the record or the description.
* No line in a log says what Describe denies.

`--slow` runs a pairwise selection: each fault with each operation, and with each moment. The fast suite has those cells
whose fault is one of FAST_FAULTS, and `--soak` runs the rest of the table.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_sagemaker.start.record import KEY
from tests.faults.airflow.worker import FileStore
from tests.support.task_life import Life, Lines, Table, check, running_table
from tests.support.waiting import wait_until

FAULTS = (
    "throttle", "error500", "quota", "conflict", "expired", "denied", "refused", "skew", "strange", "html403",
    "html404", "html407", "html502", "latin1", "login", "empty404", "reset", "lose_reply", "cut_reply",
)  # fmt: skip
FAST_FAULTS = ("throttle", "conflict", "denied", "strange", "html407", "login", "lose_reply")
"""One of each kind: the fast suite has a minute for this table."""


@pytest.fixture(scope="module")
def table(local_sagemaker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    with running_table(local_sagemaker, tmp_path_factory.mktemp("table")) as made:
        yield made


# --- the moments -----------------------------------------------------------------------------------------------------


def starting(life: Life, strike: Callable[[], Any]) -> None:
    """Before the record and during the call."""
    strike()
    life.run(life.operator())
    life.until_it_is_over()


def started_and_retried(life: Life, strike: Callable[[], Any]) -> None:
    """After the record has its ARN."""
    life.run(life.operator())
    strike()
    life.run(life.operator())
    life.until_it_is_over()


def unanswered_and_retried(life: Life, strike: Callable[[], Any]) -> None:
    """After the record is written and the call was made, before the answer: the worker is gone."""
    life.run(life.operator())
    record = life.record()
    assert record is not None
    stored = record.to_json() | {"arn": None}
    FileStore(life.store).set(KEY, stored, retention=True)
    strike()
    life.run(life.operator())
    life.until_it_is_over()


def cleared(life: Life, strike: Callable[[], Any]) -> None:
    """Stopping what was started before a clear."""
    life.run(life.operator())
    life.max_tries += 1
    strike()
    life.run(life.operator())
    life.until_it_is_over()


def waiting(life: Life, strike: Callable[[], Any]) -> None:
    """While the operator waits in the worker; somebody stops the execution in the end."""
    alone = {"wait_for_completion": True}
    thread = threading.Thread(target=lambda: life.run(life.operator(**alone)))
    thread.start()
    wait_until(lambda: life.live() and any("Execution is Executing" in line for line in life.table.lines), "the wait")
    strike()
    wait_until(lambda: len(life.live()) == 1, "the execution")
    life.table.stop(life.live()[0]["PipelineExecutionArn"])
    thread.join(180)
    assert not thread.is_alive()


def killed_while_waiting(life: Life, strike: Callable[[], Any]) -> None:
    """on_kill while the operator waits."""
    operator = life.operator(wait_for_completion=True)
    thread = threading.Thread(target=life.run, args=(operator,))
    thread.start()
    wait_until(lambda: life.live() and any("Execution is Executing" in line for line in life.table.lines), "the wait")
    strike()
    operator.on_kill()
    thread.join(180)
    assert not thread.is_alive()


def killed_while_starting(life: Life, strike: Callable[[], Any]) -> None:
    """on_kill while the start call is under way."""
    operator = life.operator()
    held = life.table.proxy.inject("StartPipelineExecution", "hold_reply")
    thread = threading.Thread(target=life.run, args=(operator,))
    thread.start()
    wait_until(held.forwarded.is_set, "the call")
    strike()
    operator.on_kill()
    held.release()
    thread.join(180)
    assert not thread.is_alive()


MOMENTS: dict[Callable[..., None], tuple[str, ...]] = {
    starting: ("ListObjectsV2", "DescribePipeline", "StartPipelineExecution"),
    started_and_retried: ("DescribePipelineExecution",),
    unanswered_and_retried: ("ListPipelineExecutions", "DescribePipelineExecution"),
    cleared: ("DescribePipelineExecution", "StopPipelineExecution", "DescribePipeline", "StartPipelineExecution"),
    waiting: ("DescribePipelineExecution", "ListPipelineExecutionSteps"),
    killed_while_waiting: ("StopPipelineExecution", "DescribePipelineExecution"),
    killed_while_starting: ("StartPipelineExecution", "StopPipelineExecution", "DescribePipelineExecution"),
}
"""Each moment with the operations that it calls."""

Cell = tuple[Callable[..., None], str, str]
CELLS: list[Cell] = [
    (moment, operation, fault)
    for moment, operations in MOMENTS.items()
    for operation, fault in itertools.product(operations, FAULTS)
]


def pairwise(cells: list[Cell]) -> set[Cell]:
    """A selection in which each fault meets each operation and each moment."""
    chosen: set[Cell] = set()
    seen: set[tuple[object, ...]] = set()
    for cell in cells:
        moment, operation, fault = cell
        pairs = {(moment, fault), (operation, fault)}
        if pairs - seen:
            chosen.add(cell)
            seen |= pairs
    return chosen


PAIRWISE = pairwise(CELLS)


def suite_of(cell: Cell) -> list[pytest.MarkDecorator]:
    if cell not in PAIRWISE:
        return [pytest.mark.soak]
    return [] if cell[2] in FAST_FAULTS else [pytest.mark.slow]


@pytest.mark.parametrize(
    "cell", [pytest.param(cell, id="-".join([cell[0].__name__, *cell[1:]]), marks=suite_of(cell)) for cell in CELLS]
)
def test_a_cell(table: Table, cell: Cell) -> None:
    moment, operation, fault = cell
    lines = Lines()
    table.log.addHandler(lines)
    table.lines = lines.lines
    life = Life(table)
    try:
        moment(life, lambda: table.inject(operation, fault))
        table.clear()
        check(life, lines.lines)
    finally:
        table.clear()
        table.log.removeHandler(lines)
        table.stop_all(life)
