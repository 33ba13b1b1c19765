"""Small tables for the commands about tables."""

from __future__ import annotations

import datetime
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FIRST_DAY = datetime.date(2025, 1, 1)


def customers(rows: int = 400, seed: int = 0, **changes: list[Any] | None) -> dict[str, list[Any]]:
    """Return random customers whose label depends on the country; `changes` replace columns, None removes one."""
    draw = random.Random(seed)
    country = [draw.choice(["DE", "FR", "NL"]) for _ in range(rows)]
    table: dict[str, Any] = {
        "customer_id": [f"{seed}-{n}" for n in range(rows)],
        "age": [draw.choice([None, *range(18, 90)]) for _ in range(rows)],
        "balance": [round(draw.gauss(100, 30), 2) for _ in range(rows)],
        "country": country,
        "signup": [FIRST_DAY + datetime.timedelta(days=n // 4) for n in range(rows)],
        "churned": [int(draw.random() < (0.6 if c == "NL" else 0.2)) for c in country],
    }
    return {name: values for name, values in (table | changes).items() if values is not None}


def write_parquet(path: Path, columns: dict[str, list[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path
