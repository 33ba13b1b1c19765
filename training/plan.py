"""Defaults that depend on the number of rows: batch size, epochs, and when to stop.

The constants were chosen by validation loss on tables of 341 to 62,530 rows (benchmarks/training_quality).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from training.errors import DataError
from training.hyperparameters import Hyperparameters

STEPS_PER_EPOCH = 64  # the goal: a batch is a 64th of the rows ...
SMALLEST_BATCH, LARGEST_BATCH = 32, 1024  # ... within these bounds, rounded to a power of two
MOST_STEPS, MOST_EPOCHS = 20_000, 200  # whichever is reached first; a table of 10 million rows gets two passes
PATIENT_STEPS = 200  # without a lower validation loss, or half the steps to the lowest one if these are more


@dataclass(frozen=True)
class Plan:
    """The budget of one training."""

    rows: int
    batch_size: int
    epochs: int
    """At most."""
    patience: int | None
    """Epochs without a lower validation loss before stopping; 0 never stops early, None counts PATIENT_STEPS."""
    chosen: tuple[str, ...]
    """Names of the hyperparameters that the number of rows determined."""

    @classmethod
    def of(cls, hp: Hyperparameters, rows: int, processes: int) -> Plan:
        """Fill in what the hyperparameters leave open. Raises DataError for fewer rows per batch than processes."""
        batch_size = hp.batch_size or suggested_batch(rows)
        if batch_size < processes:
            raise DataError(f"batch_size {batch_size} is smaller than the {processes} processes that share it")
        steps = -(-rows // batch_size)
        epochs = hp.epochs or max(1, min(MOST_EPOCHS, round(MOST_STEPS / steps)))
        names = ("batch_size", "epochs", "patience")
        return cls(rows, batch_size, epochs, hp.patience, tuple(name for name in names if getattr(hp, name) is None))

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.rows // self.batch_size)

    def out_of_patience(self, epoch: int, best_epoch: int) -> bool:
        """Whether the validation loss has not fallen for too long after `epoch` epochs."""
        stale = epoch - best_epoch
        if self.patience is None:
            return stale * self.steps >= max(PATIENT_STEPS, best_epoch * self.steps / 2)
        return 0 < self.patience <= stale

    def describe(self) -> str:
        """Describe the plan in one line, and which settings the number of rows determined."""
        patience = {
            None: f"stopping after {PATIENT_STEPS} steps, or half of those so far, without a lower validation loss",
            0: "never stopping early",
        }.get(self.patience, f"stopping after {self.patience} epochs without a lower validation loss")
        steps = f"batch_size {self.batch_size:,} ({self.steps:,} steps per epoch), {self.epochs:,} epochs at most"
        return f"Plan: {steps}, {patience}" + (
            f"; {', '.join(self.chosen)} chosen for {self.rows:,} rows" if self.chosen else ""
        )


def suggested_batch(rows: int) -> int:
    """Return the power of two closest to a 64th of the rows, from 32 to 1024."""
    return min(LARGEST_BATCH, max(SMALLEST_BATCH, 1 << round(math.log2(max(1.0, rows / STEPS_PER_EPOCH)))))
