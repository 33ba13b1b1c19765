"""Encoded rows as batches, from memory or from disk, in an order that depends only on seed and epoch.

Rows that do not fit into memory are read in pools of `POOL_ROWS`, the next pool while the network trains on the current
one. Neither where the rows are nor the number of processes changes the order: each process takes its share of every
batch. So all take equal steps, and a run can resume in the middle of an epoch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.distributed import Ranks
from training.errors import DataError

POOL_ROWS = 262_144  # rows shuffled together, fewer if the table has more than 256 columns; two or three pools ...
POOL_WORDS = 2**26  # ... are in memory, of at most 256 MB each
BLOCK_ROWS = 1_024  # rows read from disk together


class Rows:
    """The encoded rows of one split, in memory or on disk, for one process."""

    def __init__(self, file: Path, rows: int, width: int, numeric: int) -> None:
        self.rows = rows
        self.width = width
        self.numeric = numeric
        self._stream = file.open("rb")
        self._held: Tensor | None = None

    def hold(self, device: torch.device) -> None:
        """Read all rows into the memory of `device` and close the file."""
        self._held = self.read(0, self.rows).to(device)
        self._stream.close()

    def read(self, start: int, stop: int) -> Tensor:
        """Return consecutive rows as 32-bit words."""
        if self._held is not None:
            return self._held[start:stop]
        words = np.empty((stop - start, self.width), dtype=np.int32)
        view = memoryview(words.data).cast("B")
        offset = start * self.width * 4
        while view:
            got = os.preadv(self._stream.fileno(), [view], offset)
            if not got:
                raise DataError("the local file of encoded rows has been truncated")
            view, offset = view[got:], offset + got
        return torch.from_numpy(words)

    def parts(self, words: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Split rows of words into numeric features, category indices and classes."""
        numbers = words[:, : self.numeric].view(torch.float32)
        return numbers.to(dtype), words[:, self.numeric : -1], words[:, -1]

    def take(self, ids: Tensor) -> Tensor:
        """Return any rows, in the order of `ids`; from disk, the blocks that contain them are read."""
        if self._held is not None:
            return self._held.index_select(0, ids.to(self._held.device))
        blocks, found_in = torch.unique(ids // BLOCK_ROWS, return_inverse=True)
        starts = (blocks * BLOCK_ROWS).tolist()
        pool = torch.cat([self.read(start, min(start + BLOCK_ROWS, self.rows)) for start in starts])
        return pool.index_select(0, found_in * BLOCK_ROWS + ids % BLOCK_ROWS)

    def batches(self, order: Order, ranks: Ranks, first: int = 0) -> Iterator[Tensor]:
        """Yield this process's share of each batch from step `first` on; one pool is prepared ahead."""

        def load(number: int) -> tuple[Tensor, ...]:
            ids, ends = order.pool(number), order.ends(number)
            shares = [slice(*ranks.share(start, end)) for start, end in pairwise(ends)]
            if ranks.world > 1:
                ids = torch.cat([ids[share] for share in shares])
            sizes = [share.stop - share.start for share in shares]
            return torch.split(self.take(ids), sizes)

        current, skipped = divmod(first, order.pool_steps)
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(load, current)
            while first < order.steps:
                batches = coming.result()
                current += 1
                if current < order.pools:
                    coming = reader.submit(load, current)
                yield from batches[skipped:]
                first, skipped = first + len(batches) - skipped, 0


@dataclass(frozen=True)
class Order:
    """The order of an epoch's rows: blocks of neighbours are shuffled, then the rows within each pool.

    A table of up to `POOL_ROWS` rows is one pool, in which every order is equally likely. No row is dropped, and no
    batch is much smaller than the others: each has `batch_size` rows or, if the rows do not divide evenly, a bit fewer.
    """

    rows: int
    batch_size: int
    seed: int
    epoch: int
    width: int = 1
    """Words per row."""

    @property
    def steps(self) -> int:
        """Batches of the epoch."""
        return -(-self.rows // self.batch_size)

    @property
    def pool_steps(self) -> int:
        """Batches of a pool."""
        return max(1, min(POOL_ROWS, POOL_WORDS // self.width) // self.batch_size)

    @property
    def pools(self) -> int:
        """Pools of the epoch; the last one may be smaller."""
        return -(-self.steps // self.pool_steps)

    def start(self, step: int) -> int:
        """Rows of the epoch that come before a step."""
        return self.rows * step // self.steps

    def ends(self, number: int) -> list[int]:
        """Where the batches of a pool begin and end, counted from its first row."""
        first = number * self.pool_steps
        last = min(first + self.pool_steps, self.steps)
        return [self.start(step) - self.start(first) for step in range(first, last + 1)]

    def pool(self, number: int) -> Tensor:
        """Return the row numbers of one pool."""
        blocks = torch.randperm(-(-self.rows // BLOCK_ROWS), generator=self._random(0))
        starts = blocks * BLOCK_ROWS
        sizes = torch.clamp(self.rows - starts, max=BLOCK_ROWS)
        ends = torch.cumsum(sizes, 0)
        first = number * self.pool_steps
        places = torch.arange(self.start(first), self.start(min(first + self.pool_steps, self.steps)))
        block = torch.searchsorted(ends, places, right=True)
        ids = starts[block] + places - (ends - sizes)[block]
        return ids[torch.randperm(len(ids), generator=self._random(1 + number))]

    def _random(self, use: int) -> torch.Generator:
        mixed = hashlib.blake2b(f"{self.seed} {self.epoch} {use}".encode(), digest_size=7).digest()
        return torch.Generator().manual_seed(int.from_bytes(mixed))
