"""Scores a file like `training.predict` and, after each chunk, runs the bare forward pass on the same rows.

So other load affects both alike. Prints the CPU seconds of both as JSON: those of the scoring are all of this process,
including imports, except for the bare pass and the preparation of its input.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import pyarrow as pa
import torch

from training.inference import BATCH_ROWS, Model
from training.predict import load, located, parquet_pieces, pieces, with_columns, write_parquet

ADDED = {"model": "s3://models/model.tar.gz", "partition": "2026-01-31"}


def encoded(model: Model, path: str) -> Iterator[torch.Tensor]:
    """Yield the encoded rows of each chunk."""
    files, place = located(path)
    for table in parquet_pieces(files, place, model):
        (batch,) = table.select(model.features).to_batches()
        columns = {name: batch.column(name) for name in model.features}
        yield torch.from_numpy(model.encoder.encode(columns, batch.num_rows))


class Beside:
    """Runs the bare forward pass after each chunk, and measures its time separately."""

    def __init__(self, model: Model, rows: str) -> None:
        self.model = model
        self.encoded = encoded(model, rows)
        self.bare = self.apart = 0.0

    def each(self, answers: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Yield the answers."""
        for piece in answers:
            begun = time.process_time()
            words = next(self.encoded)
            self._forward(words)
            self.apart += time.process_time() - begun
            yield piece

    def _forward(self, words: torch.Tensor) -> None:
        split = len(self.model.encoder.numeric)
        begun = time.process_time()
        with torch.inference_mode():
            for part in words.split(BATCH_ROWS):
                self.model.net(part[:, :split].view(torch.float32), part[:, split:])
        self.bare += time.process_time() - begun


def main(model_place: str, rows: str, answers: str) -> None:
    """Score, and print the figures."""
    torch.set_num_threads(1)
    model = load(model_place)
    beside = Beside(model, rows)
    startup = time.process_time()
    write_parquet(with_columns(beside.each(pieces(model, rows)), ADDED), answers)
    used = {"cpu_seconds": time.process_time() - beside.apart, "bare_cpu_seconds": beside.bare}
    print(json.dumps({**used, "startup_cpu_seconds": startup}))


if __name__ == "__main__":
    main(*sys.argv[1:])
