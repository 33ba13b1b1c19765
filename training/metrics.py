"""The four numbers of an epoch: how they are computed and the exact lines in which they are printed.

SageMaker reads them out of the log with one regular expression each, so each stands alone on its line and is printed
by one process only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

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
    """Area under the ROC curve; nan when only one class is there."""
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
    labels = labels.double()
    logits = logits.double()
    truth = labels.long()
    one_class = bool((truth == truth[0]).all())
    chosen, f1 = best_threshold(logits, truth) if threshold is None else (threshold, f1_at(logits, truth, threshold))
    probabilities = torch.sigmoid(logits)
    return Scores(
        loss=float(log_loss(logits, labels, weights)) / len(labels),
        auc=math.nan if one_class else float(binary_auroc(probabilities, truth)),
        f1=f1,
        threshold=chosen,
        average_precision=math.nan if one_class else float(binary_average_precision(probabilities, truth)),
    )


def best_threshold(logits: Tensor, truth: Tensor) -> tuple[float, float]:
    """Return the probability threshold with the best F1, and that F1: one sort, then all thresholds at once."""
    ordered, order = torch.sort(logits, descending=True)
    hits = torch.cumsum(truth[order], 0)
    called = torch.arange(1, len(truth) + 1, device=truth.device)
    f1 = 2 * hits / (called + truth.sum())
    # A threshold cannot cut between equal logits: only the last of each run of equals is a candidate.
    last = torch.ones_like(ordered, dtype=torch.bool)
    last[:-1] = ordered[:-1] != ordered[1:]
    f1 = torch.where(last, f1, -1.0)
    best = int(torch.argmax(f1))
    return float(torch.sigmoid(ordered[best])), float(f1[best])


def f1_at(logits: Tensor, truth: Tensor, threshold: float) -> float:
    """Return F1 when rows with a probability of at least `threshold` count as positive."""
    positive = torch.sigmoid(logits) >= threshold
    hits = int((positive & (truth == 1)).sum())
    denominator = int(positive.sum()) + int(truth.sum())
    return 2 * hits / denominator if denominator else 0.0


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
