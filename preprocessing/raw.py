"""The raw files of a window: located and checked, with exact messages about those that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from preprocessing.errors import MissingDataError, RawDataError
from preprocessing.spec import DAY, INTEGER, NUMBER, TEXT, TIME, TableSpec
from preprocessing.window import Span, Window


class File(NamedTuple):
    """A raw file whose footer is as expected."""

    path: str
    rows: int


Files = dict[str, dict[date, File]]
"""The raw files of each table by date."""


def raw_key(table: str, day: date) -> str:
    """Return the path of a table's date below the raw folder: `flights/date=2013-07-04/flights.parquet`."""
    return f"{table}/date={day}/{table}.parquet"


def checked_files(spec: TableSpec, folder: Path, window: Window) -> Files:
    """Return the files of each table that the window reads. Raises RawDataError at the first bad file."""
    try:
        return {table: _checked(spec, folder, table, dates) for table, dates in spec.raw_dates(window).items()}
    except RawDataError as error:
        raise type(error)(f"partition {window.partition}: {error}") from None


def paths(spec: TableSpec, files: Files, span: Window | Span) -> dict[str, list[str]]:
    """Return the paths of each table that a window, or a span of it, reads."""
    return {table: [files[table][day].path for day in dates] for table, dates in spec.raw_dates(span).items()}


def explain_unreadable(spec: TableSpec, files: Mapping[str, Sequence[str]], window: Window) -> None:
    """Read every file, and raise RawDataError for the first one that is unreadable or contains text that is not UTF-8.

    Called after an engine failed: its error names neither the file nor the column.
    """
    for table, paths in files.items():
        columns = spec.raw[table].columns
        texts = [name for name, kind in columns.items() if kind == TEXT]
        for path in paths:
            try:
                rows = pq.read_table(path, columns=[*columns], partitioning=None)
                problem = next(filter(None, (_not_utf8(rows, name) for name in texts)), None)
            except (pa.ArrowException, OSError) as error:
                problem = f"cannot be read: {' '.join(str(error).split())}"
            if problem:
                raise RawDataError(f"partition {window.partition}: {path}: {problem}")


def _not_utf8(rows: pa.Table, name: str) -> str | None:
    """Describe the first value of a text column that is not UTF-8, if there is one."""
    for row, value in enumerate(rows[name].cast(pa.large_binary()).to_pylist()):
        if value is not None and not _is_utf8(value):
            return f"column {name!r} contains text that is not UTF-8: {value!r} in row {row}"
    return None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _checked(spec: TableSpec, folder: Path, table: str, dates: Sequence[date]) -> dict[date, File]:
    files = {day: folder / raw_key(table, day) for day in dates}
    missing = [day for day, file in files.items() if not file.is_file()]
    if missing:
        raise MissingDataError(
            f"{table}: no raw data for {_dates(missing)} (expected {folder / raw_key(table, missing[0])}); "
            f"{len(missing)} of {len(files)} dates are missing"
        )
    before = [None, *files.values()]
    found = {
        day: File(str(file), check_file(spec, file, table, day, good))
        for (day, file), good in zip(files.items(), before, strict=False)
    }
    if sum(file.rows for file in found.values()) == 0 and not spec.raw[table].may_be_empty:
        raise RawDataError(f"{table}: the {len(files)} raw files from {dates[0]} to {dates[-1]} have no rows")
    return found


def _dates(days: Sequence[date]) -> str:
    shown = ", ".join(str(day) for day in days[:3])
    return shown if len(days) <= 3 else f"{shown} and {len(days) - 3} more dates"


def check_file(spec: TableSpec, file: Path, table: str, day: date, good: Path | None = None) -> int:
    """Check a raw file's footer and return its number of rows. Raises RawDataError if it is not as expected.

    `good` is a valid file of another date, which a message about a wrong type compares this one with.
    """
    if file.stat().st_size == 0:
        raise RawDataError(f"{file} is empty (0 bytes); expected a Parquet file of {table}")
    try:
        metadata = pq.read_metadata(file)
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError) as error:
        raise RawDataError(f"{file} is not a complete Parquet file ({error}); expected one of {table}") from None
    expected = spec.raw[table]
    _check_columns(file, schema, expected.columns, good)
    if spec.date_name in expected.columns:
        _check_dates(file, metadata, spec.date_name, day)
    if metadata.num_rows == 0 and not expected.may_be_empty:
        raise RawDataError(f"{file} has no rows; expected the {table} of one date")
    return int(metadata.num_rows)


def _check_columns(file: Path, schema: pa.Schema, expected: Mapping[str, str], good: Path | None) -> None:
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise RawDataError(f"{file}: duplicate column {twice[0]!r}")
    missing = [name for name in expected if name not in schema.names]
    if missing:
        found = ", ".join(schema.names)
        raise RawDataError(f"{file}: column {', '.join(map(repr, missing))} is missing; found {found}")
    for name, kind in expected.items():
        found_type = schema.field(name).type
        if not _is(kind, found_type):
            other = f", as in {good} ({pq.read_schema(good).field(name).type})" if good else ""
            raise RawDataError(
                f"{file}: column {name!r} is {found_type}; expected {kind}{other}; {_example(file, name)}"
            )


def _check_dates(file: Path, metadata: pq.FileMetaData, name: str, day: date) -> None:
    """Reject rows of other dates, if the file has statistics: they would be built twice, or not at all."""
    column = metadata.schema.names.index(name)
    known = (metadata.row_group(group).column(column).statistics for group in range(metadata.num_row_groups))
    for found in known:
        if found is not None and found.has_min_max and not found.min == found.max == day:
            raise RawDataError(f"{file}: {name} ranges from {found.min} to {found.max}; expected only {day}")


def _example(file: Path, name: str) -> str:
    """Describe the first value that is not null."""
    try:
        values = pq.read_table(file, columns=[name], partitioning=None)[name].to_pylist()
    except (pa.ArrowException, OSError) as error:
        return f"its rows cannot be read ({error})"
    return next((f"row {row} has {value!r}" for row, value in enumerate(values) if value is not None), "all are null")


def _is(kind: str, found: pa.DataType) -> bool:
    types = pa.types
    fits = {
        INTEGER: types.is_integer(found),
        NUMBER: types.is_integer(found) or types.is_floating(found),
        TEXT: types.is_string(found) or types.is_large_string(found) or found == pa.string_view(),
        DAY: types.is_date(found),
        TIME: types.is_timestamp(found) and found.tz in ("UTC", "+00:00"),
    }
    return bool(fits[kind])
