"""The four metrics of an epoch: the exact lines in which they are printed, and how they are computed for two classes.

SageMaker extracts each from the log with a regular expression, so each is on a separate line, and printed by one
process only.

They are computed from tallies: how many rows of each class got each logit. Each process tallies its rows batch by
batch, and the first one merges the tallies. So no process keeps a value per row of a large table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

TRAIN_LOSS = "Train Loss"
VALIDATION_LOSS = "Validation Loss"
VALIDATION_F1 = "Validation F1 Score"
VALIDATION_AUC = "Validation AUC ROC"
NAMES = (TRAIN_LOSS, VALIDATION_LOSS, VALIDATION_F1, VALIDATION_AUC)
EXACT_ROWS = 1_000_000  # logits of a larger table are rounded, which bounds how many different ones there are


@dataclass(frozen=True)
class Tally:
    """How many rows of each class got each logit: all that the metrics need.

    It takes 24 bytes per distinct logit. A table of up to `EXACT_ROWS` rows has at most as many as rows; a larger one,
    whatever its size, has 32,768 between 1 and 2, as many between 2 and 4, and so on: some hundred thousand.
    """

    logits: Tensor
    """Each logit once, ascending, in float64."""
    counts: Tensor
    """Rows of class 0 and of class 1 that got it."""


@dataclass(frozen=True)
class Scores:
    """How well probabilities fit labels."""

    loss: float
    """Mean log loss, class weights included."""
    auc: float
    """Area under the ROC curve, ties counting half. NaN if there is only one class, as is `average_precision`."""
    f1: float
    """F1 score at `threshold`."""
    threshold: float | None
    """Probability from which a row counts as positive; None with more than two classes."""
    average_precision: float


def lines(values: dict[str, float]) -> list[str]:
    """Return the log lines of one epoch, which the pipeline's regular expressions match."""
    return [f"{name}: {values[name]:.6f}" for name in NAMES]


def tally(logits: Tensor, labels: Tensor, *, exact: bool = True) -> Tally:
    """Count rows by logit and class; unless `exact`, logits are first rounded to 16 binary digits.

    Rows whose logits differ by less than 1 in 32,768 then tie, and a tie counts half in the AUC: it changes by at most
    half the share of such pairs.
    """
    if not exact:
        digits = logits.float().view(torch.int32)  # a float32 has 24 binary digits: drop the last eight
        logits = ((digits + 0x80) & ~0xFF).view(torch.float32)
    values, place = torch.unique(logits.double(), return_inverse=True)
    counts = torch.bincount(2 * place + labels.long(), minlength=2 * len(values))
    return Tally(values, counts.view(len(values), 2))


def merge(tallies: Sequence[Tally]) -> Tally:
    """Return the tally of all the rows together."""
    values, place = torch.unique(torch.cat([one.logits for one in tallies]), return_inverse=True)
    counts = torch.zeros(len(values), 2, dtype=torch.long)
    return Tally(values, counts.index_add_(0, place, torch.cat([one.counts for one in tallies])))


def score(rows: Tally, *, weights: tuple[float, float] = (1.0, 1.0), threshold: float | None = None) -> Scores:
    """Score a tally; without a threshold, the one with the best F1 is chosen."""
    zeros, ones = rows.counts.double().unbind(1)
    negative, positive = zeros.sum(), ones.sum()
    below = zeros.cumsum(0) - zeros / 2  # rows of class 0 with a lower logit, those with an equal one half
    # What a threshold at each logit calls positive: the rows of that logit and of all above it.
    hits = ones.flip(0).cumsum(0).flip(0)
    called = hits + zeros.flip(0).cumsum(0).flip(0)
    f1 = 2 * hits / (called + positive)
    probabilities = torch.sigmoid(rows.logits)
    threshold = float(probabilities[int(f1.argmax())]) if threshold is None else threshold
    first = int((probabilities < threshold).sum())  # the first logit that the threshold calls positive
    losses = zeros * weights[0] * functional.softplus(rows.logits) + ones * weights[1] * functional.softplus(
        -rows.logits
    )
    return Scores(
        loss=float(losses.sum() / (negative + positive)),
        auc=float(ones @ below / (negative * positive)),
        f1=float(f1[first]) if first < len(f1) else 0.0,
        threshold=threshold,
        average_precision=float(ones @ (hits / called) / positive) if negative else math.nan,
    )
