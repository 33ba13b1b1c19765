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
    scores, said, seen = metrics.score(logits, labels), torch.sigmoid(logits.double()).numpy(), labels.numpy()
    if 0 < labels.sum() < len(rows):
        assert scores.auc == pytest.approx(roc_auc_score(seen, said), abs=1e-6)
        assert scores.average_precision == pytest.approx(average_precision_score(seen, said), abs=1e-6)
        assert scores.loss == pytest.approx(log_loss(seen, said), abs=1e-9)
    best = max(f1_score(seen, said >= cut, zero_division=0) for cut in np.unique(said))
    assert scores.f1 == pytest.approx(best, abs=1e-6)
    assert f1_score(seen, said >= scores.threshold, zero_division=0) == pytest.approx(best, abs=1e-6)


def test_one_class_has_no_area() -> None:
    scores = metrics.score(torch.tensor([0.1, 0.2]), torch.tensor([0.0, 0.0]))
    assert math.isnan(scores.auc)


def test_weights_count_in_the_loss() -> None:
    logits, labels = torch.tensor([0.0, 0.0, 0.0, 0.0]), torch.tensor([1.0, 0.0, 0.0, 0.0])
    assert float(metrics.log_loss(logits, labels, (0.5, 2.5))) == pytest.approx(4 * math.log(2))


def test_constant_baseline_is_the_best_constant() -> None:
    baseline = metrics.constant_baseline(0.25, 0.4, (1.0, 1.0))
    assert baseline["Train Loss"] == pytest.approx(log_loss([1, 0, 0, 0], [0.25] * 4))
    assert baseline["Validation F1 Score"] == pytest.approx(f1_score([1, 1, 0, 0, 0], [1] * 5))


def test_lines_stand_alone_and_round_to_six_digits() -> None:
    values = dict(zip(metrics.NAMES, [0.1234567, 1.0, 0.5, math.nan], strict=True))
    assert metrics.lines(values)[0] == "Train Loss: 0.123457"
    assert metrics.lines(values)[3] == "Validation AUC ROC: nan"
