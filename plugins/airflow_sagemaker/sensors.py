"""The sensor: waits for an execution, tells what it does, and returns its outcome or explains its failure."""

from __future__ import annotations

from airflow_sagemaker import airflow_compat  # noqa: F401 - refuses an old Airflow

# isort: split
import contextlib
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_sagemaker.aws.executions import LIVE
from airflow_sagemaker.aws.faults import error_text
from airflow_sagemaker.exceptions import ExecutionFailed, ExecutionNotFound
from airflow_sagemaker.links import LINKS, push_links

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_sagemaker.aws.connections import AwsTarget
    from airflow_sagemaker.aws.executions import Execution, Executions

KILL_SECONDS = 4.0
TOLD = "told"
"""Name in the task state store of what a poking sensor has told."""


class SageMakerTrainingPipelineSensor(BaseSensorOperator):
    """Wait until an execution has ended; succeed only when it Succeeded.

    A failed, stopped or partly failed execution, one that does not exist, and one with a status that nobody knows fail
    the task at once, without retries: training again means clearing the start task with what follows it. Faults of
    polling are ordinary errors: retries heal them, and the wait goes on where it was.

    :param execution_arn: what `SageMakerTrainingPipelineOperator` returned.
    :param deferrable: wait in the triggerer (default); otherwise `mode` "poke" or "reschedule" as in any sensor.
    :param poke_interval: seconds, or a timedelta, between two looks.
    :param progress: what the wait tells in the task's log: "status" the execution's, "steps" also each step's, "logs"
        also the jobs' own lines, from which the report page draws live curves.
    :param patience: seconds of uninterrupted faults after which the wait is handed back to the worker as an error.
    :param stop_on_kill: stop the execution when this task is killed, marked or cleared. Off: a cleared sensor must not
        kill what it then waits for.
    :param stop_on_timeout: stop the execution when the sensor's `timeout` has passed.

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
        botocore_config: dict[str, Any] | None = None,
        deferrable: bool = True,
        poke_interval: timedelta | float = 30.0,
        progress: str = "steps",
        patience: float = 600.0,
        stop_on_kill: bool = False,
        stop_on_timeout: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        if progress not in {"status", "steps", "logs"}:
            raise ValueError(f"progress = {progress!r}: must be 'status', 'steps' or 'logs'")
        self.execution_arn: Any = execution_arn  # of a template field: text when the task runs
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.deferrable = deferrable
        self.progress = progress
        self.patience = patience
        self.stop_on_kill = stop_on_kill
        self.stop_on_timeout = stop_on_timeout
        self.page_urls: dict[str, str] = {}
        self._executions: Any = None
        self._narrator: Any = None
        self._last_status = ""
        self._model_artifact = ""

    def execute(self, context: Context) -> Any:
        """Look once; defer while it runs, conclude when it has ended. Safe to repeat at any time."""
        from airflow_sagemaker.wait.progress_report import Narrator

        with self._ending_for_good(), self._stopping_at_timeout():
            self._open(context)
            if not self.deferrable:
                # Between the pokes of mode "reschedule" only the task state store remembers what was told.
                self._narrator = Narrator.going_on(self.progress, context["task_state_store"].get(TOLD))
                return super().execute(context)
            execution = self._look()
            if not execution.live:
                return self._conclude(context, execution)
            self._defer()
        return None  # not reached: defer raises

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Called when the trigger has something to say."""
        from airflow_sagemaker.wait.conclusion import event_status
        from airflow_sagemaker.wait.progress_report import Narrator

        with self._ending_for_good():
            self._open(context)
            event = event_status(event)
            execution = self._look()
            if execution.live:  # retried in the meantime (RetryPipelineExecution)
                self._defer()
            self._narrator = Narrator.going_on(self.progress, event.get("told"))
            return self._conclude(context, execution)

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """One look (modes poke and reschedule)."""
        with self._ending_for_good():
            execution = self._look()
            if not execution.live:
                return PokeReturnValue(is_done=True, xcom_value=self._conclude(context, execution))
            self._narrate(to_the_end=False)
            context["task_state_store"].set(TOLD, self._narrator.told())
            return False

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """As every sensor; a deferral's timeout ends here."""
        with self._stopping_at_timeout():
            return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Killed while poking in the worker; the triggerer has an on_kill of its own."""
        if not self.stop_on_kill or self._executions is None:
            return
        thread = threading.Thread(target=self._executions.stop, args=(self.execution_arn,), name="stop-execution")
        thread.start()
        thread.join(KILL_SECONDS)

    def _target(self) -> AwsTarget:
        from airflow_sagemaker.aws.connections import AwsTarget

        return AwsTarget(self.aws_conn_id, self.region_name, self.verify, self.botocore_config)

    def _open(self, context: Context) -> Executions:
        from airflow_sagemaker.wait.conclusion import checked_arn, executions_of, page_urls, pages_for

        executions = executions_of(self._target(), self.log)
        checked_arn(executions, self.execution_arn)
        self._executions = executions
        self.page_urls = page_urls(pages_for(executions, self.execution_arn))
        push_links(context, self.page_urls)
        return executions

    def _look(self) -> Execution:
        execution: Execution = self._executions.describe(self.execution_arn)
        if execution.status != self._last_status:
            self.log.info("Execution %s is %s", execution.arn, execution.status)
            self._last_status = execution.status
        return execution

    def _narrate(self, *, to_the_end: bool) -> None:
        from airflow_sagemaker.wait.conclusion import narrate
        from airflow_sagemaker.wait.progress_report import Narrator

        self._narrator = self._narrator or Narrator(self.progress)
        narrate(self._executions, self._narrator, self.execution_arn, to_the_end=to_the_end)

    def _conclude(self, context: Context, execution: Execution) -> dict[str, Any]:
        from airflow_sagemaker.wait.conclusion import page_urls, pages_for, tell_assets, verdict

        self._narrate(to_the_end=True)
        pages = pages_for(self._executions, execution.arn)
        try:
            outcome = verdict(self._executions, execution)
        except ExecutionFailed as failure:
            self.page_urls = page_urls(pages, failure.training_job_name)
            raise
        self.page_urls = page_urls(pages, outcome.training_job_name, outcome.model_artifact)
        self._model_artifact = outcome.model_artifact
        tell_assets(context, self.outlets, outcome, execution.owner.get("partition"))
        return outcome.as_dict()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Called by Airflow's OpenLineage provider, where it is installed: the model that came out."""
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
        """What has ended or is not there will be so in a retry; soft_fail makes it a skip."""
        try:
            yield
        except (ExecutionFailed, ExecutionNotFound) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from None
            raise AirflowFailException(str(error)) from None  # the chain would print the same text twice

    @contextlib.contextmanager
    def _stopping_at_timeout(self) -> Iterator[None]:
        try:
            yield
        except AirflowSensorTimeout:
            self._stop_after_timeout()
            raise
        except AirflowSkipException as skip:
            # with soft_fail a timeout is a skip: of a deferral with its cause, of a poking sensor without one
            if isinstance(skip.__cause__, AirflowSensorTimeout) or self._last_status in LIVE:
                self._stop_after_timeout()
            raise

    def _stop_after_timeout(self) -> None:
        if not self.stop_on_timeout:
            self.log.info("Execution %s goes on: stop_on_timeout is off", self.execution_arn)
            return
        from airflow_sagemaker.wait.conclusion import executions_of

        try:
            executions_of(self._target(), self.log).stop(self.execution_arn)
        except Exception as error:  # the timeout is what must be reported
            self.log.warning("Execution %s could not be stopped: %s", self.execution_arn, error_text(error))
        else:
            self.log.info("Timeout: execution %s is stopping", self.execution_arn)
