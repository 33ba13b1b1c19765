"""The form of a manual trigger, and the settings that all flight delay DAGs share."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Literal, get_args

from airflow.sdk import Param

from preprocessing.flights.dates import MAX_DAYS
from preprocessing.flights.table import FLIGHTS
from preprocessing.window import Window

AWS_CONN_ID = "aws_default"
GROUP = "flight-delay"
"""Model package group: its latest approved package is the champion."""
MAX_TRAININGS = 8
"""Concurrent executions of one pipeline, including those of backfills."""

MISSING_DATA = ("fail", "skip", "wait")
"""What to do with a partition whose raw dates are missing."""
SplitBy = Literal["time", "hash"]
"""How rows are split (see `preprocessing.splits`)."""
SPLIT_BY: tuple[SplitBy, ...] = get_args(SplitBy)

WAIT_EVERY = timedelta(minutes=5)
"""Time between checks for missing raw dates; the task uses no worker slot in between."""
WAIT_WITHIN = timedelta(hours=6)
"""How long to wait for missing raw dates."""

POOL = os.environ.get("SAGEMAKER_TRAINING_POOL", "default_pool")
"""Pool of the training tasks. Tasks of a pool that does not exist stay queued, so the default is Airflow's own."""

INSTANCE_TYPES = [
    "ml.m5.large",
    "ml.m5.xlarge",
    "ml.m5.4xlarge",
    "ml.c5.2xlarge",
    "ml.g4dn.xlarge",
    "ml.g5.xlarge",
    "ml.g5.12xlarge",
    "ml.p4d.24xlarge",
]


def ranged(value: float, minimum: float, maximum: float, *, title: str, description: str) -> Param:
    """Return a number field. Its help names the range, because the form silently limits a number to it."""
    low, high = (f"{limit:,.6f}".rstrip("0").rstrip(".") for limit in (minimum, maximum))
    kind = "integer" if isinstance(value, int) else "number"
    text = f"{description} From {low} to {high}."
    return Param(value, type=kind, minimum=minimum, maximum=maximum, title=title, description=text)


def chosen_by_the_table(minimum: int, maximum: int, *, title: str, description: str) -> Param:
    """Return an integer field that may be empty."""
    text = f"{description} From {minimum:,} to {maximum:,}; empty: chosen by the number of rows."
    kind = ["null", "integer"]
    return Param(None, type=kind, minimum=minimum, maximum=maximum, title=title, description=text)


def split_by(default: SplitBy) -> Param:
    """Return the field that selects how rows are split."""
    return Param(
        default, type="string", enum=[*SPLIT_BY], title="Split by",
        description="How flights are split into train, val and test: by date (the newest are test), or by a hash of "
        "their id, in the same proportions; each flight then stays in its split.",
    )  # fmt: skip


PARAMS = {
    # This table is small, so a cheap CPU type is enough; the package's default is ml.g5.12xlarge.
    "training_instance_type": Param(
        "ml.m5.large", type="string", enum=INSTANCE_TYPES, title="Instance type",
        description="SageMaker instance type; ml.g* and ml.p* have GPUs. The local SageMaker trains on this machine.",
    ),
    "learning_rate": ranged(
        0.001, 0.000001, 1, title="Learning rate", description="Learning rate of the optimizer after warmup.",
    ),
    "batch_size": chosen_by_the_table(
        16, 65536, title="Batch size", description="Rows per optimization step, in total over all GPUs.",
    ),
    "epochs": chosen_by_the_table(
        1, 200, title="Epochs",
        description="Maximum passes over the training rows; training stops early if validation does not improve.",
    ),
    "window_days": ranged(
        Window.days, 28, MAX_DAYS, title="Window (days)",
        description=f"Days of flights up to the partition: the last {Window.test_days} are test, the {Window.val_days} "
        "before them val, the others train. Longer windows take longer and give better models.",
    ),
    "split_by": split_by("time"),
    "missing_data": Param(
        "fail", type="string", enum=[*MISSING_DATA], title="Missing raw dates",
        description="If raw dates of the window are missing: fail the partition, skip it, or wait for them for up to "
        f"{WAIT_WITHIN.total_seconds() / 3600:.0f} hours.",
    ),
}  # fmt: skip

HYPERPARAMETERS = {
    **FLIGHTS.field_lists(),
    "learning_rate": "{{ params.learning_rate }}",
    "batch_size": "{{ params.batch_size }}",
    "epochs": "{{ params.epochs }}",
}
"""The table's columns, and the form's values."""
