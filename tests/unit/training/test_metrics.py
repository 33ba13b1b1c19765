"""The four numbers agree with scikit-learn, ties and all."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score

from training import metrics


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=2, max_size=60))
def test_scores_equal_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    logits = torch.tensor([float(logit) for logit, _ in rows])
    labels = torch.tensor([float(label) for _, label in rows])
    scores = metrics.score(metrics.tally(logits, labels))
    said, seen = torch.sigmoid(logits.double()).numpy(), labels.numpy()
    if 0 < labels.sum() < len(rows):
        assert scores.auc == pytest.approx(roc_auc_score(seen, said), abs=1e-9)
        assert scores.average_precision == pytest.approx(average_precision_score(seen, said), abs=1e-9)
        assert scores.loss == pytest.approx(log_loss(seen, said), abs=1e-9)
    best = max(f1_score(seen, said >= cut, zero_division=0) for cut in np.unique(said))
    assert scores.f1 == pytest.approx(best, abs=1e-9)
    assert f1_score(seen, said >= scores.threshold, zero_division=0) == pytest.approx(best, abs=1e-9)


def drawn(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(rows, generator=random) - 1
    return logits, (torch.rand(rows, generator=random) < torch.sigmoid(logits)).float()


def test_parts_of_a_table_count_as_the_whole() -> None:
    logits, labels = drawn(1000)
    logits = (logits * 10).round()  # equal ones in several parts
    whole = metrics.tally(logits, labels)
    parts = [metrics.tally(*part) for part in zip(logits.split(300), labels.split(300), strict=True)]
    merged = metrics.merge(parts)
    assert torch.equal(merged.logits, whole.logits)
    assert torch.equal(merged.counts, whole.counts)
    assert int(merged.counts.sum()) == 1000


def test_a_large_table_is_tallied_in_bounded_memory_at_nearly_the_same_scores() -> None:
    logits, labels = drawn(300_000)
    exact, rounded = metrics.tally(logits, labels), metrics.tally(logits, labels, exact=False)
    assert len(rounded.logits) < 0.6 * len(exact.logits)
    scores, near = metrics.score(exact), metrics.score(rounded)
    assert near.auc == pytest.approx(scores.auc, abs=1e-7)
    assert near.average_precision == pytest.approx(scores.average_precision, abs=2e-5)
    assert near.loss == pytest.approx(scores.loss, abs=1e-7)
    assert near.f1 == pytest.approx(scores.f1, abs=2e-5)


def test_one_class_has_no_area() -> None:
    for label in (0.0, 1.0):
        scores = metrics.score(metrics.tally(torch.tensor([0.1, 0.2]), torch.tensor([label] * 2)))
        assert math.isnan(scores.auc)
        assert math.isnan(scores.average_precision)


def test_a_threshold_that_no_row_reaches_calls_none() -> None:
    rows = metrics.tally(torch.tensor([-1.0, 1.0]), torch.tensor([0.0, 1.0]))
    assert metrics.score(rows, threshold=0.99).f1 == 0
    assert metrics.score(rows, threshold=0.5).f1 == 1


def test_weights_count_in_the_loss() -> None:
    logits, labels = torch.tensor([0.0, 0.0, 0.0, 0.0]), torch.tensor([1.0, 0.0, 0.0, 0.0])
    assert float(metrics.log_loss(logits, labels, (0.5, 2.5))) == pytest.approx(4 * math.log(2))
    rows = metrics.tally(logits, labels)
    assert metrics.score(rows, weights=(0.5, 2.5)).loss == pytest.approx(math.log(2))


def test_constant_baseline_is_the_best_constant() -> None:
    baseline = metrics.constant_baseline(0.25, 0.4, (1.0, 1.0))
    assert baseline["Train Loss"] == pytest.approx(log_loss([1, 0, 0, 0], [0.25] * 4))
    assert baseline["Validation F1 Score"] == pytest.approx(f1_score([1, 1, 0, 0, 0], [1] * 5))


def test_lines_stand_alone_and_round_to_six_digits() -> None:
    values = dict(zip(metrics.NAMES, [0.1234567, 1.0, 0.5, math.nan], strict=True))
    assert metrics.lines(values)[0] == "Train Loss: 0.123457"
    assert metrics.lines(values)[3] == "Validation AUC ROC: nan"
