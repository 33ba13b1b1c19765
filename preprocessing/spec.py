"""The description of a table: its columns, its raw tables, how rows are built, and the limits of the data checks.

Imports nothing heavy, because DAG files read a table's lists and dates when they are parsed.
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
    """A raw table: one Parquet file per date."""

    columns: Mapping[str, str]
    """Kind of each required column; other columns are ignored."""
    days_before: int = 0
    """Days read before the first date of the rows that are built: the history that features look back on."""
    may_be_empty: bool = False
    """Whether a date may have no rows: its features are then missing. Otherwise it is an error."""
    read_repeatedly: bool = False
    """Whether `build` reads the table several times: Polars then keeps its rows in memory."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of the data checks, see `quality.checks`."""

    label_share: tuple[float, float] = (0.02, 0.98)
    """Smallest and largest share of label 1 in a split."""
    null_share: Mapping[str, float] = field(default_factory=dict)
    """Largest share of missing values by column."""
    other_null_share: float = 0.2
    """The same for columns that are not in `null_share`."""
    max_psi: float = 0.25
    """Largest population stability index above what chance explains; 0.25 is the usual limit for a large shift."""
    drift_of: Sequence[str] = ()
    """Features whose drift from train to test can fail the check; for all others it is only reported."""
    daily_drift_of: Sequence[str] = ()
    """Features whose drift from earlier partitions to the newest day can fail the check."""
    not_daily: Sequence[str] = ()
    """Features for which single days cannot be compared, such as the day of the week."""
    max_single_auc: float = 0.95
    """Largest AUC of a single feature: one that predicts the label better has probably seen the outcome."""


class FieldLists(TypedDict):
    """A table's columns, under the names that the training's hyperparameters use."""

    id_name: str
    label_name: str
    full_field_list: list[str]
    tab_field_list: list[str]
    cat_field_list: list[str]


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """A table that the program can build. Its column lists have the names of the training's hyperparameters."""

    id_name: str
    label_name: str
    date_name: str
    tab_field_list: Sequence[str]
    cat_field_list: Sequence[str]
    order: Sequence[str]
    """Columns that each split is sorted by. They must include the id, so that the order is unique."""
    never_features: Sequence[str] = ()
    """Raw columns that are known only with the outcome: the label may depend on them, features must not."""
    raw: Mapping[str, RawTable]
    build: Callable[[Mapping[str, Frame], Span], Frame]
    """Builds the rows of a span of dates, in any order, from the raw tables by name."""
    schema: Callable[[], pandera.polars.DataFrameSchema]
    """Returns the schema that declares what each column may contain."""
    limits: Limits = Limits()
    first: date | None = None
    """First date that has data; None if there is no such limit."""
    max_days: int | None = None
    """Longest window, in days; None if there is no limit."""
    source: Callable[[Mapping[str, Sequence[date]]], Iterator[tuple[str, bytes]]] | None = None
    """Yields (key below the raw folder, Parquet bytes) for the dates of each raw table, for `extract`; skips dates that
    it lacks. None if the raw files come from elsewhere."""

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
        """Features for which single days can be compared."""
        return [name for name in self.features if name not in self.limits.not_daily]

    def field_lists(self) -> FieldLists:
        """Return the columns under the names of the training's hyperparameters."""
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
        """Return the partition's window within the table's dates. Raises WindowError if it does not fit."""
        return Window(partition, days, val_days, test_days, start=self.first, longest=self.max_days)

    def raw_dates(self, of: Window | Span) -> dict[str, list[date]]:
        """Return the dates of each raw table that a window, or a part of it, reads."""
        return {name: of.dates(table.days_before) for name, table in self.raw.items()}
