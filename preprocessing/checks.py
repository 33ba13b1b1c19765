"""Checks of the finished splits before a training is paid for. A failing one names its number and its limit.

What a column may hold is declared once, in `schema`; everything that was looked at is a `Finding`: all of them stand in
the manifest (docs/data-checks.md says how), the failing ones in the error too. Limits are the constants below: they are
loose enough for every partition of the example and meant to be tightened for another table.

Rows, labels, ids and missing values are all counted; drift and AUC are those of a sample (`parts.SAMPLE_ROWS`).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from preprocessing import drift, fields
from preprocessing.drift import Profile
from preprocessing.errors import ChecksError
from preprocessing.parts import Parts

LATE_SHARE = (0.02, 0.8)
"""Least and largest share of late flights in a split."""
NULL_SHARE = {"wind_gust": 1.0, **dict.fromkeys(["pressure", "plane_age", "plane_seats", "plane_model"], 0.5)}
"""Largest share of missing values by column: calm hours have no gust, storms often no pressure (a third of the rows of
a short window), and every sixth plane is not registered."""
OTHER_NULL_SHARE = 0.2
DRIFT_OF = [*fields.SCHEDULE, "carrier", "origin", "dest"]
"""Columns whose drift fails the check; weather and late rates differ from month to month by nature: only reported."""
MAX_PSI = 0.25
"""Population stability index beyond what chance makes; more is usually called a large shift. Seen here: 0.11 for the
test against the train, 0.03 for the newest day against the partitions before."""
PREVIOUS = 7
"""Partitions before this one that its newest day is compared with."""
PREVIOUS_DAYS = 28
"""Age in days beyond which a partition is no measure any more."""
DAILY = [name for name in [*fields.TAB_FIELD_LIST, *fields.CAT_FIELD_LIST] if name != "day_of_week"]
"""Columns of which one day can be compared with others: a single day has but one day of the week."""
DAILY_DRIFT_OF = [*fields.SCHEDULE, *fields.PLANE, "carrier", "origin", "dest", "plane_model"]
"""Of these, the columns whose drift from day to day fails the check; weather and late rates change with the day."""
MAX_SINGLE_AUC = 0.95
"""A single feature that tells late flights apart this well has seen the outcome."""


@dataclass(frozen=True)
class Finding:
    """One number and the limit it was held against; without a limit it is only reported."""

    check: str
    where: str
    value: float
    limit: str
    ok: bool = True
    example: str = ""
    """A value that breaks the limit, and the id of its row."""

    def __str__(self) -> str:
        such = f", such as {self.example}" if self.example else ""
        return f"{self.check} of {self.where} is {self.value:.4g}, expected {self.limit}{such}"


def check(parts: Parts, partition: str, previous: Sequence[Mapping[str, Profile]] = ()) -> list[dict[str, Any]]:
    """Return all findings as plain data. Raises ChecksError with every failing number.

    `previous`: profiles of the partitions before this one (see `profiles`), the newest first.
    """
    findings = [
        *_against_schema(parts),
        *_shared_ids(parts),
        *label_balance(parts),
        *missing_values(parts),
        *drift_within(parts),
        *drift_since(parts["test"].sample, previous[:PREVIOUS]),
        *leakage(parts),
        *sampled(parts),
    ]
    failing = [str(finding) for finding in findings if not finding.ok]
    report = [asdict(finding) for finding in findings]
    if failing:
        raise ChecksError(f"partition {partition}: {len(failing)} data checks fail: {'; '.join(failing)}", report)
    return report


def profiles(parts: Parts) -> dict[str, Profile]:
    """Return what later partitions need to know of this one: the profile of each column in the test."""
    return {name: drift.profile(parts["test"].sample[name]) for name in DAILY}


def _against_schema(parts: Parts) -> Iterator[Finding]:
    """Yield, for each column and rule that is broken, the number of rows and an example; one finding if none is."""
    for split, part in parts.items():
        for (column, rule), found in sorted(part.broken.items(), key=_in_order_of_columns):
            where = f"{split}.{column}"
            yield Finding(f"rows that break {rule}", where, found.rows, "0", ok=False, example=found.example)
    if not any(part.broken for part in parts.values()):
        yield Finding("columns that break the schema", "all splits", 0, "0")


def _in_order_of_columns(rule: tuple[tuple[str, str], Any]) -> tuple[int, str, str]:
    (column, text), _ = rule
    known = fields.FULL_FIELD_LIST
    return (known.index(column) if column in known else -1, str(column), text)


def _shared_ids(parts: Parts) -> Iterator[Finding]:
    shared = parts.repeated.group_by(fields.ID).agg(pl.col("split").unique()).filter(pl.col("split").list.len() > 1)
    example = ""
    if shared.height:
        row = shared.sort(fields.ID).row(0)
        example = f"{row[0]!r} in {', '.join(sorted(row[1]))}"
    yield Finding("ids in several splits", fields.ID, shared.height, "0", shared.height == 0, example)


def label_balance(parts: Parts) -> Iterator[Finding]:
    """Yield each split's share of positive labels."""
    least, most = LATE_SHARE
    for split, part in parts.items():
        share = part.late_share
        yield Finding("share of label 1", split, share, f"{least} to {most}", least <= share <= most)


def missing_values(parts: Parts) -> Iterator[Finding]:
    """Yield the share of missing values of every feature that misses some in train."""
    train = parts["train"]
    for name, missing in train.missing.items():
        share, limit = missing / train.rows, NULL_SHARE.get(name, OTHER_NULL_SHARE)
        if missing:
            yield Finding("share of missing values", name, share, f"at most {limit}", share <= limit)


def drift_within(parts: Parts) -> Iterator[Finding]:
    """Yield the population stability index of every feature in test against train."""
    train, test = parts["train"].sample, parts["test"].sample
    for name in [*fields.TAB_FIELD_LIST, *fields.CAT_FIELD_LIST]:
        before = drift.profile(train[name])
        limit = MAX_PSI + drift.by_chance(before, test[name]) if name in DRIFT_OF else None
        yield _drift("drift (PSI), test against train", name, drift.psi(before, test[name]), limit)


def drift_since(test: pl.DataFrame, previous: Sequence[Mapping[str, Profile]]) -> Iterator[Finding]:
    """Yield the index of every feature on the newest day against the partitions before: the median over them.

    The median, so that one odd day does not make the next seven suspicious.
    """
    yield Finding("partitions before, compared with", "newest day", len(previous), "-")
    newest = test.filter(pl.col(fields.DATE) == pl.col(fields.DATE).max())
    for name in DAILY if previous else []:
        known = [profile[name] for profile in previous if name in profile]
        if not known:
            continue
        value = statistics.median(drift.psi(before, newest[name]) for before in known)
        chance = statistics.median(drift.by_chance(before, newest[name]) for before in known)
        limit = MAX_PSI + chance if name in DAILY_DRIFT_OF else None
        yield _drift("drift (PSI), newest day against before", name, value, limit)


def _drift(check: str, name: str, value: float, limit: float | None) -> Finding:
    if limit is None:
        return Finding(check, name, value, "-")
    return Finding(check, name, value, f"at most {limit:.3g}", value <= limit)


def leakage(parts: Parts) -> Iterator[Finding]:
    """Yield each numeric feature's own AUC in train, turned so that it is at least 0.5; forbidden columns fail."""
    train = parts["train"].sample
    for name in sorted(set(fields.NEVER_FEATURES) & set(train.columns)):
        yield Finding("columns known only after departure", name, 1, "none", ok=False)
    for name in fields.TAB_FIELD_LIST:
        value = single_auc(train[name], train[fields.LABEL])
        yield Finding("AUC of one feature alone", name, value, f"below {MAX_SINGLE_AUC}", value < MAX_SINGLE_AUC)


def sampled(parts: Parts) -> Iterator[Finding]:
    """Yield the rows that drift and AUC were taken of, for a split of more rows than a sample has."""
    for split in ("train", "test"):
        rows = parts[split].sample.height
        if rows < parts[split].rows:
            yield Finding("rows sampled for drift and AUC", split, rows, "-")


def single_auc(feature: pl.Series, label: pl.Series) -> float:
    """Return the area under the ROC curve of a feature as a score (0.5 where there is nothing to compare)."""
    known = pl.DataFrame({"x": feature, "y": label}).drop_nulls()
    positive = int(known["y"].sum())
    negative = known.height - positive
    if not positive or not negative:
        return 0.5
    ranks: float = known.select(pl.col("x").rank("average").filter(pl.col("y") == 1).sum()).item()
    area = (ranks - positive * (positive + 1) / 2) / (positive * negative)
    return max(area, 1 - area)
