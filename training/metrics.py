"""The four numbers of an epoch: how they are computed and the exact lines in which they are printed.

SageMaker reads them out of the log with one regular expression each, so each stands alone on its line and is printed
by one process only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

TRAIN_LOSS = "Train Loss"
VALIDATION_LOSS = "Validation Loss"
VALIDATION_F1 = "Validation F1 Score"
VALIDATION_AUC = "Validation AUC ROC"
NAMES = (TRAIN_LOSS, VALIDATION_LOSS, VALIDATION_F1, VALIDATION_AUC)


@dataclass(frozen=True)
class Scores:
    """How well probabilities fit labels."""

    loss: float
    """Mean log loss, class weights included."""
    auc: float
    """Area under the ROC curve, equal scores counting half; nan when only one class is there."""
    f1: float
    """F1 score at `threshold`."""
    threshold: float
    """Probability from which a row counts as positive."""
    average_precision: float


def lines(values: dict[str, float]) -> list[str]:
    """Return the log lines of one epoch, which the pipeline's regular expressions match."""
    return [f"{name}: {values[name]:.6f}" for name in NAMES]


def log_loss(logits: Tensor, labels: Tensor, weights: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """Return the sum of the log losses; `weights` are those of the classes 0 and 1."""
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    if weights != (1.0, 1.0):
        losses = losses * torch.where(labels > 0.5, weights[1], weights[0])
    return losses.sum()


def score(
    logits: Tensor, labels: Tensor, *, weights: tuple[float, float] = (1.0, 1.0), threshold: float | None = None
) -> Scores:
    """Score logits against labels; without a threshold the one with the best F1 is chosen."""
    labels, logits = labels.double(), logits.double()
    ordered, hits, called = cuts(logits, labels)
    positive, negative = float(labels.sum()), float((1 - labels).sum())
    f1_everywhere = 2 * hits / (called + positive)
    best = int(torch.argmax(f1_everywhere))
    recall, alarms = hits / positive, (called - hits) / negative
    zero = torch.zeros(1, dtype=torch.float64)
    return Scores(
        loss=float(log_loss(logits, labels, weights)) / len(labels),
        auc=float(torch.trapezoid(torch.cat([zero, recall]), torch.cat([zero, alarms]))),
        f1=float(f1_everywhere[best]) if threshold is None else f1_at(logits, labels, threshold),
        threshold=float(torch.sigmoid(ordered[best])) if threshold is None else threshold,
        average_precision=float((torch.diff(recall, prepend=zero) * hits / called).sum()),
    )


def cuts(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return all different logits, falling, and how many positive rows and rows in all lie at or above each."""
    ordered, order = torch.sort(logits, descending=True)
    hits = torch.cumsum(labels[order], 0)
    called = torch.arange(1, len(labels) + 1, dtype=torch.float64)
    last = torch.ones_like(ordered, dtype=torch.bool)
    last[:-1] = ordered[:-1] != ordered[1:]  # no threshold cuts between equal logits
    return ordered[last], hits[last], called[last]


def f1_at(logits: Tensor, labels: Tensor, threshold: float) -> float:
    """Return F1 when rows with a probability of at least `threshold` count as positive."""
    called = torch.sigmoid(logits) >= threshold
    both = float(called.sum()) + float(labels.sum())
    return 2 * float(labels[called].sum()) / both if both else 0.0


def constant_baseline(train_rate: float, validation_rate: float, weights: tuple[float, float]) -> dict[str, float]:
    """Return the four numbers of a program that says the training rows' rate for every row, and calls all positive."""
    # With class weights the best constant is the weighted rate.
    mass = train_rate * weights[1]
    constant = mass / (mass + (1 - train_rate) * weights[0])

    def loss(rate: float) -> float:
        return -(rate * weights[1] * math.log(constant) + (1 - rate) * weights[0] * math.log(1 - constant))

    return {
        TRAIN_LOSS: loss(train_rate),
        VALIDATION_LOSS: loss(validation_rate),
        VALIDATION_F1: 2 * validation_rate / (1 + validation_rate),
        VALIDATION_AUC: 0.5,
    }
