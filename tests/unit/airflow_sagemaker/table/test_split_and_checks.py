"""`split` into a folder, and `validate --data` of what is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sagemaker.cli import main
from airflow_sagemaker.table import splitting
from airflow_sagemaker.table.columns import describe, single_auc
from tests.support.tables import customers, write_parquet

SPLITS = ("train", "val", "test")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    return tmp_path


def make(columns: dict[str, Any], *init: str) -> None:
    write_parquet(Path("churn.parquet"), columns)
    assert main(["init", "churn.parquet", "--label", "churned", *init]) == 0


def split(*options: str) -> dict[str, pa.Table]:
    assert main(["split", "churn.parquet", "dags/churn.yaml", "--to", "out", *options]) == 0
    return {name: pq.read_table(f"out/{name}/{name}.parquet") for name in SPLITS}


def values_of(tables: dict[str, pa.Table], column: str) -> list[Any]:
    return sorted(value for table in tables.values() for value in table[column].to_pylist())


def test_a_split_by_hash_has_each_row_once_and_ids_keep_their_split(capsys: pytest.CaptureFixture[str]) -> None:
    make(customers(1000))
    before = split()
    assert values_of(before, "customer_id") == sorted(customers(1000)["customer_id"])
    write_parquet(Path("churn.parquet"), {k: v[300:] for k, v in customers(1000).items()})
    after = split("--overwrite")
    for name in SPLITS:
        assert set(after[name]["customer_id"].to_pylist()) <= set(before[name]["customer_id"].to_pylist())
    assert 0.5 < before["train"].num_rows / 1000 < 0.7


def test_a_split_by_time_tests_on_the_newest_rows() -> None:
    make(customers(1000))
    tables = split("--by-time", "signup", "--val", "0.1", "--test", "0.1")
    latest = {name: pc.max(table["signup"]).as_py() for name, table in tables.items()}
    earliest = {name: pc.min(table["signup"]).as_py() for name, table in tables.items()}
    assert latest["train"] < earliest["val"] <= latest["val"] < earliest["test"]
    assert tables["train"].num_rows == 800


def test_a_split_by_group_keeps_rows_of_one_group_together() -> None:
    groups = [None if n % 50 == 0 else n % 97 for n in range(1000)]
    make(customers(1000, household=groups))
    tables = split("--by-group", "household")
    assert values_of(tables, "customer_id") == sorted(customers(1000)["customer_id"])
    found = [{*table["household"].drop_null().to_pylist()} for table in tables.values()]
    assert sum(map(len, found)) == len(set.union(*found)), "no household is in two splits"
    assert [table["household"].null_count > 0 for table in tables.values()] == [True] * 3, "no group: by row"


def test_numbered_rows_and_rows_without_a_label(capsys: pytest.CaptureFixture[str]) -> None:
    labels = [None if n % 10 == 0 else n % 2 for n in range(400)]
    make(customers(customer_id=None, churned=labels))
    assert "40 of 400 rows have no label" in capsys.readouterr().err
    tables = split()
    assert "40 rows without a label" in capsys.readouterr().out
    assert values_of(tables, "row_number") == [n for n in range(400) if n % 10]
    write_parquet(Path("churn.parquet"), customers(70_000, customer_id=None))  # more than is read at once
    assert values_of(split("--overwrite"), "row_number") == [*range(70_000)]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--by-time", "when"], "no such column"),
        (["--by-group", "when"], "no such column"),
        (["--by-time", "same"], "too few different values"),
        (["--by-time", "age"], "rows have no time"),
        (["--val", "0.6", "--test", "0.5"], "together below 1"),
        (["--val", "0.0001", "--test", "0.0001"], "raise --val and --test"),
    ],
)
def test_splits_that_cannot_be(options: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    make(customers(same=[1] * 400))
    capsys.readouterr()
    assert main(["split", "churn.parquet", "dags/churn.yaml", "--to", "out", *options]) == 2
    assert text in capsys.readouterr().err


def test_a_class_that_train_lacks_is_refused_before_the_training_does(capsys: pytest.CaptureFixture[str]) -> None:
    make(customers())
    newest = split("--by-time", "signup")["test"]["customer_id"].to_pylist()[-1]
    table = customers()
    table["churned"] = [2 if i == newest else c for i, c in zip(table["customer_id"], table["churned"], strict=True)]
    write_parquet(Path("churn.parquet"), table)
    capsys.readouterr()
    assert main(["split", "churn.parquet", "dags/churn.yaml", "--to", "other", "--by-time", "signup"]) == 2
    assert "train has no row of these classes of churned: 2 (in test); merge them" in capsys.readouterr().err


def test_an_existing_split_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    make(customers())
    split()
    assert main(["split", "churn.parquet", "dags/churn.yaml", "--to", "out"]) == 2
    assert "exists" in capsys.readouterr().err


def test_the_hash_is_the_one_of_the_flights() -> None:
    pytest.importorskip("polars")
    from preprocessing.splits import _place

    assert [splitting.hash_place(text) for text in ("", "a", "ü-7")] == [_place(text) for text in ("", "a", "ü-7")]


# --- validate --data -------------------------------------------------------------------------------------------------


def rewrite(name: str, change: Any) -> None:
    path = Path(f"out/{name}/{name}.parquet")
    pq.write_table(change(pq.read_table(path)), path)


def replaced(column: str, values: Any) -> Any:
    def change(table: pa.Table) -> pa.Table:
        new = values(table) if callable(values) else values
        return table.set_column(table.schema.get_field_index(column), column, new)

    return change


def first_null(column: str) -> Any:
    return lambda table: pa.array([None, *table[column].to_pylist()[1:]], table[column].type)


FAULTS: dict[str, tuple[str, Any, str]] = {
    "a missing column": ("val", lambda t: t.drop_columns("age"), "missing columns in val: 1 (expected 0; for example"),
    "a duplicate column": ("test", lambda t: t.append_column("age", t["age"]), "duplicate columns in test: 1"),
    "an empty split": ("test", lambda t: t.slice(0, 0), "rows in test: 0 (expected at least 1"),
    "a label with gaps": ("train", replaced("churned", first_null("churned")), "rows without churned in train: 1"),
    "a class that train lacks": (
        "val", replaced("churned", lambda t: pa.array([7, *t["churned"].to_pylist()[1:]])),
        "classes that train lacks in val: 1 (expected 0; for example 7"),
    "one class": ("train", replaced("churned", lambda t: pa.array([1] * t.num_rows)), "classes in train.churned: 1"),
    "one class in test": ("test", replaced("churned", lambda t: pa.array([1] * t.num_rows)), "classes in test.churned"),
    "too many classes": (
        "train", replaced("churned", lambda t: pa.array([*range(t.num_rows)])), "expected 2 to 100"),
    "texts among the numbers": (
        "val", replaced("balance", lambda t: t["balance"].cast(pa.string())), "for example balance is string"),
    "dates as a category": ("train", replaced("country", lambda t: t["signup"]), "for example country is date32"),
    "ids across splits": (
        "test", replaced("customer_id", lambda t: pa.array([f"0-{n}" for n in range(t.num_rows)])),
        "shared ids in train and test"),
    "an id that is missing": ("val", replaced("customer_id", first_null("customer_id")), "rows without customer_id"),
    "a column without values": (
        "train", replaced("age", lambda t: pa.nulls(t.num_rows, pa.int64())), "missing values in train.age: 1"),
}  # fmt: skip


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration and the three channels of a sound table, to be copied."""
    home = tmp_path_factory.mktemp("splits")
    table, config = str(write_parquet(home / "churn.parquet", customers())), str(home / "dags" / "churn.yaml")
    assert main(["init", table, "--label", "churned", "--dags-folder", str(home / "dags")]) == 0
    assert main(["split", table, config, "--to", str(home / "out")]) == 0
    return home


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_of_the_data_is_named(case: str, splits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(splits, ".", dirs_exist_ok=True)
    name, change, text = FAULTS[case]
    assert main(["validate", "dags/churn.yaml", "--data", "out"]) == 0
    rewrite(name, change)
    capsys.readouterr()
    assert main(["validate", "dags/churn.yaml", "--data", "out"]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"hello", b"PAR1 torn PAR1"])
def test_a_file_that_is_not_whole(content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    make(customers())
    split()
    Path("out/val/val.parquet").write_bytes(content)
    assert main(["validate", "dags/churn.yaml", "--data", "out"]) == 2
    assert "write it again" in capsys.readouterr().err


def test_sound_data_with_labels_of_other_types(capsys: pytest.CaptureFixture[str]) -> None:
    make(customers())
    split()
    rewrite("val", replaced("churned", lambda t: t["churned"].cast(pa.float64())))
    rewrite("test", replaced("churned", lambda t: t["churned"].cast(pa.bool_())))
    capsys.readouterr()
    assert main(["validate", "dags/churn.yaml", "--data", "out", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert all(finding["ok"] for finding in data["data_checks"])


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=60))
def test_the_auc_of_one_column_is_that_of_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    roc_auc_score = pytest.importorskip("sklearn.metrics").roc_auc_score

    values = pa.chunked_array([pa.array([value for value, _ in rows], pa.int64())])
    label = [hit for _, hit in rows]
    found = single_auc(describe("x", values), values, pa.array(label))
    if len(set(label)) < 2:
        assert found == 0.5
    else:
        area = roc_auc_score(label, values.to_pylist())
        assert found == pytest.approx(max(area, 1 - area))
