"""The errors that this package raises.

    AirflowSageMakerError
    ├── ConfigurationError (also a ValueError)   the configuration is invalid; lists all violations, before any AWS call
    ├── CompileError                             the SageMaker SDK could not compile the configuration
    │   ├── CompileTimeout                       the compile process exceeded its time limit and was ended
    │   └── SdkNotAvailable                      the interpreter that compiles has no supported SageMaker SDK
    ├── DeploymentError                          a definition could not be uploaded, created or updated
    │   └── AliasMoved                           a definition's alias refers to a version with another definition
    ├── RecordUnreadable (also a ValueError)     a task run's record was written by a later version of this package
    ├── TableError (also a ValueError)           a table cannot be trained on, or its data fail their checks
    ├── PreflightError                           inputs of the training are missing: channels, bucket, entry point
    └── ExecutionError                           an execution could not be started, found or stopped, or failed
        ├── PartitionBusy                        another execution is training the same partition (on_busy="fail")
        ├── NotStopped                           a stop was requested, but could not be confirmed
        ├── ExecutionNotFound                    no execution has this ARN, or it is not an execution's ARN
        └── ExecutionFailed                      it ended, but not as Succeeded; the message has step, reason and log

A message says what was found, what was expected and what to do. Retrying does not help after `ConfigurationError`,
`PreflightError`, `RecordUnreadable` and `AliasMoved`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from airflow_sagemaker.types import JsonObject


class AirflowSageMakerError(Exception):
    """Base class of all errors of this package."""


@dataclass(frozen=True)
class Violation:
    """A value that violates a rule.

    `field` is a dotted path such as `hyperparameters.label_name`, `value` what was found (shortened when printed),
    `rule` what was expected, `hint` what to do (may be empty).
    """

    field: str
    value: object
    rule: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.field} = {_shorten_repr(self.value)}: {self.rule}"
        return f"{text} ({self.hint})" if self.hint else text

    def as_dict(self) -> JsonObject:
        """Return the violation as plain JSON data."""
        return {"field": self.field, "value": _as_json_value(self.value), "rule": self.rule, "hint": self.hint}


class _Missing:
    """Represents a value that was not given."""

    def __repr__(self) -> str:
        return "(not given)"


MISSING = _Missing()


def _shorten_repr(value: object, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def _as_json_value(value: object) -> object:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)
    return value


class ConfigurationError(AirflowSageMakerError, ValueError):
    """A configuration is invalid; `violations` has all violations, in the order of the fields."""

    def __init__(self, violations: Iterable[Violation], *, what: str = "configuration") -> None:
        self.violations: list[Violation] = list(violations)
        self.what = what
        count = len(self.violations)
        lines = [f"Invalid {what} ({count} error{'s' if count != 1 else ''}):"]
        lines += [f"  - {violation}" for violation in self.violations]
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Callable[..., ConfigurationError], tuple[list[Violation], str]]:
        return _rebuild_configuration_error, (self.violations, self.what)


def _rebuild_configuration_error(violations: list[Violation], what: str) -> ConfigurationError:
    """Unpickle the error, which Airflow passes between processes."""
    return ConfigurationError(violations, what=what)


class CompileError(AirflowSageMakerError):
    """The definition could not be compiled; the message ends with the last output of the compile process."""


class CompileTimeout(CompileError):
    """The compile process exceeded its time limit and was ended."""


class SdkNotAvailable(CompileError):
    """The interpreter that compiles has no SageMaker SDK v3, or one of an unknown version."""


class DeploymentError(AirflowSageMakerError):
    """A definition or its files could not be uploaded, created or updated."""


class AliasMoved(DeploymentError):
    """A definition's alias was moved: it refers to a version with another definition."""


class ExecutionError(AirflowSageMakerError):
    """An execution could not be started, found, described or stopped, or it did not succeed."""


class RecordUnreadable(AirflowSageMakerError, ValueError):
    """The stored record of a task run was written by a later version, or is not a record."""


class TableError(AirflowSageMakerError, ValueError):
    """A table, column or split cannot be trained on; the message is one line that ends with what to do."""


class PreflightError(AirflowSageMakerError):
    """Inputs of the training are missing; nothing was started."""


class PartitionBusy(ExecutionError):
    """Another live execution of the same pipeline trains the same partition."""


class NotStopped(ExecutionError):
    """A stop was requested repeatedly, but could not be confirmed; the execution may keep running."""

    def __init__(self, arn: str, answer: str, *, hopeless: bool = False) -> None:
        self.arn, self.answer, self.hopeless = arn, answer, hopeless
        super().__init__(
            f"execution {arn} could not be confirmed as stopping ({answer}); it may keep running, and "
            "`python -m airflow_sagemaker orphans --stop` finds it once no task waits for it"
        )

    def __reduce__(self) -> tuple[type[NotStopped], tuple[str, str]]:
        return NotStopped, (self.arn, self.answer)  # only the text is passed between processes


class ExecutionNotFound(ExecutionError):
    """No execution has this ARN in this account and region, or it is not an execution's ARN."""


class ExecutionFailed(ExecutionError):
    """The execution ended, but not as Succeeded; `training_job_name` is empty if no training job was started."""

    def __init__(self, message: str, *, training_job_name: str = "") -> None:
        self.training_job_name = training_job_name
        super().__init__(message)
