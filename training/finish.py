"""After the last epoch: the kept weights are evaluated once on the test rows, and the artifact is written.

Model and report are written before what can wait: the importance of features and the plot of the curves.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict
from typing import Any

import torch

from training import exits
from training.errors import Interrupted
from training.evaluation import metrics, report
from training.evaluation.scoring import baseline
from training.files import write_whole
from training.json_types import JsonObject
from training.model import TabularNet
from training.table.rows import Order
from training.trainer import Trainer

IMPORTANCE_SHARE = 0.1  # of the training's seconds ...
LEAST_SECONDS = 0.5  # ... but at least so many, for a short training
IMPORTANCE_ROWS = (200, 20_000)  # of the validation rows: as many as there is time for, within these bounds


def finish(trainer: Trainer) -> None:
    """Score the test rows, write model and report, then what can wait."""
    net = trainer.serving_net(trainer.best)
    tally = trainer.tally("test", net)
    if tally is None:
        return
    progress, tables, hp = trainer.progress, trainer.tables, trainer.hp
    best = progress.history[progress.best_epoch - 1]
    content = contents(trainer, tally, best)
    names = {"label_name": hp.label_name, "id_name": hp.id_name}
    report.write_model(trainer.paths.model, net, trainer.shape, tables, best["threshold"], names)
    write_report(trainer, content)
    for line in metrics.lines(best):
        trainer.say(
            f"Kept epoch {progress.best_epoch}: {line}"
        )  # last in the log: SageMaker's final metrics are those of the artifact
    trainer.sigterm.held = False  # from here on it interrupts what can wait
    try:
        if trainer.sigterm.seen:
            raise Interrupted("SIGTERM")
        add_what_can_wait(trainer, net, content)
    except Interrupted:
        trainer.say("SIGTERM: model and report are complete; importance or curves.png was skipped")


def add_what_can_wait(trainer: Trainer, net: TabularNet, content: JsonObject) -> None:
    """Measure the importance and plot the curves; a failure of either costs a warning, not the model."""

    def add_importance() -> None:
        content["importance"] = importance(trainer, net)
        write_report(trainer, content)

    def draw_curves() -> None:
        report.write_curves(trainer.paths.model / "curves.png", trainer.progress.history)

    for what, add in {"importance": add_importance, "curves.png": draw_curves}.items():
        if what == "importance" and not trainer.hp.importance:
            continue
        try:
            add()
        except Interrupted:
            raise
        except Exception as error:
            trainer.say(f"Warning: {what} was skipped: {exits.explain(error)}")


def contents(trainer: Trainer, tally: Any, best: JsonObject) -> JsonObject:
    """Return the report without the importance, and log the test scores."""
    tables, scoring = trainer.tables, trainer.scoring
    test = scoring.score(tally, best["threshold"])
    at = "" if test.threshold is None else f" at threshold {test.threshold:.4f}"
    trainer.say(f"Test: loss {test.loss:.6f}, AUC {test.auc:.6f}, F1 {test.f1:.6f}{at}")
    calibration, calibration_error = report.calibration(scoring.answers(tally))
    balanced = trainer.hp.class_weight == "balanced"
    label = report.class_counts(tables)
    return {
        "schema": report.SCHEMA,
        "hyperparameters": asdict(trainer.hp),
        "plan": {"batch_size": trainer.plan.batch_size, "epochs": trainer.plan.epochs, "steps": trainer.plan.steps},
        "fingerprint": hashlib.sha256(json.dumps(trainer.fingerprint(), sort_keys=True).encode()).hexdigest(),
        "versions": report.versions(),
        "device": trainer.ranks.device.type,
        "processes": trainer.ranks.world,
        "data": {
            "rows": {split: rows.rows for split, rows in tables.splits.items()},
            **(
                {"positive": {split: rows[1] for split, rows in tables.counts.items()}} if tables.classes.binary else {}
            ),
            "label": label,
            "unseen": {split: _counted(strange.unseen) for split, strange in tables.strange.items()},
            "missing": {split: _counted(strange.missing) for split, strange in tables.strange.items()},
            "digests": tables.digests,
        },
        "history": trainer.progress.history,
        "best_epoch": trainer.progress.best_epoch,
        "threshold": best["threshold"],
        "metrics": {name: best[name] for name in metrics.NAMES},
        "test": report.score_entry(test),
        "baseline": baseline(tables.shares("train"), tables.shares("val"), balanced=balanced),
        "importance": [],
        "calibration": calibration,
        "calibration_error": calibration_error,
        "confusion_matrix": report.confusion(label["classes"], *scoring.confusion(tally, best["threshold"])),
        "warnings": tables.warnings,
        "seconds": {"training": round(trainer.progress.seconds, 3)},
    }


def _counted(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def write_report(trainer: Trainer, content: JsonObject) -> None:
    """Write report.json into the artifact and the job's output."""
    text = report.dump(content).encode()
    for folder in (trainer.paths.model, trainer.paths.output):
        write_whole(folder / "report.json", text)


def importance(trainer: Trainer, net: TabularNet) -> list[report.Importance]:
    """Return the drop in AUC when one feature's values are permuted among validation rows, largest drop first.

    Information that two features share (a route and its distance) shows in neither. Features that there is no time for
    are skipped, and the log says so.
    """
    rows, features, scoring = trainer.tables.splits["val"], trainer.hp.features, trainer.scoring
    begun, budget = time.monotonic(), max(LEAST_SECONDS, IMPORTANCE_SHARE * trainer.progress.seconds)
    least, most = (min(rows.rows, bound) for bound in IMPORTANCE_ROWS)
    picked = rows.take(Order(rows.rows, most, trainer.hp.seed, epoch=0).pool(0)[:most].sort().values).cpu()

    def auc(words: torch.Tensor) -> float:
        outputs, labels = trainer.outputs(net, words)
        return scoring.score(scoring.tally(outputs, labels, exact=True)).auc

    auc(picked[:least])
    pace = (time.monotonic() - begun) / least
    words = picked[: max(least, min(most, int(budget / (pace * (len(features) + 1)))))]
    base, random = auc(words), torch.Generator().manual_seed(trainer.hp.seed)
    lost: list[report.Importance] = []
    for i, name in enumerate(features):
        if i and time.monotonic() - begun > budget:
            trainer.say(f"Importance: measured for {i} of {len(features)} features in {budget:.1f} s")
            break
        permuted = words.clone()
        permuted[:, i] = words[torch.randperm(len(words), generator=random), i]
        lost.append({"feature": name, "auc_drop": report.clean(base - auc(permuted))})
    return sorted(lost, key=lambda entry: -(entry["auc_drop"] or 0.0))
