"""Render the templates in a configuration so that strings stay strings.

If a DAG renders native objects, Jinja turns strings that look like Python values into these values: the partition
`2013_07_04` into a number, `2.10` into 2.1. A marker at the end of each string setting prevents that.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_sagemaker.config.base import BasePipelineConfig
    from airflow_sagemaker.types import JsonObject

_MARK = "\u200b"  # no Python value ends with a zero-width space


def render_text(template: object, render: Callable[[object], object]) -> object:
    """Render a template whose result is a string."""
    return _remove_marks(render(_add_marks(template)))


def render_settings(settings: Mapping[str, object], render: Callable[[JsonObject], JsonObject]) -> JsonObject:
    """Render a configuration's settings; numbers, lists and objects get the template's native result."""
    from airflow_sagemaker.config.kinds import class_of

    texts = _text_settings(class_of(settings))
    marked = {name: _add_marks(value) if name in texts else value for name, value in settings.items()}
    return {name: _remove_marks(value) if name in texts else value for name, value in render(marked).items()}


def _add_marks(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _add_marks(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_add_marks(inner) for inner in value]
    return value + _MARK if isinstance(value, str) else value


def _remove_marks(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _remove_marks(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_remove_marks(inner) for inner in value]
    if not isinstance(value, str) or not value.endswith(_MARK):
        return value
    text = value.removesuffix(_MARK)
    return None if text == "None" else text  # the result of a template for a value that is not set


@cache
def _text_settings(kind: type[BasePipelineConfig]) -> frozenset[str]:
    """Return the settings that are strings, or lists or mappings of strings."""
    hints = typing.get_type_hints(kind)
    return frozenset(name for name in kind.model_fields if _leaf_types(hints[name]) <= {str, NoneType, Ellipsis})


def _leaf_types(hint: object) -> set[object]:
    inner = typing.get_args(hint)
    return {leaf for part in inner for leaf in _leaf_types(part)} if inner else {hint}
