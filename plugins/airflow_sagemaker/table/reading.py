"""Reads what the checks need from a partition's files: footers, label, ids, and a sample of train's features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from airflow_sagemaker.contract import CHANNELS
from airflow_sagemaker.exceptions import TableError
from airflow_sagemaker.table.channels import ChannelFile, ChannelFiles
from airflow_sagemaker.table.columns import Kind, class_text, is_numeric, kind_of, plain_values
from airflow_sagemaker.table.drift import Profile, profile_numbers, profile_texts
from airflow_sagemaker.table.fields import TableFields
from airflow_sagemaker.table.source import one_line, require_pyarrow

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MOST_IDS = 20_000_000
"""Maximum ids of a split in memory, 8 to 50 bytes each; of a larger split, the first ones are compared."""
SAMPLE_ROWS = 20_000
SAMPLE_PLACES = 3
"""Maximum rows of train in a sample, and the number of evenly spaced row groups whose first rows it contains."""
SAMPLE_COLUMNS = 100
"""Maximum features in a sample, the first ones: each takes a call to S3 for each row group."""
PAGE_BUFFER = 1 << 16
"""Bytes of a column that are read at a time, so that little more than the first rows of a row group is read."""


@dataclass
class Split:
    """Footers, label and ids of a channel."""

    name: str
    rows: int = 0
    types: dict[str, pa.DataType] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    nulls: dict[str, int] = field(default_factory=dict)
    """By column, if the footers contain it."""
    uncounted: set[str] = field(default_factory=set)
    """Columns whose nulls are not in the footers."""
    most: dict[str, float] = field(default_factory=dict)
    """The largest value of each number."""
    label_nulls: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    ids: pa.ChunkedArray | None = None
    """The distinct ids, for splits whose ids were read."""
    ids_read: int = 0
    id_nulls: int = 0
    groups: list[int] = field(default_factory=list)
    """Row groups of each file."""
    sample: dict[str, Profile] = field(default_factory=dict)
    """The features of a sample of rows, if it was read."""
    unsampled: int = 0
    """Features beyond SAMPLE_COLUMNS."""

    def share(self, label: str) -> float:
        """Share of the rows of a class."""
        return self.labels[label] / max(self.rows, 1)


Splits = dict[str, Split]


def read_splits(
    files: ChannelFiles, wanted: TableFields, *, with_ids: bool = True, with_sample: bool = False
) -> Splits:
    """Read footers, labels and ids; `with_sample`: also the first rows of a few row groups of train.

    Raises TableError for a file that is not a complete Parquet file.
    """
    require_pyarrow()
    splits = {channel: _read_split(channel, files[channel], wanted, with_ids) for channel in CHANNELS}
    train = splits["train"]
    if with_sample and train.rows and not train.doubled:
        _read_sample(files["train"], train, wanted)
    return splits


def _read_split(channel: str, files: list[ChannelFile], wanted: TableFields, with_ids: bool) -> Split:
    import pyarrow as pa

    split = Split(channel)
    ids: list[pa.Array] = []
    for file in files:
        with _opened(file) as parquet:
            _read_footer(split, parquet, wanted)
            _read_columns(split, parquet, wanted, ids, with_ids)
    if ids:
        split.ids = pa.chunked_array(ids).unique()
    return split


def _read_footer(split: Split, parquet: pq.ParquetFile, wanted: TableFields) -> None:
    metadata, schema = parquet.metadata, parquet.schema_arrow
    split.rows += metadata.num_rows
    names = Counter(schema.names)
    split.missing += [n for n in wanted.full_field_list if n not in names and n not in split.missing]
    split.doubled += [n for n in wanted.full_field_list if names[n] > 1 and n not in split.doubled]
    for name, kind in zip(schema.names, schema.types, strict=True):
        if names[name] == 1 and (name not in split.types or is_numeric(split.types[name])):
            split.types[name] = kind  # a part with strings makes it a column of strings
    split.groups.append(metadata.num_row_groups)
    places = {metadata.schema.column(i).path: i for i in range(metadata.num_columns)}
    for name in (*wanted.tab_field_list, *wanted.cat_field_list):
        if name in places and names[name] == 1 and name not in split.uncounted:
            chunks = (metadata.row_group(group).column(places[name]) for group in range(metadata.num_row_groups))
            _read_statistics(split, name, chunks)


def _read_statistics(split: Split, name: str, chunks: Iterable[pq.ColumnChunkMetaData]) -> None:
    for chunk in chunks:
        said = chunk.statistics if chunk.is_stats_set else None
        if said is None or not said.has_null_count:
            split.uncounted.add(name)
            split.nulls.pop(name, None)
            return
        split.nulls[name] = split.nulls.get(name, 0) + said.null_count
        if said.has_min_max and isinstance(said.max, int | float) and not isinstance(said.max, bool):
            split.most[name] = max(split.most.get(name, float(said.max)), float(said.max))


def _read_columns(
    split: Split, parquet: pq.ParquetFile, wanted: TableFields, ids: list[pa.Array], with_ids: bool
) -> None:
    import pyarrow.compute as pc

    label, id_name = wanted.label_name, wanted.id_name
    readable = {name for name, kind in split.types.items() if kind_of(kind) is not Kind.OTHER}
    columns = [name for name in (label, *([id_name] if with_ids else [])) if name in readable]
    if not columns or split.doubled:
        return
    for batch in parquet.iter_batches(1 << 18, columns=columns, use_threads=False):
        if label in columns:
            plain = plain_values(batch[label])
            split.label_nulls += plain.null_count
            for item in pc.value_counts(plain.drop_null()).to_pylist():
                split.labels[class_text(item["values"])] += item["counts"]
            if len(split.labels) > 1000:  # far too many, which is a finding: stop counting
                columns = [name for name in columns if name != label]
        if id_name in columns and split.ids_read < MOST_IDS:
            plain = plain_values(batch[id_name])
            split.id_nulls += plain.null_count
            split.ids_read += len(plain)
            ids.append(_as_text(plain.drop_null()))


def _as_text(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ids as strings: they may be integers in one split and strings in another."""
    import pyarrow as pa

    try:
        return ids.cast(pa.large_string())
    except pa.ArrowException:
        return pa.array([str(one) for one in ids.to_pylist()], pa.large_string())


def _read_sample(files: list[ChannelFile], split: Split, wanted: TableFields) -> None:
    """Read the features of the first rows of evenly spaced row groups."""
    numbers, texts = _comparable(split, wanted)
    names = [*numbers, *texts][:SAMPLE_COLUMNS]
    split.unsampled = len(numbers) + len(texts) - len(names)
    pieces: dict[str, list[pa.Array]] = {name: [] for name in names}
    chosen = _evenly_spaced([(file, group) for file, count in enumerate(split.groups) for group in range(count)])
    for place, group in chosen:
        with _opened(files[place], buffer_size=PAGE_BUFFER) as parquet:
            known = [name for name in names if name in parquet.schema_arrow.names]
            rows = SAMPLE_ROWS // len(chosen)
            for batch in islice(parquet.iter_batches(rows, [group], known, use_threads=False), 1):
                for name in known:
                    if name in texts or is_numeric(batch[name].type):
                        pieces[name].append(batch[name])
    for name, arrays in pieces.items():
        if arrays:
            split.sample[name] = (profile_numbers if name in numbers else profile_texts)(arrays)


def _comparable(split: Split, wanted: TableFields) -> tuple[list[str], list[str]]:
    """Return the numeric and categorical features with a valid type."""
    plain = {name for name, kind in split.types.items() if kind_of(kind) in (Kind.NUMBER, Kind.CATEGORY)}
    return (
        [name for name in wanted.tab_field_list if name in plain and is_numeric(split.types[name])],
        [name for name in wanted.cat_field_list if name in plain],
    )


def _evenly_spaced(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return at most SAMPLE_PLACES of them."""
    count = min(SAMPLE_PLACES, len(places))
    return [places[len(places) * number // count] for number in range(count)]


@contextmanager
def _opened(file: ChannelFile, **options: int) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file without reading ahead."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not file.size:
        raise TableError(f"{file.name} is empty (0 bytes); write it again")
    try:
        with file.open() as stream, pq.ParquetFile(stream, pre_buffer=False, **options) as parquet:
            yield parquet
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{file.name} is not a complete Parquet file: {one_line(error)}; write it again") from None
