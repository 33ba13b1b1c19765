"""Every error that this package raises deliberately.

    AirflowSageMakerError
    ├── ConfigurationError (also a ValueError)   what was configured cannot work: all at once, before any AWS call
    ├── CompileError                             the SageMaker SDK could not turn the configuration into a definition
    │   ├── CompileTimeout                       the compiler's process took longer than allowed and was ended
    │   └── SdkNotAvailable                      no usable SageMaker SDK in the interpreter that compiles
    ├── DeploymentError                          a definition could not be uploaded, created or updated
    │   └── AliasMoved                           the alias of a definition names a version that holds another one
    ├── RecordUnreadable (also a ValueError)     what a task run has stored about its execution is of a later version
    ├── TableError (also a ValueError)           a table that cannot be trained on, or data that fail their checks
    ├── PreflightError                           something the training needs is missing: channels, bucket, entry point
    └── ExecutionError                           an execution could not be started, found, stopped, or did not succeed
        ├── PartitionBusy                        another execution trains the same partition now (on_busy="fail")
        ├── NotStopped                           a stop was asked for, and it could not be confirmed as stopping
        ├── ExecutionNotFound                    an ARN without an execution, or not an execution's ARN
        └── ExecutionFailed                      it ended, but not as Succeeded; the message holds step, reason, log

A message says what was found, what was expected and what to do about it. `ConfigurationError`, `PreflightError`,
`RecordUnreadable` and `AliasMoved` are not worth a retry.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from airflow_sagemaker.types import JsonObject


class AirflowSageMakerError(Exception):
    """Root of the tree: catch this to catch everything raised on purpose."""


@dataclass(frozen=True)
class Violation:
    """One rule that one value breaks.

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
    """Stands for a value that was not given at all."""

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
    """A configuration breaks rules; `violations` holds all of them, in the order of the fields."""

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
    """Unpickle: the error crosses process boundaries in Airflow."""
    return ConfigurationError(violations, what=what)


class CompileError(AirflowSageMakerError):
    """The definition could not be compiled; the message ends with what the compiler's process said last."""


class CompileTimeout(CompileError):
    """The compiler's process took longer than its time limit and was ended."""


class SdkNotAvailable(CompileError):
    """The interpreter that compiles has no SageMaker SDK v3, or one of an unknown version."""


class DeploymentError(AirflowSageMakerError):
    """A definition or its files could not be brought to AWS."""


class AliasMoved(DeploymentError):
    """The alias of a definition names a version that holds another definition: it was moved."""


class ExecutionError(AirflowSageMakerError):
    """An execution could not be started, found, described or stopped, or it did not succeed."""


class RecordUnreadable(AirflowSageMakerError, ValueError):
    """The stored record of a task run's execution is of a later version, or no record at all."""


class TableError(AirflowSageMakerError, ValueError):
    """A table, a column or a split that cannot be trained on; one line that ends with what to do."""


class PreflightError(AirflowSageMakerError):
    """What the training needs is not in place; found before anything is started."""


class PartitionBusy(ExecutionError):
    """Another live execution of the same pipeline trains the same partition."""


class NotStopped(ExecutionError):
    """A stop was asked for and repeated, and Describe has not said that the execution stops; it may run on."""

    def __init__(self, arn: str, answer: str, *, hopeless: bool = False) -> None:
        self.arn, self.answer, self.hopeless = arn, answer, hopeless
        super().__init__(
            f"execution {arn} could not be confirmed as stopping ({answer}); it may keep running, and "
            "`python -m airflow_sagemaker orphans --stop` finds it once no task waits for it"
        )

    def __reduce__(self) -> tuple[type[NotStopped], tuple[str, str]]:
        return NotStopped, (self.arn, self.answer)  # across processes the text is what counts


class ExecutionNotFound(ExecutionError):
    """No execution has this ARN in this account and region, or the text is not an execution's ARN."""


class ExecutionFailed(ExecutionError):
    """The execution ended, and not as Succeeded; `training_job_name` is empty when no training job was started."""

    def __init__(self, message: str, *, training_job_name: str = "") -> None:
        self.training_job_name = training_job_name
        super().__init__(message)
