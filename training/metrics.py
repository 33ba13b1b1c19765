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
    """Area under the ROC curve, equal scores counting half; nan when only one class is there, so is the next one."""
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
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision, binary_f1_score

    said, seen = torch.sigmoid(logits.double()), labels.long()
    threshold = best_threshold(said, seen) if threshold is None else threshold
    both_classes = 0 < int(seen.sum()) < len(seen)
    return Scores(
        loss=float(log_loss(logits.double(), labels.double(), weights)) / len(labels),
        auc=float(binary_auroc(said, seen)) if both_classes else math.nan,
        # Given as 0 and 1: of probabilities, torchmetrics would call those above the threshold, not those at it.
        f1=float(binary_f1_score((said >= threshold).long(), seen)),
        threshold=threshold,
        average_precision=float(binary_average_precision(said, seen)) if both_classes else math.nan,
    )


def best_threshold(said: Tensor, seen: Tensor) -> float:
    """Return the probability from which to call rows positive for the best F1."""
    from torchmetrics.functional.classification import binary_precision_recall_curve

    precision, recall, thresholds = binary_precision_recall_curve(said, seen)
    f1 = 2 * precision * recall / (precision + recall)  # nan where no positive row is called
    return float(thresholds[int(torch.nan_to_num(f1[:-1]).argmax())])  # the last point of the curve has no threshold


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
