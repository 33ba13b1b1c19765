"""Checks of a partition's channels before a training is paid for: footers, the label and the ids.

Each number is a `Finding`, in the form of the flights' checks (docs/data-checks.md), so that the report page shows both
in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator

from airflow_sagemaker.table.columns import Kind, is_numeric, kind_of
from airflow_sagemaker.table.decisions import MOST_CLASSES
from airflow_sagemaker.table.fields import TableFields
from airflow_sagemaker.table.findings import UNLIMITED, Finding
from airflow_sagemaker.table.reading import Splits

SHOWN = 5
"""Maximum names in one message."""


def check(splits: Splits, wanted: TableFields) -> list[Finding]:
    """Return the findings about a partition, without comparing it."""
    return [
        *_columns_there(splits, wanted),
        *_rows_there(splits),
        *_kinds(splits, wanted),
        *_labels(splits, wanted),
        *_ids(splits, wanted),
        *_gaps(splits, wanted),
    ]


def _columns_there(splits: Splits, wanted: TableFields) -> Iterator[Finding]:
    for split in splits.values():
        for check_name, names in (("missing columns", split.missing), ("duplicate columns", split.doubled)):
            if names and split.types:
                yield Finding(check_name, split.name, len(names), "0", ok=False, example=", ".join(names[:SHOWN]))
    if not any(split.missing or split.doubled for split in splits.values()):
        yield Finding("missing or duplicate columns", "all splits", 0, "0")


def _rows_there(splits: Splits) -> Iterator[Finding]:
    for split in splits.values():
        yield Finding("rows", split.name, split.rows, "at least 1", ok=split.rows > 0)


def _kinds(splits: Splits, wanted: TableFields) -> Iterator[Finding]:
    numbers, features = set(wanted.tab_field_list), (*wanted.tab_field_list, *wanted.cat_field_list)
    for split in splits.values():
        wrong = []
        for name in (*features, wanted.label_name):
            kind = split.types.get(name)
            if kind is None:
                continue
            if kind_of(kind) in (Kind.TIME, Kind.OTHER) or (name in numbers and not is_numeric(kind)):
                wrong.append(f"{name} is {kind}")
        if wrong:
            limit = "numbers in tab_field_list; numbers, booleans or texts elsewhere"
            yield Finding("columns of a wrong type", split.name, len(wrong), limit, ok=False, example=wrong[0])


def _labels(splits: Splits, wanted: TableFields) -> Iterator[Finding]:
    label, train = wanted.label_name, splits["train"]
    for split in splits.values():
        if not split.labels and not split.label_nulls:
            continue
        yield Finding(f"rows without {label}", split.name, split.label_nulls, "0", ok=not split.label_nulls)
        if split.name == "train":
            ok = 2 <= len(split.labels) <= MOST_CLASSES
            yield Finding("classes", f"train.{label}", len(split.labels), f"2 to {MOST_CLASSES}", ok=ok)
        elif len(train.labels) <= MOST_CLASSES:
            strange = sorted(set(split.labels) - set(train.labels))
            example = ", ".join(strange[:SHOWN])
            yield Finding("classes that train lacks", split.name, len(strange), "0", ok=not strange, example=example)
            if len(split.labels) < 2:
                yield Finding("classes", f"{split.name}.{label}", len(split.labels), "at least 2", ok=False)
    if len(train.labels) == 2:
        for split in splits.values():
            positive = max(train.labels)
            yield Finding(f"share of label {positive}", split.name, split.share(positive), UNLIMITED)


def _ids(splits: Splits, wanted: TableFields) -> Iterator[Finding]:
    import pyarrow.compute as pc

    known = {name: split.ids for name, split in splits.items() if split.ids is not None}
    for name, ids in known.items():
        split = splits[name]
        if split.id_nulls:
            yield Finding(f"rows without {wanted.id_name}", split.name, split.id_nulls, "0", ok=False)
        repeated = split.ids_read - split.id_nulls - len(ids)
        if repeated:
            yield Finding(f"rows that repeat {wanted.id_name}", split.name, repeated, UNLIMITED)
        if split.ids_read < split.rows:
            yield Finding(f"rows whose {wanted.id_name} was compared", split.name, split.ids_read, UNLIMITED)
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        if one in known and other in known:
            shared = known[other].filter(pc.is_in(known[other], value_set=known[one]))
            example = str(shared[0].as_py()) if len(shared) else ""
            where = f"{one} and {other}"
            yield Finding("shared ids", where, len(shared), "0", ok=not len(shared), example=example)


def _gaps(splits: Splits, wanted: TableFields) -> Iterator[Finding]:
    train = splits["train"]
    for name, nulls in train.nulls.items():
        if train.rows and nulls == train.rows:
            yield Finding("share of missing values", f"train.{name}", 1.0, "below 1", ok=False)
        elif nulls:
            yield Finding("share of missing values", f"train.{name}", nulls / train.rows, UNLIMITED)
