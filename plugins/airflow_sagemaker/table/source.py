"""A user's table: a Parquet file, a folder of them, or a CSV file, read in batches of bounded memory."""

from __future__ import annotations

import codecs
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sagemaker.exceptions import TableError
from airflow_sagemaker.types import JsonObject

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import csv

_CSV_NAME = re.compile(r"\.(csv|tsv)(\.(gz|bz2|zst))?$", re.IGNORECASE)
_SEPARATORS = ",;\t|"
CSV_BLOCK = 8 << 20
"""Bytes of a CSV file from which the types of its columns are inferred."""
BATCH_VALUES = 1 << 22
"""Values that are read at a time: about 32 MB, however wide the table is."""
SAMPLE_ROWS = 100_000
SAMPLE_VALUES = 10_000_000
"""Maximum rows and values of a sample."""


def require_pyarrow() -> None:
    """Raise TableError with the command to run if pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise TableError("pyarrow is not installed; pip install 'airflow-sagemaker[table]'") from None


@dataclass
class TableSource:
    """The files of one table, which all have the same columns."""

    path: Path
    files: list[Path]
    schema: pa.Schema
    unnamed: list[int] = field(default_factory=list)
    """Positions, from 1, of columns without a name: row numbers of R and pandas, mostly. They are not read."""
    as_texts: dict[str, pa.DataType] = field(default_factory=dict)
    """CSV columns whose later values do not have the type of the first ones, and which are read as strings."""

    @property
    def is_csv(self) -> bool:
        """Whether it is a CSV file."""
        return _is_csv(self.files[0])

    @property
    def note(self) -> str:
        """What a user should know about how the table is read; empty if there is nothing."""
        file = self.files[0]
        if not self.is_csv or (separator := _separator(file)) == _named_separator(file):
            return ""
        return f"{file} is separated by {separator!r}, not {_named_separator(file)!r}"

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order. Raises TableError for a file that cannot be read."""
        import pyarrow as pa

        try:
            wanted = columns or self.schema.names
            if self.is_csv:
                yield from _csv_reader(self.files[0], self.as_texts, wanted)
                return
            rows = max(1000, min(1 << 16, BATCH_VALUES // max(len(wanted), 1)))
            for path in self.files:
                yield from _parquet_batches(path, wanted, rows)
        except (pa.ArrowException, OSError) as error:
            if "invalid UTF8" in str(error):
                raise _not_utf8(self.path) from None
            raise TableError(f"{self.path} cannot be read: {one_line(error)}") from None

    def sample(self) -> tuple[pa.Table, int]:
        """Return evenly spaced rows, all of them if they are few, and the number of rows in the table."""
        while True:
            try:
                return self._sampled()
            except TableError as error:
                column = self._column_of_other_type(str(error))
                if column is None:
                    raise
                self._read_as_text(column)

    def _sampled(self) -> tuple[pa.Table, int]:
        import pyarrow as pa

        most = max(1000, min(SAMPLE_ROWS, SAMPLE_VALUES // max(len(self.schema.names), 1)))
        kept, rows, step = pa.Table.from_batches([], self.schema), 0, 1
        for batch in self.batches():
            first = -rows % step
            rows += batch.num_rows
            picked = batch if step == 1 else batch.take(pa.array(range(first, batch.num_rows, step), pa.int64()))
            kept = pa.concat_tables([kept, pa.Table.from_batches([picked], self.schema)])
            while kept.num_rows > 2 * most:
                kept, step = kept.take(pa.array(range(0, kept.num_rows, 2), pa.int64())), step * 2
        return kept.combine_chunks(), rows

    def _column_of_other_type(self, problem: str) -> str | None:
        """Return the column that, according to Arrow's error, has a value of another type; None for another error."""
        found = re.search(r"In CSV column #(\d+)", problem) if self.is_csv else None
        name = _csv_reader(self.files[0], {}).schema.names[int(found[1])] if found else None
        return None if name in self.as_texts else name

    def _read_as_text(self, column: str) -> None:
        import pyarrow as pa

        self.as_texts[column] = pa.string()
        place = self.schema.get_field_index(column)
        self.schema = self.schema.set(place, pa.field(column, pa.string()))


def open_table(path: str | Path) -> TableSource:
    """Return the table at a local path. Raises TableError with a one-line message if it is not a table."""
    require_pyarrow()
    import pyarrow as pa

    if str(path).startswith("s3:"):
        raise TableError(f"{path}: tables on S3 are not supported; download it first, for example with `aws s3 cp`")
    path = Path(path)
    files = _files_of(path)
    schemas = [_schema_of(file) for file in files]
    for file, schema in zip(files, schemas, strict=True):
        if schema.names != schemas[0].names:
            other = sorted(set(schema.names) ^ set(schemas[0].names))[:5]
            raise TableError(f"{path}: {file.name} and {files[0].name} have different columns: {', '.join(other)}")
    unnamed = [position for position, name in enumerate(schemas[0].names, start=1) if not name]
    named = [pa.schema([column for column in schema if column.name]) for schema in schemas]
    return TableSource(path, files, _joined(path, named), unnamed)


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        parts = sorted(part for part in path.rglob("*.parquet") if part.is_file() and part.name[0] not in "._")
        if not parts:
            raise TableError(f"{path} contains no .parquet file; expected a Parquet file, a folder of them, or a CSV")
        return parts
    if not path.is_file():
        raise TableError(f"{path}: no such file or folder; expected a Parquet file, a folder of them, or a CSV")
    if not path.stat().st_size:
        raise TableError(f"{path} is empty (0 bytes)")
    return [path]


def _is_csv(file: Path) -> bool:
    return _CSV_NAME.search(file.name) is not None


def _schema_of(file: Path) -> pa.Schema:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = _csv_reader(file, {}).schema if _is_csv(file) else pq.read_schema(file)
        _require_columns(file, schema)  # decodes the names
    except UnicodeDecodeError:
        raise _not_utf8(file) from None
    except (pa.ArrowException, OSError) as error:
        if not _is_csv(file):
            raise TableError(
                f"{file} is not a Parquet file; expected Parquet, or a name that ends in .csv or .tsv"
            ) from None
        if _is_utf16(file):
            raise _not_utf8(file) from None
        raise TableError(f"{file} is not a CSV file: {one_line(error)}") from None
    if _is_csv(file) and (_is_utf16(file) or any(pa.types.is_binary(column.type) for column in schema)):
        raise _not_utf8(file)
    return schema


def _first_line(file: Path) -> str:
    """Return the first line of a CSV file, an empty one if its compression is broken."""
    import pyarrow as pa

    try:
        with pa.input_stream(str(file), compression="detect") as stream:
            text: str = stream.read(1 << 16).decode("utf-8", "replace")
    except (pa.ArrowException, OSError):
        return ""
    return text.partition("\n")[0]


def _is_utf16(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _not_utf8(path: Path) -> TableError:
    encoding = "UTF-16" if _is_utf16(path) else "WINDOWS-1252"
    other = f"{path.name.partition('.')[0]}-utf8.csv"
    return TableError(
        f"{path} is not UTF-8 text; convert it, for example "
        f"iconv -f {encoding} -t UTF-8 {shlex.quote(str(path))} > {shlex.quote(other)}"
    )


def _named_separator(file: Path) -> str:
    return "\t" if ".tsv" in file.name.lower() else ","


def _separator(file: Path) -> str:
    """Return the separator of a CSV file: the one that its name stands for, or, if the header lacks it, another one."""
    header = re.sub(r'"[^"]*"', "", _first_line(file))
    found = max(_SEPARATORS, key=header.count)
    named = _named_separator(file)
    return found if found in header and named not in header else named


def _csv_reader(file: Path, as_texts: JsonObject, columns: list[str] | None = None) -> csv.CSVStreamingReader:
    import pyarrow.csv

    return pyarrow.csv.open_csv(
        file,
        read_options=pyarrow.csv.ReadOptions(block_size=CSV_BLOCK),
        parse_options=pyarrow.csv.ParseOptions(delimiter=_separator(file), newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=as_texts, include_columns=columns or [], strings_can_be_null=True
        ),
    )


def _parquet_batches(file: Path, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        yield from parquet.iter_batches(rows, columns=columns, use_threads=False)


def _require_columns(file: Path, schema: pa.Schema) -> None:
    twice = [name for name, count in Counter(schema.names).items() if count > 1 and name]
    if twice:
        raise TableError(f"{file} has duplicate columns: {', '.join(twice[:5])}; rename them")
    if not any(schema.names):
        raise TableError(f"{file} has no column with a name")


def _joined(path: Path, schemas: list[pa.Schema]) -> pa.Schema:
    """Return one schema for all parts: an integer column may be a float in a part with missing values."""
    import pyarrow as pa

    try:
        return pa.unify_schemas([schema.remove_metadata() for schema in schemas], promote_options="permissive")
    except pa.ArrowException as error:
        raise TableError(f"{path}: the parts have columns of different types: {one_line(error)}") from None


def one_line(error: BaseException) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
