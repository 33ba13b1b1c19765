"""A random table with something to learn, of any length, for the benchmarks of training/ and of scoring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NUMERIC, CATEGORIES = [f"n{i}" for i in range(14)], [f"c{i}" for i in range(6)]
CARDINALITY = 50
FIELDS = {
    "id_name": "id",
    "label_name": "y",
    "full_field_list": ["id", "y", *NUMERIC, *CATEGORIES],
    "tab_field_list": NUMERIC,
    "cat_field_list": CATEGORIES,
}
PIECE = 250_000


def write_rows(path: Path, rows: int, seed: int) -> None:
    """Write the table in pieces, so that the benchmark itself needs little memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = None
    for start in range(0, rows, PIECE):
        random, count = np.random.default_rng([seed, start]), min(PIECE, rows - start)
        numbers = {name: random.normal(size=count).astype(np.float32) for name in NUMERIC}
        codes = {name: random.integers(0, CARDINALITY, count, dtype=np.int32) for name in CATEGORIES}
        label = (numbers["n0"] + numbers["n1"] * numbers["n2"] + random.normal(size=count) > 1).astype(np.int8)
        table = pa.table({"id": np.arange(start, start + count), "y": label, **numbers, **codes})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def write_channels(folder: Path, rows: int, validation: int = 20_000, test: int = 20_000) -> Path:
    """Write the three channels of a training."""
    for seed, (split, count) in enumerate({"train": rows, "val": validation, "test": test}.items()):
        write_rows(folder / split / f"{split}.parquet", count, seed)
    return folder
