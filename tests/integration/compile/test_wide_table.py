"""A table of a thousand columns, through the shipped training program in a job of the local SageMaker."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_sagemaker import PytorchTrainingConfig
from tests.support.deployed import Deployed

ROOT = Path(__file__).resolve().parents[3]
NUMERIC = [f"measured value {number}, größe" for number in range(900)]
CATEGORICAL = [f"kind {number}" for number in range(98)]
FIELDS: dict[str, Any] = {
    "id_name": "row id",
    "label_name": "late",
    "full_field_list": ["row id", "late", *NUMERIC, *CATEGORICAL],
    "tab_field_list": NUMERIC,
    "cat_field_list": CATEGORICAL,
}
SMALL = {"epochs": 1, "hidden_size": 8, "hidden_layers": 1, "embedding_size": 2, "batch_size": 64, "threads": 1}


def rows(count: int, seed: int) -> bytes:
    """Rows whose label is the sign of the first number."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(count, len(NUMERIC)))
    kinds = random.integers(0, 3, (count, len(CATEGORICAL)))
    columns: dict[str, Any] = {"row id": [f"r{i}" for i in range(count)], "late": (numbers[:, 0] > 0).astype(np.int8)}
    columns |= {name: numbers[:, place] for place, name in enumerate(NUMERIC)}
    columns |= {name: pa.array([f"k{kind}" for kind in kinds[:, place]]) for place, name in enumerate(CATEGORICAL)}
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target)
    return target.getvalue()


@pytest.mark.slow
def test_a_thousand_columns_train(config: PytorchTrainingConfig, local_sagemaker: Any) -> None:
    assert len(FIELDS["full_field_list"]) == 1000
    config = config.updated(
        bucket="wide-table", pipeline_name="wide-table", source_dir=str(ROOT / "training"),
        hyperparameters={**FIELDS, **SMALL}, install_requirements=False,
    )  # fmt: skip
    tables = {channel: rows(200, seed) for seed, channel in enumerate(("train", "val", "test"))}
    pipeline = Deployed(local_sagemaker, config, tables)
    step = pipeline.trained(pipeline.start(config))
    job = pipeline.job(step)
    assert not any(name.endswith("_field_list") for name in job["HyperParameters"])  # they came as a file
    metrics = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
    assert 0 <= metrics["Validation AUC ROC"] <= 1
    described = json.dumps(json.loads(pipeline.model_file(step, "preprocess.json")), ensure_ascii=False)
    assert all(name in described for name in (NUMERIC[-1], CATEGORICAL[-1]))
