"""What is particular to one table: its columns, its raw tables, how rows are built, and what counts as a fault.

Light on purpose (no third-party imports): DAG files read a table's lists and dates at parse time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from preprocessing.window import Span, Window

if TYPE_CHECKING:
    import narwhals as nw
    import pandera.polars

    Frame: TypeAlias = nw.LazyFrame[Any]

INTEGER, NUMBER, TEXT, DAY, TIME = "integer", "number", "text", "date", "time stamp in UTC"
"""The kinds of a raw column. Files may differ in width (int32 and int64), never in kind."""


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """One of the raw tables that a window reads, a Parquet file per date."""

    columns: Mapping[str, str]
    """Kind of each column that it must have; further columns are ignored."""
    days_before: int = 0
    """Days read before the first date of the rows that are built: the history that their features look back on."""
    may_be_empty: bool = False
    """It only adds features: a date without rows gives missing values, not an error."""
    read_repeatedly: bool = False
    """The build reads it several times: Polars then keeps its rows instead of reading the files again."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the data checks hold a table against, see `quality.checks`."""

    label_share: tuple[float, float] = (0.02, 0.98)
    """Least and largest share of label 1 in a split."""
    null_share: Mapping[str, float] = field(default_factory=dict)
    """Largest share of missing values by column."""
    other_null_share: float = 0.2
    """The same for every column that `null_share` leaves out."""
    max_psi: float = 0.25
    """Population stability index beyond what chance makes; more is usually called a large shift."""
    drift_of: Sequence[str] = ()
    """Features whose drift from train to test fails the check; that of the others is only reported."""
    daily_drift_of: Sequence[str] = ()
    """Features whose drift from the earlier partitions to the newest day fails the check."""
    not_daily: Sequence[str] = ()
    """Features of which one day cannot be compared with others, such as the day of the week."""
    max_single_auc: float = 0.95
    """A single feature that predicts the label this well has seen the outcome."""


class FieldLists(TypedDict):
    """A table's columns, under the names that the training's hyperparameters use."""

    id_name: str
    label_name: str
    full_field_list: list[str]
    tab_field_list: list[str]
    cat_field_list: list[str]


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """A table that the program can build. Field names are those of the training's hyperparameters."""

    id_name: str
    label_name: str
    date_name: str
    tab_field_list: Sequence[str]
    cat_field_list: Sequence[str]
    order: Sequence[str]
    """Columns that the rows of every split are sorted by; the id among them, so that the order is one."""
    never_features: Sequence[str] = ()
    """Raw columns known only with the outcome: they may make the label, never a feature."""
    raw: Mapping[str, RawTable]
    build: Callable[[Mapping[str, Frame], Span], Frame]
    """From the raw tables, as Narwhals LazyFrames by name, to the rows of a span of dates, in no order."""
    schema: Callable[[], pandera.polars.DataFrameSchema]
    """What each column may hold: a pandera.polars.DataFrameSchema."""
    limits: Limits = Limits()
    first: date | None = None
    """First date that can exist at all; None: there is no such date."""
    max_days: int | None = None
    """Longest window, in days; None: any length."""
    source: Callable[[Mapping[str, Sequence[date]]], Iterator[tuple[str, bytes]]] | None = None
    """From the dates of each raw table to (key below the raw folder, Parquet bytes), for `extract`. Dates that it lacks
    are left out. None: the raw files come from somewhere else."""

    @property
    def features(self) -> list[str]:
        """All columns that a model may be trained on."""
        return [*self.tab_field_list, *self.cat_field_list]

    @property
    def full_field_list(self) -> list[str]:
        """All columns, in the order in which they are written."""
        return [self.id_name, self.date_name, self.label_name, *self.features]

    @property
    def daily(self) -> list[str]:
        """Features of which one day can be compared with others."""
        return [name for name in self.features if name not in self.limits.not_daily]

    def field_lists(self) -> FieldLists:
        """Return id, label and field lists under the names that the training's hyperparameters use."""
        return {
            "id_name": self.id_name,
            "label_name": self.label_name,
            "full_field_list": self.full_field_list,
            "tab_field_list": list(self.tab_field_list),
            "cat_field_list": list(self.cat_field_list),
        }

    def window(
        self,
        partition: date,
        days: int = Window.days,
        val_days: int = Window.val_days,
        test_days: int = Window.test_days,
    ) -> Window:
        """Return the partition's window within the table's dates. Raises WindowError when it does not fit."""
        return Window(partition, days, val_days, test_days, start=self.first, longest=self.max_days)

    def raw_dates(self, of: Window | Span) -> dict[str, list[date]]:
        """Return the dates of each raw table that a window, or a part of it, reads."""
        return {name: of.dates(table.days_before) for name, table in self.raw.items()}
