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
import re
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

PIECE_ROWS = 65_536  # rows read, scored and written together; fewer of a wide table ...
PIECE_VALUES = 2**23  # ... of which a piece would take more than 64 MB
READ_BYTES = 2**24  # of a file, read ahead for all columns together, however long its row groups are
CSV_NAME = re.compile(r"\.(csv|tsv)(\.(gz|bz2|zst))?$", re.IGNORECASE)
ENCODING = "preprocess.json"  # the file of a model that only this program writes
EXIT_MESSAGE = Path("/opt/ml/output/message")
ERRORS = (ValueError, OSError, KeyError, NotImplementedError, tarfile.TarError)


def predict(model: str | Path, rows: str | Path) -> pa.Table:
    """Return all answers (see `pieces`) as one table. Raises ValueError when columns are missing."""
    return pa.Table.from_batches([batch for piece in pieces(load(model), rows) for batch in piece.to_batches()])


def load(model: str | Path) -> Model:
    """Load a model from an archive or a folder, local or on S3. Raises ValueError for one of another program."""
    with tempfile.TemporaryDirectory() as unpacked:
        files, path = located(model)
        if files.get_file_info(path).type == pa.fs.FileType.Directory:
            pa.fs.copy_files(path, unpacked, source_filesystem=files)
        else:
            stream = files.open_input_stream(path, compression=None)
            try:
                with stream, tarfile.open(fileobj=io.BufferedReader(stream), mode="r|*") as archive:
                    archive.extractall(unpacked, filter="data")
            except tarfile.ReadError as error:
                raise ValueError(f"{model} is not a tar archive: {error}") from error
        found = sorted(path.name for path in Path(unpacked).iterdir())
        if ENCODING not in found:
            raise ValueError(f"{model} is not a model of this program: expected {ENCODING}, found {found[:5]}")
        return model_fn(unpacked)


def pieces(model: Model, rows: str | Path) -> Iterator[pa.Table]:
    """Yield id (if present), probability and label of consecutive rows; with more than two classes, each one's too."""
    files, path = located(rows)
    read = csv_pieces if CSV_NAME.search(path) else parquet_pieces
    id_type = None
    empty = True
    for table in read(files, path, model):
        empty = False
        probabilities = model.probabilities(table)
        labels, own = model.answers(probabilities)
        names = pa.array(model.classes.names)
        kept = {}
        if model.id_name in table.column_names:
            id_type = id_type or table[model.id_name].type  # that of the first part, for all of them
            kept[model.id_name] = table[model.id_name].cast(id_type)
        answers: dict[str, Any] = {"probability": own, "label": names.take(pa.array(labels))}
        if not model.classes.binary:
            answers |= {f"probability_{value}": probabilities[:, i] for i, value in enumerate(model.classes.values)}
        yield pa.table({**kept, **answers})
    if empty:
        raise ValueError(f"{rows} has no rows")


def parquet_pieces(files: pa.fs.FileSystem, path: str, model: Model, more: tuple[str, ...] = ()) -> Iterator[pa.Table]:
    """Read id, features and `more` from a file or from the parts in a folder; first check the columns of each."""
    unread = pa.schema([])  # or the first part would be read here, and an error would not name it
    parts = pyarrow.dataset.dataset(path, unread, format="parquet", filesystem=files, exclude_invalid_files=False).files
    names = [_columns_of(files, part) for part in parts]
    for part, found in zip(parts, names, strict=True):
        model.check_columns(found, f"{part}: " if len(parts) > 1 else "", more)
        if (model.id_name in found) != (model.id_name in names[0]):
            raise ValueError(f"column {model.id_name} must be in all parts or in none: {parts[0]} and {part} differ")
    columns = [*model.features, *more, *([model.id_name] if parts and model.id_name in names[0] else [])]
    size = max(1, min(PIECE_ROWS, PIECE_VALUES // len(columns)))
    ahead = max(2**16, min(2**22, READ_BYTES // len(columns)))
    for part in parts:
        # pre_buffer would keep whole row groups in memory, and without a buffer whole columns of them would be
        with files.open_input_file(part) as stream, pq.ParquetFile(stream, pre_buffer=False, buffer_size=ahead) as rows:
            for batch in rows.iter_batches(size, columns=columns, use_threads=False):
                if batch.num_rows:
                    yield pa.Table.from_batches([batch])


def csv_pieces(files: pa.fs.FileSystem, path: str, model: Model) -> Iterator[pa.Table]:
    """Read a CSV with a header line, all values as strings: the model knows what they are. Raises ValueError."""
    with files.open_input_stream(path) as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        try:
            top = text.readline()
            reader = csv.reader(chain([top], text), strict=True, delimiter=separator(path, top))
            lines = (line for line in reader if line)
            header, first = next(lines, []), 1
            if header:
                model.check_columns(header)
            while rows := list(islice(lines, PIECE_ROWS)):
                yield text_table(header, rows, first)
                first += len(rows)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not a CSV file in UTF-8: {error}") from None
        except csv.Error as error:
            raise ValueError(f"{path} is not a CSV file: line {reader.line_num}: {error}") from None


def separator(path: str, header: str) -> str:
    """Return the one that the name stands for (tabs in TSV), or, if the header lacks it, another one."""
    named = "\t" if ".tsv" in path.lower() else ","
    plain = re.sub(r'"[^"]*"', "", header)
    found = max(",;\t|", key=plain.count)
    if found not in plain or named in plain:
        return named
    print(f"{path} is separated by {found!r}, not {named!r}", file=sys.stderr)
    return found


def _columns_of(files: pa.fs.FileSystem, part: str) -> list[str]:
    try:
        with files.open_input_file(part) as stream, pq.ParquetFile(stream, pre_buffer=False) as rows:
            return list(rows.schema_arrow.names)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{part} is not a complete parquet file: {error}") from None


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
        return fail(error)
    return 0


def fail(error: Exception) -> int:
    """Report an error in one line, and to SageMaker as a Processing job's ExitMessage; return the exit status."""
    text = f"Error: {' '.join(str(error).split())}"
    print(text, file=sys.stderr)
    if EXIT_MESSAGE.parent.is_dir():
        EXIT_MESSAGE.write_text(text[:1024], encoding="utf-8")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
