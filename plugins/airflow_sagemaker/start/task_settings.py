"""A task's settings: checked when they are given, and again when their templates are rendered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, SupportsFloat, TypeAlias

from airflow_sagemaker.config.strict_model import is_template
from airflow_sagemaker.contract import PROGRESS_LEVELS
from airflow_sagemaker.exceptions import ConfigurationError, Violation

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

Template: TypeAlias = str
"""A string with an Airflow template, which is checked when it is rendered."""


def check_choice(name: str, value: object, allowed: tuple[str, ...]) -> str:
    """Return the value if it is allowed. Raises ValueError; a template is checked when it is rendered."""
    if value not in allowed and not is_template(value):
        raise ValueError(f"{name} = {value!r}: must be one of {', '.join(map(repr, allowed))}")
    return str(value)


def seconds_of(name: str, value: object) -> float:
    """Return seconds from a number, a timedelta or a numeric string. Raises ValueError."""
    found = value.total_seconds() if isinstance(value, timedelta) else _number_of(value)
    if not 0 <= found < math.inf:
        raise ValueError(f"{name} = {value!r}: must be a number of seconds, 0 or more, or a timedelta")
    return found


def check_seconds(name: str, value: object) -> float | Template:
    """Do the same, but return a template unchanged."""
    return value if isinstance(value, str) and is_template(value) else seconds_of(name, value)


def check_count(name: str, value: object) -> int | Template | None:
    """Return a whole number from 1, from an integer or string, or None; a template unchanged. Raises ValueError."""
    text = str(value).strip()
    if is_template(value) or text in {"", "None"}:
        return text if is_template(value) else None
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"{name} = {value!r}: must be a whole number, 1 or more, or None")
    return int(text)


def check_amount(name: str, value: object) -> float | Template | None:
    """Return an amount above 0, from a number or string, or None; a template unchanged. Raises ValueError."""
    text = str(value).strip()
    if is_template(value) or text in {"", "None"}:
        return text if is_template(value) else None
    found = _number_of(value)
    if not 0 < found < math.inf:
        raise ValueError(f"{name} = {value!r}: must be a number above 0, or None")
    return found


def _number_of(value: object) -> float:
    """Return the number, or the number in a string; NaN for anything else, including booleans."""
    if isinstance(value, bool) or not isinstance(value, SupportsFloat | str):
        return math.nan
    try:
        return float(value)
    except ValueError:
        return math.nan


def check_rendered(task: BaseOperator, checks: Mapping[str, Callable[[str, object], object]]) -> None:
    """Check the rendered settings of a task. Raises ConfigurationError with all violations."""
    violations = []
    for name, check in checks.items():
        value = getattr(task, name)
        try:
            if is_template(value):
                raise ValueError(f"{name} = {value!r}: still contains a template")
            setattr(task, name, check(name, value))
        except ValueError as error:
            violations.append(Violation(name, value, str(error).partition(": ")[2]))
    if violations:
        raise ConfigurationError(violations, what="task")


SETTINGS: dict[str, Callable[[str, object], object]] = {
    "poll_interval": check_seconds,
    "max_wait": check_seconds,
    "max_concurrent_executions": check_count,
    "progress": lambda name, value: check_choice(name, value, PROGRESS_LEVELS),
    "on_busy": lambda name, value: check_choice(name, value, ("wait", "fail", "ignore")),
    "on_failure": lambda name, value: check_choice(name, value, ("restart", "resume")),
    "max_cost": check_amount,
    "mode": lambda name, value: check_choice(name, value, ("full", "test")),
}
"""Functions that check and convert the operator's templated settings."""
