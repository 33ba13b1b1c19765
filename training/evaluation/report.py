"""What a training writes: the model's folder (the artifact) and report.json, whose schema is defined here.

report.json has at most 64 KB, so that an orchestrator can pass it on as it is. `schema` is raised when the meaning of a
key changes.
"""

from __future__ import annotations

import io
import json
import math
import platform
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NotRequired, TypeAlias, TypedDict

import torch

from training.evaluation.metrics import Scores, Tally
from training.files import write_whole
from training.json_types import JsonObject
from training.model import Shape, TabularNet
from training.table.prepare import Tables

SCHEMA = 1
LIMIT_BYTES = 64 * 1024
MODEL_FORMAT = 2  # of preprocess.json and model.pt
SERVING_PACKAGES = ("pyarrow",)  # those of requirements.txt that inference.py needs
SERVED = (
    "__init__",
    "errors",
    "model",
    "json_types",
    "table/__init__",
    "table/encoding",
    "table/labels",
    "table/values",
)
"""Modules that inference.py needs."""
PACKAGES = ("torch", "numpy", "pyarrow")

ScoreEntry: TypeAlias = dict[str, float | None]
"""Scores by name; None for one that is not finite."""


class CalibrationBin(TypedDict):
    """Rows with similar probabilities."""

    count: int
    predicted: float
    """Mean probability of the positive class, or of the answer if there are more than two classes."""
    observed: float
    """Share of the rows for which that was right."""


class Confusion(TypedDict):
    """The confusion matrix."""

    labels: list[str]
    counts: Sequence[Sequence[int]]
    """Rows by class (row) and predicted class (column)."""
    split: str


class LabelEntry(TypedDict):
    """The label's part of the report."""

    classes: list[str | bool | int | float]
    positive: NotRequired[str | bool | int | float]
    """Of two classes, the one whose probability is predicted."""
    rows: dict[str, list[int]]
    """Rows of each class by split."""


class Importance(TypedDict):
    """What a feature contributes."""

    feature: str
    auc_drop: float | None
    """Drop in AUC when its values are permuted."""


def calibration(rows: Tally, bins: int = 10) -> tuple[list[CalibrationBin], float]:
    """Compare predicted and observed rates in bins of about equally many rows; also return their mean difference."""
    count, seen = rows.counts.sum(1).double(), rows.counts[:, 1].double()
    total = float(count.sum())
    group = ((count.cumsum(0) - count / 2) / total * bins).long()
    summed = [
        torch.bincount(group, weights=values, minlength=bins).tolist()
        for values in (count, count * torch.sigmoid(rows.logits), seen)
    ]
    table: list[CalibrationBin] = [
        {"count": int(n), "predicted": round(said / n, 6), "observed": round(true / n, 6)}
        for n, said, true in zip(*summed, strict=True)
        if n
    ]
    error = sum(b["count"] * abs(b["predicted"] - b["observed"]) for b in table) / total
    return table, round(error, 6)


def confusion(
    names: Sequence[str | bool | int | float], classes: Sequence[int], counts: Sequence[Sequence[int]]
) -> Confusion:
    """Return the test rows by class (row) and predicted class (column); -1 stands for all classes not shown."""
    return {"labels": [as_text(names[c]) if c >= 0 else "others" for c in classes], "counts": counts, "split": "test"}


def as_text(name: str | bool | int | float) -> str:
    """Return a class's name as JSON, but strings without quotes."""
    return name if isinstance(name, str) else json.dumps(name)


def class_counts(tables: Tables) -> LabelEntry:
    """Return the label's part of the report: its classes, the positive one, and the rows of each by split."""
    names = tables.classes.names
    if tables.classes.binary:
        return {"classes": names, "positive": names[1], "rows": tables.counts}
    return {"classes": names, "rows": tables.counts}


def score_entry(scores: Scores) -> ScoreEntry:
    """Return a split's part of the report."""
    entry = {
        "Loss": scores.loss,
        "F1 Score": scores.f1,
        "AUC ROC": scores.auc,
        "Average Precision": scores.average_precision,
    }
    return {name: clean(value) for name, value in entry.items()}


def clean(value: float) -> float | None:
    """Return a number that JSON can represent, None for NaN and infinity."""
    return round(value, 6) if math.isfinite(value) else None


def versions() -> dict[str, str]:
    """Return the versions that the result depends on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def dump(report: JsonObject) -> str:
    """Return the report as JSON of at most LIMIT_BYTES: the longest lists are cut first."""
    report = {**report}
    text = json.dumps(report, indent=1, allow_nan=False)
    for key in ("importance", "history", "warnings"):
        while len(text.encode()) > LIMIT_BYTES and len(report.get(key) or []) > 1:
            report[key] = report[key][: len(report[key]) // 2] if key != "history" else report[key][::2]
            report["shortened"] = sorted({*report.get("shortened", []), key})
            text = json.dumps(report, indent=1, allow_nan=False)
    if len(text.encode()) > LIMIT_BYTES:
        for name in ("full_field_list", "tab_field_list", "cat_field_list"):
            report["hyperparameters"] = {**report["hyperparameters"], name: "see preprocess.json"}
        report["shortened"] = sorted({*report.get("shortened", []), "hyperparameters"})
        text = json.dumps(report, indent=1, allow_nan=False)
    return text


def write_model(
    folder: Path, model: TabularNet, shape: Shape, tables: Tables, threshold: float | None, names: dict[str, str]
) -> None:
    """Write the artifact: weights, preprocess.json and the code that serves them."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = io.BytesIO()
    torch.save({name: tensor.cpu() for name, tensor in model.state_dict().items()}, weights)
    write_whole(folder / "model.pt", weights.getvalue())
    preprocess = {
        "format": MODEL_FORMAT,
        "shape": shape.to_json(),
        "encoder": tables.encoder.to_json(),
        "classes": tables.classes.to_json(),
        "threshold": threshold,
        "versions": versions(),
        **names,
    }
    write_whole(folder / "preprocess.json", json.dumps(preprocess, ensure_ascii=False).encode())
    here = Path(__file__).parents[1]
    package = folder / "code" / "training"
    (package / "table").mkdir(parents=True, exist_ok=True)
    for name in SERVED:
        shutil.copy(here / f"{name}.py", package / f"{name}.py")
    shutil.copy(here / "inference.py", folder / "code")
    pins = (here / "requirements.txt").read_text(encoding="utf-8").splitlines()
    needed = [pin for pin in pins if pin.partition("==")[0] in SERVING_PACKAGES]
    (folder / "code" / "requirements.txt").write_text("\n".join(needed) + "\n", encoding="utf-8")


def write_curves(path: Path, epochs: list[dict[str, float]]) -> None:
    """Plot losses and scores over the epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    loss, quality = figure.subplots(1, 2)
    x = [epoch["epoch"] for epoch in epochs]
    for axes, names in (
        (loss, ("Train Loss", "Validation Loss")),
        (quality, ("Validation AUC ROC", "Validation F1 Score")),
    ):
        for name in names:
            axes.plot(x, [epoch[name] for epoch in epochs], marker=".", label=name)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, dpi=100)
    write_whole(path, picture.getvalue())
