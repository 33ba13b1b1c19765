"""Compare a partition with the previous one: rows, missing values, label, units, and drift by column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

from airflow_sagemaker.exceptions import TableError
from airflow_sagemaker.table.decisions import MOST_CLASSES
from airflow_sagemaker.table.drift import by_chance, psi
from airflow_sagemaker.table.findings import UNLIMITED, Finding, limited
from airflow_sagemaker.table.reading import Split


@dataclass(frozen=True)
class Limits:
    """How much a partition may differ from the last one. A number with limit 0 is only reported."""

    row_ratio: float = 2.0
    """Factor between the rows of train, in either direction."""
    null_share_rise: float = 0.2
    """Increase in a column's share of missing values in train."""
    label_share_change: float = 0.1
    """Change in the share of a class in train."""
    value_ratio: float = 100.0
    """Factor between the largest values of a column in train, which suggests another unit."""
    drift: float = 0.0
    """Population stability index of a column in train, above what chance explains; 0.25 is the usual limit for a large
    shift. Off by default, because each partition is trained on its own rows, and many columns change naturally."""

    @classmethod
    def of(cls, given: Mapping[str, float] | None) -> Limits:
        """Return the limits with these changes. Raises TableError for an unknown name or a negative number."""
        known = [one.name for one in fields(cls)]
        for name, value in (given or {}).items():
            if name not in known:
                raise TableError(f"check limit {name!r} is unknown; expected one of {', '.join(known)}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise TableError(f"check limit {name} = {value!r} must be a number, 0 or more")
        return replace(cls(), **dict(given or {}))


def compare(now: Split, last: Split, limits: Limits) -> list[Finding]:
    """Return how much train differs from the last partition's."""
    if not now.rows or not last.rows:
        return []
    return [
        _rows(now, last, limits),
        *_missing_values(now, last, limits),
        *_classes(now, last, limits),
        *_units(now, last, limits),
        *_drift(now, last, limits),
    ]


def _rows(now: Split, last: Split, limits: Limits) -> Finding:
    most, times = limits.row_ratio, now.rows / last.rows
    limit = limited(most, f"{1 / (most or 1):.3g} to {most:g}")
    return Finding("rows relative to the last partition", "train", times, limit, not most or 1 / most <= times <= most)


def _missing_values(now: Split, last: Split, limits: Limits) -> Iterator[Finding]:
    most = limits.null_share_rise
    for name in sorted(now.nulls.keys() & last.nulls.keys()):
        rise = now.nulls[name] / now.rows - last.nulls[name] / last.rows
        if rise > 0:
            limit = limited(most, f"at most {most:g}")
            ok = not most or rise <= most
            yield Finding("increase in missing values since the last partition", f"train.{name}", rise, limit, ok)


def _classes(now: Split, last: Split, limits: Limits) -> Iterator[Finding]:
    most = limits.label_share_change
    for label in sorted(now.labels.keys() | last.labels.keys()) if len(now.labels) <= MOST_CLASSES else []:
        change = abs(now.share(label) - last.share(label))
        limit = limited(most, f"at most {most:g}")
        ok = not most or change <= most
        yield Finding(f"change in the share of label {label} since the last partition", "train", change, limit, ok)


def _units(now: Split, last: Split, limits: Limits) -> Iterator[Finding]:
    most = limits.value_ratio
    for name in sorted(now.most.keys() & last.most.keys()):
        larger, smaller = max(now.most[name], last.most[name]), min(now.most[name], last.most[name])
        if most and smaller > 0 and larger / smaller > most:
            example = f"{now.most[name]:g}, last {last.most[name]:g}"
            check = "largest value relative to the last partition"
            yield Finding(check, f"train.{name}", larger / smaller, f"at most {most:g}", ok=False, example=example)


def _drift(now: Split, last: Split, limits: Limits) -> Iterator[Finding]:
    for name in [name for name in now.sample if name in last.sample]:
        before, after = last.sample[name], now.sample[name]
        value, most = psi(before, after), limits.drift + by_chance(before, after)
        limit, ok = limited(limits.drift, f"at most {most:.3g}"), not limits.drift or value <= most
        yield Finding("drift (PSI) since the last partition", f"train.{name}", value, limit, ok)
    if now.unsampled:
        yield Finding("features not compared for drift", "train", now.unsampled, UNLIMITED)
