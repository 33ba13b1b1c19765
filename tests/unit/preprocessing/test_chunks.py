"""A window that is built in pieces: the same files as in one, and the old ones where a run ends in the middle."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing import chunks, output, program, raw
from preprocessing.errors import TableError
from preprocessing.flights import features, fields
from preprocessing.flights.dates import HISTORY_DAYS
from preprocessing.flights.table import FLIGHTS
from preprocessing.quality import parts
from preprocessing.quality.parts import Parts
from preprocessing.window import Span, Window
from tests.support.small_disk import small_disk

ROOT = Path(__file__).resolve().parents[3]
Tables = dict[str, pl.DataFrame]
ONE_DATE = 1
"""Raw rows at once: so few that every date is built by itself."""


def written(folder: Path) -> dict[str, str]:
    """What lies in a folder, by name: sha256."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize(("split_by", "rows"), [("time", ONE_DATE), ("hash", 200)])
def test_in_pieces_the_files_and_findings_are_the_same(
    raw_folder: Path, tmp_path: Path, window: Window, split_by: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "GROUP_ROWS", 50)
    whole = program.preprocess(FLIGHTS, raw_folder, tmp_path / "whole", window, split_by=split_by)
    pieces = program.preprocess(FLIGHTS, raw_folder, tmp_path / "pieces", window, split_by=split_by, chunk_rows=rows)
    assert pieces == whole
    assert written(tmp_path / "pieces") == written(tmp_path / "whole")


def test_around_a_change_of_the_clocks_pieces_make_no_difference(
    tables: Tables, window: Window, build: Callable[[Tables, Window | Span], pl.DataFrame]
) -> None:
    """Clocks go forward in the night to a piece's first date; flights land after midnight on both sides of it."""
    change = window.partition - timedelta(days=6)
    summer = pl.col("time_hour") >= pl.lit(change).cast(pl.Datetime("us", "UTC")) + timedelta(hours=7)
    hour = pl.when(summer).then(timedelta(hours=1)).otherwise(timedelta())
    flights = tables["flights"].with_columns(pl.col("time_hour") - hour, pl.col("arrived_at") - hour)
    late = flights["arrived_at"].dt.offset_by("-4h").dt.date() > flights["flight_date"]
    assert flights.filter(late, pl.col("flight_date") == change - timedelta(days=1)).height > 0
    moved = {**tables, "flights": flights, "weather": tables["weather"].with_columns(pl.col("time_hour") - hour)}
    whole = build(moved, window)

    def piece(first: date, last: date) -> pl.DataFrame:
        span = Span(first, last)
        read = pl.col("flight_date").is_in(span.dates(HISTORY_DAYS))
        return build({**moved, "flights": flights.filter(read)}, span)

    two = pl.concat([piece(window.first, change - timedelta(days=1)), piece(change, window.partition)])
    assert two.sort(fields.ID).equals(whole)


@given(
    st.lists(st.integers(0, 50), min_size=28, max_size=60),
    st.integers(1, 200),
)
def test_spans_hold_every_date_once_and_no_more_rows_than_told(rows: list[int], most: int) -> None:
    window = Window(date(2021, 3, 11), len(rows), 10, 10, start=date(2020, 1, 1))
    held = dict(zip(window.span.own_dates(), rows, strict=True))
    read = {day: raw.File("", held.get(day, 10**9)) for day in window.dates(HISTORY_DAYS)}
    spans = chunks.spans(window, {"flights": read}, most)
    assert [day for span in spans for day in span.own_dates()] == window.span.own_dates()
    for span in spans:
        assert span.first == span.last or sum(held[day] for day in span.own_dates()) <= most
        assert span.start == window.start


def test_an_id_of_two_pieces_is_found_and_nothing_is_written(
    raw_folder: Path, tmp_path: Path, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ids that hold no date, as another table may have."""
    ours = features.build
    number = nw.concat_str(nw.col("origin"), nw.col("carrier"), nw.col("distance").cast(nw.String), separator="-")
    monkeypatch.setattr(features, "build", lambda *a: ours(*a).with_columns(number.alias(fields.ID)))
    messages = []
    for rows in (chunks.ROWS, ONE_DATE):
        with pytest.raises(TableError, match=r"flight_id '\w+-\w+-\d+' occurs in several rows") as caught:
            program.preprocess(FLIGHTS, raw_folder, tmp_path / "out", window, chunk_rows=rows)
        messages.append(str(caught.value))
        assert not (tmp_path / "out").exists()
    assert messages[0] == messages[1]


ids = st.lists(st.integers(0, 40), max_size=30)


@settings(max_examples=30)
@given(train=ids, test=ids, at_once=st.integers(1, 20))
def test_repeated_ids_are_those_that_stand_twice_in_any_split(train: list[int], test: list[int], at_once: int) -> None:
    def table(numbers: list[int]) -> pl.DataFrame:
        columns = {fields.ID: [str(n) for n in numbers], fields.LABEL: [0] * len(numbers)}
        frame = pl.DataFrame(columns, schema={fields.ID: pl.String, fields.LABEL: pl.Int64})
        return frame.with_columns(pl.lit(date(2021, 1, 1)).alias(fields.DATE), departure_minute=pl.lit(0, pl.Int64))

    every = [*train, *test]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parts, "IDS_AT_ONCE", at_once)
        found = Parts.of(FLIGHTS, {"train": table(train), "test": table(test)}).repeated
    expected = sorted(
        (str(n), split) for split, part in (("train", train), ("test", test)) for n in part if every.count(n) > 1
    )
    assert sorted(found.select(fields.ID, "split").iter_rows()) == expected


def test_a_sample_is_even_and_said_in_the_findings(
    raw_folder: Path, tmp_path: Path, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = program.preprocess(FLIGHTS, raw_folder, tmp_path / "whole", window)
    rows = whole["rows"]["train"]
    monkeypatch.setattr(parts, "SAMPLE_ROWS", 150)
    sampled = program.preprocess(FLIGHTS, raw_folder, tmp_path / "sampled", window)
    values = [{(f["check"], f["where"]): f["value"] for f in about["checks"]} for about in (whole, sampled)]
    more = {key: values[1].pop(key) for key in set(values[1]) - set(values[0])}
    assert more == {("rows sampled for drift and AUC", "train"): 150}
    exact = {key for key in values[0] if not key[0].startswith(("drift", "AUC"))}
    assert {key: values[0][key] for key in exact} == {key: values[1][key] for key in exact}
    assert values[0] != values[1]
    table = pl.read_parquet(tmp_path / "whole" / "train" / "train.parquet").with_row_index("at")
    part = parts.Part(FLIGHTS, table.lazy(), rows)
    steps = part.sample["at"].diff().drop_nulls()
    assert part.sample.height == 150
    assert set(steps) <= {rows // 150, rows // 150 + 1}


DIES = """
import os, signal, sys
from datetime import date
from pathlib import Path
from preprocessing import output, program
from preprocessing.flights import features
from preprocessing.flights.table import FLIGHTS
from preprocessing.window import Window

ours, spans = features.build, []

def build(tables, span):
    spans.append(span)
    if len(spans) == 8:
        assert next(Path(sys.argv[2]).glob(".aside/*/train.parquet")).stat().st_size > 1000
        os.kill(os.getpid(), signal.SIGKILL)
    return ours(tables, span)

features.build, output.GROUP_ROWS = build, 20
window = Window(date.fromisoformat(sys.argv[3]), 36, 5, 4)
program.preprocess(FLIGHTS, Path(sys.argv[1]), Path(sys.argv[2]), window, chunk_rows=1)
"""


def test_a_run_that_is_killed_while_it_writes_leaves_the_old_partition(
    raw_folder: Path, tmp_path: Path, window: Window
) -> None:
    out = tmp_path / "out"
    program.preprocess(FLIGHTS, raw_folder, out, window)
    before = written(out)
    command = [sys.executable, "-c", DIES, str(raw_folder), str(out), str(window.partition)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert {name: digest for name, digest in written(out).items() if not name.startswith(".aside")} == before
    assert program.preprocess(FLIGHTS, raw_folder, out, window)["rows"]["train"] > 0


def test_a_full_disk_leaves_the_old_partition_and_frees_what_was_written(
    raw_folder: Path, tmp_path: Path, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "GROUP_ROWS", 20)
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        program.preprocess(FLIGHTS, raw_folder, disk / "out", window)
        before = written(disk)
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "filler").write_bytes(b"x" * (free - 8192))
        with pytest.raises(OSError, match="No space left on device"):
            program.preprocess(FLIGHTS, raw_folder, disk / "out", window, chunk_rows=ONE_DATE)
        (disk / "filler").unlink()
        assert written(disk) == before
        assert sorted(path.name for path in (disk / "out").iterdir()) == ["manifest.json", "test", "train", "val"]
