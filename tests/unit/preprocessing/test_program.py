"""The program on local folders: what it writes, and the one line it fails with."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preprocessing import child, output, program, raw
from preprocessing.errors import PreprocessingError
from preprocessing.flights import fields
from preprocessing.flights.table import FLIGHTS
from preprocessing.window import Window

ROOT = Path(__file__).resolve().parents[3]


def test_three_splits_and_a_manifest_that_describes_them(raw_folder: Path, tmp_path: Path, window: Window) -> None:
    about = program.preprocess(FLIGHTS, raw_folder, tmp_path / "out", window)
    manifest = json.loads((tmp_path / "out" / output.MANIFEST).read_text())
    ids: list[str] = []
    for split, (first, last) in window.splits().items():
        file = tmp_path / "out" / output.split_key(split)
        table = pl.read_parquet(file)
        assert table.columns == about["full_field_list"] == FLIGHTS.full_field_list
        assert table.height == about["rows"][split] == manifest["files"][output.split_key(split)]["rows"]
        assert table[fields.DATE].is_sorted()
        assert (table[fields.DATE].min(), table[fields.DATE].max()) == (first, last)
        assert hashlib.sha256(file.read_bytes()).hexdigest() == manifest["files"][output.split_key(split)]["sha256"]
        ids += table[fields.ID].to_list()
    assert len(ids) == len(set(ids))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["manifest.json", "test", "train", "val"]


def test_a_second_run_writes_the_same_bytes(raw_folder: Path, tmp_path: Path, window: Window) -> None:
    program.preprocess(FLIGHTS, raw_folder, tmp_path / "a", window)
    first = (tmp_path / "a" / output.MANIFEST).read_bytes()
    program.preprocess(FLIGHTS, raw_folder, tmp_path / "a", window)
    assert (tmp_path / "a" / output.MANIFEST).read_bytes() == first


def test_two_runs_at_once_write_into_folders_of_their_own(raw_folder: Path, tmp_path: Path, window: Window) -> None:
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(program.preprocess, FLIGHTS, raw_folder, tmp_path / "out", window) for _ in range(4)]
        results = [run.result() for run in runs]
    assert all(result == results[0] for result in results)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["manifest.json", "test", "train", "val"]
    manifest = json.loads((tmp_path / "out" / output.MANIFEST).read_text())
    for name, about in manifest["files"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == about["sha256"]


def test_files_of_other_widths_fit_together(raw_folder: Path, tmp_path: Path, window: Window) -> None:
    before = program.preprocess(FLIGHTS, raw_folder, tmp_path / "a", window)
    day = window.partition
    narrow = {pl.Int64: pl.Int32, pl.Float64: pl.Float32, pl.Datetime("us", "UTC"): pl.Datetime("ms", "UTC")}
    for file in (raw_folder / raw.raw_key(table, day) for table in FLIGHTS.raw):
        pl.read_parquet(file).cast(narrow).write_parquet(file)
    weather = raw_folder / raw.raw_key("weather", day - timedelta(days=1))
    pl.read_parquet(weather).with_columns(pl.col("wind_dir").round().cast(pl.Int16)).write_parquet(weather)
    assert program.preprocess(FLIGHTS, raw_folder, tmp_path / "b", window) == before


def damaged(raw_folder: Path, window: Window, change: str) -> Path:
    """Do something to the raw flights of the partition's own day; return their file."""
    file = raw_folder / raw.raw_key("flights", window.partition)
    flights = pl.read_parquet(file)
    if change == "absent":
        file.unlink()
    elif change == "empty":
        file.write_bytes(b"")
    elif change == "truncated":
        file.write_bytes(file.read_bytes()[:-20])
    elif change == "text":
        file.write_text("year,month\n2013,1\n")
    elif change == "no rows":
        flights.clear().write_parquet(file)
    elif change == "column":
        flights.drop("carrier").write_parquet(file)
    elif change == "type":
        flights.with_columns(pl.col("arr_delay").cast(pl.String)).write_parquet(file)
    elif change == "zone":
        flights.with_columns(pl.col("time_hour").dt.convert_time_zone("America/New_York")).write_parquet(file)
    elif change == "encoding":
        latin = pa.array([b"AA", b"caf\xe9"] + [b"AA"] * (flights.height - 2))
        texts = pa.StringArray.from_buffers(len(latin), latin.buffers()[1], latin.buffers()[2])
        table = flights.to_arrow()
        pq.write_table(table.set_column(table.schema.get_field_index("carrier"), "carrier", texts), file)
    elif change == "page":
        content = file.read_bytes()
        file.write_bytes(content[:4] + b"\0" * 200 + content[204:])
    elif change == "date":
        other = pl.lit(window.first)
        flights.with_columns(pl.when(pl.int_range(pl.len()) > 2).then("flight_date").otherwise(other)).write_parquet(
            file
        )
    elif change == "twice":
        pl.concat([flights, flights]).write_parquet(file)
    return file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("absent", "flights: no raw data for {day} .*1 of 65 dates are missing"),
        ("empty", "{file} is empty .0 bytes.; expected a Parquet file of flights"),
        ("truncated", "{file} is not a complete Parquet file .*; expected one of flights"),
        ("text", "{file} is not a complete Parquet file"),
        ("no rows", "{file} has no rows; expected the flights of one date"),
        ("column", "{file}: column 'carrier' is missing; found flight_date, time_hour"),
        (
            "type",
            "partition {day}: {file}: column 'arr_delay' is .*string; expected integer, as in .*={before}/.*int64.;",
        ),
        ("type", "; row 0 has '-?[0-9]+'$"),
        (
            "encoding",
            "partition {day}: {file}: column 'carrier' contains text that is not UTF-8: b'caf.xe9' in row 1$",
        ),
        ("page", "partition {day}: {file}: cannot be read"),
        ("zone", "{file}: column 'time_hour' is timestamp.*New_York.*; expected time stamp in UTC"),
        ("date", "{file}: flight_date ranges from 2021-02-04 to {day}; expected only {day}$"),
        ("twice", "flight_id '{day}-.*' occurs in several rows"),
    ],
)
def test_bad_raw_data_is_named_and_nothing_is_written(
    raw_folder: Path, tmp_path: Path, window: Window, change: str, message: str
) -> None:
    file = damaged(raw_folder, window, change)
    expected = message.format(file=file, day=window.partition, before=window.partition - timedelta(days=1))
    with pytest.raises(PreprocessingError, match=expected) as caught:
        program.preprocess(FLIGHTS, raw_folder, tmp_path / "out", window)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_split_with_one_class_is_named(raw_folder: Path, tmp_path: Path, window: Window) -> None:
    for i in range(window.test_days):
        file = raw_folder / raw.raw_key("flights", window.partition - timedelta(days=i))
        pl.read_parquet(file).with_columns(arr_delay=pl.lit(0)).write_parquet(file)
    with pytest.raises(PreprocessingError, match=r"test \(.* to .*\) contains only label late = \[0\] in 48 rows"):
        program.preprocess(FLIGHTS, raw_folder, tmp_path / "out", window)


def test_a_split_without_arrivals_is_named(raw_folder: Path, tmp_path: Path, window: Window) -> None:
    for i in range(window.test_days):
        file = raw_folder / raw.raw_key("flights", window.partition - timedelta(days=i))
        cancelled = pl.read_parquet(file).with_columns(arr_delay=pl.lit(None, pl.Int64))
        cancelled.write_parquet(file)
    with pytest.raises(PreprocessingError, match=r"test .* has no rows; expected at least one of each label"):
        program.preprocess(FLIGHTS, raw_folder, tmp_path / "out", window)


def test_a_failed_rerun_leaves_the_whole_output_of_the_run_before(
    raw_folder: Path, tmp_path: Path, window: Window
) -> None:
    program.preprocess(FLIGHTS, raw_folder, tmp_path / "out", window)
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    damaged(raw_folder, window, "column")
    with pytest.raises(PreprocessingError):
        program.preprocess(FLIGHTS, raw_folder, tmp_path / "out", window)
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before


def test_the_command_line_prints_the_result_or_one_line(raw_folder: Path, tmp_path: Path, window: Window) -> None:
    def run(partition: date) -> subprocess.CompletedProcess[str]:
        options = ["--raw", raw_folder, "--output", tmp_path / "out", "--days", "36", "--val-days", "5"]
        command = [sys.executable, "-m", "preprocessing", "local", *map(str, options), "--test-days", "4"]
        return subprocess.run(
            [*command, "--partition", str(partition)], cwd=ROOT, capture_output=True, text=True, check=False
        )

    good, bad = run(window.partition), run(window.partition + timedelta(days=1))
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["rows"]["test"] > 0
    assert bad.returncode == child.MISSING
    assert bad.stderr.count("\n") == 1
    assert bad.stderr.startswith("partition 2021-03-12: flights: no raw data for")
