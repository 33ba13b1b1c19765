"""The operator's second half: say what runs, wait for its end where the task is to, and conclude."""

from __future__ import annotations

from airflow_sagemaker import airflow_compat  # noqa: F401 - refuses an old Airflow

# isort: split
import contextlib
import json
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_sagemaker.aws.client import error_text
from airflow_sagemaker.exceptions import ConfigurationError, ExecutionFailed, ExecutionNotFound, PreflightError
from airflow_sagemaker.links import push_links

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.aws.connections import AwsTarget
    from airflow_sagemaker.aws.executions import Execution, Executions
    from airflow_sagemaker.start.launcher import Launcher

DETAILS = "training_pipeline"
DEFINITION = "training_definition"
OUTCOME = "outcome"


class FollowingOperator(BaseOperator):
    """What `SageMakerTrainingPipelineOperator` does once its execution runs."""

    partition: str
    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    botocore_config: dict[str, Any] | None
    deferrable: bool
    poll_interval: float
    progress: str
    stop_on_kill: bool

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.page_urls: dict[str, str] = {}
        self._killed = False
        self._started_parameters: dict[str, str] = {}
        self._model_artifact = ""

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Called when the trigger has seen the execution end (deferrable)."""
        from airflow_sagemaker.aws.executions import ExecutionArn
        from airflow_sagemaker.wait.conclusion import event_status, executions_of, narrate
        from airflow_sagemaker.wait.progress_report import Narrator

        with self._failing_for_good():
            event = event_status(event)
            arn = ExecutionArn.parse(event["execution_arn"])
            # the ARN's: which region the configuration gave, only the process that started it knew
            executions = executions_of(self._target(arn.region), self.log)
            execution = executions.describe(arn.text)
            if execution.live:  # its failed steps were retried in the meantime (RetryPipelineExecution)
                self._defer_to_trigger(executions, execution.arn)
            narrator = Narrator.going_on(self.progress, event.get("told"))
            narrate(executions, narrator, execution.arn, to_the_end=True)
            return self._conclude(context, executions, execution)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """As every operator. A deferral's timeout ends here: the trigger was not told, and nobody would wait on."""
        from airflow.sdk.exceptions import TaskDeferralTimeout

        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            self._stop_after_timeout(context)
            raise

    def _stop_after_timeout(self, context: Context) -> None:
        from airflow_sagemaker.aws.executions import ExecutionArn
        from airflow_sagemaker.start.record import RecordStore
        from airflow_sagemaker.wait.conclusion import executions_of

        record = RecordStore(context).load()
        if record is None or record.arn is None or not self.stop_on_kill:
            return
        try:
            executions_of(self._target(ExecutionArn.parse(record.arn).region), self.log).stop(record.arn)
        except Exception as error:  # the timeout is what must be reported
            self.log.warning("Execution %s could not be stopped: %s", record.arn, error_text(error))
        else:
            self.log.info("execution_timeout: execution %s is stopping", record.arn)

    def _target(self, region: str | None = None) -> AwsTarget:
        from airflow_sagemaker.aws.connections import AwsTarget

        return AwsTarget(self.aws_conn_id, self.region_name or region, self.verify, self.botocore_config)

    @contextlib.contextmanager
    def _failing_for_good(self) -> Any:
        """What was configured wrong, is missing or has ended will be the same in a retry."""
        try:
            yield
        except (ConfigurationError, PreflightError, ExecutionNotFound) as error:
            raise AirflowFailException(str(error)) from None  # the chain would print the same text twice

    def _publish(self, context: Context, launcher: Launcher, execution: Execution) -> None:
        """Say what runs as soon as it runs: link and details, for people and for tasks downstream."""
        from airflow_sagemaker.aws.executions import ExecutionArn
        from airflow_sagemaker.wait.conclusion import page_urls, pages_for

        pages = pages_for(launcher.executions, execution.arn)
        self.page_urls = page_urls(pages)
        if launcher.record is not None:  # it always is: typing does not know
            self._started_parameters = launcher.record.parameters
            details = launcher.request.details(launcher.record.digest, launcher.record.parameters)
            details |= {
                "pipeline_name": launcher.record.pipeline_name,
                "display_name": launcher.record.display_name,
                "console_url": pages.execution(),
                "execution_arn": execution.arn,
                "aws_conn_id": self.aws_conn_id,
                "region_name": ExecutionArn.parse(execution.arn).region,
            }
            context["ti"].xcom_push(key=DETAILS, value=details)
        if launcher.attached:  # what an earlier try pushed, Airflow has cleared
            self._push_definition_of(context, launcher.executions, execution.arn)
        push_links(context, self.page_urls)

    def _push_definition_of(self, context: Context, executions: Executions, arn: str) -> None:
        """From SageMaker: what compiles today may be another definition than the one that runs."""
        try:
            definition = json.loads(executions.definition(arn))
        except Exception as error:  # no reason to fail a task whose training runs
            self.log.warning("XCom %s is missing: the definition of %s could not be read: %s", DEFINITION, arn, error)
        else:
            context["ti"].xcom_push(key=DEFINITION, value=definition)

    def _follow(self, context: Context, executions: Executions, execution: Execution) -> str:
        from airflow_sagemaker.wait.conclusion import poll_until_ended
        from airflow_sagemaker.wait.progress_report import Narrator

        if execution.live and self.deferrable:
            self._defer_to_trigger(executions, execution.arn)
        ended = poll_until_ended(
            executions, execution.arn, self.poll_interval, lambda: self._killed, Narrator(self.progress)
        )
        if self._killed:
            raise AirflowFailException(f"killed while waiting for {execution.arn}")
        return self._conclude(context, executions, ended)

    def _defer_to_trigger(self, executions: Executions, arn: str) -> None:
        from airflow_sagemaker.triggers import SageMakerTrainingPipelineTrigger

        trigger = SageMakerTrainingPipelineTrigger(
            execution_arn=arn,
            **executions.aws.target.as_dict(),
            poll_interval=self.poll_interval,
            progress=self.progress,
            stop_on_kill=self.stop_on_kill,
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=self.execution_timeout)

    def _conclude(self, context: Context, executions: Executions, execution: Execution) -> str:
        """Success, or a failure that a retry follows with a new generation; a stop by hand is not followed."""
        from airflow_sagemaker.aws.executions import Status
        from airflow_sagemaker.start.record import RecordStore
        from airflow_sagemaker.wait.conclusion import page_urls, pages_for, tell_assets, verdict

        pages = pages_for(executions, execution.arn)
        try:
            outcome = verdict(executions, execution)
        except ExecutionFailed as error:
            self.page_urls = page_urls(pages, error.training_job_name)
            if execution.status == Status.STOPPED:
                raise AirflowFailException(str(error)) from error
            raise
        self.page_urls = page_urls(pages, outcome.training_job_name, outcome.model_artifact)
        self._model_artifact = outcome.model_artifact
        if not self._started_parameters:  # resumed in another process than the one that started it
            record = RecordStore(context).load()
            self._started_parameters = record.parameters if record is not None else {}
        context["ti"].xcom_push(key=OUTCOME, value=outcome.as_dict())
        tell_assets(context, self.outlets, outcome, execution.owner.get("partition", self.partition))
        return execution.arn

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Called by Airflow's OpenLineage provider, where it is installed."""
        from airflow_sagemaker.lineage import of_parameters

        return of_parameters(self._started_parameters, self._model_artifact)
