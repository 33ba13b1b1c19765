"""The program on local folders: read a partition's window, build its table, split it, check it, write it.

The table is built and written in spans of dates (see `chunks`): memory depends on one span and its history, not on the
length of the window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from preprocessing import chunks, engines, output, raw, splits
from preprocessing.errors import TableError
from preprocessing.json_types import JsonObject
from preprocessing.quality import checks
from preprocessing.quality.drift import Profile
from preprocessing.quality.parts import Parts
from preprocessing.spec import TableSpec
from preprocessing.window import Span, Window


def preprocess(
    spec: TableSpec,
    raw_folder: Path,
    output_folder: Path,
    window: Window,
    engine: str = engines.POLARS,
    previous: Sequence[Mapping[str, Profile]] = (),
    split_by: str = "time",
    chunk_rows: int = chunks.ROWS,
) -> JsonObject:
    """Write train, val and test of the window below `output_folder`, and describe them.

    `engine` (one of `engines.ENGINES`) builds the table. `previous` has the profiles of earlier partitions' manifests,
    the newest first, which the newest day is compared with. `split_by` is one of `splits.WAYS`. `chunk_rows` is the
    number of raw rows that are built at once. The splits depend neither on `engine` nor on `chunk_rows`.

    The result has the partition; each split's rows, share of label 1 and dates; the field lists under the names of the
    training's hyperparameters; and the findings of the data checks. Raises PreprocessingError, and then writes nothing.
    """
    files = raw.checked_files(spec, raw_folder, window)
    with engines.started(spec, engine) as build, output.aside(output_folder) as aside:
        parts = Parts(spec, {split: pl.scan_parquet(aside.file(split)) for split in output.SPLITS})
        for span in chunks.spans(window, files, chunk_rows):
            _add(build_table(spec, raw.paths(spec, files, span), window, span, build), window, split_by, aside, parts)
        aside.close()
        splits.require_both_classes(parts, window, split_by)
        _require_ids_once(parts, window)
        about = {
            "partition": str(window.partition),
            "rows": {split: part.rows for split, part in parts.items()},
            "label_share": {split: round(part.label_share, 6) for split, part in parts.items()},
            "split_by": split_by,
            "dates": {split: [str(day) for day in part.dates] for split, part in parts.items()},
            **spec.field_lists(),
            "checks": checks.check(parts, str(window.partition), previous),
        }
        aside.commit({**about, "profile": checks.profiles(parts)})
    return about


def build_table(
    spec: TableSpec, files: Mapping[str, Sequence[str]], window: Window, span: Span, build: engines.Build
) -> pl.DataFrame:
    """Return the rows of one span of the window, in the table's order."""
    within = pl.col(spec.date_name).is_between(span.first, span.last)
    try:
        return build(files, span).filter(within).sort(spec.order).collect(engine="streaming")
    except pl.exceptions.ComputeError:
        raw.explain_unreadable(spec, files, window)
        raise


def _add(table: pl.DataFrame, window: Window, split_by: str, aside: output.Aside, parts: Parts) -> None:
    """Write and count the rows of a span."""
    for split, rows in splits.split(parts.spec, table, window, split_by).items():
        aside.add(split, rows)
        parts[split].add(rows)


def _require_ids_once(parts: Parts, window: Window) -> None:
    repeated, name = parts.repeated, parts.spec.id_name
    if repeated.height:
        raise TableError(
            f"partition {window.partition}: {name} {repeated[name][0]!r} occurs in several rows "
            f"({repeated.height} rows share an id); expected one row per id"
        )
