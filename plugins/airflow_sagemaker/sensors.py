"""The sensor: waits for an execution, reports its progress, and returns its outcome or explains its failure."""

from __future__ import annotations

from airflow_sagemaker import airflow_compat  # first, because it rejects an old Airflow

# isort: split
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_sagemaker.aws.executions import LIVE, ExecutionArn
from airflow_sagemaker.aws.stopping import stop_from_signal_handler
from airflow_sagemaker.contract import PROGRESS_LEVELS, ProgressLevel
from airflow_sagemaker.exceptions import ExecutionFailed, ExecutionNotFound
from airflow_sagemaker.links import LINKS, push_links
from airflow_sagemaker.promote.findings import check_notifiers, check_thresholds, watch_metrics
from airflow_sagemaker.start.task_settings import seconds_of
from airflow_sagemaker.wait.progress_report import POSITION_KEY, ProgressReport

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier, Context, XComArg

    from airflow_sagemaker.aws.connections import AwsTarget
    from airflow_sagemaker.aws.executions import Execution
    from airflow_sagemaker.types import JsonObject
    from airflow_sagemaker.wait.execution_watch import ExecutionWatch


class SageMakerTrainingPipelineSensor(BaseSensorOperator):
    """Wait until an execution has ended; succeed only if its status is Succeeded.

    The task fails immediately, without retries, if the execution failed, was stopped, does not exist or has an unknown
    status: to train again, clear the start task and its downstream tasks. If polling fails, the task is retried and
    continues to wait.

    :param execution_arn: the return value of `SageMakerTrainingPipelineOperator`.
    :param deferrable: wait in the triggerer (default); otherwise `mode` is "poke" or "reschedule", as in any sensor.
    :param poke_interval: seconds, or a timedelta, between polls.
    :param progress: what the task's log shows while it waits: "status" the execution's status, "steps" also each
        step's, "logs" also the jobs' log lines, from which the report page draws live curves.
    :param patience: seconds, or a timedelta, for which polling may fail continuously before the task fails with the
        error.
    :param stop_on_kill: stop the execution if this task is killed, marked or cleared. Off by default, because a cleared
        sensor must not stop the execution that it then waits for.
    :param stop_on_timeout: stop the execution if the sensor's `timeout` expires.
    :param notifiers: Airflow notifiers (SMTP, SNS, Slack, ...), called if a metric misses a threshold or deviates from
        earlier partitions; their templates can use `outcome`, whose `findings` describe the problem. For failures, use
        Airflow's `on_failure_callback`.
    :param thresholds: accepted values by metric: `{"Validation AUC ROC": {"min_value": 0.7}}`, or `max_value`. A metric
        that misses its threshold is a finding, and does not fail the task.

    XCom: the `Outcome` as a dict.
    """

    template_fields: Sequence[str] = ("execution_arn", "aws_conn_id", "region_name", "verify", "botocore_config")
    operator_extra_links = LINKS
    ui_color = "#e0ecf8"

    def __init__(
        self,
        *,
        execution_arn: str | XComArg,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: JsonObject | None = None,
        deferrable: bool = True,
        poke_interval: timedelta | float = 30.0,
        progress: str = ProgressLevel.STEPS.value,
        patience: timedelta | float = 600.0,
        stop_on_kill: bool = False,
        stop_on_timeout: bool = False,
        notifiers: BaseNotifier | Sequence[BaseNotifier] = (),
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        if progress not in PROGRESS_LEVELS:
            raise ValueError(f"progress = {progress!r}: must be one of {', '.join(map(repr, PROGRESS_LEVELS))}")
        self.execution_arn: Any = execution_arn  # of a template field: text when the task runs
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.deferrable = deferrable
        self.progress = progress
        self.patience = seconds_of("patience", patience)
        self.stop_on_kill = stop_on_kill
        self.stop_on_timeout = stop_on_timeout
        self.notifiers = check_notifiers(notifiers)
        self.thresholds = check_thresholds(thresholds)
        self.page_urls: dict[str, str] = {}
        self._watch: ExecutionWatch | None = None
        self._model_artifact = ""

    def execute(self, context: Context) -> Any:
        """Poll once, then defer if the execution is running, or conclude if it has ended; safe to repeat."""
        with self._ending_for_good(), self._stopping_at_timeout():
            if not self.deferrable:
                # In mode "reschedule", only the task state store knows between pokes what was reported.
                store = airflow_compat.task_state_store(context)
                self._open(context, store.get(POSITION_KEY) if store is not None else None)
                return super().execute(context)
            watch = self._open(context)
            execution = watch.look()
            if not execution.live:
                return self._conclude(context, watch, execution)
            self._defer()
        return None  # not reached: defer raises

    def execute_complete(self, context: Context, event: JsonObject | None = None) -> JsonObject:
        """Called with the trigger's event."""
        from airflow_sagemaker.wait.execution_watch import checked_event

        with self._ending_for_good():
            watch = self._open(context, (event or {}).get(POSITION_KEY))
            checked_event(event)
            execution = watch.look()
            if execution.live:  # retried in the meantime (RetryPipelineExecution)
                self._defer()
            return self._conclude(context, watch, execution)

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Poll once (modes poke and reschedule)."""
        watch = self._watch or self._open(context)
        with self._ending_for_good():
            execution = watch.look()
            if not execution.live:
                return PokeReturnValue(is_done=True, xcom_value=self._conclude(context, watch, execution))
            store = airflow_compat.task_state_store(context)
            if store is not None:
                watch.log_progress()
                store.set(POSITION_KEY, watch.report.position())
            elif not self.reschedule:  # the same process continues
                watch.log_progress()
            return False  # without a store, mode "reschedule" reports the steps at the end

    def resume_execution(self, next_method: str, next_kwargs: JsonObject | None, context: Context) -> Any:
        """Resume after the trigger's event, an error, or the deferral's timeout, which may stop the execution."""
        with self._stopping_at_timeout():
            return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Called if the task is killed while it runs in the worker; the trigger has its own on_kill."""
        if self.stop_on_kill and self._watch is not None:
            stop_from_signal_handler(self._watch.executions, lambda _: str(self.execution_arn))

    def _target(self) -> AwsTarget:
        from airflow_sagemaker.aws.connections import AwsTarget

        region = self.region_name or ExecutionArn.parse(self.execution_arn).region
        return AwsTarget(self.aws_conn_id, region, self.verify, self.botocore_config)

    def _open(self, context: Context, position: object = None) -> ExecutionWatch:
        from airflow_sagemaker.wait.execution_watch import ExecutionWatch, open_executions, require_own_region

        executions = open_executions(self._target(), self.log)
        require_own_region(executions, self.execution_arn)
        report = ProgressReport.continued(self.progress, position)
        watch = self._watch = ExecutionWatch(executions, self.execution_arn, report)
        self.page_urls = watch.page_urls
        push_links(context, self.page_urls)
        return watch

    def _conclude(self, context: Context, watch: ExecutionWatch, execution: Execution) -> JsonObject:
        from airflow_sagemaker.wait.execution_watch import update_assets

        watch.log_progress(to_the_end=True)
        outcome = watch_metrics(self, context, watch.executions.aws, watch.conclude(execution), execution)
        self._model_artifact = outcome.model_artifact
        update_assets(context, self.outlets, outcome, execution.owner.get("partition"))
        return outcome.as_dict()

    def get_openlineage_facets_on_complete(self, task_instance: object) -> object:
        """Return the model as an output; called by Airflow's OpenLineage provider."""
        from airflow_sagemaker.lineage import lineage_of

        return lineage_of([], [self._model_artifact] if self._model_artifact else [])

    def _defer(self) -> None:
        from airflow_sagemaker.triggers import SageMakerTrainingPipelineTrigger

        trigger = SageMakerTrainingPipelineTrigger(
            execution_arn=self.execution_arn,
            **self._target().as_dict(),
            poll_interval=self.poke_interval,
            patience=self.patience,
            progress=self.progress,
            stop_on_kill=self.stop_on_kill,
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=self.timeout))

    @contextlib.contextmanager
    def _ending_for_good(self) -> Iterator[None]:
        """Fail without retries if the execution failed or does not exist; with soft_fail, skip."""
        try:
            yield
        except (ExecutionFailed, ExecutionNotFound) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from None
            raise AirflowFailException(str(error)) from None  # the chain would show the same message twice

    @contextlib.contextmanager
    def _stopping_at_timeout(self) -> Iterator[None]:
        try:
            yield
        except AirflowSensorTimeout:
            self._stop_after_timeout()
            raise
        except AirflowSkipException as skip:
            # with soft_fail a timeout is a skip: of a deferral with its cause, of a poking sensor without one
            if isinstance(skip.__cause__, AirflowSensorTimeout) or (self._watch and self._watch.last_status in LIVE):
                self._stop_after_timeout()
            raise

    def _stop_after_timeout(self) -> None:
        if not self.stop_on_timeout:
            self.log.info("Execution %s keeps running: stop_on_timeout is off", self.execution_arn)
            return
        from airflow_sagemaker.wait.execution_watch import stop_at_timeout

        stop_at_timeout(self._target, self.execution_arn, self.log, "Timeout")
