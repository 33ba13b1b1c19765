"""A whole training under the container contract: what it prints, what it leaves, and that it is reproducible."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from airflow_sagemaker.kinds.training.groups import default_metric_definitions
from tests.support.training_jobs import FIELDS, Job, sizes, write_channels
from training.evaluation.metrics import NAMES
from training.inference import model_fn

REFERENCE = Path(__file__).with_name("reference_losses.json")


def metric_lines(log: str) -> list[tuple[str, float]]:
    pattern = rf"^({'|'.join(NAMES)}): ([0-9.]+)$"
    return [(name, float(value)) for name, value in re.findall(pattern, log, re.MULTILINE)]


def test_every_epoch_prints_the_four_metrics_once(job: Job) -> None:
    lines = metric_lines(job.run(epochs=2))
    assert [name for name, _ in lines] == list(NAMES) * 2
    history = job.report["history"]
    assert [value for _, value in lines] == [pytest.approx(epoch[n], abs=1e-6) for epoch in history for n in NAMES]


def test_the_last_values_are_those_of_the_model_that_ships(job: Job) -> None:
    """SageMaker keeps the last match of each metric's regular expression."""
    log = job.run(epochs=30, patience=2, learning_rate=0.05)
    kept = job.report["history"][job.report["best_epoch"] - 1]
    assert len(job.report["history"]) == job.report["best_epoch"] + 2 < 30
    for name, regex in default_metric_definitions().items():
        assert float(re.findall(regex, log)[-1]) == pytest.approx(kept[name], abs=1e-6)
        assert f"Kept epoch {job.report['best_epoch']}: {name}: {kept[name]:.6f}" in log.splitlines()
    since = f"no lower validation loss since epoch {job.report['best_epoch']}, which is kept"
    assert f"Stopped after epoch {len(job.report['history'])}: {since}" in log


def test_losses_follow_the_reference_curve(finished: Job) -> None:
    """Kept from an earlier run: a change of data order, schedule or network shows here before it shows in quality.

    Another seed moves the curve by 0.02, a warm-up of 0.06 instead of 0.05 by 0.003. When a change is meant, the new
    curve is the report's history.
    """
    curve = [[epoch["Train Loss"], epoch["Validation Loss"]] for epoch in finished.report["history"]]
    reference = json.loads(REFERENCE.read_text())
    assert curve == [pytest.approx(point, abs=2e-4) for point in reference]
    losses = [validation for _, validation in curve]
    assert finished.report["baseline"]["Validation Loss"] > losses[0] > losses[1] > losses[2]


def test_artifact_predicts_what_the_report_says(finished: Job) -> None:
    report, table = finished.report, pq.read_table(finished.channels / "test" / "test.parquet")
    model = model_fn(str(finished.model))
    said, seen = model.probabilities(table)[:, 1], table["late"].to_numpy()
    assert report["test"]["AUC ROC"] == pytest.approx(roc_auc_score(seen, said), abs=1e-6)
    assert report["test"]["Loss"] == pytest.approx(log_loss(seen, said), abs=1e-5)
    assert report["test"]["F1 Score"] == pytest.approx(f1_score(seen, said >= report["threshold"]), abs=1e-6)
    assert report["test"]["AUC ROC"] > 0.7
    assert sum(map(sum, report["confusion_matrix"]["counts"])) == len(table)
    assert sum(b["count"] for b in report["calibration"]) == len(table)


def test_artifact_and_output_hold_what_is_promised(finished: Job) -> None:
    files = {str(p.relative_to(finished.model)) for p in finished.model.rglob("*") if p.is_file()}
    expected = {
        "model.pt",
        "preprocess.json",
        "report.json",
        "curves.png",
        "code/inference.py",
        "code/requirements.txt",
    }
    assert expected <= files
    needed = (finished.model / "code" / "requirements.txt").read_text().splitlines()
    assert [pin.partition("==")[0] for pin in needed] == ["pyarrow"]
    report = (finished.folder / "output" / "report.json").read_bytes()
    assert len(report) <= 64 * 1024
    assert report == (finished.model / "report.json").read_bytes()
    assert finished.report["baseline"]["Validation AUC ROC"] == 0.5
    assert finished.report["hyperparameters"]["full_field_list"] == FIELDS["full_field_list"]
    assert not finished.failure.exists()


@pytest.mark.slow
def test_two_processes_that_stream_equal_one_that_holds_the_data(tmp_path: Path, shipped: Path, channels: Path) -> None:
    """Same global batch, float64: the weights agree to rounding."""
    one, two = Job(tmp_path / "one", shipped, channels), Job(tmp_path / "two", shipped, channels)
    assert "held in memory" in one.run(precision="float64", dropout=0.0)
    log = two.run(2, precision="float64", dropout=0.0, memory_fraction=1e-12)
    assert "streamed from disk; 2 process(es)" in log
    assert len(metric_lines(log)) == 3 * len(NAMES)
    for name, weight in one.weights.items():  # served in float32
        torch.testing.assert_close(two.weights[name], weight, rtol=0, atol=1e-7)
    states = [torch.load(max(j.checkpoints.iterdir()), weights_only=True) for j in (one, two)]
    for kind in ("model", "averaged"):
        for name, weight in states[0][kind].items():
            assert weight.dtype == torch.float64
            torch.testing.assert_close(states[1][kind][name], weight, rtol=0, atol=1e-12)
    for mine, other in zip(one.report["history"], two.report["history"], strict=True):
        assert mine["Train Loss"] == pytest.approx(other["Train Loss"], abs=1e-12)
        assert [mine[name] for name in NAMES] == pytest.approx([other[name] for name in NAMES], abs=1e-6)


@pytest.mark.soak
def test_three_processes_agree_with_one_on_several_classes(tmp_path: Path, shipped: Path) -> None:
    write_channels(tmp_path / "channels", 500, 200, 200, label=sizes)
    one, three = (Job(tmp_path / name, shipped, tmp_path / "channels") for name in ("one", "three"))
    one.run(precision="float64", dropout=0.0)
    three.run(3, precision="float64", dropout=0.0)
    for name, weight in one.weights.items():
        torch.testing.assert_close(three.weights[name], weight, rtol=0, atol=1e-7)
    assert one.report["confusion_matrix"] == three.report["confusion_matrix"]


def test_field_lists_may_lie_in_a_file_beside_the_program(job: Job, tmp_path: Path) -> None:
    code = tmp_path / "wide"
    shutil.copytree(job.code, code)
    lists = {name: FIELDS[name] for name in ("full_field_list", "tab_field_list", "cat_field_list")}
    (code / "fields.json").write_text(json.dumps(lists))
    env = job.env(epochs=1)
    env["SM_HPS"] = json.dumps({k: v for k, v in json.loads(env["SM_HPS"]).items() if k not in lists})
    subprocess.run([sys.executable, "train.py"], cwd=code, env=env, check=True, timeout=120)
    assert job.report["hyperparameters"]["cat_field_list"] == FIELDS["cat_field_list"]
