"""XComs of the shapes that the operator and the sensor push, with numbers that are the same at every call.

Stands beside the test DAG (Airflow puts the DAG folder on sys.path) and is used for seeding the history too.
"""

from __future__ import annotations

import hashlib
import math
from datetime import date
from typing import Any

METRICS = ("Train Loss", "Validation Loss", "Validation F1 Score", "Validation AUC ROC")
BROKEN_FROM = date(2013, 8, 20)
"""From this partition on the seeded AUC is clearly lower: the day that the history has to find."""
BASELINE = {"Train Loss": 0.5568, "Validation Loss": 0.5571, "Validation F1 Score": 0.3932, "Validation AUC ROC": 0.5}


def date_in(partition: str | None) -> str:
    """The partition when it is a date, else one that stands for it."""
    return partition if partition and partition[:2] == "20" else "2013-07-04"


def noise(*key: Any) -> float:
    """A number in [-1, 1] that depends on the key alone."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:4]) / 2**31 - 1


def history(partition: str, epochs: int = 12) -> list[dict[str, float]]:
    """The metrics of each epoch."""
    drop = 0.055 if date.fromisoformat(partition) >= BROKEN_FROM else 0.0
    season = 0.006 * math.sin(date.fromisoformat(partition).timetuple().tm_yday / 365 * 2 * math.pi)
    rows = []
    for epoch in range(1, epochs + 1):
        gain = 1 - math.exp(-epoch / 3)
        wobble = 0.004 * noise(partition, epoch) + 0.003 * noise(partition)
        rows.append(
            {
                "epoch": epoch,
                "Train Loss": 0.60 - 0.105 * gain - 0.004 * epoch / epochs + wobble / 3,
                "Validation Loss": 0.59 - 0.085 * gain + 0.006 * (epoch / epochs) ** 4 + drop / 2 - wobble / 2,
                "Validation F1 Score": 0.38 + 0.115 * gain - drop + wobble,
                "Validation AUC ROC": 0.62 + 0.092 * gain + season - drop + wobble,
            }
        )
    return rows


def execution_arn(partition: str) -> str:
    identity = hashlib.sha256(partition.encode()).hexdigest()[:12]
    return f"arn:aws:sagemaker:us-east-1:123456789012:pipeline/flight-delay-training/execution/{identity}"


def digest(partition: str) -> str:
    """Changes twice a year: two new definitions in 2013."""
    version = sum(partition >= change for change in ("2013-05-02", "2013-10-14"))
    return hashlib.sha256(str(version).encode()).hexdigest()


def started(partition: str) -> dict[str, Any]:
    """XCom `training_pipeline` of the operator."""
    learning_rate = "0.001" if partition < "2013-10-14" else "0.0007"
    root = f"s3://flight-delays/flight-delay-training/{{}}/{partition}"
    return {
        "pipeline_name": "flight-delay-training",
        "digest": digest(partition),
        "version_alias": "d-" + digest(partition),
        "partition": partition,
        "display_name": f"flight-delay-training-{partition}-5f0c2a",
        "console_url": "https://us-east-1.console.aws.amazon.com/sagemaker/home?region=us-east-1#/jobs",
        "parameters": {
            "InputPath": root.format("input"),
            "OutputPath": root.format("output"),
            "CheckpointPath": root.format("checkpoints") + "/9d1f20c4",
            "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10.0-cpu-py313",
            "TrainingInstanceType": "ml.g5.12xlarge",
            "TrainingInstanceCount": "1",
            "HyperparameterLearningRate": learning_rate,
            "HyperparameterBatchSize": "1024",
            "HyperparameterEpochs": "12",
            "HyperparameterDropout": "0.1",
            "HyperparameterSeed": "0",
        },
    }


def definition(partition: str) -> dict[str, Any]:
    """XCom `training_definition`: the source tree differs between the definitions, and the last adds a channel."""
    channels = [{"ChannelName": name} for name in ("train", "val", "test", "code")]
    if partition >= "2013-10-14":
        channels.insert(0, {"ChannelName": "extra"})
    source = f"s3://flight-delays/flight-delay-training/code/{digest(partition)[:12]}"
    step = {"Name": "Train", "Type": "Training", "Arguments": {"InputDataConfig": channels, "Source": source}}
    return {"Version": "2020-12-01", "Steps": [step]}


def report(partition: str) -> dict[str, Any]:
    """The training job's report.json (training/evaluation/report.py owns its schema)."""
    rows = history(partition)
    last = rows[-1]
    return {
        "history": rows,
        "best_epoch": 10,
        "threshold": 0.274,
        "data": {
            "rows": {"train": 24513, "val": 912, "test": 937},
            "positive": {"train": 5883, "val": 210, "test": 227},
        },
        "seconds": {"training": 391.2},
        "metrics": {name: rows[9][name] for name in METRICS},
        "baseline": BASELINE,
        "test": {name.replace("Validation ", ""): last[name] - 0.004 for name in METRICS[1:]},
        "calibration_error": 0.0141,
        "importance": [
            {"feature": name, "auc_drop": round(0.052 / (place + 1) ** 0.8, 4)}
            for place, name in enumerate(
                ("carrier_rate", "sched_dep_minute", "visibility", "dest", "plane_age", "carrier")
            )
        ],
        "warnings": [],
        "confusion_matrix": {"labels": ["on time", "late"], "counts": [[512, 198], [94, 133]], "split": "test"},
        "calibration": [
            {"predicted": p / 20, "observed": max(0.0, p / 20 + 0.03 * noise(partition, p)), "count": 400 // p}
            for p in range(1, 15, 2)
        ],
    }


def checks() -> list[dict[str, Any]]:
    """XCom `data_checks` of a preprocessing: one number breaks its limit."""
    return [
        {"check": "share of label 1", "where": "train", "value": 0.24, "limit": "0.02 to 0.8", "ok": True},
        {"check": "drift (PSI)", "where": "distance", "value": 0.31, "limit": "at most 0.25", "ok": False},
        {
            "check": "ids in several splits",
            "where": "train, val",
            "value": 3,
            "limit": "0",
            "ok": False,
            "example": "7",
        },
        {"check": "drift (PSI)", "where": "humid", "value": 0.4, "limit": "-", "ok": True},
    ]


def outcome(partition: str, *, started_at: str | None = None) -> dict[str, Any]:
    """The sensor's return value."""
    last = history(partition)[-1]
    name = "pipelines-" + execution_arn(partition)[-12:] + "-Train"
    account = "arn:aws:sagemaker:us-east-1:123456789012"
    return {
        "status": "Succeeded",
        "execution_arn": execution_arn(partition),
        "digest": digest(partition),
        "model_artifact": f"s3://flight-delays/flight-delay-training/output/{partition}/{name}/output/model.tar.gz",
        "checkpoint_path": started(partition)["parameters"]["CheckpointPath"],
        "metrics": {name: last[name] for name in METRICS},
        "report": report(partition),
        "billable_seconds": 412,
        "training_job_name": name,
        "steps": [
            {
                "name": "Train",
                "type": "TrainingJob",
                "status": "Succeeded",
                "seconds": 438.4,
                "cache_hit": False,
                "arn": f"{account}:training-job/{name}",
                "started_at": started_at,
            }
        ],
    }


def promotion(partition: str) -> dict[str, Any]:
    """What a promotion decided: a model of the broken time is rejected."""
    package = "arn:aws:sagemaker:eu-central-1:123456789012:model-package/year"
    number = date.fromisoformat(partition).timetuple().tm_yday
    is_rejected = partition >= BROKEN_FROM.isoformat()
    return {
        "package_arn": f"{package}/{number}",
        "package_url": f"https://example.com/ui/packages/year/{number}",
        "status": "Rejected" if is_rejected else "Approved",
        "reason": "worse" if is_rejected else "better",
        "metric": "Validation AUC ROC",
        "value": report(partition)["metrics"]["Validation AUC ROC"],
        "champion_arn": f"{package}/{number - 1}" if number > 1 else None,
        "champion_value": 0.7 if number > 1 else None,
        "findings": [],
    }
