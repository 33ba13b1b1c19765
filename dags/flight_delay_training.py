"""Train a model of flight delays for every date partition: extract -> preprocess -> start -> wait -> report -> promote.

The run's partition key is the only date. Scheduled runs train yesterday (the run starts when the day is over); a run
triggered without a key trains today (UTC). The flights are those of 2013, repeated: preprocessing/flights/source.py.
Everything that differs between AWS and the local SageMaker stands in the Airflow connection `aws_default`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from airflow.sdk import Asset

# preprocessing/ lies beside dags/ in the checkout, and Airflow puts only dags/ and plugins/ on the path.
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
