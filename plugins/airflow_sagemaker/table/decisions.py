"""Label, id and features of a table, and the reason for each column that is not a feature."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from shlex import quote
from typing import TYPE_CHECKING

from airflow_sagemaker.exceptions import TableError
from airflow_sagemaker.table.columns import Column, Kind, describe, plain_values, single_auc
from airflow_sagemaker.table.source import TableSource

if TYPE_CHECKING:
    import pyarrow as pa

FEWEST_ROWS = 20
"""With fewer rows, a split would have only a handful."""
MOST_CLASSES = 100
"""training/table/labels.py: MOST_CLASSES; a test compares the two."""
LEAK_AUC = 0.99
"""A column that alone predicts the label this well most likely contains the outcome."""
SUSPICIOUS_AUC = 0.95
"""The flights' limit (preprocessing/spec.py), which is worth a warning."""
MANY_NULLS = 0.5
RARE_CLASS = 10
"""Rows of a class below which a split may have none of it."""
ROW_NUMBER = ("row_number", "_row_number")
"""The id if no column identifies a row; `split` adds it."""
_ID_NAME = re.compile(
    r"(?i:(^|[_\s.-])(id|uuid|guid|key|rownames?|row_number)|^index|^unnamed: 0)$|[a-z]I[dD]$|^[A-Z]{1,4}ID$"
)
_NUMBER_NAME = re.compile(r"(id[_ ]?num|[_\s.-](no|nr|num|number))$", re.IGNORECASE)
"""What is an identifier only if each row has a different one: passenger_no, but not flight_number."""
NUMBER_TEXTS = 0.8
"""Share of numbers among strings from which the others most likely stand for a missing value."""
FEW_PER_ID = 0.1
"""Values per row from which a repeated identifier is that of persons or things, not of a few shops or regions."""
LARGE_TABLE = 2_000_000
"""Rows from which a GPU is cheaper than a CPU."""


@dataclass(frozen=True)
class LeftOut:
    """A column that is not a feature, and why."""

    column: str
    reason: str


@dataclass
class Decisions:
    """What `init` writes into the configuration."""

    rows: int
    sampled: int
    columns: int
    label: str
    classes: dict[object, int]
    """Rows of the sample by class, in the order of the training program."""
    unlabelled: int
    """Rows of the sample without a label."""
    id_name: str
    numbers_rows: bool
    """Whether no column identifies a row, so that `split` numbers them."""
    numbers: list[Column] = field(default_factory=list)
    categories: list[Column] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    """Columns for a split by time."""
    groups: list[str] = field(default_factory=list)
    """Identifiers that several rows share, such as that of a customer."""

    @property
    def full_field_list(self) -> list[str]:
        """All columns that the training reads."""
        return [self.id_name, self.label, *(column.name for column in (*self.numbers, *self.categories))]

    @property
    def instance_type(self) -> str:
        """A CPU type if a CPU trains it in minutes."""
        return "ml.g5.xlarge" if self.rows >= LARGE_TABLE else "ml.m5.xlarge"


def decide(source: TableSource, label: str, id_name: str | None = None) -> Decisions:
    """Decide from a sample of the table. Raises TableError with a one-line message if it cannot be trained on."""
    _require_column(source, label, "label")
    row_number = next(name for name in ROW_NUMBER if name not in source.schema.names)
    if id_name not in (None, row_number):
        _require_column(source, id_name, "id")
        if id_name == label:
            raise TableError(f"{label!r} cannot be both --label and --id")
    sample, rows = source.sample()
    if rows < FEWEST_ROWS:
        raise TableError(f"{source.path} has {rows} row{'s' * (rows != 1)}; a training needs at least {FEWEST_ROWS}")
    classes, labelled = _classes(sample, label)
    columns = [describe(name, sample[name]) for name in sample.column_names if name != label]
    chosen_id, guessed = _chosen_id(columns, id_name, row_number)
    decisions = Decisions(
        rows=rows,
        sampled=sample.num_rows,
        columns=len(sample.column_names),
        label=label,
        classes=classes,
        unlabelled=sample.num_rows - labelled.num_rows,
        id_name=chosen_id or row_number,
        numbers_rows=chosen_id is None,
        groups=[
            column.name for column in columns if _is_repeated_id(column) and column.distinct > column.rows * FEW_PER_ID
        ],
        times=[column.name for column in columns if column.kind is Kind.TIME and column.sorts],
    )
    if guessed:
        decisions.warnings.append(
            f"{chosen_id} is taken as the id because each row has a different value: "
            f"use --id COLUMN for another column, or --id {row_number} to number the rows"
        )
    decisions.left_out += [LeftOut(f"(column {place})", "has no name") for place in source.unnamed]
    targets = _one_against_rest(labelled, label, classes)
    for column in columns:
        if column.name != chosen_id:
            _place(decisions, column, labelled, targets)
    decisions.warnings += _label_warnings(decisions)
    if not decisions.numbers and not decisions.categories:
        reasons = "; ".join(f"{one.column} {one.reason}" for one in decisions.left_out[:3])
        reasons = reasons or f"expected at least one besides the label and the id ({chosen_id or 'none'})"
        raise TableError(f"{source.path} has no column to learn from: {reasons}")
    return decisions


def _require_column(source: TableSource, name: str, what: str) -> None:
    names = source.schema.names
    problem = name_problem(name) if name in names else None
    if problem:
        raise TableError(f"--{what} {name!r} {problem}")
    if name not in names:
        near = difflib.get_close_matches(name, names, n=2, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(names[:10])}"
        more = f" and {len(names) - 10} more" if not near and len(names) > 10 else ""
        raise TableError(f"--{what} {name}: {source.path} has no such column; {hint}{more}")


def _classes(sample: pa.Table, label: str) -> tuple[dict[object, int], pa.Table]:
    """Return the rows of each class, and the rows that have a label."""
    import pyarrow.compute as pc

    column = describe(label, sample[label])
    if column.kind in (Kind.TIME, Kind.OTHER):
        raise TableError(f"--label {label} holds {column.type}; expected numbers, booleans or texts")
    plain = plain_values(sample[label])
    if column.distinct > MOST_CLASSES:
        advice = "bin it" if column.kind is Kind.NUMBER else "merge the rare ones"
        raise TableError(
            f"--label {label} has {column.distinct:,} different values; the training takes 2 to {MOST_CLASSES}: "
            f"{advice}, or use another column"
        )
    if column.distinct > 2 and column.once > column.distinct / 2:
        advice = "bin it" if column.kind is Kind.NUMBER else "merge the rare ones"
        raise TableError(
            f"--label {label}: {column.once:,} of {column.distinct:,} different values occur only once; "
            f"expected classes of several rows each: {advice}, or use another column"
        )
    counted = {item["values"]: item["counts"] for item in pc.value_counts(plain.drop_null()).to_pylist()}
    if len(counted) < 2:
        found = f"one value only, {next(iter(counted))!r}" if counted else "no value"
        raise TableError(f"--label {label} has {found}; expected at least two classes")
    return dict(sorted(counted.items())), sample.filter(pc.is_valid(plain))


def _checked_id(columns: list[Column], name: str) -> str:
    column = next(column for column in columns if column.name == name)
    if column.kind is Kind.OTHER or column.type.startswith(("float", "double", "halffloat")):
        raise TableError(f"--id {name} holds {column.type}; expected integers or texts")
    if column.nulls:
        raise TableError(f"--id {name} is not an identifier: {column.nulls:,} rows have no value; omit --id")
    if column.distinct < column.rows:
        repeated = column.rows - column.once
        raise TableError(
            f"--id {name} is not an identifier: {repeated:,} of {column.rows:,} rows share a value with another row; "
            "omit --id, and `split` numbers the rows"
        )
    return name


def _chosen_id(columns: list[Column], given: str | None, row_number: str) -> tuple[str | None, bool]:
    """Return the column that identifies a row, if any, and whether only its values suggest it, not its name."""
    if given is not None:
        return (None if given == row_number else _checked_id(columns, given)), False
    unique = [column for column in columns if column.unique and column.whole]
    named = [column.name for column in unique if _ID_NAME.search(column.name)]
    named += [column.name for column in unique if _NUMBER_NAME.search(column.name) or _counts_rows(column)]
    texts = [column.name for column in unique if column.kind is Kind.CATEGORY and column.number_texts < NUMBER_TEXTS]
    return next(iter([*named, *texts]), None), not named and bool(texts)


def _one_against_rest(labelled: pa.Table, label: str, classes: Iterable[object]) -> list[pa.Array]:
    """Yield whether each row has a class: of two classes the later one, of more the first twenty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = plain_values(labelled[label])
    names = list(classes)
    wanted = names[1:] if len(names) == 2 else names[:20]
    return [pc.equal(plain, pa.scalar(name, plain.type)) for name in wanted]


def _place(decisions: Decisions, column: Column, labelled: pa.Table, targets: list[pa.Array]) -> None:
    """Make a column a feature, or record why it is not one."""
    reason = _no_feature(column)
    if reason is None:
        values = labelled[column.name]
        area = sum(single_auc(column, values, target) for target in targets) / len(targets)
        if area >= LEAK_AUC:
            reason = f"predicts the label on its own (AUC {area:.3f}): most likely known only after the outcome"
        elif area >= SUSPICIOUS_AUC:
            decisions.warnings.append(
                f"{column.name} predicts the label on its own with AUC {area:.3f}: is it known before the outcome?"
            )
    if reason is not None:
        decisions.left_out.append(LeftOut(column.name, reason))
        return
    is_number = column.kind is Kind.NUMBER and not _is_repeated_id(column)
    (decisions.numbers if is_number else decisions.categories).append(column)
    if column.null_share > MANY_NULLS:
        decisions.warnings.append(f"{column.name} has no value in {column.null_share:.0%} of the rows")


def name_problem(name: str) -> str | None:
    """Return why a configuration cannot contain a column's name; None if it can."""
    if any(unicodedata.category(char) == "Cc" for char in name):
        return "has control characters in its name: rename it"
    if any(mark in name for mark in ("{{", "{%", "{#")):
        return "has a name that Airflow would render as a template: rename it"
    return None


def _no_feature(column: Column) -> str | None:
    """Return why a column cannot be a feature, without comparing it with the label; None if it can."""
    mostly_once = column.kind is Kind.CATEGORY and column.once > (column.rows - column.nulls) / 2
    infinite = column.most == float("inf") or column.least == float("-inf")
    marks = (
        f", but also {column.other_text!r}: leave those cells empty" if column.other_text else ": write plain numbers"
    )
    reasons = {
        name_problem(column.name) or "": name_problem(column.name) is not None,
        f"holds {column.type}: write its parts as columns of numbers or texts": column.kind is Kind.OTHER,
        f"contains dates or times ({column.type}): add weekday, hour or days since an event as columns": (
            column.kind is Kind.TIME
        ),
        "has no value": not column.distinct,
        "has the same value in every row": column.distinct == 1 and not column.nulls,
        "contains infinite values: write null where there is no number": infinite,
        "looks like an identifier by its name and values": _is_called_id(column),
        "numbers the rows": _counts_rows(column),
        f"contains numbers as text{marks}": mostly_once and column.number_texts >= NUMBER_TEXTS,
        "looks like an identifier or free text: most of its values occur once": mostly_once,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _is_called_id(column: Column) -> bool:
    """Whether name and values are those of an identifier, of the row or of what several rows belong to."""
    by_name = column.whole and bool(_ID_NAME.search(column.name)) and column.distinct > column.rows * FEW_PER_ID
    return by_name or (column.unique and column.whole and bool(_NUMBER_NAME.search(column.name)))


def _counts_rows(column: Column) -> bool:
    """Whether it numbers the rows of the table from 0 or 1, whatever its name."""
    return column.unique and column.whole and column.least in (0, 1) and column.most - column.least + 1 == column.rows


def _is_repeated_id(column: Column) -> bool:
    """Whether its numbers are probably codes, whose size has no meaning."""
    return column.whole and bool(_ID_NAME.search(column.name)) and column.distinct < column.rows - column.nulls


def _label_warnings(decisions: Decisions) -> Iterator[str]:
    if decisions.unlabelled:
        yield f"{decisions.unlabelled:,} of {decisions.sampled:,} rows have no label: `split` excludes them"
    rare = [
        f"{name!r} ({rows} row{'s' * (rows != 1)})" for name, rows in decisions.classes.items() if rows < RARE_CLASS
    ]
    if rare:
        yield f"classes with few rows, which a split may lack: {', '.join(rare[:5])}"
    for name in decisions.groups:
        yield f"several rows have the same {name}: add --by-group {quote(name)} to `split` to keep them in one split"
    for column in decisions.categories:
        if column.number_texts >= NUMBER_TEXTS:
            found = f"numbers, but also {column.other_text!r}" if column.other_text else "numbers as text"
            advice = "leave those cells empty" if column.other_text else "write plain numbers, such as 1234.5,"
            why = f"is taken as a category because it contains {found}"
            yield f"{column.name} {why}; {advice} to have it taken as a number"
    for column in decisions.numbers:
        if _looks_like_a_code(column):
            yield f"{column.name} is taken as a number; if it is a code, move it to cat_field_list"


def _looks_like_a_code(column: Column) -> bool:
    named = re.search(
        r"(^|_)(\w*code|zip|postcode|postal|type|class|category|region|store|branch)\d*(_|$)", column.name.lower()
    )
    return bool(named) and column.type.startswith(("int", "uint"))
