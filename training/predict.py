"""Scores a table with a trained model: `python -m training.predict model.tar.gz rows.parquet [answers.parquet]`.

Without a third argument the answers are printed as CSV. Columns that are not features are left out, but the id column
is kept.
"""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from training.inference import model_fn


def predict(artifact: Path, rows: Path) -> pa.Table:
    """Return id (when there), probability and label of each row. Raises ValueError when columns are missing."""
    with tempfile.TemporaryDirectory() as unpacked:
        folder = artifact if artifact.is_dir() else Path(unpacked)
        if not artifact.is_dir():
            with tarfile.open(artifact) as archive:
                archive.extractall(folder, filter="data")
        model = model_fn(str(folder))
        id_name = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))["id_name"]
    table = pq.read_table(rows)
    probabilities = model.probabilities(table)
    answers = {"probability": probabilities, "label": (probabilities >= model.threshold).astype("int8")}
    kept = {id_name: table[id_name]} if id_name in table.column_names else {}
    return pa.table({**kept, **answers})


def main(argv: list[str]) -> int:
    """Run the command line; return the exit status."""
    if len(argv) not in (2, 3):
        print("usage: python -m training.predict MODEL.tar.gz ROWS.parquet [ANSWERS.parquet]", file=sys.stderr)
        return 2
    try:
        answers = predict(Path(argv[0]), Path(argv[1]))
        if len(argv) == 3:
            pq.write_table(answers, argv[2])
        else:
            pyarrow.csv.write_csv(answers, sys.stdout.buffer)
    except (ValueError, OSError, KeyError, NotImplementedError, tarfile.TarError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
