"""The model package of a training: metadata with the model's origin and metrics."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow_sagemaker.aws.model_registry import metadata_name
from airflow_sagemaker.config.partition_keys import partition_folder, partition_key
from airflow_sagemaker.exceptions import ConfigurationError, Violation
from airflow_sagemaker.types import JsonMapping, JsonObject

TOKEN_CHARACTERS = 32
"""CreateModelPackage takes a ClientToken of at most 36."""
METADATA_VALUE = re.compile(r"[\w \u00a0.:/=+\-@]{1,256}")
"""CustomerMetadataProperties of CreateModelPackage: letters, separators, digits and these signs."""
METADATA_ENTRIES = 50
"""CustomerMetadataProperties at most."""
PARTITION, DIGEST, EXECUTION, DATA_DIGEST, REPORT = "partition", "digest", "execution", "data_digest", "report"
_DESCRIPTION = re.compile(
    r"Partition (?P<partition>\S+), (?P<metric>.+) (?P<value>-?[0-9.]+(?:e[-+]?\d+)?|-?inf|nan), airflow-sagemaker \w+"
)
_OUTCOME_FIELDS = ("execution_arn", "model_artifact", "metrics")


@dataclass(frozen=True)
class Candidate:
    """A trained model: the parts of its outcome that a package keeps, and the token that makes it one package."""

    execution_arn: str
    model_artifact: str
    metrics: Mapping[str, float]
    partition: str
    digest: str
    data_digest: str
    report: str
    token: str
    training_job: str = ""

    @classmethod
    def of(cls, outcome: JsonMapping, partition: str, identity: tuple[object, ...]) -> Candidate:
        """Read an outcome (XCom of the sensor). Raises ConfigurationError if it is not the outcome of a training.

        `identity` is of the task run and the group. With the execution it makes the token, so that each try of one
        task asks for the same package, and a task that was cleared with its training for another one.
        """
        missing = _OUTCOME_FIELDS if not isinstance(outcome, Mapping) else [
            name for name in _OUTCOME_FIELDS if not outcome.get(name)
        ]  # fmt: skip
        if missing:
            rule = f"must be the outcome of a training, with {', '.join(missing)}"
            raise ConfigurationError(
                [Violation("outcome", outcome, rule, "pass the output of the task that waits")], what="promotion"
            )
        digests = ((outcome.get("report") or {}).get("data") or {}).get("digests")
        return cls(
            execution_arn=outcome["execution_arn"],
            model_artifact=outcome["model_artifact"],
            metrics={name: math.nan if value is None else float(value) for name, value in outcome["metrics"].items()},
            partition=partition,
            digest=outcome.get("digest") or "",
            data_digest=hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest() if digests else "",
            report=re.sub(r"model\.tar\.gz$", "output.tar.gz", outcome["model_artifact"]),
            token=hashlib.sha256(json.dumps([*identity, outcome["execution_arn"]]).encode()).hexdigest()[
                :TOKEN_CHARACTERS
            ],
            training_job=outcome.get("training_job_name") or "",
        )

    def metadata(self, metric: str) -> dict[str, str]:
        """Return CustomerMetadataProperties: the model's origin, and metrics by their names, `metric` first.

        The partition is written as in paths (`partition_keys`), with @ for %, which the service does not accept. Other
        values that it does not accept are omitted, and so are metrics beyond its limit.
        """
        names = sorted(self.metrics, key=lambda name: name != metric)
        origin = {
            PARTITION: partition_folder(self.partition).replace("%", "@"),
            DIGEST: self.digest,
            EXECUTION: self.execution_arn,
            DATA_DIGEST: self.data_digest,
            REPORT: self.report,
        }
        given = origin | {metadata_name(name): repr(self.metrics[name]) for name in names} | origin
        taken = {name: value for name, value in given.items() if METADATA_VALUE.fullmatch(value)}
        return dict(list(taken.items())[:METADATA_ENTRIES])

    def description(self, metric: str) -> str:
        """Return the package's description, which listings show.

        The token in it finds the package again, however long AWS knows tokens; partition and value make a listing the
        history of the metric (`history`).
        """
        partition = partition_folder(self.partition)
        return f"Partition {partition}, {metric} {self.metrics[metric]!r}, airflow-sagemaker {self.token}"

    def request(self, group: str, image: str, metric: str) -> JsonObject:
        """Return the request of CreateModelPackage."""
        container = {"Image": image, "ModelDataUrl": self.model_artifact}
        return {
            "ModelPackageGroupName": group,
            "ModelPackageDescription": self.description(metric),
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [container],
                "SupportedContentTypes": ["application/json", "text/csv"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            "CustomerMetadataProperties": self.metadata(metric),
            "ClientToken": self.token,
        }


def value_in(description: str, metric: str) -> float | None:
    """Return the metric's value that a package's description says, None if it says none."""
    matched = _DESCRIPTION.fullmatch(description)
    return float(matched["value"]) if matched is not None and matched["metric"] == metric else None


def history(metric: str, descriptions: Iterable[str]) -> dict[str, float]:
    """Return the metric's value by partition, oldest partition first, from descriptions that are newest first."""
    found: dict[str, float] = {}
    for text in descriptions:
        matched, value = _DESCRIPTION.fullmatch(text), value_in(text, metric)
        if matched is not None and value is not None:
            found.setdefault(partition_key(matched["partition"]), value)
    return dict(sorted(found.items()))
