"""The four numbers agree with scikit-learn, ties and all."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, confusion_matrix, f1_score, log_loss, roc_auc_score

from training.evaluation import metrics
from training.evaluation.scoring import ManyClasses, TwoClasses, baseline
from training.model import pooled


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
    logits, labels = torch.tensor([0.0, 0.0, 0.0, 0.0]), torch.tensor([1, 0, 0, 0])
    two = TwoClasses((0.5, 2.5))
    assert float(two.loss(logits.view(4, 1, 1), labels)) == pytest.approx(4 * math.log(2))
    assert two.score(two.tally(logits, labels, exact=True)).loss == pytest.approx(math.log(2))


def test_constant_baseline_is_the_best_constant() -> None:
    found = baseline([0.75, 0.25], [0.6, 0.4], balanced=False)
    assert found["Train Loss"] == pytest.approx(log_loss([1, 0, 0, 0], [0.25] * 4))
    assert found["Validation F1 Score"] == pytest.approx(f1_score([1, 1, 0, 0, 0], [1] * 5))
    three = baseline([0.5, 0.25, 0.25], [0.2, 0.4, 0.4], balanced=False)
    assert three["Train Loss"] == pytest.approx(log_loss([0, 0, 1, 2], [[0.5, 0.25, 0.25]] * 4))
    assert three["Validation F1 Score"] == pytest.approx(f1_score([0, 1, 1, 2, 2], [0] * 5, average="macro"))


def test_the_loss_of_several_members_is_their_mean_and_their_answer_the_mean_probability() -> None:
    logits, labels = torch.tensor([[[2.0], [-1.0]], [[0.5], [3.0]]]), torch.tensor([1, 0])
    each = [log_loss([1, 0], torch.sigmoid(logits[:, k, 0].double()).numpy()) for k in range(2)]
    assert float(TwoClasses().loss(logits, labels)) == pytest.approx(2 * sum(each) / 2, rel=1e-6)
    assert torch.sigmoid(pooled(logits)).tolist() == pytest.approx(torch.sigmoid(logits.double()).mean((1, 2)).tolist())


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 6), st.integers(2, 60), st.integers(0, 2**32), st.booleans())
def test_scores_of_several_classes_equal_scikit_learn(classes: int, rows: int, seed: int, weighted: bool) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = (torch.randn(rows, 2, classes, generator=random) * 2).round()
    labels = torch.randint(0, classes, (rows,), generator=random)
    weights = tuple(1.0 + weighted * c for c in range(classes))
    many, outputs = ManyClasses(weights), pooled(logits)
    halves = [
        many.tally(o, y, exact=True) for o, y in zip(outputs.split(rows // 2), labels.split(rows // 2), strict=True)
    ]
    scores = many.score(many.merge(halves))
    said, seen, each = outputs.exp().numpy(), labels.numpy(), np.array(weights)[labels]
    assert said.sum(1) == pytest.approx(1)
    loss = -np.mean(each * np.log(said[np.arange(rows), seen]))
    assert scores.loss == pytest.approx(loss, abs=1e-9)
    assert scores.f1 == pytest.approx(f1_score(seen, said.argmax(1), average="macro"), abs=1e-9)
    present = [c for c in range(classes) if 0 < (seen == c).sum() < rows]
    if present == list(range(classes)):
        auc = roc_auc_score(seen, said, multi_class="ovr", average="macro")
        assert scores.auc == pytest.approx(auc, abs=1e-9)
    assert scores.threshold is None
    _, counts = many.confusion(many.merge(halves), None)
    assert counts == confusion_matrix(seen, said.argmax(1), labels=range(classes)).tolist()
    trained = float(many.loss(logits, labels))
    logs = torch.log_softmax(logits.double(), 2)[torch.arange(rows), :, labels].mean(1)
    assert trained == pytest.approx(float(-(logs * torch.tensor(weights)[labels]).sum()), rel=1e-5)


def test_the_rarest_of_many_classes_are_joined_in_the_confusion_matrix() -> None:
    labels = torch.arange(30).repeat_interleave(torch.arange(1, 31))
    outputs = torch.log_softmax(torch.nn.functional.one_hot(labels, 30).double() * 9, 1)
    many = ManyClasses((1.0,) * 30)
    shown, counts = many.confusion(many.tally(outputs, labels, exact=True), None)
    assert shown == [*range(10, 30), -1]
    assert [counts[i][i] for i in range(21)] == [*range(11, 31), sum(range(1, 11))]


def test_lines_stand_alone_and_round_to_six_digits() -> None:
    values = dict(zip(metrics.NAMES, [0.1234567, 1.0, 0.5, math.nan], strict=True))
    assert metrics.lines(values)[0] == "Train Loss: 0.123457"
    assert metrics.lines(values)[3] == "Validation AUC ROC: nan"
