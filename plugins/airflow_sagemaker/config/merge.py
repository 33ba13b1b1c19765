"""Merge the arguments of an AWS call."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

from airflow_sagemaker.types import JsonMapping, JsonObject


def merge_arguments(base: JsonMapping, additions: JsonMapping) -> JsonObject:
    """Return both: structures are merged, lists joined, and values of `additions` take precedence."""
    result = dict(base)
    for name, value in additions.items():
        old = result.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            result[name] = merge_arguments(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            result[name] = [*old, *deepcopy(value)]
        else:
            result[name] = deepcopy(value)
    return result
