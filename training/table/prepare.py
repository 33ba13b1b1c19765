"""The three tables: checked, encoded once, then held in memory or streamed from disk.

Each parquet file is read batch by batch, encoded (see encoding.py) and written to one local file of fixed-size rows.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from training.distributed import Ranks
from training.errors import DataError
from training.hyperparameters import Hyperparameters
from training.table.encoding import Encoder, Fit, Strange
from training.table.labels import Classes, ClassFit
from training.table.parquet import ParquetTable, naming_channel
from training.table.rows import Rows

SPLITS = ("train", "val", "test")
NEW = 0.01  # share of a split's values from which a column is warned about, if train has none of the kind ...
MORE = 0.05  # ... and how far the share must exceed that of train, if it has some ...
FEWEST = 5  # ... but not for fewer rows: in a small table, chance puts one or two of them outside train's range


@dataclass(frozen=True)
class Fitted:
    """What is learnt from the training rows before training, and the digests of the files."""

    encoder: Encoder
    classes: Classes
    warnings: list[str]
    digests: dict[str, str]


@dataclass(frozen=True)
class Tables:
    """Everything the training needs to know about the data."""

    encoder: Encoder
    classes: Classes
    splits: dict[str, Rows]
    counts: dict[str, list[int]]
    """Rows of each class by split."""
    strange: dict[str, Strange]
    """What each split has that is not in train."""
    digests: dict[str, str]
    resident: bool
    warnings: list[str]

    def shares(self, split: str) -> list[float]:
        """Return each class's share of the rows."""
        return [count / self.splits[split].rows for count in self.counts[split]]


def prepare(channels: dict[str, Path], hp: Hyperparameters, ranks: Ranks, workdir: Path) -> Tables:
    """Check, encode and open the three tables in every process. Raises DataError for the first fault found."""
    tables = {split: ParquetTable(channels[split], split, hp) for split in SPLITS}
    if tables["train"].rows < ranks.world:
        raise DataError(f"channel train: {tables['train'].rows} rows are fewer than the {ranks.world} processes")
    fitted = ranks.from_first(_fit(tables, hp) if ranks.first else None)
    width = fitted.encoder.width + 1
    need = sum(table.rows for table in tables.values()) * width * 4
    counts: dict[str, list[int]] = {}
    strange: dict[str, Strange] = {}
    if ranks.local_rank == 0:
        _check_disk(workdir, need)
        for split, table in tables.items():
            counts[split], strange[split] = table.encode(fitted.encoder, fitted.classes, workdir / split)
        _check_classes(counts["val"], fitted.classes, hp.label_name)
    counts, strange = ranks.from_first((counts, strange))
    ranks.wait()
    splits = {s: Rows(workdir / s, tables[s].rows, width, len(fitted.encoder.numeric)) for s in SPLITS}
    ranks.wait()  # all processes have opened the files, which can now be unlinked
    if ranks.local_rank == 0:
        shutil.rmtree(workdir)
    resident = ranks.from_first(_fits(need, hp.memory_fraction, ranks))
    if resident:
        for rows in splits.values():
            rows.hold(ranks.device)
    warnings = [
        *fitted.warnings,
        *_absent(fitted.classes, counts),
        *(line for split in ("val", "test") for line in _differences(split, fitted.encoder, strange)),
    ]
    return Tables(fitted.encoder, fitted.classes, splits, counts, strange, fitted.digests, resident, warnings)


def _fit(tables: dict[str, ParquetTable], hp: Hyperparameters) -> Fitted:
    train = tables["train"]
    fit = Fit(hp.tab_field_list, hp.cat_field_list, train.rows, hp.seed)
    labels = ClassFit(hp.label_name)
    with naming_channel("train"):
        for batch in train.batches():
            labels.add(batch[hp.label_name])
            fit.add(batch, len(batch[hp.label_name]))
        classes = labels.classes(hp.positive_label)
        encoder, warnings = fit.encoder()
    return Fitted(encoder, classes, warnings, {split: table.digest() for split, table in tables.items()})


def _check_disk(workdir: Path, need: int) -> None:
    free = shutil.disk_usage(workdir).free
    if need > free:
        raise DataError(
            f"the encoded rows need {need / 1e6:,.1f} MB in {workdir}, which has {free / 1e6:,.1f} MB free;"
            " set TMPDIR to a larger disk"
        )


def _check_classes(counts: Sequence[int], classes: Classes, label: str) -> None:
    present = [value for value, count in zip(classes.values, counts, strict=True) if count]
    if len(present) < 2:
        raise DataError(f"channel val: label {label} has one class only: {sum(counts)} rows of {present[0]}")


def _absent(classes: Classes, counts: dict[str, list[int]]) -> list[str]:
    missing = {s: [v for v, n in zip(classes.values, counts[s], strict=True) if not n] for s in ("val", "test")}
    return [
        f"{split} has no row of class {', '.join(values[:10])}; the mean AUC excludes it"
        for split, values in missing.items()
        if values
    ]


def _differences(split: str, encoder: Encoder, strange: dict[str, Strange]) -> list[str]:
    """Return a warning for each column whose values differ from train's, which is usually a fault upstream."""
    train, here = strange["train"], strange[split]
    beyond = {c.name: "are outside train's range" for c in encoder.numeric}
    beyond |= {c.name: "do not occur in train" for c in encoder.categorical}
    beyond |= {c.name: "are rare in train or do not occur there" for c in encoder.categorical if c.rare}
    found = []
    for name, what in beyond.items():
        gaps, before = here.missing[name] / here.rows, train.missing[name] / train.rows
        if here.missing[name] >= FEWEST and gaps - before >= (MORE if before else NEW):
            both = f"{_percent(gaps)} of {split}'s values are missing, {_percent(before)} of train's"
            found.append(f"column {name}: {both}")
        unseen = here.unseen[name] / max(1, here.rows - here.missing[name])
        rare = train.unseen[name] / max(1, train.rows - train.missing[name])
        if here.unseen[name] >= FEWEST and unseen - rare >= (MORE if rare else NEW):
            also = f", {_percent(rare)} of train's are rare" if rare else ""
            found.append(f"column {name}: {_percent(unseen)} of {split}'s values {what}{also}")
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _fits(need: int, fraction: float, ranks: Ranks) -> bool:
    """Whether each process of this machine may hold `need` bytes; on their way to a GPU they pass through memory."""
    fits = need * ranks.local_world <= fraction * available_memory()
    if ranks.device.type == "cuda":
        fits = fits and need <= fraction * torch.cuda.mem_get_info(ranks.device)[0]
    return fits


def available_memory() -> int:
    """Return the bytes still free on this machine, or within the container's limit."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        available = int(fields.get("MemAvailable", f"{available // 1024} kB").split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and limit.read_text().strip().isdigit():
        available = min(available, int(limit.read_text()) - int(used.read_text()))
    return max(0, available)
