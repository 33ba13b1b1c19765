"""Words that several rooms and programs share: a word that stands in two files is a fault.

Nothing is imported here, so that anything may import it: DAG files, the pages (whose JavaScript gets `as_json`), the
command line, `bin/`. `training/` is shipped to the container alone and keeps its own copy; a test compares the two.
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
    """One of the four numbers that a training prints after each epoch and SageMaker reads from its log."""

    name: str
    """SageMaker's MetricName, and the key in outcomes, reports and logs."""
    short: str
    """For tables and charts where the name is too long."""
    higher_is_better: bool

    @property
    def regex(self) -> str:
        """What SageMaker searches a line of the job's log with."""
        return f"{self.name}: {NUMBER}"


TRAIN_LOSS = Metric("Train Loss", "train loss", higher_is_better=False)
VALIDATION_LOSS = Metric("Validation Loss", "loss", higher_is_better=False)
VALIDATION_F1 = Metric("Validation F1 Score", "f1", higher_is_better=True)
VALIDATION_AUC = Metric("Validation AUC ROC", "auc", higher_is_better=True)
METRICS = (TRAIN_LOSS, VALIDATION_LOSS, VALIDATION_F1, VALIDATION_AUC)


_LOWER_IS_BETTER = re.compile(r"loss|error|rmse|mae", re.IGNORECASE)


def higher_is_better(metric: str) -> bool:
    """Whether a larger value is better; of others than our own metrics, not of what is called a loss or an error."""
    known = {ours.name: ours.higher_is_better for ours in METRICS}
    return known.get(metric, not _LOWER_IS_BETTER.search(metric))


class XCom(StrEnum):
    """Keys under which operator and sensor push; Airflow stores them, so they never change."""

    RETURN_VALUE = "return_value"
    """The operator's execution ARN; the sensor's Outcome."""
    STARTED = "training_pipeline"
    """What the operator started."""
    DEFINITION = "training_definition"
    """The pipeline definition that runs."""
    OUTCOME = "outcome"
    """The Outcome, of an operator that waits itself."""
    PROMOTION = "model_promotion"
    """What a promotion decided; also the return value of its operator."""
    DATA_CHECKS = "data_checks"
    """What a preprocessing task found in its data (docs/data-checks.md)."""
    EXECUTION_LINK = "_link_sagemaker_execution"
    TRAINING_JOB_LINK = "_link_sagemaker_training_job"
    TRAINING_LOG_LINK = "_link_sagemaker_training_log"
    MODEL_ARTIFACT_LINK = "_link_sagemaker_model_artifact"


class ProgressLevel(StrEnum):
    """What a wait writes to the task's log."""

    STATUS = "status"
    """The execution's status."""
    STEPS = "steps"
    """Also each step's."""
    LOGS = "logs"
    """Also the jobs' own lines."""


PROGRESS_LEVELS = tuple(level.value for level in ProgressLevel)

ALIAS_PREFIX = "d-"
"""A definition's version alias is this and its digest."""

TRAINING_STEP = "Train"
"""Name of the training step."""

SCORING_STEP = "Score"
"""Name of the scoring step."""

CHANNELS = ("train", "val", "test")
"""The training job's input channels."""

PAGES_URL_PREFIX = "/sagemaker-training"
"""Where the pages are below Airflow's address."""

REPORT_SCHEMA = 1
"""The version of report.json that this package reads; raised when a key changes its meaning."""


def channel_key(channel: str, *, is_manifest: bool = False) -> str:
    """What comes after the input path for a channel: `train/train.parquet`, or `train/train.manifest`."""
    return f"{channel}/{channel}.{'manifest' if is_manifest else 'parquet'}"


def version_alias(digest: str) -> str:
    """The alias of the pipeline version that holds the definition of this digest."""
    return f"{ALIAS_PREFIX}{digest}"


def digest_of_alias(alias: str) -> str:
    """The digest in a version's alias; empty for an alias that is not one of ours."""
    return alias.removeprefix(ALIAS_PREFIX) if alias.startswith(ALIAS_PREFIX) else ""


def report_problem(report: JsonMapping) -> str:
    """Why a report.json cannot be read by this version, or an empty string.

    A report without a `schema` is that of a user's own program: it is read as far as it goes.
    """
    found = report.get("schema", REPORT_SCHEMA)
    if found == REPORT_SCHEMA:
        return ""
    return f"report.json has schema {found!r}, expected {REPORT_SCHEMA}: use training/ and package of one version"


def as_json() -> str:
    """What the pages' JavaScript needs, as one JSON object."""
    return json.dumps(
        {
            "metrics": [{"name": m.name, "regex": m.regex, "higherIsBetter": m.higher_is_better} for m in METRICS],
            "xcom": {key.name: key.value for key in XCom},
            "reportSchema": REPORT_SCHEMA,
        }
    )
