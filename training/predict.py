"""Scores a table with a trained model: `python -m training.predict MODEL ROWS [ANSWERS.parquet] [--add NAME VALUE]`.

MODEL is model.tar.gz or its unpacked folder, ROWS a parquet or CSV file or a folder of parquet parts; each may be an
s3:// URI (credentials, region and AWS_ENDPOINT_URL as everywhere in AWS). Rows are read, scored and written piece by
piece. Without ANSWERS, the answers are printed as CSV. Of the columns that are not features, only the id is copied.
--add, which may be given several times, adds a column with the same string in each row.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet as pq

from training.inference import Model, model_fn, text_table

PIECE_ROWS = 65_536
ERRORS = (ValueError, OSError, KeyError, NotImplementedError, tarfile.TarError)


def predict(model: str | Path, rows: str | Path) -> pa.Table:
    """Return all answers (see `pieces`) as one table. Raises ValueError when columns are missing."""
    return pa.Table.from_batches([batch for piece in pieces(load(model), rows) for batch in piece.to_batches()])


def load(model: str | Path) -> Model:
    """Load a model from an archive or a folder, local or on S3."""
    with tempfile.TemporaryDirectory() as unpacked:
        files, path = located(model)
        if files.get_file_info(path).type == pa.fs.FileType.Directory:
            pa.fs.copy_files(path, unpacked, source_filesystem=files)
        else:
            stream = files.open_input_stream(path, compression=None)
            with stream, tarfile.open(fileobj=io.BufferedReader(stream), mode="r|*") as archive:
                archive.extractall(unpacked, filter="data")
        return model_fn(unpacked)


def pieces(model: Model, rows: str | Path) -> Iterator[pa.Table]:
    """Yield id (if present), probability and label of consecutive rows; with more than two classes, each one's too."""
    files, path = located(rows)
    read = csv_pieces if path.lower().endswith((".csv", ".csv.gz")) else parquet_pieces
    empty = True
    for table in read(files, path, [*model.features, model.id_name]):
        empty = False
        probabilities = model.probabilities(table)
        labels, own = model.answers(probabilities)
        names = pa.array(model.classes.names)
        kept = {model.id_name: table[model.id_name]} if model.id_name in table.column_names else {}
        answers: dict[str, Any] = {"probability": own, "label": names.take(pa.array(labels))}
        if not model.classes.binary:
            answers |= {f"probability_{value}": probabilities[:, i] for i, value in enumerate(model.classes.values)}
        yield pa.table({**kept, **answers})
    if empty:
        raise ValueError(f"{rows} has no rows")


def parquet_pieces(files: pa.fs.FileSystem, path: str, columns: list[str]) -> Iterator[pa.Table]:
    """Read those of the columns that exist, from a file or from the parts in a folder."""
    rows = pa.dataset.dataset(path, filesystem=files, format="parquet", exclude_invalid_files=False)
    there = [name for name in columns if name in rows.schema.names]
    for batch in rows.to_batches(columns=there, batch_size=PIECE_ROWS, batch_readahead=1, fragment_readahead=1):
        if batch.num_rows:
            yield pa.Table.from_batches([batch])


def csv_pieces(files: pa.fs.FileSystem, path: str, columns: list[str]) -> Iterator[pa.Table]:
    """Read a CSV with a header line, all values as strings: the model knows what they are."""
    with files.open_input_stream(path) as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        lines = (line for line in csv.reader(text, strict=True) if line)
        header, first = next(lines, []), 1
        while rows := list(islice(lines, PIECE_ROWS)):
            yield text_table(header, rows, first)
            first += len(rows)


def located(place: str | Path) -> tuple[pa.fs.FileSystem, str]:
    """Return the file system and the path on it. Raises ValueError for a URI of another kind."""
    text = str(place)
    if text.startswith("s3://"):
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        return pa.fs.S3FileSystem(endpoint_override=endpoint, region=region), text.removeprefix("s3://").rstrip("/")
    if "://" in text:
        raise ValueError(f"{text} is neither a path nor an s3:// URI")
    return pa.fs.LocalFileSystem(), str(Path(text).absolute())


def with_columns(answers: Iterator[pa.Table], added: dict[str, str]) -> Iterator[pa.Table]:
    """Add to each piece a column for each name, with the same text in all rows. Raises ValueError for a name twice."""
    for piece in answers:
        table = piece
        for name, text in added.items():
            if name in table.column_names:
                raise ValueError(f"the answers already have a column {name}")
            same = pa.DictionaryArray.from_arrays(pa.array([0] * table.num_rows, pa.int8()), [text])
            table = table.append_column(name, same)
        yield table


def print_csv(answers: Iterator[pa.Table]) -> None:
    """Write the answers to standard output."""
    first = next(answers)
    with pyarrow.csv.CSVWriter(sys.stdout.buffer, first.schema) as writer:
        for piece in chain([first], answers):
            writer.write(piece)


def write_parquet(answers: Iterator[pa.Table], target: str) -> None:
    """Write the answers to a file, local or on S3, atomically."""
    files, path = located(target)
    first = next(answers)
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "answers.parquet"
        with pq.ParquetWriter(part, first.schema) as writer:
            for piece in chain([first], answers):
                writer.write(piece)
        if isinstance(files, pa.fs.LocalFileSystem):
            near = Path(path).with_name(f".{Path(path).name}.part")
            shutil.copyfile(part, near)
            near.replace(path)
        else:
            pa.fs.copy_files(str(part), path, pa.fs.LocalFileSystem(), files)


def main(argv: list[str]) -> int:
    """Run the command line; return the exit status."""
    added: dict[str, str] = {}
    while "--add" in argv[2:-2]:
        place = argv.index("--add", 2)
        added[argv[place + 1]] = argv[place + 2]
        argv = argv[:place] + argv[place + 3 :]
    if len(argv) not in (2, 3):
        print("usage: python -m training.predict MODEL ROWS [ANSWERS.parquet] [--add NAME VALUE]", file=sys.stderr)
        return 2
    try:
        answers = with_columns(pieces(load(argv[0]), argv[1]), added)
        if len(argv) == 3:
            write_parquet(answers, argv[2])
        else:
            print_csv(answers)
    except ERRORS as error:
        print(f"Error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
