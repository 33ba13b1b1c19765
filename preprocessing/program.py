"""The whole program on local folders: read a partition's window, build its table, check it, split it, write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from preprocessing import checks, engines, fields, output, raw, splits
from preprocessing.drift import Profile
from preprocessing.errors import TableError
from preprocessing.window import Window


def preprocess(
    raw_folder: Path,
    output_folder: Path,
    window: Window,
    engine: str = engines.POLARS,
    previous: Sequence[Mapping[str, Profile]] = (),
    split_by: str = "time",
) -> dict[str, Any]:
    """Write train, val and test of the window below `output_folder` and return what was written.

    `engine` (one of `engines.ENGINES`) builds the table; what it holds does not depend on it. `previous`: the profiles
    in the manifests of earlier partitions, the newest first; the newest day is compared with them. `split_by` is one
    of `splits.WAYS`.

    The result: partition, rows and share of late flights per split, dates per split, the field lists under the names of
    the training's hyperparameters, and the findings of the data checks. Raises PreprocessingError; nothing is visible
    then.
    """
    files = raw.checked_files(raw_folder, window)
    table = build_table(files, window, engine)
    tables = splits.split(table, window, split_by)
    findings = checks.check(tables, str(window.partition), previous)
    about = {
        "partition": str(window.partition),
        "rows": {name: part.height for name, part in tables.items()},
        "late_share": {name: part.select(pl.col(fields.LABEL).mean().round(6)).item() for name, part in tables.items()},
        "split_by": split_by,
        "dates": {name: [str(part[fields.DATE].min()), str(part[fields.DATE].max())] for name, part in tables.items()},
        **fields.field_lists(),
        "checks": findings,
    }
    output.write(output_folder, tables, {**about, "profile": checks.profiles(tables)})
    return about


def build_table(files: dict[str, list[str]], window: Window, engine: str = engines.POLARS) -> pl.DataFrame:
    """Return the window's table, in order of time. Raises TableError when a flight's id stands twice."""
    built = engines.build(files, window, engine)
    try:
        table = built.sort(fields.DATE, "departure_minute", fields.ID).collect(engine="streaming")
    except pl.exceptions.ComputeError:
        raw.explain_unreadable(files, window)
        raise
    twice = table.filter(pl.col(fields.ID).is_duplicated())
    if twice.height:
        raise TableError(
            f"partition {window.partition}: {fields.ID} {twice[fields.ID][0]!r} stands on several rows "
            f"({twice.height} rows share an id); expected one row per flight"
        )
    return table
