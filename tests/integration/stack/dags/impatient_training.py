"""The shipped DAG, with less time between two looks for raw dates than anybody wants in earnest."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from airflow.sdk import Asset

ROOT = Path(__file__).resolve().parents[4]
sys.path.append(str(ROOT / "dags"))

from flight_delay import form  # noqa: E402

form.WAIT_EVERY = timedelta(seconds=3)

from flight_delay.training_dag import training_dag  # noqa: E402

dag = training_dag("impatient_training", pipeline="impatient-training", model=Asset("impatient_model"))
