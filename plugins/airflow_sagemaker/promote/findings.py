"""What is unusual about a training's metrics, and who is notified of it: thresholds, and the watch over partitions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from airflow_sagemaker.contract import TRAIN_LOSS, higher_is_better
from airflow_sagemaker.promote.metric_watch import describe_last

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier, Context

    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.executions import Execution
    from airflow_sagemaker.aws.outcome import Outcome
    from airflow_sagemaker.types import Log


class WatchingTask(Protocol):
    """An operator or sensor that waits for a training."""

    notifiers: list[BaseNotifier]
    thresholds: tuple[Threshold, ...]


_BOUNDS = ("min_value", "max_value")


@dataclass(frozen=True)
class Threshold:
    """The values of a metric that are accepted."""

    metric: str
    min_value: float = -math.inf
    max_value: float = math.inf

    def finding(self, value: float | None, partition: str) -> str:
        """Return what to say of a value, empty if it is accepted; a metric without a value, or NaN, is not."""
        if value is not None and self.min_value <= value <= self.max_value:
            return ""
        accepted = [f"at least {self.min_value:g}"] if self.min_value > -math.inf else []
        accepted += [f"at most {self.max_value:g}"] if self.max_value < math.inf else []
        found = "was not reported" if value is None else f"is {value:g}"
        return f"{self.metric} of {partition} {found}, must be {' and '.join(accepted)}"


def check_thresholds(given: Mapping[str, Mapping[str, float]] | None) -> tuple[Threshold, ...]:
    """Return the thresholds of `{"Validation AUC ROC": {"min_value": 0.7}}`. Raises ValueError."""
    found = []
    for metric, bounds in (given or {}).items():
        if not isinstance(bounds, Mapping) or not bounds or not set(bounds) <= set(_BOUNDS):
            raise ValueError(f"thresholds[{metric!r}] = {bounds!r}: must have min_value, max_value or both")
        for name, value in bounds.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"thresholds[{metric!r}][{name!r}] = {value!r}: must be a number")
        threshold = Threshold(metric, **bounds)
        if threshold.min_value > threshold.max_value:
            raise ValueError(f"thresholds[{metric!r}] = {bounds!r}: min_value must not be above max_value")
        found.append(threshold)
    return tuple(found)


def check_notifiers(given: BaseNotifier | Sequence[BaseNotifier]) -> list[BaseNotifier]:
    """Return one or several notifiers as a list. Raises TypeError for what cannot be called."""
    notifiers = list(given) if isinstance(given, Sequence) else [given]
    for one in notifiers:
        if not callable(one):
            raise TypeError(f"notifiers: {one!r} is not a notifier; expected instances of Airflow's BaseNotifier")
    return notifiers


def find_unusual(aws: Aws, outcome: Outcome, partition: str, thresholds: Sequence[Threshold]) -> list[str]:
    """Return what is unusual about an outcome's metrics, one sentence each, and log it.

    Each validation metric is compared with those of the pipeline's earlier partitions (`metric_watch`). If those cannot
    be read, a warning says so, and the thresholds alone are checked.
    """
    from airflow_sagemaker.aws.faults import error_text
    from airflow_sagemaker.aws.training_search import earlier_metrics

    found = [one.finding(outcome.metrics.get(one.metric), partition) for one in thresholds]
    try:
        earlier = earlier_metrics(aws, outcome.model_artifact, partition)
    except Exception as error:
        aws.log.warning("The metrics of earlier partitions could not be read: %s", error_text(error))
        earlier = {}
    for metric, value in outcome.metrics.items():
        if metric == TRAIN_LOSS.name:  # a model that learns its own rows less well may be the better one
            continue
        values = [*(metrics.get(metric) for metrics in earlier.values()), value]
        found += describe_last(metric, [*earlier, partition], values, higher_is_better=higher_is_better(metric))
    found = [text for text in found if text]
    for text in found:
        aws.log.warning("%s", text)
    return found


def watch_metrics(task: WatchingTask, context: Context, aws: Aws, outcome: Outcome, execution: Execution) -> Outcome:
    """Return the outcome with what is unusual about it, and notify; as it is for a task that did not ask for it."""
    partition = execution.owner.get("partition") or ""
    if not outcome.metrics or not (task.notifiers or task.thresholds):
        return outcome
    outcome = replace(outcome, findings=find_unusual(aws, outcome, partition, task.thresholds))
    if outcome.findings:
        notify(task.notifiers, context, aws.log, outcome=outcome.as_dict())
    return outcome


def notify(notifiers: Sequence[BaseNotifier], context: Context, log: Log, **template_values: object) -> None:
    """Call the notifiers with more values for their templates. The error of one is logged, and the task goes on."""
    for notifier in notifiers:
        try:
            notifier({**context, **template_values})
        except Exception:
            log.exception("Notifier %s failed", type(notifier).__name__)
