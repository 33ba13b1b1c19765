"""Checks of a partition's channels before a training is paid for: footers, the label and the id column only.

Each number that was looked at is a `Finding`, in the form that the flights' own checks have (docs/data-checks.md), so
that the report page shows both alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from airflow_sagemaker.contract import CHANNELS
from airflow_sagemaker.exceptions import TableError
from airflow_sagemaker.table.channels import ChannelFile, ChannelFiles
from airflow_sagemaker.table.columns import Kind, kind_of, plain_values
from airflow_sagemaker.table.decisions import MOST_CLASSES
from airflow_sagemaker.table.fields import TableFields
from airflow_sagemaker.table.source import one_line, require_pyarrow

if TYPE_CHECKING:
    import pyarrow as pa


MOST_IDS = 20_000_000
"""Ids of a split that are held at a time, 8 to 50 bytes each; of a larger split the first ones are compared."""
SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One number and the limit it was held against; without a limit it is only reported."""

    check: str
    where: str
    value: float
    limit: str
    ok: bool = True
    example: str = ""

    def __str__(self) -> str:
        such = f", such as {self.example}" if self.example else ""
        return f"{self.check} of {self.where} is {self.value:.4g}, expected {self.limit}{such}"


@dataclass(frozen=True)
class Limits:
    """How far a partition may be from the last one. A limit of 0 switches its check off."""

    row_ratio: float = 2.0
    """Times as many or as few rows in train."""
    null_share_rise: float = 0.2
    """Rise of a column's share of missing values in train."""
    label_share_change: float = 0.1
    """Change of the share of a class in train."""
    value_ratio: float = 100.0
    """Times as large the largest value of a column in train: another unit."""

    @classmethod
    def of(cls, given: Mapping[str, float] | None) -> Limits:
        """Return the limits with these changes. Raises TableError for an unknown name or a negative number."""
        known = [one.name for one in fields(cls)]
        for name, value in (given or {}).items():
            if name not in known:
                raise TableError(f"check limit {name!r} is unknown; expected one of {', '.join(known)}")
            if not isinstance(value, int | float) or value < 0:
                raise TableError(f"check limit {name} = {value!r} must be a number, 0 or more")
        return replace(cls(), **dict(given or {}))


@dataclass
class Split:
    """What footers, label and ids say of one channel."""

    name: str
    rows: int = 0
    types: dict[str, pa.DataType] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    nulls: dict[str, int] = field(default_factory=dict)
    """By column; one whose footers do not say is not there."""
    most: dict[str, float] = field(default_factory=dict)
    """The largest value of each number."""
    label_nulls: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    ids: Any = None
    """The different ids, for splits whose ids were read."""
    ids_read: int = 0
    id_nulls: int = 0

    def share(self, label: str) -> float:
        """Share of the rows of a class."""
        return self.labels[label] / max(self.rows, 1)


Splits = dict[str, Split]


def read_splits(files: ChannelFiles, wanted: TableFields, *, with_ids: bool = True) -> Splits:
    """Read footers, labels and ids. Raises TableError for a file that is not a whole Parquet file."""
    require_pyarrow()
    return {channel: _read_split(channel, files[channel], wanted, with_ids) for channel in CHANNELS}


def _read_split(channel: str, files: list[ChannelFile], wanted: TableFields, with_ids: bool) -> Split:
    import pyarrow as pa
    import pyarrow.parquet as pq

    split = Split(channel)
    ids: list[pa.Array] = []
    for file in files:
        if not file.size:
            raise TableError(f"{file.name} is empty (0 bytes); write it again")
        try:
            with file.open() as stream, pq.ParquetFile(stream, pre_buffer=False) as parquet:
                _read_footer(split, parquet, wanted)
                _read_columns(split, parquet, wanted, ids, with_ids)
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"{file.name} is not a whole Parquet file: {one_line(error)}; write it again") from None
    if ids:
        split.ids = pa.chunked_array(ids).unique()
    return split


def _read_footer(split: Split, parquet: Any, wanted: TableFields) -> None:
    metadata, schema = parquet.metadata, parquet.schema_arrow
    split.rows += metadata.num_rows
    names = Counter(schema.names)
    split.missing += [n for n in wanted.full_field_list if n not in names and n not in split.missing]
    split.doubled += [n for n in wanted.full_field_list if names[n] > 1 and n not in split.doubled]
    split.types |= {name: schema.types[place] for place, name in enumerate(schema.names) if names[name] == 1}
    places = {metadata.schema.column(i).path: i for i in range(metadata.num_columns)}
    for name in (*wanted.tab_field_list, *wanted.cat_field_list):
        if name in places and names[name] == 1:
            _read_statistics(
                split, name, [metadata.row_group(g).column(places[name]) for g in range(metadata.num_row_groups)]
            )


def _read_statistics(split: Split, name: str, chunks: list[Any]) -> None:
    for chunk in chunks:
        said = chunk.statistics if chunk.is_stats_set else None
        if said is None or not said.has_null_count:
            split.nulls.pop(name, None)
            return
        split.nulls[name] = split.nulls.get(name, 0) + said.null_count
        if said.has_min_max and isinstance(said.max, int | float) and not isinstance(said.max, bool):
            split.most[name] = max(split.most.get(name, float(said.max)), float(said.max))


def _read_columns(split: Split, parquet: Any, wanted: TableFields, ids: list[Any], with_ids: bool) -> None:
    import pyarrow.compute as pc

    label, id_name = wanted.label_name, wanted.id_name
    readable = {name for name, kind in split.types.items() if kind_of(kind) is not Kind.OTHER}
    columns = [name for name in (label, *([id_name] if with_ids else [])) if name in readable]
    if not columns or split.doubled:
        return
    for batch in parquet.iter_batches(1 << 18, columns=columns, use_threads=False):
        if label in columns:
            plain = plain_values(batch[label])
            split.label_nulls += plain.null_count
            for item in pc.value_counts(plain.drop_null()).to_pylist():
                split.labels[class_text(item["values"])] += item["counts"]
            if len(split.labels) > 1000:  # far too many, which is a finding; not to be counted to the end
                columns = [name for name in columns if name != label]
        if id_name in columns and split.ids_read < MOST_IDS:
            plain = plain_values(batch[id_name])
            split.id_nulls += plain.null_count
            split.ids_read += len(plain)
            ids.append(_as_text(plain.drop_null()))


def _as_text(ids: Any) -> Any:
    """Ids may be integers in one split and texts in another."""
    import pyarrow as pa

    try:
        return ids.cast(pa.large_string())
    except pa.ArrowException:
        return pa.array([str(one) for one in ids.to_pylist()], pa.large_string())


def class_text(value: Any) -> str:
    """Return a label's value as one text, whatever type it has: 1, 1.0, "1" and true are the same class."""
    text = str(value)
    if text.lower() in ("true", "false"):
        return "1" if text.lower() == "true" else "0"
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else str(number)


def check(
    splits: Splits, wanted: TableFields, previous: Splits | None = None, limits: Limits | None = None
) -> list[Finding]:
    """Return all findings, the failing ones first; `previous` is the last partition, if there is one."""
    findings = [
        *_columns_there(splits, wanted),
        *_rows_there(splits),
        *_kinds(splits, wanted),
        *_labels(splits, wanted),
        *_ids(splits, wanted),
        *_gaps(splits, wanted),
        *(_against(splits["train"], previous["train"], limits or Limits()) if previous else []),
    ]
    return sorted(findings, key=lambda finding: finding.ok)


def require_sound(findings: list[Finding], where: str) -> None:
    """Raise TableError, naming every failing number."""
    failing = [str(finding) for finding in findings if not finding.ok]
    if failing:
        count = f"{len(failing)} data check{'s' * (len(failing) > 1)} failed"
        raise TableError(f"{where}: {count}:\n" + "\n".join(f"  - {text}" for text in failing))


def as_data(findings: list[Finding]) -> list[dict[str, Any]]:
    """Return findings as plain data, as the report page reads them."""
    return [asdict(finding) for finding in findings]


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
            found = kind_of(kind)
            as_number = found is Kind.NUMBER or str(kind) in ("bool", "null")
            if found in (Kind.TIME, Kind.OTHER) or (name in numbers and not as_number):
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
            yield Finding(f"share of label {positive}", split.name, split.share(positive), "-")


def _ids(splits: Splits, wanted: TableFields) -> Iterator[Finding]:
    import pyarrow.compute as pc

    known = {name: split for name, split in splits.items() if split.ids is not None}
    for split in known.values():
        if split.id_nulls:
            yield Finding(f"rows without {wanted.id_name}", split.name, split.id_nulls, "0", ok=False)
        repeated = split.ids_read - split.id_nulls - len(split.ids)
        if repeated:
            yield Finding(f"rows that repeat {wanted.id_name}", split.name, repeated, "-")
        if split.ids_read < split.rows:
            yield Finding(f"rows whose {wanted.id_name} was compared", split.name, split.ids_read, "-")
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        if one in known and other in known:
            shared = known[other].ids.filter(pc.is_in(known[other].ids, value_set=known[one].ids))
            example = str(shared[0].as_py()) if len(shared) else ""
            where = f"{one} and {other}"
            yield Finding("ids in both", where, len(shared), "0", ok=not len(shared), example=example)


def _gaps(splits: Splits, wanted: TableFields) -> Iterator[Finding]:
    train = splits["train"]
    for name, nulls in train.nulls.items():
        if train.rows and nulls == train.rows:
            yield Finding("share of missing values", f"train.{name}", 1.0, "below 1", ok=False)
        elif nulls:
            yield Finding("share of missing values", f"train.{name}", nulls / train.rows, "-")


def _against(now: Split, last: Split, limits: Limits) -> Iterator[Finding]:
    """Yield how far train is from the last partition's."""
    if not now.rows or not last.rows:
        return
    most = limits.row_ratio
    times = now.rows / last.rows
    ok = not most or 1 / most <= times <= most
    yield Finding(
        "rows, times the last partition's", "train", times, _limit(most, f"{1 / (most or 1):.3g} to {most:g}"), ok
    )
    for name in sorted(now.nulls.keys() & last.nulls.keys()):
        rise = now.nulls[name] / now.rows - last.nulls[name] / last.rows
        ok = not limits.null_share_rise or rise <= limits.null_share_rise
        if rise > 0:
            limit = _limit(limits.null_share_rise, f"at most {limits.null_share_rise:g}")
            yield Finding("missing values, rise since the last partition", f"train.{name}", rise, limit, ok)
    for label in sorted(now.labels.keys() | last.labels.keys()) if len(now.labels) <= MOST_CLASSES else []:
        change = abs(now.share(label) - last.share(label))
        ok = not limits.label_share_change or change <= limits.label_share_change
        limit = _limit(limits.label_share_change, f"at most {limits.label_share_change:g}")
        yield Finding(f"share of label {label}, change since the last partition", "train", change, limit, ok)
    for name in sorted(now.most.keys() & last.most.keys()):
        larger, smaller = max(now.most[name], last.most[name]), min(now.most[name], last.most[name])
        if smaller > 0 and limits.value_ratio and larger / smaller > limits.value_ratio:
            limit = f"at most {limits.value_ratio:g}"
            example = f"{now.most[name]:g}, last {last.most[name]:g}"
            yield Finding(
                "largest value, times the last partition's", f"train.{name}", larger / smaller, limit, False, example
            )


def _limit(switch: float, text: str) -> str:
    return text if switch else "-"
