"""A table that has nothing to do with flights goes through the same program: its own columns, raw files and limits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer

ROOT = Path(__file__).resolve().parents[3]
PARTITION = date(2024, 3, 31)
DAYS = 30

TUMOURS = """
import narwhals as nw
from preprocessing.spec import DAY, INTEGER, NUMBER, TEXT, Limits, RawTable, TableSpec

def build(raw, span):
    sizes = raw["sizes"].group_by("sample").agg(nw.col("area").mean())
    rows = raw["samples"].join(sizes, on="sample", how="left")
    rows = rows.filter(nw.col("seen") >= nw.lit(span.first))
    return rows.select("sample", "seen", "benign", "texture", "area", "site")

def schema():
    from pandera.polars import Column, DataFrameSchema
    return DataFrameSchema({"sample": Column(str, unique=True), "benign": Column(int)})

TUMOURS = TableSpec(
    id_name="sample", label_name="benign", date_name="seen", order=["seen", "sample"],
    tab_field_list=["texture", "area"], cat_field_list=["site"],
    raw={
        "samples": RawTable(columns={"sample": TEXT, "seen": DAY, "benign": INTEGER, "texture": NUMBER, "site": TEXT}),
        "sizes": RawTable(columns={"sample": TEXT, "area": NUMBER}, days_before=2, may_be_empty=True),
    },
    build=build, schema=schema, limits=Limits(max_single_auc=0.99),
)
"""

RAW = {"samples": ["sample", "seen", "benign", "texture", "site"], "sizes": ["sample", "area"]}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's breast cancer table, dealt out over the days of the window and two before it."""
    folder = tmp_path_factory.mktemp("tumours")
    loaded = load_breast_cancer()
    table = pl.DataFrame(loaded.data, schema=list(loaded.feature_names)).with_row_index("n")
    first = PARTITION - timedelta(days=DAYS + 1)
    table = table.select(
        sample=pl.format("s{}", "n"),
        seen=pl.lit(first) + pl.duration(days=pl.col("n") % (DAYS + 2)),
        benign=pl.Series(loaded.target),
        texture=pl.col("mean texture"),
        area=pl.col("mean area"),
        site=pl.when(pl.col("n") % 3 == 0).then(pl.lit("left")).otherwise(pl.lit("right")),
    )
    for (day,), rows in table.partition_by("seen", as_dict=True).items():
        for name, columns in RAW.items():
            file = folder / "raw" / name / f"date={day}" / f"{name}.parquet"
            file.parent.mkdir(parents=True)
            rows.select(columns).write_parquet(file)
    (folder / "tumours.py").write_text(TUMOURS)
    return folder


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "preprocessing", "local", "--partition", str(PARTITION), "--days", str(DAYS)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}
    where = ["--raw", str(folder / "raw"), "--output", str(folder / "out")]
    return subprocess.run([*command, *where, *options], env=env, capture_output=True, text=True, check=False)


def test_another_table_is_built_split_and_checked(raw: Path) -> None:
    done = run(raw, "--table", "tumours:TUMOURS")
    assert done.returncode == 0, done.stderr
    about = json.loads(done.stdout)
    assert about["full_field_list"] == ["sample", "seen", "benign", "texture", "area", "site"]
    train = pl.read_parquet(raw / "out" / "train" / "train.parquet")
    assert train.height == about["rows"]["train"] > 100
    assert train.columns == about["full_field_list"]
    assert sum(about["rows"].values()) == 569 * DAYS // (DAYS + 2)
    assert {finding["where"] for finding in about["checks"]} >= {"texture", "area", "site"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("tumours:NONE", "'tumours:NONE' cannot be imported"),
        ("no_such_module:T", "cannot be imported .*expected module:NAME"),
        ("tumours:build", "'tumours:build' is a function; expected a TableSpec"),
    ],
)
def test_a_table_that_cannot_be_found_is_named(raw: Path, table: str, message: str) -> None:
    done = run(raw, "--table", table)
    assert done.returncode == 2
    assert re.search(message, done.stderr)
