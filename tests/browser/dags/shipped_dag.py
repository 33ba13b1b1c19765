"""The shipped DAG, for the trigger form that Airflow draws: nothing here runs it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3] / "dags"))

from flight_delay_training import dag

__all__ = ["dag"]
