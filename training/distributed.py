"""The processes that train together: one under `python`, several under `torchrun`.

Control messages (objects, flags) are exchanged over gloo, between CPUs, so that no GPU waits for them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")
PATIENCE = timedelta(hours=6)  # one process prepares the data while the others wait


@dataclass(frozen=True)
class Ranks:
    """This process among all: `rank` of `world`, and `local_rank` of `local_world` on this machine."""

    rank: int
    world: int
    local_rank: int
    local_world: int
    device: torch.device
    control: dist.ProcessGroup | None = None
    """Process group of the control messages; None when there is one process."""

    @property
    def first(self) -> bool:
        """Whether this process prints, writes and decides."""
        return self.rank == 0

    def seed(self, value: int) -> None:
        """Seed the device's generator. torch.manual_seed does that too, but takes a hundred times as long."""
        if self.device.type == "cuda":
            torch.cuda.manual_seed(value)
        else:
            torch.default_generator.manual_seed(value)

    def share(self, start: int, stop: int) -> tuple[int, int]:
        """Return this process's part of the rows from `start` to `stop`; parts differ by at most one row."""
        rows = stop - start
        return start + rows * self.rank // self.world, start + rows * (self.rank + 1) // self.world

    def from_first(self, value: T | None) -> T:
        """Return the first process's `value`, which is not None, in every process; the others' may be None."""
        box = [value]
        if self.world > 1:
            dist.broadcast_object_list(box, src=0, group=self.control)
        return cast(T, box[0])

    def from_neighbour(self, value: T) -> T:
        """Return the `value` of this machine's first process."""
        if self.world == 1:
            return value
        values = [value] * self.world
        dist.all_gather_object(values, value, group=self.control)
        return values[self.rank - self.local_rank]

    def maximum(self, value: int) -> int:
        """Return the largest `value` of all processes."""
        if self.world == 1:
            return value
        box = torch.tensor(value)
        dist.all_reduce(box, dist.ReduceOp.MAX, group=self.control)
        return int(box)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over all processes of a small float64 tensor, on the CPU."""
        values = values.to("cpu", torch.float64, copy=True)
        if self.world > 1:
            dist.all_reduce(values, group=self.control)
        return values

    def gather(self, value: T) -> list[T] | None:
        """Return all processes' values in rank order in the first process, None in the others."""
        if self.world == 1:
            return [value]
        values = [value] * self.world if self.first else None
        dist.gather_object(value, values, dst=0, group=self.control)
        return values

    def wait(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            dist.barrier(group=self.control)


def start(threads: int = 0) -> Ranks:
    """Join the other processes of a torchrun, if any, and set the number of CPU threads (0 chooses)."""
    rank, local_rank = (int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK"))
    world, local_world = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    torch.set_num_threads(threads or choose_threads(local_world))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")
    control = None
    if world > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        control = dist.new_group(backend="gloo", timeout=PATIENCE)
    return Ranks(rank, world, local_rank, local_world, device, control)


def choose_threads(local_world: int) -> int:
    """Return the CPU threads of one process: its share of the cores, minus one for reading data and for the system.

    Small layers gain little from more threads, and more threads than free cores slow training down several times.
    """
    if os.environ.get("OMP_NUM_THREADS", "").isdigit():
        return int(os.environ["OMP_NUM_THREADS"])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(1, cores // local_world - 1))


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply in full float32, as the CPUs that serve the model do; a GPU would round to TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def stop() -> None:
    """Leave the group."""
    if dist.is_initialized():
        dist.destroy_process_group()
