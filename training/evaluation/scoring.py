"""How logits are scored: for two classes by one logit and a threshold, for more by each class against the rest.

Both have the same interface: the loss to train on, tallies of batches and processes that can be merged, and what the
report shows of them. Log loss, macro F1 and the mean one-vs-rest AUC are defined as in scikit-learn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from training.evaluation import metrics
from training.evaluation.metrics import Scores, Tally

SHOWN_CLASSES = 20  # in the confusion matrix; the rarest ones are merged
LARGEST_LOGIT = 80.0  # of a class that is certain


T = TypeVar("T")


class Scoring(Protocol[T]):
    """What training and report need to know about the label."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the sum over the rows of the members' mean log losses, class weights included."""

    def tally(self, outputs: Tensor, labels: Tensor, *, exact: bool) -> T:
        """Count pooled outputs (see model.pooled) by class."""

    def merge(self, tallies: Sequence[T]) -> T:
        """Return the tally of all rows together."""

    def finite(self, tally: T) -> bool:
        """Whether all outputs were finite."""

    def score(self, tally: T, threshold: float | None = None) -> Scores:
        """Score a tally; of two classes, without a threshold, the one with the best F1 is chosen."""

    def answers(self, tally: T) -> Tally:
        """Return the tally of how sure the answers were and whether they were right, for the calibration."""

    def confusion(self, tally: T, threshold: float | None) -> tuple[list[int], list[list[int]]]:
        """Return the classes shown, -1 for all others, and the rows by class (row) and predicted class (column)."""


def scoring_of(shares: Sequence[float], *, balanced: bool) -> Scoring[Any]:
    """Return the scoring of classes that have these shares of the training rows."""
    weights = [1 / (len(shares) * share) if balanced else 1.0 for share in shares]
    return TwoClasses((weights[0], weights[1])) if len(shares) == 2 else ManyClasses(tuple(weights))


def baseline(train: Sequence[float], validation: Sequence[float], *, balanced: bool) -> dict[str, float]:
    """Return the four metrics of a program that gives every row the same answer.

    It predicts the classes' shares of the training rows; its label is the positive class or, of more than two classes,
    the most frequent one.
    """
    weights = [1 / (len(train) * share) if balanced else 1.0 for share in train]
    # With class weights the best constant is the weighted shares.
    mass = [share * weight for share, weight in zip(train, weights, strict=True)]
    logs = [math.log(one / sum(mass)) for one in mass]

    def loss(shares: Sequence[float]) -> float:
        return -sum(share * weight * log for share, weight, log in zip(shares, weights, logs, strict=True))

    called = validation[1] if len(train) == 2 else validation[max(range(len(mass)), key=mass.__getitem__)]
    averaged = 1 if len(train) == 2 else sum(share > 0 for share in validation)
    return {
        metrics.TRAIN_LOSS: loss(train),
        metrics.VALIDATION_LOSS: loss(validation),
        metrics.VALIDATION_F1: 2 * called / (1 + called) / averaged,
        metrics.VALIDATION_AUC: 0.5,
    }


@dataclass(frozen=True)
class TwoClasses:
    """One logit per row, that of the positive class."""

    weights: tuple[float, float] = (1.0, 1.0)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """See Scoring."""
        members = logits.squeeze(2)
        target = labels.to(members.dtype).unsqueeze(1).expand_as(members)
        losses = functional.binary_cross_entropy_with_logits(members, target, reduction="none").mean(1)
        if self.weights != (1.0, 1.0):
            losses = losses * torch.where(labels > 0, self.weights[1], self.weights[0])
        return losses.sum()

    def tally(self, outputs: Tensor, labels: Tensor, *, exact: bool) -> Tally:
        """See Scoring."""
        return metrics.tally(outputs, labels, exact=exact)

    def merge(self, tallies: Sequence[Tally]) -> Tally:
        """See Scoring."""
        return metrics.merge(tallies)

    def finite(self, tally: Tally) -> bool:
        """See Scoring."""
        return bool(torch.isfinite(tally.logits).all())

    def score(self, tally: Tally, threshold: float | None = None) -> Scores:
        """See Scoring."""
        return metrics.score(tally, weights=self.weights, threshold=threshold)

    def answers(self, tally: Tally) -> Tally:
        """See Scoring; of two classes, of the positive one's probability."""
        return tally

    def confusion(self, tally: Tally, threshold: float | None) -> tuple[list[int], list[list[int]]]:
        """See Scoring."""
        called = torch.sigmoid(tally.logits) >= (threshold or 0.0)
        return [0, 1], torch.stack([tally.counts[~called].sum(0), tally.counts[called].sum(0)], 1).tolist()


@dataclass(frozen=True)
class ClassTallies:
    """What the metrics of several classes need to know about some rows."""

    classes: tuple[Tally, ...]
    """Each class against the rest, by the logit of its probability."""
    answers: Tally
    """The answers by the logit of their probability, correct ones in the second column."""
    confusion: Tensor
    """Rows by class (row) and predicted class (column)."""
    loss: Tensor
    """Sum of the log losses, class weights included."""


@dataclass(frozen=True)
class ManyClasses:
    """The logarithms of each class's probability per row; the most probable class is the answer."""

    weights: tuple[float, ...]

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """See Scoring."""
        members = labels.long().unsqueeze(1).expand(-1, logits.shape[1])
        weights = torch.tensor(self.weights, dtype=logits.dtype, device=logits.device)
        return functional.cross_entropy(logits.transpose(1, 2), members, weights, reduction="none").mean(1).sum()

    def tally(self, outputs: Tensor, labels: Tensor, *, exact: bool) -> ClassTallies:
        """See Scoring."""
        exact = exact and len(labels) * outputs.shape[1] <= metrics.EXACT_ROWS
        labels, count = labels.long(), outputs.shape[1]
        logits = (outputs - torch.log(-torch.expm1(outputs))).clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
        best, answer = logits.max(1)
        own = outputs.gather(1, labels.unsqueeze(1)).squeeze(1)
        return ClassTallies(
            tuple(metrics.tally(logits[:, c], labels == c, exact=exact) for c in range(count)),
            metrics.tally(best, answer == labels, exact=exact),
            torch.bincount(labels * count + answer, minlength=count * count).view(count, count),
            -(own * torch.tensor(self.weights, dtype=own.dtype)[labels]).sum(),
        )

    def merge(self, tallies: Sequence[ClassTallies]) -> ClassTallies:
        """See Scoring."""
        return ClassTallies(
            tuple(metrics.merge(one) for one in zip(*(t.classes for t in tallies), strict=True)),
            metrics.merge([t.answers for t in tallies]),
            torch.stack([t.confusion for t in tallies]).sum(0),
            torch.stack([t.loss for t in tallies]).sum(),
        )

    def finite(self, tally: ClassTallies) -> bool:
        """See Scoring."""
        return bool(torch.isfinite(tally.loss))

    def score(self, tally: ClassTallies, threshold: float | None = None) -> Scores:
        """See Scoring: means over the classes that occur; the mean F1 also over those that were predicted."""
        true, said = tally.confusion.sum(1), tally.confusion.sum(0)
        occurs = (true + said) > 0
        f1 = (2 * tally.confusion.diagonal().double() / (true + said))[occurs].mean()
        present = [metrics.score(one) for one, rows in zip(tally.classes, true.tolist(), strict=True) if rows]
        mean = replace(present[0], f1=float(f1), threshold=None, loss=float(tally.loss / true.sum()))
        count = len(present)
        return replace(
            mean,
            auc=sum(one.auc for one in present) / count,
            average_precision=sum(one.average_precision for one in present) / count,
        )

    def answers(self, tally: ClassTallies) -> Tally:
        """See Scoring."""
        return tally.answers

    def confusion(self, tally: ClassTallies, threshold: float | None) -> tuple[list[int], list[list[int]]]:
        """See Scoring."""
        counts, classes = tally.confusion, len(tally.classes)
        if classes <= SHOWN_CLASSES:
            return list(range(classes)), counts.tolist()
        shown = counts.sum(1).topk(SHOWN_CLASSES).indices.sort().values
        place = torch.full((classes,), SHOWN_CLASSES).scatter(0, shown, torch.arange(SHOWN_CLASSES))
        joined = torch.zeros(SHOWN_CLASSES + 1, SHOWN_CLASSES + 1, dtype=counts.dtype)
        joined.index_put_((place.unsqueeze(1).expand_as(counts), place.expand_as(counts)), counts, accumulate=True)
        return [*shown.tolist(), -1], joined.tolist()
