"""Split a table into train, val and test: by the hash of the id or of another column, or by time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from airflow_sagemaker.contract import CHANNELS
from airflow_sagemaker.exceptions import TableError
from airflow_sagemaker.table.columns import plain_values
from airflow_sagemaker.table.source import TableSource

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


@dataclass(frozen=True)
class Shares:
    """The shares of rows for validation and test; the others are for training."""

    val: float = 0.2
    test: float = 0.2

    def __post_init__(self) -> None:
        if not (0 < self.val < 1 and 0 < self.test < 1 and self.val + self.test < 1):
            raise TableError(f"--val {self.val} and --test {self.test} must be above 0, and together below 1")


@dataclass(frozen=True)
class SplitResult:
    """The result of a split."""

    files: dict[str, Path]
    rows: dict[str, int]
    unlabelled: int
    """Rows without a label, which are in no split."""


def split_table(
    source: TableSource,
    folder: Path,
    *,
    id_name: str,
    label: str,
    by_time: str | None = None,
    by_group: str | None = None,
    shares: Shares,
) -> SplitResult:
    """Write `<folder>/<split>/<split>.parquet`; rows keep their order.

    Raises TableError for an empty split, and for a class that train lacks.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    source.sample()  # determines the types of a CSV file's columns
    numbered = id_name not in source.schema.names
    if by_group is not None and by_group not in source.schema.names:
        raise TableError(f"--by-group {by_group}: {source.path} has no such column")
    hashed = by_group or (None if numbered else id_name)
    place = _by_time(source, by_time, label, shares) if by_time else _by_hash(hashed, shares)
    schema = source.schema.append(pa.field(id_name, pa.int64())) if numbered else source.schema
    files = {split: folder / split / f"{split}.parquet" for split in CHANNELS}
    rows, seen, unlabelled = dict.fromkeys(CHANNELS, 0), 0, 0
    classes: dict[str, set[object]] = {split: set() for split in CHANNELS}
    with _parquet_writers(files, schema) as writers:
        for batch in source.batches():
            table = pa.Table.from_batches([batch]).cast(source.schema)
            if numbered:
                table = table.append_column(id_name, pa.array(range(seen, seen + batch.num_rows), pa.int64()))
            splits, seen = place(table, seen), seen + batch.num_rows
            known = plain_values(table[label]).is_valid()
            unlabelled += batch.num_rows - known.true_count
            for split in CHANNELS:
                part = table.filter(pc.and_(pc.equal(pa.array(splits, pa.string()), split), known))
                rows[split] += part.num_rows
                if part.num_rows:
                    writers[split].write_table(part)
                    classes[split].update(pc.unique(plain_values(part[label])).to_pylist())
    empty = [split for split, count in rows.items() if not count]
    if empty:
        raise TableError(f"{source.path}: no rows for {' and '.join(empty)}; raise --val and --test, or split by hash")
    _require_classes_in_train(source.path, label, classes)
    return SplitResult(files, rows, unlabelled)


@contextmanager
def _parquet_writers(files: dict[str, Path], schema: pa.Schema) -> Iterator[dict[str, pq.ParquetWriter]]:
    import pyarrow.parquet as pq

    with ExitStack() as stack:
        writers = {}
        for split, path in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            writers[split] = stack.enter_context(pq.ParquetWriter(path, schema, compression="zstd"))
        yield writers


def _require_classes_in_train(path: Path, label: str, classes: dict[str, set[object]]) -> None:
    """Reject classes that train lacks, as the training would."""
    unknown = {name: split for split in ("val", "test") for name in classes[split] - classes["train"]}
    if unknown:
        found = ", ".join(f"{name!r} (in {split})" for name, split in sorted(unknown.items(), key=str)[:5])
        raise TableError(
            f"{path}: train has no row of these classes of {label}: {found}; merge them with other classes, "
            "remove their rows, or split in another way"
        )


Place: TypeAlias = "Callable[[pa.RecordBatch, int], list[str]]"
"""Returns the split of each row, from a batch and the number of its first row."""


def _by_hash(column: str | None, shares: Shares) -> Place:
    """Split by a column's values, which stay in their split whatever other rows there are; nulls by row number."""

    def place(table: pa.Table, first: int) -> list[str]:
        values = [None] * table.num_rows if column is None else table[column].to_pylist()
        keys = (number if value is None else value for number, value in enumerate(values, start=first))
        return [_split_at(hash_place(str(key)), shares) for key in keys]

    return place


def hash_place(row_id: str) -> float:
    """Return a number from 0 to 1 that depends only on the id; preprocessing/splits.py does the same."""
    return int.from_bytes(hashlib.blake2b(row_id.encode(), digest_size=6).digest(), "big") / 2**48


def _split_at(place: float, shares: Shares) -> str:
    if place < shares.test:
        return "test"
    return "val" if place < shares.test + shares.val else "train"


def _by_time(source: TableSource, column: str, label: str, shares: Shares) -> Place:
    """Split by time: the newest rows are for test, those before for validation. Equal times are in the same split."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column not in source.schema.names:
        raise TableError(f"--by-time {column}: {source.path} has no such column")
    kind = source.schema.field(column).type
    if pa.types.is_nested(kind) or pa.types.is_boolean(kind):
        raise TableError(f"--by-time {column} holds {kind}; expected dates, times, numbers or texts that sort by time")
    times = pa.concat_arrays(_columns(source, column, label))
    if not len(times):
        raise TableError(f"--by-time {column}: no row has a label")
    if times.null_count:
        raise TableError(f"--by-time {column}: {times.null_count:,} rows have no time; fill it in, or split by hash")
    ordered = times.take(pc.sort_indices(times))
    rows = len(ordered)
    first_val = ordered[min(int(rows * (1 - shares.val - shares.test)), rows - 1)]
    first_test = ordered[min(int(rows * (1 - shares.test)), rows - 1)]
    if first_val.equals(first_test) or ordered[0].equals(first_val):
        raise TableError(f"--by-time {column} has too few different values for three splits; split by hash")

    def place(table: pa.Table, first: int) -> list[str]:
        moments = table[column].combine_chunks()
        test, val = pc.greater_equal(moments, first_test), pc.greater_equal(moments, first_val)
        chosen = pc.if_else(test, "test", pc.if_else(val, "val", "train"))
        return [one or "train" for one in chosen.to_pylist()]

    return place


def _columns(source: TableSource, column: str, label: str) -> Iterator[pa.Array]:
    import pyarrow as pa

    kind = source.schema.field(column).type
    yield pa.array([], kind)
    for batch in source.batches(list(dict.fromkeys([column, label]))):
        yield batch[column].filter(plain_values(batch[label]).is_valid()).cast(kind)
