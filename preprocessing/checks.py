"""Checks of the finished splits before a training is paid for. A failing one names its number and its limit.

What a column may hold is declared once, in `table_schema` (pandera); shares and drifts of whole splits are `Finding`s:
all of them stand in the manifest, the failing ones in the error. Limits are the constants below: they are loose enough
for every partition of the example and meant to be tightened for another table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from preprocessing import fields
from preprocessing.errors import TableError

Splits = Mapping[str, pl.DataFrame]

LATE_SHARE = (0.02, 0.8)
"""Least and largest share of late flights in a split."""
NULL_SHARE = {"wind_gust": 1.0, **dict.fromkeys(["pressure", "plane_age", "plane_seats", "plane_model"], 0.5)}
"""Largest share of missing values by column: calm hours have no gust, storms often no pressure (a third of the rows of
a short window), and every sixth plane is not registered."""
OTHER_NULL_SHARE = 0.2
DRIFT_OF = [*fields.SCHEDULE, "carrier", "origin", "dest"]
"""Columns whose drift fails the check; weather and late rates differ from month to month by nature: only reported."""
MAX_PSI = 0.25
"""Population stability index of the test against the train; more is usually called a large shift. Seen here: 0.11."""
MAX_SINGLE_AUC = 0.95
"""A single feature that tells late flights apart this well has seen the outcome."""
BINS = 10


@dataclass(frozen=True)
class Finding:
    """One number and the limit it was held against; without a limit it is only reported."""

    check: str
    where: str
    value: float
    limit: str
    ok: bool = True


def check(splits: Splits, partition: str) -> list[dict[str, Any]]:
    """Return all findings as plain data. Raises TableError with every failing number."""
    problems = [*_against_schema(splits), *_shared_ids(splits)]
    findings = [*label_balance(splits), *missing_values(splits), *drift(splits), *leakage(splits)]
    problems += [f"{f.check} of {f.where} is {f.value:.4g}, expected {f.limit}" for f in findings if not f.ok]
    if problems:
        raise TableError(f"partition {partition}: {len(problems)} data checks fail: {'; '.join(problems)}")
    return [asdict(finding) for finding in findings]


def table_schema() -> Any:
    """What each column may hold (pandera): types, ranges, nothing missing in id, date and label, ids once."""
    from pandera.polars import Check, Column, DataFrameSchema

    rates = {name: Column(pl.Float64, Check.in_range(0, 1), nullable=True) for name in fields.LATE_RATE_KEYS}
    weather = {name: Column(pl.Float64, nullable=True) for name in fields.WEATHER}
    texts = {name: Column(pl.String, nullable=name == "plane_model") for name in fields.CAT_FIELD_LIST}
    return DataFrameSchema(
        {
            fields.ID: Column(pl.String, unique=True),
            fields.DATE: Column(pl.Date),
            fields.LABEL: Column(pl.Int64, Check.isin([0, 1])),
            "departure_minute": Column(pl.Int64, Check.in_range(0, 1439)),
            "scheduled_minutes": Column(pl.Int64, Check.in_range(0, 1439)),
            "distance": Column(pl.Int64, Check.gt(0)),
            "plane_age": Column(pl.Int64, Check.in_range(-1, 100), nullable=True),
            "plane_seats": Column(pl.Int64, Check.gt(0), nullable=True),
            **weather,
            **rates,
            **texts,
        },
        strict=True,
        ordered=True,
    )


def _against_schema(splits: Splits) -> Iterator[str]:
    """Yield one line per column and rule that is broken, with the number of rows and an example."""
    from pandera.errors import SchemaErrors

    schema = table_schema()
    for split, table in splits.items():
        try:
            schema.validate(table, lazy=True)
        except SchemaErrors as errors:
            cases = errors.failure_cases.group_by("column", "check", maintain_order=True).agg(
                pl.len(), pl.col("failure_case").first(), pl.col("index").first()
            )
            for case in cases.to_dicts():
                row = table[fields.ID][case["index"]] if case["index"] is not None and fields.ID in table else "-"
                yield (
                    f"{split}: column {case['column']!r} breaks {case['check']} in {case['len']} rows, such as "
                    f"{case['failure_case']!r} of {row}"
                )


def _shared_ids(splits: Splits) -> Iterator[str]:
    ids = pl.concat([table.select(fields.ID, split=pl.lit(split)) for split, table in splits.items()])
    shared = ids.group_by(fields.ID).agg(pl.col("split").unique()).filter(pl.col("split").list.len() > 1)
    if shared.height:
        example = shared.sort(fields.ID).row(0)
        yield f"{shared.height} ids are in several splits, such as {example[0]!r} in {', '.join(sorted(example[1]))}"


def label_balance(splits: Splits) -> Iterator[Finding]:
    """Yield each split's share of positive labels."""
    least, most = LATE_SHARE
    for split, table in splits.items():
        share = table.select(pl.col(fields.LABEL).mean()).item()
        yield Finding("share of label 1", split, share, f"{least} to {most}", least <= share <= most)


def missing_values(splits: Splits) -> Iterator[Finding]:
    """Yield the share of missing values of every feature that misses some in train."""
    train = splits["train"]
    for name, share in train.select(pl.all().null_count() / pl.len()).row(0, named=True).items():
        limit = NULL_SHARE.get(name, OTHER_NULL_SHARE)
        if share > 0:
            yield Finding("share of missing values", name, share, f"at most {limit}", share <= limit)


def drift(splits: Splits) -> Iterator[Finding]:
    """Yield the population stability index of every feature in test against train.

    Few rows differ by chance alone, by (bins - 1) * (1 / rows before + 1 / rows after) on average: the limit allows it.
    """
    train, test = splits["train"], splits["test"]
    for name in [*fields.TAB_FIELD_LIST, *fields.CAT_FIELD_LIST]:
        value = psi(train[name], test[name])
        if name not in DRIFT_OF:
            yield Finding("drift (PSI)", name, value, "-")
            continue
        bins = BINS if train[name].dtype.is_numeric() else train[name].n_unique()
        limit = MAX_PSI + (bins - 1) * (1 / train.height + 1 / test.height)
        yield Finding("drift (PSI)", name, value, f"at most {limit:.3g}", value <= limit)


def psi(before: pl.Series, after: pl.Series) -> float:
    """Return the population stability index: the sum over bins of (b - a) * ln(b / a), missing values a bin of theirs.

    Numbers are cut at the deciles of `before`, texts are their own bins. Empty bins count as half a row.
    """
    if before.dtype.is_numeric():
        quantiles = [before.quantile(i / BINS) for i in range(1, BINS)]
        edges = sorted({edge for edge in quantiles if edge is not None})
        before, after = (series.cut(edges).cast(pl.String) if edges else series for series in (before, after))
    counts = [series.cast(pl.String).fill_null("missing").value_counts(name="n") for series in (before, after)]
    name = before.name
    both = counts[0].join(counts[1], on=name, how="full", coalesce=True).select("n", "n_right")
    shares = [(max(n or 0, 0.5) / before.len(), max(m or 0, 0.5) / after.len()) for n, m in both.rows()]
    # An exact sum: the rows come in no particular order, and equal data must give an equal manifest.
    return math.fsum((b - a) * math.log(b / a) for a, b in shares)


def leakage(splits: Splits) -> Iterator[Finding]:
    """Yield each numeric feature's own AUC in train, turned so that it is at least 0.5; forbidden columns fail."""
    train = splits["train"]
    for name in sorted(set(fields.NEVER_FEATURES) & set(train.columns)):
        yield Finding("columns known only after departure", name, 1, "none", ok=False)
    for name in fields.TAB_FIELD_LIST:
        value = single_auc(train[name], train[fields.LABEL])
        yield Finding("AUC of one feature alone", name, value, f"below {MAX_SINGLE_AUC}", value < MAX_SINGLE_AUC)


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
