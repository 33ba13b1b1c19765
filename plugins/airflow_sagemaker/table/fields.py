"""Which columns of a table a configuration names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from airflow_sagemaker.exceptions import ConfigurationError, Violation


class TableFields(Protocol):
    """The training's hyperparameters, as far as they are about the table."""

    @property
    def id_name(self) -> str:
        """Column that identifies a row."""

    @property
    def label_name(self) -> str:
        """Column to predict."""

    @property
    def full_field_list(self) -> Sequence[str]:
        """All columns."""

    @property
    def tab_field_list(self) -> Sequence[str]:
        """Numeric features."""

    @property
    def cat_field_list(self) -> Sequence[str]:
        """Categorical features."""


def fields_of(config: object) -> TableFields:
    """Return the fields that a configuration names. Raises ConfigurationError for a kind without a table."""
    found: Any = getattr(config, "hyperparameters", None)
    if not hasattr(found, "full_field_list"):
        rule = "names no columns: this command is for pipelines that train on a table"
        raise ConfigurationError([Violation("hyperparameters", found, rule)])
    fields: TableFields = found
    return fields
