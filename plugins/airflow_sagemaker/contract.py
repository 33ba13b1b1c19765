"""Names that several parts of the project share, each defined only once.

It imports nothing, so that everything can import it: DAG files, the pages (whose JavaScript gets `as_json`), the
command line and `bin/`. `training/` is shipped without this package and has its own copy; a test compares the two.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum

from airflow_sagemaker.types import JsonMapping

NUMBER = r"([0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?|nan|inf)"


@dataclass(frozen=True)
class Metric:
    """A number that the training prints after each epoch, and SageMaker reads from its log."""

    name: str
    """SageMaker's MetricName, and the key in outcomes, reports and logs."""
    short: str
    """The name in tables and charts."""
    higher_is_better: bool

    @property
    def regex(self) -> str:
        """The regular expression that SageMaker searches the job's log for."""
        return f"{self.name}: {NUMBER}"


TRAIN_LOSS = Metric("Train Loss", "train loss", higher_is_better=False)
VALIDATION_LOSS = Metric("Validation Loss", "loss", higher_is_better=False)
VALIDATION_F1 = Metric("Validation F1 Score", "f1", higher_is_better=True)
VALIDATION_AUC = Metric("Validation AUC ROC", "auc", higher_is_better=True)
METRICS = (TRAIN_LOSS, VALIDATION_LOSS, VALIDATION_F1, VALIDATION_AUC)


_LOWER_IS_BETTER = re.compile(r"loss|error|rmse|mae", re.IGNORECASE)


def higher_is_better(metric: str) -> bool:
    """Whether a larger value is better. For a user's own metric: unless it is called a loss or an error."""
    known = {ours.name: ours.higher_is_better for ours in METRICS}
    return known.get(metric, not _LOWER_IS_BETTER.search(metric))


class XCom(StrEnum):
    """XCom keys of operator and sensor. Airflow stores them, so they never change."""

    RETURN_VALUE = "return_value"
    """The operator's execution ARN; the sensor's Outcome."""
    STARTED = "training_pipeline"
    """What the operator started."""
    DEFINITION = "training_definition"
    """The pipeline definition that runs."""
    OUTCOME = "outcome"
    """The Outcome, if the operator itself waits."""
    PROMOTION = "model_promotion"
    """The decision of a promotion; also the return value of its operator."""
    DATA_CHECKS = "data_checks"
    """The findings of the data checks (docs/data-checks.md)."""
    EXECUTION_LINK = "_link_sagemaker_execution"
    TRAINING_JOB_LINK = "_link_sagemaker_training_job"
    TRAINING_LOG_LINK = "_link_sagemaker_training_log"
    MODEL_ARTIFACT_LINK = "_link_sagemaker_model_artifact"


class ProgressLevel(StrEnum):
    """What a waiting task writes to its log."""

    STATUS = "status"
    """The execution's status."""
    STEPS = "steps"
    """Also each step's."""
    LOGS = "logs"
    """Also the jobs' log lines."""


PROGRESS_LEVELS = tuple(level.value for level in ProgressLevel)

ALIAS_PREFIX = "d-"
"""Prefix of version aliases, followed by the definition's digest."""

TRAINING_STEP = "Train"
"""Name of the training step."""

SCORING_STEP = "Score"
"""Name of the scoring step."""

CHANNELS = ("train", "val", "test")
"""The training job's input channels."""

PAGES_URL_PREFIX = "/sagemaker-training"
"""Path of the pages below Airflow's base URL."""

REPORT_SCHEMA = 1
"""The version of report.json that this package reads; it increases when a key changes its meaning."""


def channel_key(channel: str, *, is_manifest: bool = False) -> str:
    """Return a channel's path below the input path: `train/train.parquet`, or `train/train.manifest`."""
    return f"{channel}/{channel}.{'manifest' if is_manifest else 'parquet'}"


def version_alias(digest: str) -> str:
    """Return the alias of the pipeline version with this definition."""
    return f"{ALIAS_PREFIX}{digest}"


def digest_of_alias(alias: str) -> str:
    """Return the digest in a version's alias; empty if the alias is not ours."""
    return alias.removeprefix(ALIAS_PREFIX) if alias.startswith(ALIAS_PREFIX) else ""


def report_problem(report: JsonMapping) -> str:
    """Return why this version cannot read a report.json, or an empty string.

    A report without a `schema` is of a user's own program, and is used as far as its keys are known.
    """
    found = report.get("schema", REPORT_SCHEMA)
    if found == REPORT_SCHEMA:
        return ""
    return f"report.json has schema {found!r}, expected {REPORT_SCHEMA}: use training/ and package of one version"


def as_json() -> str:
    """Return the names that the pages' JavaScript needs, as one JSON object."""
    return json.dumps(
        {
            "metrics": [{"name": m.name, "regex": m.regex, "higherIsBetter": m.higher_is_better} for m in METRICS],
            "xcom": {key.name: key.value for key in XCom},
            "reportSchema": REPORT_SCHEMA,
        }
    )
