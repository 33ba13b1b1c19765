"""The parquet file or files of one channel: located, checked and read batch by batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training.errors import ColumnError, DataError
from training.hyperparameters import Hyperparameters
from training.table.encoding import Encoder, Strange
from training.table.labels import Classes

READ_ROWS = 65_536  # per batch; fewer of a wide table ...
READ_VALUES = 2**23  # ... whose batch would take more than 64 MB


def find_files(channel: Path, split: str) -> list[Path]:
    """Return the files of `<channel>/<split>.parquet`: a file, a folder of parts, or the parts of such a folder alone.

    SageMaker downloads the content of the prefix `.../train.parquet/`, as Spark writes it, into the channel's folder.
    Files whose names begin with a dot or an underscore (_SUCCESS, .part-0.parquet.crc) are ignored. Raises DataError.
    """
    path = channel / f"{split}.parquet"
    if path.is_file():
        return [path]
    folder = path if path.is_dir() else channel
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    parts = [part for part in there if part.name.endswith(".parquet") and part.is_file() and part.name[0] not in "._"]
    if parts:
        return parts
    found = ", ".join(part.name for part in there[:5]) if folder.is_dir() else "no such folder"
    nested = next((part for part in there if part.is_dir() and any(part.rglob("*.parquet"))), None)
    advice = f"; nested folders ({nested.name}) are not read, put all parts into one folder" if nested else ""
    raise DataError(
        f"channel {split}: expected {path}, a file or a folder of parts, found {found or 'nothing'}{advice}"
    )


@contextmanager
def naming_channel(split: str) -> Iterator[None]:
    """Prefix the messages about columns with the channel's name."""
    try:
        yield
    except ColumnError as error:
        raise DataError(f"channel {split}: {error}") from None


class ParquetTable:
    """One channel's rows."""

    def __init__(self, channel: Path, split: str, hp: Hyperparameters) -> None:
        self.split = split
        self._label = hp.label_name
        self._features = hp.features
        self.files = find_files(channel, split)
        self._stored = sum(self._check(file, hp) for file in self.files)
        if not self._stored:
            raise DataError(f"channel {split}: {self.files[0]} has no rows")
        self.rows = min(self._stored, hp.max_rows or self._stored)
        self._read_rows = max(1, min(READ_ROWS, READ_VALUES // (len(self._features) + 1)))

    def _check(self, file: Path, hp: Hyperparameters) -> int:
        if not file.stat().st_size:
            raise DataError(f"channel {self.split}: {file} is empty (0 bytes)")
        try:
            parquet = pq.ParquetFile(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"channel {self.split}: {file} is not a complete parquet file: {one_line(error)}") from None
        with parquet:
            names = parquet.schema_arrow.names
            missing = [name for name in hp.full_field_list if name not in names]
            if missing:
                what = f"lacks column {', '.join(missing[:5])}; it has {', '.join(names[:20])}"
                raise DataError(f"channel {self.split}: {file} {what}")
            twice = [name for name in (self._label, *self._features) if names.count(name) > 1]
            if twice:
                raise DataError(f"channel {self.split}: {file} has column {', '.join(twice[:5])} twice; expected once")
            return int(parquet.metadata.num_rows)

    def digest(self) -> str:
        """Return a hash of the files' bytes."""
        digest = hashlib.blake2b(digest_size=16)
        for file in self.files:
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()

    def batches(self) -> Iterator[dict[str, pa.Array]]:
        """Yield the columns of consecutive rows, the label last; memory is bounded by the pages of one row group."""
        columns = [*self._features, self._label]
        seen = 0
        for file in self.files:
            try:
                # pre_buffer would keep every row group in memory until the file is closed
                with pq.ParquetFile(file, pre_buffer=False) as parquet:
                    for read in parquet.iter_batches(self._read_rows, columns=columns, use_threads=False):
                        batch = self._thinned(read, seen)
                        seen += read.num_rows
                        if batch.num_rows:
                            yield {name: batch.column(name) for name in columns}
            except (pa.ArrowInvalid, OSError) as error:
                raise DataError(f"channel {self.split}: {file} cannot be read: {one_line(error)}") from None

    def _thinned(self, batch: pa.RecordBatch, start: int) -> pa.RecordBatch:
        """Return the rows of this batch that max_rows keeps: evenly spread, as files are often sorted."""
        if self.rows == self._stored:
            return batch
        before = np.arange(start, start + batch.num_rows + 1) * self.rows // self._stored
        return batch.take(pa.array(np.flatnonzero(np.diff(before))))

    def encode(self, encoder: Encoder, classes: Classes, target: Path) -> tuple[list[int], Strange]:
        """Write all rows with their classes to `target`; count the rows of each class, and what is not in train."""
        counts = np.zeros(len(classes.values), dtype=np.int64)
        strange = Strange()
        with target.open("wb") as stream, naming_channel(self.split):
            for batch in self.batches():
                labels = classes.encode(batch[self._label], self._label)
                counts += np.bincount(labels, minlength=len(counts))
                features = encoder.encode(batch, len(labels), strange)
                stream.write(np.column_stack([features, labels]).data)
        return counts.tolist(), strange


def one_line(error: BaseException) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
