"""Bad input: one line that names what was found and what was expected, in the log and in the failure file."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training import train

ROWS = 200
FIELDS = {
    "id_name": "id",
    "label_name": "y",
    "full_field_list": ["id", "y", "a", "b"],
    "tab_field_list": ["a"],
    "cat_field_list": ["b"],
}
SMALL = {"hidden_size": 8, "hidden_layers": 1, "embedding_size": 2, "batch_size": 40, "epochs": 1}


def table(rows: int = ROWS, **columns: Any) -> pa.Table:
    random = np.random.default_rng(0)
    good = {
        "id": range(rows),
        "y": random.integers(0, 2, rows),
        "a": random.normal(size=rows),
        "b": ["x", "y"] * (rows // 2),
    }
    return pa.table({name: value for name, value in {**good, **columns}.items() if value is not None})


class Site:
    """Channels that a test spoils, and the program run on them in this process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        for split in ("train", "val", "test"):
            self.write(split, table())
            monkeypatch.setenv(f"SM_CHANNEL_{split.upper()}", str(folder / split))
        places = {"SM_MODEL_DIR": "model", "SM_OUTPUT_DATA_DIR": "output", "SM_CHECKPOINT_DIR": "checkpoints"}
        for name, place in {**places, "SM_OUTPUT_FAILURE": "failure"}.items():
            monkeypatch.setenv(name, str(folder / place))

    def file(self, split: str = "train") -> Path:
        return self.folder / split / f"{split}.parquet"

    def write(self, split: str, content: pa.Table) -> None:
        self.file(split).parent.mkdir(exist_ok=True)
        pq.write_table(content, self.file(split))

    def run(self, **hyperparameters: Any) -> int:
        self.monkeypatch.setenv("SM_HPS", json.dumps({**FIELDS, **SMALL, **hyperparameters}))
        return train.main([])

    @property
    def failure(self) -> str:
        return (self.folder / "failure").read_text()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    handler = signal.getsignal(signal.SIGTERM)
    yield Site(tmp_path, monkeypatch)
    signal.signal(signal.SIGTERM, handler)


def truncate(site: Site) -> None:
    os.truncate(site.file(), site.file().stat().st_size - 40)


def damage_pages(site: Site) -> None:
    content = bytearray(site.file().read_bytes())
    content[4 : len(content) // 2] = b"\xff" * (len(content) // 2 - 4)
    site.file().write_bytes(content)


SPOILT: dict[str, tuple[Callable[[Site], Any], str]] = {
    "no channel": (lambda s: (s.file().unlink(), s.file().parent.rmdir()), "channel train: expected"),
    "another name": (lambda s: s.file().rename(s.file().with_name("part-0.parquet")), "found part-0.parquet"),
    "zero bytes": (lambda s: s.file().write_bytes(b""), "train.parquet is empty (0 bytes)"),
    "no parquet": (lambda s: s.file().write_text("id,y\n1,0\n" * 9), "train.parquet is not a whole parquet file"),
    "truncated": (truncate, "train.parquet is not a whole parquet file"),
    "damaged pages": (damage_pages, "train.parquet cannot be read"),
    "no rows": (lambda s: s.write("val", table().slice(0, 0)), "channel val:"),
    "no column": (lambda s: s.write("val", table(a=None)), "channel val:"),
    "text for a number": (lambda s: s.write("train", table(a=["1"] * ROWS)), "column a must be numeric, found string"),
    "text in val only": (lambda s: s.write("val", table(a=["1"] * ROWS)), "channel val: column a must be numeric"),
    "list in a category": (
        lambda s: s.write("train", table(b=[[1]] * ROWS)),
        "column b must hold plain values, found list",
    ),
    "all null": (
        lambda s: s.write("train", table(a=pa.nulls(ROWS, pa.float64()))),
        "column a holds no number in train",
    ),
    "null type": (lambda s: s.write("train", table(b=pa.nulls(ROWS))), "column b holds no value in train"),
    "infinite": (
        lambda s: s.write("train", table(a=[float("inf")] * 3 + [0.5] * 197)),
        "column a holds 3 infinite values",
    ),
    "one class": (lambda s: s.write("train", table(y=[1] * ROWS)), "label y has one class only: 200 rows of 1"),
    "one class in val": (lambda s: s.write("val", table(y=[0] * ROWS)), "channel val: label y has one class only"),
    "three classes": (lambda s: s.write("train", table(y=[0, 1] * 99 + [2, 2])), "label y must be 0 or 1, found 2"),
    "a label too large for a float": (
        lambda s: s.write("train", table(y=[0, 1] * 99 + [0, 2**24 + 1])),
        "label y must be 0 or 1, found 1.67772e+07",
    ),
    "a column twice": (
        lambda s: s.write("val", table().append_column("a", pa.array(range(ROWS)))),
        "val.parquet has column a twice; expected once",
    ),
    "text label": (lambda s: s.write("train", table(y=["yes"] * ROWS)), "label y must be 0 or 1, found string"),
    "null label": (lambda s: s.write("train", table(y=[0, 1] * 99 + [None] * 2)), "label y is null in 2 rows"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_table_is_refused_in_one_line(name: str, site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    spoil, message = SPOILT[name]
    spoil(site)
    assert site.run() == 1
    assert message in site.failure
    assert "\n" not in site.failure
    log, errors = capfd.readouterr()
    assert f"Error: {site.failure}" in log.splitlines()
    assert "Traceback" not in errors
    assert not (site.folder / "model").exists()


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"batch_size": 201}, "channel train: batch_size 201 is larger than the 200 rows"),
        ({"lerning_rate": 1}, "did you mean learning_rate?"),
        ({"learning_rate": 1e30, "gradient_clip": 0.0, "epochs": 3}, "the loss became"),
        (
            {"learning_rate": 1e30, "gradient_clip": 0.0, "batch_size": 200},  # the last step spoils the weights
            "the network's outputs for the val rows are no longer numbers",
        ),
    ],
)
def test_hyperparameters_that_cannot_work(hyperparameters: dict[str, Any], message: str, site: Site) -> None:
    assert site.run(**hyperparameters) == 1
    assert message in site.failure


def test_a_loss_that_is_no_number_leaves_the_last_good_checkpoint(site: Site) -> None:
    assert site.run() == 0
    kept = {path.name: path.read_bytes() for path in (site.folder / "checkpoints").iterdir()}
    site.write("train", table())
    assert site.run(learning_rate=1e30) == 1  # another training, refused
    assert {path.name: path.read_bytes() for path in (site.folder / "checkpoints").iterdir()} == kept


def test_tables_that_look_odd_but_can_be_learnt_from(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    """Constant, boolean, huge and unicode columns are no reason to fail; a constant one is named."""
    odd = table(a=[7.0] * ROWS, b=[f"日本 {i} 'ü" for i in range(ROWS)])
    for split in ("train", "val", "test"):
        site.write(split, odd)
    assert site.run() == 0
    assert "Warning: column a is constant in train" in capfd.readouterr().out
    for split in ("train", "val", "test"):
        site.write(split, table(a=[True, False] * 100, y=[True, False] * 100, b=[1e300, -3.5] * 100))
    for path in (site.folder / "checkpoints").iterdir():
        path.unlink()
    assert site.run() == 0


def test_max_rows_takes_rows_from_everywhere(site: Site) -> None:
    """Sorted by label, the first rows would be of one class."""
    site.write("train", table(y=[0] * 150 + [1] * 50))
    assert site.run(max_rows=40, batch_size=20) == 0
    report = json.loads((site.folder / "output" / "report.json").read_text())
    assert report["data"]["rows"] == {"train": 40, "val": 40, "test": 40}
    assert report["data"]["positive"]["train"] == 10
    assert site.run(max_rows=40, batch_size=41) == 1
    assert "batch_size 41 is larger than the 40 rows" in site.failure


def test_a_picture_that_cannot_be_drawn_costs_no_model(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    """An image without matplotlib, in a network that nothing can be installed from."""
    site.monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert site.run() == 0
    assert "Warning: curves.png was not drawn: ModuleNotFoundError" in capfd.readouterr().out
    left = {path.name for path in (site.folder / "model").iterdir()}
    assert {"model.pt", "preprocess.json", "report.json"} <= left
    assert "curves.png" not in left


def test_a_failure_of_an_earlier_run_is_forgotten(site: Site) -> None:
    (site.folder / "failure").write_text("old")
    assert site.run() == 0
    assert not (site.folder / "failure").exists()


@pytest.mark.parametrize(
    "hyperparameters", [{"precision": "bfloat16"}, {"precision": "float64"}, {"class_weight": "balanced"}]
)
def test_the_other_precisions_and_weights_train(hyperparameters: dict[str, Any], site: Site) -> None:
    assert site.run(**hyperparameters) == 0
    report = json.loads((site.folder / "output" / "report.json").read_text())
    assert 0 < report["metrics"]["Validation Loss"] < 1.5


def test_sigterm_before_the_first_step_ends_at_once(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    site.monkeypatch.setattr(train, "prepare", lambda *args: os.kill(os.getpid(), signal.SIGTERM))
    assert site.run() == 143
    assert "Interrupted: SIGTERM before the first step" in capfd.readouterr().out
    assert not (site.folder / "failure").exists()
