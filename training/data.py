"""The three tables: checked, encoded once, then served as batches from memory or from disk.

Each parquet file is read batch by batch, encoded (see encoding.py) and written to one local file of fixed-size rows.
When all of them fit into memory they are held there; otherwise they are streamed from that file, pool by pool of
`POOL_ROWS` rows, the next pool read while the current one is trained on. The order of the rows depends on seed and
epoch alone (see Order), neither on where the rows lie nor on the number of processes: each takes its share of every
batch. So all processes make equal steps, and a run resumes in the middle of an epoch.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from training.distributed import Ranks
from training.encoding import Encoder, Fit
from training.errors import ColumnError, DataError
from training.hyperparameters import Hyperparameters

READ_ROWS = 65_536  # rows per batch while reading parquet
POOL_ROWS = 262_144  # rows shuffled together, fewer of a table of more than 256 columns; two or three pools ...
POOL_WORDS = 2**26  # ... are in memory, of 256 MB at most
BLOCK_ROWS = 1_024  # rows that are read from disk together
SPLITS = ("train", "val", "test")


class ParquetTable:
    """The parquet file(s) of one channel: `<channel>/<split>.parquet`, a file or a folder of files."""

    def __init__(self, channel: Path, split: str, hp: Hyperparameters) -> None:
        path = channel / f"{split}.parquet"
        self.split = split
        self._label = hp.label_name
        self._features = hp.features
        self.files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not self.files or not self.files[0].is_file():
            found = ", ".join(sorted(p.name for p in channel.iterdir())[:5]) if channel.is_dir() else "no such folder"
            raise DataError(f"channel {split}: expected {path}, found {found or 'an empty folder'}")
        self._stored = sum(self._check(file, hp) for file in self.files)
        if not self._stored:
            raise DataError(f"channel {split}: {path} has no rows")
        self.rows = min(self._stored, hp.max_rows or self._stored)

    def _check(self, file: Path, hp: Hyperparameters) -> int:
        if not file.stat().st_size:
            raise DataError(f"channel {self.split}: {file} is empty (0 bytes)")
        try:
            parquet = pq.ParquetFile(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"channel {self.split}: {file} is not a whole parquet file: {one_line(error)}") from None
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

    def batches(self, *, label: bool = True) -> Iterator[dict[str, pa.Array]]:
        """Yield the columns of consecutive rows; memory is bounded by one row group's pages."""
        columns = list(self._features) + ([self._label] if label else [])
        seen = 0
        for file in self.files:
            try:
                # pre_buffer would keep every row group that was read until the file is closed
                with pq.ParquetFile(file, pre_buffer=False) as parquet:
                    for read in parquet.iter_batches(READ_ROWS, columns=columns, use_threads=False):
                        batch = self._thinned(read, seen)
                        seen += read.num_rows
                        if batch.num_rows:
                            yield {name: batch.column(name) for name in columns}
            except (pa.ArrowInvalid, OSError) as error:
                raise DataError(f"channel {self.split}: {file} cannot be read: {one_line(error)}") from None

    def _thinned(self, batch: pa.RecordBatch, start: int) -> pa.RecordBatch:
        """Return the rows that max_rows leaves of those from `start` on: evenly spread, as files are often sorted."""
        if self.rows == self._stored:
            return batch
        before = np.arange(start, start + batch.num_rows + 1) * self.rows // self._stored
        return batch.take(pa.array(np.flatnonzero(np.diff(before))))

    def encode(self, encoder: Encoder, target: Path) -> int:
        """Write all rows with their labels to `target`; return the number of positive ones."""
        positive = 0
        with target.open("wb") as stream:
            for batch in self.batches():
                labels = self._labels(batch[self._label])
                positive += int(labels.sum())
                with _naming_channel(self.split):
                    features = encoder.encode(batch, len(labels))
                stream.write(np.column_stack([features, labels.view(np.int32)]).data)
        return positive

    def _labels(self, column: pa.Array) -> np.ndarray:
        if column.null_count:
            raise DataError(f"channel {self.split}: label {self._label} is null in {column.null_count} rows or more")
        try:
            labels: np.ndarray = column.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise DataError(f"channel {self.split}: label {self._label} must be 0 or 1, found {column.type}") from None
        wrong = labels[(labels != 0) & (labels != 1)]
        if len(wrong):
            raise DataError(f"channel {self.split}: label {self._label} must be 0 or 1, found {float(wrong[0]):g}")
        return np.ascontiguousarray(labels)


class Rows:
    """The encoded rows of one split, in memory or on disk, for one process."""

    def __init__(self, file: Path, rows: int, width: int, numeric: int) -> None:
        self.rows = rows
        self.width = width
        self.numeric = numeric
        self._stream = file.open("rb")
        self._held: Tensor | None = None

    def hold(self, device: torch.device) -> None:
        """Read all rows into the memory of `device` and let go of the file."""
        self._held = self.read(0, self.rows).to(device)
        self._stream.close()

    def read(self, start: int, stop: int) -> Tensor:
        """Return consecutive rows as 32-bit words."""
        if self._held is not None:
            return self._held[start:stop]
        words = np.empty((stop - start, self.width), dtype=np.int32)
        view = memoryview(words.data).cast("B")
        offset = start * self.width * 4
        while view:
            got = os.preadv(self._stream.fileno(), [view], offset)
            if not got:
                raise DataError("the local copy of the encoded rows is shorter than it was written")
            view, offset = view[got:], offset + got
        return torch.from_numpy(words)

    def parts(self, words: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Split rows of words into numeric features, category indices and labels."""
        numbers = words[:, : self.numeric].view(torch.float32)
        labels = words[:, -1].view(torch.float32)
        return numbers.to(dtype), words[:, self.numeric : -1], labels.to(dtype)

    def take(self, ids: Tensor) -> Tensor:
        """Return any rows, in the order of `ids`; from disk, the blocks around them are read and then let go."""
        if self._held is not None:
            return self._held.index_select(0, ids.to(self._held.device))
        blocks, found_in = torch.unique(ids // BLOCK_ROWS, return_inverse=True)
        starts = (blocks * BLOCK_ROWS).tolist()
        pool = torch.cat([self.read(start, min(start + BLOCK_ROWS, self.rows)) for start in starts])
        return pool.index_select(0, found_in * BLOCK_ROWS + ids % BLOCK_ROWS)

    def batches(self, order: Order, ranks: Ranks, first: int = 0) -> Iterator[Tensor]:
        """Yield this process's share of each batch from step `first` on; pools are prepared one ahead."""
        begin, end = ranks.share(0, order.batch_size)

        def load(number: int) -> Tensor:
            ids = order.pool(number).view(-1, order.batch_size)[:, begin:end]
            return self.take(ids.flatten()).view(len(ids), end - begin, self.width)

        current, skipped = divmod(first, order.pool_steps)
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(load, current)
            while first < order.steps:
                batches = coming.result()
                current += 1
                if current < order.pools:
                    coming = reader.submit(load, current)
                yield from batches[skipped:]
                first, skipped = first + len(batches) - skipped, 0


@dataclass(frozen=True)
class Order:
    """In what order an epoch goes through the rows: blocks of neighbours shuffled, then the rows within each pool.

    A table of up to `POOL_ROWS` rows is one pool: every order is equally likely then. The rows that fill no whole
    batch are left out, others in each epoch.
    """

    rows: int
    batch_size: int
    seed: int
    epoch: int
    width: int = 1
    """Words per row."""

    @property
    def steps(self) -> int:
        """Batches of the epoch."""
        return self.rows // self.batch_size

    @property
    def pool_steps(self) -> int:
        """Batches of a pool."""
        return max(1, min(POOL_ROWS, POOL_WORDS // self.width) // self.batch_size)

    @property
    def pools(self) -> int:
        """Pools of the epoch; the last one may be smaller."""
        return -(-self.steps // self.pool_steps)

    def pool(self, number: int) -> Tensor:
        """Return the row numbers of one pool, as many as fill its batches."""
        blocks = torch.randperm(-(-self.rows // BLOCK_ROWS), generator=self._random(0))
        starts = blocks * BLOCK_ROWS
        sizes = torch.clamp(self.rows - starts, max=BLOCK_ROWS)
        ends = torch.cumsum(sizes, 0)
        first = number * self.pool_steps
        last = min(first + self.pool_steps, self.steps)
        places = torch.arange(first * self.batch_size, last * self.batch_size)
        block = torch.searchsorted(ends, places, right=True)
        ids = starts[block] + places - (ends - sizes)[block]
        return ids[torch.randperm(len(ids), generator=self._random(1 + number))]

    def _random(self, use: int) -> torch.Generator:
        mixed = hashlib.blake2b(f"{self.seed} {self.epoch} {use}".encode(), digest_size=7).digest()
        return torch.Generator().manual_seed(int.from_bytes(mixed))


@dataclass(frozen=True)
class Tables:
    """Everything the training needs to know of the data."""

    encoder: Encoder
    splits: dict[str, Rows]
    positive: dict[str, int]
    digests: dict[str, str]
    resident: bool
    warnings: list[str]

    def rate(self, split: str) -> float:
        """Return the share of positive rows."""
        return self.positive[split] / self.splits[split].rows


def prepare(channels: dict[str, Path], hp: Hyperparameters, ranks: Ranks, workdir: Path) -> Tables:
    """Check, encode and open the three tables in every process. Raises DataError with the first thing wrong."""
    tables = {split: ParquetTable(channels[split], split, hp) for split in SPLITS}
    _check_sizes(tables["train"].rows, hp, ranks)
    encoder, warnings, digests = ranks.from_first(_fit(tables, hp) if ranks.first else None)
    width = encoder.width + 1
    need = sum(table.rows for table in tables.values()) * width * 4
    positive = dict.fromkeys(SPLITS, 0)
    if ranks.local_rank == 0:
        free = shutil.disk_usage(workdir).free
        if need > free:
            raise DataError(
                f"the encoded rows need {need / 1e6:,.1f} MB in {workdir}, which has {free / 1e6:,.1f} MB free;"
                " set TMPDIR to a larger disk"
            )
        positive = {split: table.encode(encoder, workdir / split) for split, table in tables.items()}
        for split in ("train", "val"):
            _check_classes(split, positive[split], tables[split].rows, hp.label_name)
    positive = ranks.from_first(positive)
    ranks.wait()
    splits = {s: Rows(workdir / s, tables[s].rows, width, len(encoder.numeric)) for s in SPLITS}
    ranks.wait()  # all have opened the files: they may lose their names
    if ranks.local_rank == 0:
        shutil.rmtree(workdir)
    resident = ranks.from_first(_fits(need, hp.memory_fraction, ranks))
    if resident:
        for rows in splits.values():
            rows.hold(ranks.device)
    return Tables(encoder, splits, positive, digests, resident, warnings)


def _check_sizes(rows: int, hp: Hyperparameters, ranks: Ranks) -> None:
    if rows < ranks.world:
        raise DataError(f"channel train: {rows} rows are fewer than the {ranks.world} processes")
    if hp.batch_size > rows:
        raise DataError(f"channel train: batch_size {hp.batch_size} is larger than the {rows} rows")
    if hp.batch_size < ranks.world:
        raise DataError(f"batch_size {hp.batch_size} is smaller than the {ranks.world} processes that share it")


def _check_classes(split: str, positive: int, rows: int, label: str) -> None:
    if positive in (0, rows):
        raise DataError(f"channel {split}: label {label} has one class only: {rows} rows of {1 if positive else 0}")


def _fit(tables: dict[str, ParquetTable], hp: Hyperparameters) -> tuple[Encoder, list[str], dict[str, str]]:
    train = tables["train"]
    fit = Fit(hp.tab_field_list, hp.cat_field_list, train.rows, hp.seed)
    with _naming_channel("train"):
        for batch in train.batches(label=False):
            fit.add(batch, len(batch[hp.features[0]]))
        encoder, warnings = fit.encoder()
    return encoder, warnings, {split: table.digest() for split, table in tables.items()}


@contextmanager
def _naming_channel(split: str) -> Iterator[None]:
    try:
        yield
    except ColumnError as error:
        raise DataError(f"channel {split}: {error}") from None


def _fits(need: int, fraction: float, ranks: Ranks) -> bool:
    """Whether every process of this machine may hold `need` bytes; on GPUs they pass through the machine's memory."""
    fits = need * ranks.local_world <= fraction * available_memory()
    if ranks.device.type == "cuda":
        fits = fits and need <= fraction * torch.cuda.mem_get_info(ranks.device)[0]
    return fits


def available_memory() -> int:
    """Return the bytes that this machine, or the container's limit, still has."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        available = int(fields.get("MemAvailable", f"{available // 1024} kB").split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and limit.read_text().strip().isdigit():
        available = min(available, int(limit.read_text()) - int(used.read_text()))
    return max(0, available)


def one_line(error: BaseException) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
