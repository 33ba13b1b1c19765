"""The queue of jobs: executions take turns, so that one with many parallel steps does not delay the others."""

from __future__ import annotations

from local_sagemaker.jobs.spec import JobSpec


class FairQueue:
    """Start-time fair queueing (Goyal, Vin and Cheng, 1996) with jobs of one size; not thread-safe.

    A job's turn is the current round, or the one after its owner's last turn, if that is later. Jobs with the earliest
    turn run first, in the order in which they were added.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[int, JobSpec]] = {}
        self._next_turn: dict[str, int] = {}
        self._round = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, spec: JobSpec) -> None:
        """Add a job."""
        owner = spec.owner or spec.arn
        turn = max(self._round, self._next_turn.get(owner, 0))
        self._next_turn[owner] = turn + 1
        self._waiting[spec.arn] = (turn, spec)

    def take(self) -> JobSpec:
        """Remove and return the next job; KeyError if the queue is empty."""
        if not self._waiting:
            raise KeyError("no job waits")
        self._round, spec = min(self._waiting.values(), key=lambda item: item[0])  # the first with the earliest turn
        del self._waiting[spec.arn]
        self._next_turn = {owner: turn for owner, turn in self._next_turn.items() if turn > self._round}
        return spec

    def remove(self, arn: str) -> JobSpec | None:
        """Remove a job; None if it is not in the queue."""
        return self._waiting.pop(arn, (0, None))[1]

    def clear(self) -> None:
        """Remove all jobs."""
        self._waiting.clear()
