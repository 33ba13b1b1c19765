"""The waiting jobs: executions take turns, so that one of many parallel steps does not keep the others waiting."""

from __future__ import annotations

from local_sagemaker.jobs.spec import JobSpec


class FairQueue:
    """Start-time fair queueing (Goyal, Vin and Cheng, 1996) with jobs of one size; not thread-safe.

    The turn of a job is the round that is being served, or the one after the last turn of its owner. The earliest goes
    first, and within it the job that came first.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[int, JobSpec]] = {}
        self._next_turn: dict[str, int] = {}
        self._round = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, spec: JobSpec) -> None:
        """Let a job wait."""
        owner = spec.owner or spec.arn
        turn = max(self._round, self._next_turn.get(owner, 0))
        self._next_turn[owner] = turn + 1
        self._waiting[spec.arn] = (turn, spec)

    def take(self) -> JobSpec:
        """The job whose turn it is; KeyError when none waits."""
        if not self._waiting:
            raise KeyError("no job waits")
        self._round, spec = min(self._waiting.values(), key=lambda item: item[0])  # the first of the smallest
        del self._waiting[spec.arn]
        self._next_turn = {owner: turn for owner, turn in self._next_turn.items() if turn > self._round}
        return spec

    def remove(self, arn: str) -> JobSpec | None:
        """Let a job wait no longer; None when it does not wait."""
        return self._waiting.pop(arn, (0, None))[1]

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()
