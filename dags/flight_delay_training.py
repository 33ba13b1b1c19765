"""Train a model of flight delays for every date partition: extract -> preprocess -> start -> wait -> report -> promote.

The run's partition key is the only date. Scheduled runs train yesterday's partition, after the day has ended; a run
that is triggered without a key trains today's (UTC). The flights of 2013 repeat (preprocessing/flights/source.py).
Everything that differs between AWS and the local SageMaker is in the Airflow connection `aws_default`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from airflow.sdk import Asset

# preprocessing/ is next to dags/ in the checkout, and Airflow adds only dags/ and plugins/ to the path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from flight_delay.training_dag import training_dag

dag = training_dag(
    "flight_delay_training",
    pipeline="flight-delay-training",
    table=Asset("flight_delay_table"),
    model=Asset("flight_delay_model"),
    champion=Asset("flight_delay_champion"),
    doc_md=__doc__,
)
