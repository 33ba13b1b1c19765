"""The configuration class of a kind: its folder in `kinds/`, or a user's class as "module:Class"."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from airflow_sagemaker.config.base import DEFAULT_KIND, BasePipelineConfig
from airflow_sagemaker.exceptions import ConfigurationError, Violation
from airflow_sagemaker.types import JsonMapping

_FOLDER = Path(__file__).resolve().parents[1] / "kinds"


def known_kinds() -> list[str]:
    """Return the names of this package's kinds."""
    return sorted(path.parent.name for path in _FOLDER.glob("*/__init__.py"))


def config_class(kind: str = DEFAULT_KIND) -> type[BasePipelineConfig]:
    """Return the configuration class of a kind. Raises ConfigurationError for a kind that does not exist."""
    reference = kind
    if ":" not in kind:
        if kind not in known_kinds():
            hint = f"use one of {', '.join(known_kinds())}, or your own configuration class as module:Class"
            raise ConfigurationError([Violation("kind", kind, "is not a known kind of pipeline", hint)])
        reference = import_module(f"airflow_sagemaker.kinds.{kind}").CONFIG
    module, _, name = reference.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError([Violation("kind", kind, f"cannot be imported as module:Class: {error}")]) from error
    if not (isinstance(found, type) and issubclass(found, BasePipelineConfig)):
        raise ConfigurationError([Violation("kind", kind, "must be a subclass of BasePipelineConfig")])
    return found


def class_of(data: JsonMapping) -> type[BasePipelineConfig]:
    """Return the class for plain data: that of its `kind`, by default the training's."""
    return config_class(str(data.get("kind") or DEFAULT_KIND))
