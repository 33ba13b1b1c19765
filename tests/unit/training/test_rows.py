"""The order of the rows, and rows read from disk as from memory."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.distributed import Ranks
from training.table import rows as module
from training.table.rows import Order, Rows
from training.trainer import evaluation_rows

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POOL_ROWS", 64)
    monkeypatch.setattr(module, "POOL_WORDS", 256)
    monkeypatch.setattr(module, "BLOCK_ROWS", 8)


def rows_on_disk(folder: Path, count: int, width: int = 3) -> Rows:
    words = np.arange(count * width, dtype=np.int32).reshape(count, width)
    (folder / "rows").write_bytes(words.tobytes())
    return Rows(folder / "rows", count, width, 1)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 400), st.integers(1, 90), st.integers(0, 5), st.integers(1, 300))
def test_an_epoch_takes_each_row_once_in_batches_of_like_size(
    rows: int, batch_size: int, epoch: int, width: int
) -> None:
    order = Order(rows, batch_size, 0, epoch, width)
    ids = torch.cat([order.pool(i) for i in range(order.pools)])
    assert sorted(ids.tolist()) == list(range(rows))
    ends = [order.ends(number) for number in range(order.pools)]
    sizes = [end - start for pool in ends for start, end in itertools.pairwise(pool)]
    assert len(sizes) == order.steps
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1


def test_a_wide_table_is_read_and_scored_in_smaller_parts() -> None:
    assert len(Order(1000, 10, 0, 0, width=4).pool(0)) == 60
    assert len(Order(1000, 10, 0, 0, width=12).pool(0)) == 20
    assert len(Order(1000, 10, 0, 0, width=1000).pool(0)) == 10
    assert evaluation_rows(20) == 16_384
    assert evaluation_rows(1000) == 1048
    assert evaluation_rows(10**7) == 1


def test_epochs_and_seeds_differ_and_repeat() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return Order(50, 10, seed, epoch).pool(0).tolist()

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


@pytest.mark.parametrize("held", [True, False])
def test_processes_share_each_batch_and_resume_anywhere(tmp_path: Path, held: bool) -> None:
    rows = rows_on_disk(tmp_path, 333)
    if held:
        rows.hold(CPU)
    order = Order(333, 10, 7, 2)
    alone = list(rows.batches(order, Ranks(0, 1, 0, 1, CPU)))
    assert len(alone) == order.steps == 34
    assert sum(map(len, alone)) == 333
    shares = [list(rows.batches(order, Ranks(rank, 3, rank, 3, CPU))) for rank in range(3)]
    for step, batch in enumerate(alone):
        assert torch.equal(torch.cat([share[step] for share in shares]), batch)
    for first in (0, 1, 5, 6, 7, 33, 34):
        rest = list(rows.batches(order, Ranks(0, 1, 0, 1, CPU), first))
        assert len(rest) == 34 - first
        assert all(torch.equal(a, b) for a, b in zip(rest, alone[first:], strict=True))


def test_rows_from_disk_equal_rows_in_memory(tmp_path: Path) -> None:
    rows = rows_on_disk(tmp_path, 100)
    ids = torch.tensor([99, 0, 50, 50, 8])
    from_disk = rows.take(ids)
    rows.hold(CPU)
    assert torch.equal(rows.take(ids), from_disk)
    assert from_disk[:, 0].tolist() == [297, 0, 150, 150, 24]
