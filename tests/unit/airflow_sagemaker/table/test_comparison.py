"""A partition against the one before it: `validate --data FOLDER --against FOLDER`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sagemaker.cli import main
from airflow_sagemaker.table import drift, findings
from tests.support.tables import customers, write_parquet

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration beside the partition of last time."""
    folder = tmp_path_factory.mktemp("comparison")
    table = str(write_parquet(folder / "churn.parquet", customers()))
    assert main(["init", table, "--label", "churned", "--dags-folder", str(folder)]) == 0
    write_partition(folder / "last", customers(seed=1))
    return folder


@pytest.fixture(autouse=True)
def workspace(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


def write_partition(folder: Path, columns: dict[str, Any]) -> None:
    for split in SPLITS:
        own = [f"{split}{one}" for one in columns["customer_id"]]
        write_parquet(folder / split / f"{split}.parquet", columns | {"customer_id": own})


def compared(capsys: pytest.CaptureFixture[str], columns: dict[str, Any], *limits: str) -> tuple[int, str, str]:
    """The exit code, standard error and standard output of the command."""
    write_partition(Path("now"), columns)
    options = [word for limit in limits for word in ("--limit", limit)]
    capsys.readouterr()
    code = main(["validate", "churn.yaml", "--data", "now", "--against", "last", *options])
    captured = capsys.readouterr()
    return code, captured.err, captured.out


def moved(table: dict[str, Any]) -> list[Any]:
    return [one and one + 40 for one in table["age"]]


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "few rows": (customers(100, seed=2), "rows relative to the last partition in train: 0.25 (expected 0.5 to 2"),
    "gaps": (
        customers(seed=2, age=[None if n % 2 else 30 for n in range(400)]),
        "increase in missing values since the last partition in train.age: 0.4",
    ),
    "another unit": (
        customers(seed=2, balance=[n * 1000.0 for n in range(400)]),
        "largest value relative to the last partition in train.balance",
    ),
    "another label": (
        customers(seed=2, churned=[int(n % 5 > 0) for n in range(400)]),
        "change in the share of label 0 since the last partition in train: 0.4",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_partition_too_far_from_the_last_one_is_refused(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    columns, text = FAULTS[case]
    code, said, _ = compared(capsys, columns)
    assert code == 2
    assert "now: 1 data check failed" in said or case == "another label"
    assert text in said


def test_a_limit_of_zero_only_reports(capsys: pytest.CaptureFixture[str]) -> None:
    code, said, out = compared(capsys, customers(100, seed=2), "row_ratio=0", "label_share_change=0")
    assert code == 0
    assert "rows relative to the last partition in train: 0.25\n" in said
    assert "data checks passed" in out


def test_drift_is_reported_and_fails_from_a_limit_on(capsys: pytest.CaptureFixture[str]) -> None:
    older = customers(seed=2)
    older["age"] = moved(older)
    code, said, _ = compared(capsys, older)
    assert code == 0
    assert "drift (PSI) since the last partition in train.age: " in said
    code, said, _ = compared(capsys, older, "drift=0.25")
    assert code == 2
    [failing] = [line for line in said.splitlines() if line.startswith("  - ")]
    assert "drift (PSI) since the last partition in train.age:" in failing
    assert compared(capsys, customers(seed=2), "drift=0.25")[0] == 0


def test_categories_of_other_types_have_not_drifted(capsys: pytest.CaptureFixture[str]) -> None:
    codes = {"DE": 1, "FR": 2, "NL": 3}
    numbers = [codes[one] for one in customers(seed=1)["country"]]
    write_partition(Path("last"), customers(seed=1, country=numbers))
    code, said, _ = compared(capsys, customers(seed=1, country=[str(float(n)) for n in numbers]), "drift=0.001")
    assert (code, "train.country: 0 (expected" in said) == (0, True)


def test_the_first_rows_of_the_row_groups_are_enough(capsys: pytest.CaptureFixture[str]) -> None:
    columns = customers(60_000, seed=1)
    for name in ("last", "now"):
        write_partition(Path(name), columns)
    path = Path("now/train/train.parquet")
    pq.write_table(pq.read_table(path), path, row_group_size=7_000)
    capsys.readouterr()
    assert main(["validate", "churn.yaml", "--data", "now", "--against", "last", "--limit", "drift=0.1"]) == 0
    assert "drift (PSI) since the last partition in train.balance: 0.00" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--data", "now", "--against", "nowhere"], "nowhere/train/train.parquet: does not exist"),
        (["--data", "now", "--against", "s3://bucket/last"], "region"),
        (["--data", "now", "--limit", "rows=3"], "check limit 'rows' is unknown; expected one of row_ratio"),
        (["--data", "now", "--limit", "row_ratio=-1"], "must be a number, 0 or more"),
        (["--data", "now", "--limit", "row_ratio=nan"], "must be a number, 0 or more"),
        (["--data", "now", "--limit", "row_ratio"], "expected NAME=NUMBER, such as row_ratio=5"),
        (["--limit", "row_ratio=3"], "--limit = ['row_ratio=3']: needs --data"),
    ],
)
def test_a_comparison_that_cannot_be_made(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_partition(Path("now"), customers(seed=2))
    assert main(["validate", "churn.yaml", *arguments]) == 2
    assert text in capsys.readouterr().err


def test_of_a_wide_table_the_largest_numbers_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"c{n}" for n in range(300)]
    wide = {name: [None if row < place else float(row) for row in range(400)] for place, name in enumerate(names)}
    columns = customers(age=None, balance=None, country=None, signup=None) | wide
    write_parquet(Path("wide.parquet"), columns)
    assert main(["init", "wide.parquet", "--label", "churned", "--dags-folder", "."]) == 0
    write_partition(Path("now"), columns)
    capsys.readouterr()
    assert main(["validate", "wide.yaml", "--data", "now", "--against", "now", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["data_checks"]
    gaps = [one for one in found if one["check"] == "share of missing values"]
    assert (len(gaps), gaps[0]["where"]) == (50, "train.c299")
    assert [one["value"] for one in found if one["check"] == "features not compared for drift"] == [200]
    assert [one["value"] for one in found if one["check"] == "share of missing values, not listed"] == [249]


# --- one Finding and one index, here and in preprocessing/, which is shipped without this package ---------------------

numbers = st.lists(st.one_of(st.none(), st.integers(-3, 3), st.floats(-1e6, 1e6)), min_size=1, max_size=80)
texts = st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh")), min_size=1, max_size=80)


@settings(deadline=None, max_examples=60)
@given(st.one_of(st.tuples(numbers, numbers), st.tuples(texts, texts)))
def test_the_index_is_that_of_the_flights(samples: tuple[list[Any], list[Any]]) -> None:
    pl = pytest.importorskip("polars")
    from preprocessing.quality import drift as of_flights

    is_text = any(isinstance(one, str) for sample in samples for one in sample)
    kind, polars_kind = (pa.string(), pl.String) if is_text else (pa.float64(), pl.Float64)
    make = drift.profile_texts if is_text else drift.profile_numbers
    before, after = (make([pa.array(sample, kind)]) for sample in samples)
    theirs = of_flights.profile(pl.Series("x", samples[0], dtype=polars_kind))
    now = pl.Series("x", samples[1], dtype=polars_kind)
    assert drift.psi(before, after) == pytest.approx(of_flights.psi(theirs, now))
    assert drift.by_chance(before, after) == pytest.approx(max(of_flights.by_chance(theirs, now), 0))


def test_a_finding_is_that_of_the_flights() -> None:
    pytest.importorskip("polars")
    from preprocessing.quality import checks

    values = ("rows", "train", 1234567.0, "0", False, "'x' of 7")
    assert str(findings.Finding(*values)) == str(checks.Finding(*values))
    assert findings.as_data([findings.Finding(*values)])[0] == vars(checks.Finding(*values))
