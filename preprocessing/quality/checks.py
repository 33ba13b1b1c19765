"""Checks of the finished splits, before a training is paid for.

The table's schema declares what its columns may contain, and `spec.Limits` the limits. Each check yields a `Finding`:
the manifest contains all of them (see docs/data-checks.md), and the error those that failed.

All rows, labels, ids and missing values are counted; drift and AUC are measured on a sample (`parts.SAMPLE_ROWS`).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import polars as pl

from preprocessing.errors import ChecksError
from preprocessing.json_types import JsonObject
from preprocessing.quality import drift
from preprocessing.quality.drift import Profile
from preprocessing.quality.parts import Parts
from preprocessing.quality.schema import Broken
from preprocessing.spec import TableSpec

PREVIOUS = 7
"""Earlier partitions that the newest day is compared with."""
PREVIOUS_DAYS = 28
"""Age in days up to which earlier partitions are compared."""


@dataclass(frozen=True)
class Finding:
    """A number and its limit; a number without a limit (`-`) is only reported."""

    check: str
    where: str
    value: float
    limit: str
    ok: bool = True
    example: str = ""
    """A value that violates the limit, and the id of its row."""

    def __str__(self) -> str:
        example = f"; for example {self.example}" if self.example else ""
        return f"{self.check} in {self.where}: {self.value:.4g} (expected {self.limit}{example})"


def check(parts: Parts, partition: str, previous: Sequence[Mapping[str, Profile]] = ()) -> list[JsonObject]:
    """Return all findings as JSON. Raises ChecksError with all that failed.

    `previous` has the profiles of earlier partitions (see `profiles`), the newest first.
    """
    findings = [
        *_against_schema(parts),
        *_shared_ids(parts),
        *label_balance(parts),
        *missing_values(parts),
        *drift_within(parts),
        *drift_since(parts, previous[:PREVIOUS]),
        *leakage(parts),
        *sampled(parts),
    ]
    failing = [str(finding) for finding in findings if not finding.ok]
    report = [asdict(finding) for finding in findings]
    if failing:
        raise ChecksError(f"partition {partition}: {len(failing)} data checks failed: {'; '.join(failing)}", report)
    return report


def profiles(parts: Parts) -> dict[str, Profile]:
    """Return the profile of each column in the test split, which later partitions are compared with."""
    return {name: drift.profile(parts["test"].sample[name]) for name in parts.spec.daily}


def _against_schema(parts: Parts) -> Iterator[Finding]:
    """Yield a finding for each rule that rows violate, or a single one if there are none."""
    for split, part in parts.items():
        for (column, rule), found in sorted(part.broken.items(), key=partial(_in_order_of_columns, parts.spec)):
            where = f"{split}.{column}"
            yield Finding(f"rows that violate {rule}", where, found.rows, "0", ok=False, example=found.example)
    if not any(part.broken for part in parts.values()):
        yield Finding("columns that violate the schema", "all splits", 0, "0")


def _in_order_of_columns(spec: TableSpec, rule: tuple[tuple[str, str], Broken]) -> tuple[int, str, str]:
    (column, text), _ = rule
    known = spec.full_field_list
    return (known.index(column) if column in known else -1, str(column), text)


def _shared_ids(parts: Parts) -> Iterator[Finding]:
    name = parts.spec.id_name
    shared = parts.repeated.group_by(name).agg(pl.col("split").unique()).filter(pl.col("split").list.len() > 1)
    example = ""
    if shared.height:
        row = shared.sort(name).row(0)
        example = f"{row[0]!r} in {', '.join(sorted(row[1]))}"
    yield Finding("ids in several splits", name, shared.height, "0", shared.height == 0, example)


def label_balance(parts: Parts) -> Iterator[Finding]:
    """Yield each split's share of positive labels."""
    least, most = parts.spec.limits.label_share
    for split, part in parts.items():
        share = part.label_share
        yield Finding("share of label 1", split, share, f"{least} to {most}", least <= share <= most)


def missing_values(parts: Parts) -> Iterator[Finding]:
    """Yield the share of missing values of each feature that has any in train."""
    train, limits = parts["train"], parts.spec.limits
    for name, missing in train.missing.items():
        share, limit = missing / train.rows, limits.null_share.get(name, limits.other_null_share)
        if missing:
            yield Finding("share of missing values", name, share, f"at most {limit}", share <= limit)


def drift_within(parts: Parts) -> Iterator[Finding]:
    """Yield the population stability index (PSI) of each feature, test against train."""
    train, test, limits = parts["train"].sample, parts["test"].sample, parts.spec.limits
    for name in parts.spec.features:
        before = drift.profile(train[name])
        limit = limits.max_psi + drift.by_chance(before, test[name]) if name in limits.drift_of else None
        yield _drift("drift (PSI), test against train", name, drift.psi(before, test[name]), limit)


def drift_since(parts: Parts, previous: Sequence[Mapping[str, Profile]]) -> Iterator[Finding]:
    """Yield the PSI of each feature on the newest day: the median over the earlier partitions.

    With the mean, one unusual day would affect the checks of the next seven.
    """
    yield Finding("earlier partitions compared with", "newest day", len(previous), "-")
    spec, test, day = parts.spec, parts["test"].sample, pl.col(parts.spec.date_name)
    newest = test.filter(day == day.max())
    for name in spec.daily if previous else []:
        known = [profile[name] for profile in previous if name in profile]
        if not known:
            continue
        value = statistics.median(drift.psi(before, newest[name]) for before in known)
        chance = statistics.median(drift.by_chance(before, newest[name]) for before in known)
        limit = spec.limits.max_psi + chance if name in spec.limits.daily_drift_of else None
        yield _drift("drift (PSI), newest day against earlier partitions", name, value, limit)


def _drift(check: str, name: str, value: float, limit: float | None) -> Finding:
    if limit is None:
        return Finding(check, name, value, "-")
    return Finding(check, name, value, f"at most {limit:.3g}", value <= limit)


def leakage(parts: Parts) -> Iterator[Finding]:
    """Yield the AUC in train of each numeric feature alone, at least 0.5; columns that must not be features fail."""
    spec, train, most = parts.spec, parts["train"].sample, parts.spec.limits.max_single_auc
    for name in sorted(set(spec.never_features) & set(train.columns)):
        yield Finding("columns known only with the outcome", name, 1, "none", ok=False)
    for name in spec.tab_field_list:
        value = single_auc(train[name], train[spec.label_name])
        yield Finding("AUC of one feature alone", name, value, f"below {most}", value < most)


def sampled(parts: Parts) -> Iterator[Finding]:
    """Yield the number of rows that drift and AUC were measured on, for splits that were sampled."""
    for split in ("train", "test"):
        rows = parts[split].sample.height
        if rows < parts[split].rows:
            yield Finding("rows sampled for drift and AUC", split, rows, "-")


def single_auc(feature: pl.Series, label: pl.Series) -> float:
    """Return the area under the ROC curve of a feature, in its better direction; 0.5 if there is only one class."""
    known = pl.DataFrame({"x": feature, "y": label}).drop_nulls()
    positive = int(known["y"].sum())
    negative = known.height - positive
    if not positive or not negative:
        return 0.5
    ranks: float = known.select(pl.col("x").rank("average").filter(pl.col("y") == 1).sum()).item()
    area = (ranks - positive * (positive + 1) / 2) / (positive * negative)
    return max(area, 1 - area)
