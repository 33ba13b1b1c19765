"""Bad input: one line that names what was found and what was expected, in the log and in the failure file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training import finish, train
from training.inference import model_fn, predict_fn

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


def latin1(text: str, rows: int) -> pa.Array:
    """Strings whose bytes are not UTF-8, as a program writes them that does not look."""
    content = text.encode("latin-1")
    offsets = np.arange(rows + 1, dtype=np.int32) * len(content)
    return pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(content * rows)])


def truncate(site: Site) -> None:
    os.truncate(site.file(), site.file().stat().st_size - 40)


def damage_pages(site: Site) -> None:
    content = bytearray(site.file().read_bytes())
    content[4 : len(content) // 2] = b"\xff" * (len(content) // 2 - 4)
    site.file().write_bytes(content)


SPOILT: dict[str, tuple[Callable[[Site], Any], str]] = {
    "no channel": (lambda s: (s.file().unlink(), s.file().parent.rmdir()), "channel train: expected"),
    "another name": (lambda s: s.file().rename(s.file().with_name("rows.csv")), "folder of parts, found rows.csv"),
    "a partitioned table": (
        lambda s: (s.file().with_name("x=1").mkdir(), s.file().rename(s.file().with_name("x=1") / "part-0.parquet")),
        "nested folders (x=1) are not read, put all parts into one folder",
    ),
    "zero bytes": (lambda s: s.file().write_bytes(b""), "train.parquet is empty (0 bytes)"),
    "no parquet": (lambda s: s.file().write_text("id,y\n1,0\n" * 9), "train.parquet is not a complete parquet file"),
    "truncated": (truncate, "train.parquet is not a complete parquet file"),
    "damaged pages": (damage_pages, "train.parquet cannot be read"),
    "no rows": (lambda s: s.write("val", table().slice(0, 0)), "channel val:"),
    "no column": (lambda s: s.write("val", table(a=None)), "channel val:"),
    "text for a number": (lambda s: s.write("train", table(a=["1"] * ROWS)), "column a must be numeric, found string"),
    "text in val only": (lambda s: s.write("val", table(a=["1"] * ROWS)), "channel val: column a must be numeric"),
    "list in a category": (
        lambda s: s.write("train", table(b=[[1]] * ROWS)),
        "column b must contain plain values, found list",
    ),
    "bytes in a category": (
        lambda s: s.write("train", table(b=pa.array([b"\x00" * 16] * ROWS, pa.binary(16)))),
        "column b must contain plain values, found fixed_size_binary[16]; write strings",
    ),
    "UUIDs in a category": (  # as DuckDB writes them
        lambda s: s.write("train", table(b=pa.array([b"\x00" * 16] * ROWS, pa.uuid()))),
        "column b must contain plain values, found extension<arrow.uuid>; write strings",
    ),
    "Latin-1 in a category": (
        lambda s: s.write("val", table(b=latin1("café", ROWS))),
        "channel val: column b contains text that is not UTF-8; write it as UTF-8",
    ),
    "dates in a category": (
        lambda s: s.write("train", table(b=[date(2013, 7, 4)] * ROWS)),
        "channel train: column b contains dates or times (date32[day])",
    ),
    "times among the numbers": (
        lambda s: s.write("val", table(a=[datetime(2013, 7, 4, tzinfo=UTC)] * ROWS)),
        "channel val: column a contains dates or times (timestamp",
    ),
    "all null": (
        lambda s: s.write("train", table(a=pa.nulls(ROWS, pa.float64()))),
        "column a contains no number in train",
    ),
    "null type": (lambda s: s.write("train", table(b=pa.nulls(ROWS))), "column b contains no value in train"),
    "infinite": (
        lambda s: s.write("train", table(a=[float("inf")] * 3 + [0.5] * 197)),
        "column a contains 3 infinite values",
    ),
    "one class": (lambda s: s.write("train", table(y=[1] * ROWS)), "label y has one class only: 200 rows of 1"),
    "one class in val": (lambda s: s.write("val", table(y=[0] * ROWS)), "channel val: label y has one class only"),
    "101 classes": (
        lambda s: s.write("train", table(y=[*range(101), *range(99)])),
        "label y contains 101 or more different numbers; expected 2 to 100 classes",
    ),
    "a number to be guessed": (
        lambda s: s.write("train", table(y=np.linspace(0, 1, ROWS))),
        "bin a number: regression is not supported",
    ),
    "a class that is only in val": (
        lambda s: s.write("val", table(y=[0, 1] * 99 + [2, 2])),
        "channel val: label y contains '2', a class that is not in train (0, 1)",
    ),
    "a class that is only in test": (
        lambda s: s.write("test", table(y=["no", "maybe"] * 100)),
        "channel test: label y contains 'no', a class that is not in train (0, 1)",
    ),
    "a label too large for a float": (
        lambda s: s.write("val", table(y=[0, 1] * 99 + [0, 2**24 + 1])),
        "label y contains '16777217', a class that is not in train",
    ),
    "labels that differ by case": (
        lambda s: s.write("train", table(y=["Yes", "yes"] * 99 + ["no"] * 2)),
        "label y contains 'Yes' and 'yes', which differ only in case, whitespace or invisible characters",
    ),
    "labels that differ by blanks": (
        lambda s: s.write("train", table(y=["yes", "no", "yes ", "no"] * 50)),
        "label y contains 'yes' and 'yes ', which differ only in case, whitespace or invisible characters",
    ),
    "labels that differ by what nobody sees": (
        lambda s: s.write("train", table(y=["yes", "no", "yes\u200b", "no"] * 50)),
        "label y contains 'yes' and 'yes\\u200b', which differ only in case, whitespace or invisible characters",
    ),
    "labels that differ by a hard blank": (
        lambda s: s.write("train", table(y=["on time", "late", "on\xa0time", "late"] * 50)),
        "label y contains 'on time' and 'on\\xa0time', which differ only in",
    ),
    "an infinite label": (
        lambda s: s.write("train", table(y=[float("-inf"), 1.0] * 100)),
        "label y contains -inf; expected finite numbers",
    ),
    "a blank label": (lambda s: s.write("train", table(y=["yes", " "] * 100)), "label y contains the blank string ' '"),
    "dates for labels": (
        lambda s: s.write("train", table(y=[date(2013, 7, 4), date(2013, 7, 5)] * 100)),
        "channel train: label y contains dates or times",
    ),
    "lists for labels": (
        lambda s: s.write("train", table(y=[[1]] * ROWS)),
        "label y must contain plain values, found list",
    ),
    "a column twice": (
        lambda s: s.write("val", table().append_column("a", pa.array(range(ROWS)))),
        "val.parquet has column a twice; expected once",
    ),
    "one text": (lambda s: s.write("train", table(y=["yes"] * ROWS)), "label y has one class only: 200 rows of yes"),
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
        ({"positive_label": "yes"}, "positive_label 'yes' is not a class of y, which has 0, 1"),
        ({"ensemble_size": 0}, "hyperparameter ensemble_size must be above 0, found 0"),
        ({"lerning_rate": 1}, "did you mean learning_rate?"),
        ({"learning_rate": 1e30, "gradient_clip": 0.0, "epochs": 3}, "the loss became"),
        (
            {"learning_rate": 1e30, "gradient_clip": 0.0, "batch_size": 201},  # the last step spoils the weights
            "the network's outputs for the val rows are not finite",
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
    assert report["data"]["label"]["rows"]["train"] == [30, 10]


def test_a_picture_that_cannot_be_drawn_costs_no_model(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    """An image without matplotlib, in a network that nothing can be installed from."""
    site.monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert site.run() == 0
    assert "Warning: curves.png was skipped: ModuleNotFoundError" in capfd.readouterr().out
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


LABELS: dict[str, tuple[list[Any], list[Any], str]] = {
    "numbers": ([0.0, 1.0], [0, 1], ""),
    "minus and plus": ([1, -1], [-1, 1], ""),
    "booleans": ([True, False], [False, True], ""),
    "texts": (["yes", "no"], ["no", "yes"], ""),
    "the other one": (["yes", "no"], ["yes", "no"], "no"),
    "a truth by its name": ([True, False], [True, False], "False"),
    "a number by its text": ([2, 10], [10, 2], "2.0"),
    "three": (["b", "a", "c"], ["a", "b", "c"], ""),
    "numbers by size": ([10, 9, 2.5], [2.5, 9, 10], ""),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_as_people_have_them(name: str, site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    values, classes, positive = LABELS[name]
    for split in ("train", "val", "test"):
        site.write(split, table(y=(values * ROWS)[:ROWS]))
    assert site.run(positive_label=positive) == 0
    report = json.loads((site.folder / "output" / "report.json").read_text())
    label = report["data"]["label"]
    assert label["classes"] == classes
    assert label.get("positive") == (classes[1] if len(classes) == 2 else None)
    assert len(report["confusion_matrix"]["counts"]) == len(classes)
    model = model_fn(str(site.folder / "model"))
    answers = predict_fn(table().drop_columns(["y"]), model)
    assert {answer["label"] for answer in answers} <= set(classes)
    assert ("is positive" in capfd.readouterr().out) == (len(classes) == 2)


def test_chance_is_not_warned_about(site: Site) -> None:
    """In a small table, one or two rows of most columns are outside train's range, new or missing."""
    site.write("val", table(50, a=[100.0] * 2 + [None] * 2 + [0.1] * 46, b=["new", None] + ["x", "y"] * 24))
    assert site.run() == 0
    report = json.loads((site.folder / "output" / "report.json").read_text())
    assert report["data"]["unseen"]["val"] == {"a": 2, "b": 1}
    assert not [warning for warning in report["warnings"] if "column" in warning]


def test_a_positive_label_among_three_classes_is_refused(site: Site) -> None:
    for split in ("train", "val", "test"):
        site.write(split, table(y=["a", "b", "c", "a"] * 50))
    assert site.run(positive_label="a") == 1
    assert site.failure == "positive_label is for two classes; label y has 3 classes"


def test_a_class_that_val_lacks_is_named(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    for split, labels in {"train": "abcd", "val": "abca", "test": "abcd"}.items():
        site.write(split, table(y=list(labels) * 50))
    assert site.run() == 0
    assert "Warning: val has no row of class d; the mean AUC excludes it" in capfd.readouterr().out


@pytest.mark.parametrize("rows", [2, 3, 39, 41])
def test_no_table_is_too_small(rows: int, site: Site) -> None:
    site.write("train", table(rows + rows % 2, y=[0, 1] * (rows // 2 + rows % 2)).slice(0, rows))
    assert site.run(batch_size=None, epochs=2) == 0
    report = json.loads((site.folder / "output" / "report.json").read_text())
    assert report["plan"] == {"batch_size": 32, "epochs": 2, "steps": 1 if rows < 33 else 2}


def test_values_that_train_does_not_have_are_warned_about(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    """A fault upstream: categories of another kind, a number in another unit, a column that is lost."""
    site.write("val", table(b=["u", "x"] * 100))
    site.write("test", table(a=np.arange(ROWS) * 1000.0 + 100))
    assert site.run() == 0
    log = capfd.readouterr().out
    report = json.loads((site.folder / "output" / "report.json").read_text())
    assert "Warning: column b: 50 % of val's values do not occur in train" in log
    assert "Warning: column a: 100 % of test's values are outside train's range" in log
    assert "column b: 50 % of val's values do not occur in train" in report["warnings"]
    assert report["data"]["unseen"] == {"train": {}, "val": {"b": 100}, "test": {"a": 200}}
    site.write("test", table(b=pa.nulls(ROWS)))
    shutil.rmtree(site.folder / "checkpoints")
    assert site.run() == 0
    assert "Warning: column b: 100 % of test's values are missing, 0 % of train's" in capfd.readouterr().out


def test_parts_as_spark_leaves_them(site: Site) -> None:
    """Both as the folder train.parquet and as SageMaker lays that folder's content into the channel."""
    for split, folder in {"train": site.file().with_name("x"), "val": site.folder / "val"}.items():
        whole = pq.read_table(site.file(split))
        site.file(split).unlink()
        folder.mkdir(exist_ok=True)
        for number, start in enumerate((0, 150)):
            pq.write_table(whole.slice(start, 150), folder / f"part-0000{number}-1f.snappy.parquet")
            (folder / f".part-0000{number}-1f.snappy.parquet.crc").write_bytes(b"crc")
        (folder / "_SUCCESS").touch()
    (site.folder / "train" / "x").rename(site.file())
    assert site.run() == 0
    report = json.loads((site.folder / "output" / "report.json").read_text())
    assert report["data"]["rows"] == {"train": 200, "val": 200, "test": 200}


def test_sigterm_while_importance_is_measured_keeps_the_model(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    site.monkeypatch.setattr(finish, "importance", lambda *args: os.kill(os.getpid(), signal.SIGTERM))
    assert site.run() == 0
    assert "SIGTERM: model and report are complete" in capfd.readouterr().out
    assert json.loads((site.folder / "model" / "report.json").read_text())["importance"] == []
    assert (site.folder / "model" / "model.pt").exists()


def test_sigterm_after_everything_is_written_does_not_change_the_exit_status(site: Site) -> None:
    assert site.run() == 0
    os.kill(os.getpid(), signal.SIGTERM)  # while Python shuts down, the default action would end it with -15
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


def test_sigterm_before_the_first_step_ends_at_once(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    site.monkeypatch.setattr(train, "prepare", lambda *args: os.kill(os.getpid(), signal.SIGTERM))
    assert site.run() == 143
    assert "Interrupted: SIGTERM before the first step" in capfd.readouterr().out
    assert not (site.folder / "failure").exists()
