"""The operator: starts an execution of a SageMaker pipeline from a configuration."""

from __future__ import annotations

from airflow_sagemaker import airflow_compat  # noqa: F401 - rejects an old Airflow

# isort: split
import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, AirflowTaskTimeout, TaskDeferralTimeout

from airflow_sagemaker.aws.stopping import TIMEOUT_STOP_SECONDS
from airflow_sagemaker.contract import ProgressLevel, XCom
from airflow_sagemaker.exceptions import (
    AirflowSageMakerError,
    AliasMoved,
    ConfigurationError,
    ExecutionFailed,
    ExecutionNotFound,
    PreflightError,
    RecordUnreadable,
)
from airflow_sagemaker.links import LINKS, push_links
from airflow_sagemaker.promote.findings import check_notifiers, check_thresholds, watch_metrics
from airflow_sagemaker.start.kill_switch import KillSwitch
from airflow_sagemaker.start.rendering import render_settings, render_text
from airflow_sagemaker.start.run_config import (
    RUN_PARTITION,
    build_config,
    check_when_parsed,
    given_data,
    plain_config,
)
from airflow_sagemaker.start.task_settings import SETTINGS, check_rendered

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier, Context
    from jinja2 import Environment

    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.connections import AwsTarget
    from airflow_sagemaker.aws.executions import Execution, Executions
    from airflow_sagemaker.config.base import BasePipelineConfig
    from airflow_sagemaker.start.task_start import StartSettings
    from airflow_sagemaker.types import JsonObject, JsonValue
    from airflow_sagemaker.wait.execution_watch import ExecutionWatch

__all__ = ["RUN_PARTITION", "SageMakerTrainingPipelineOperator"]


class SageMakerTrainingPipelineOperator(BaseOperator):
    """Validate, compile, deploy if the definition is new, and start exactly one execution for this task run.

    By default, the task ends as soon as the execution is running, and a `SageMakerTrainingPipelineSensor` waits for it.
    With `wait_for_completion` (in the worker) or `deferrable` (in the triggerer), the operator itself waits, and
    retries train again if the execution failed.

    :param config: a `PytorchTrainingConfig`, a dict of its fields (templates are rendered), or the path of a YAML file
        (relative to the DAG file).
    :param partition: the date or key that this run trains; default: the run's.
    :param dependencies: "module:function" references that return pipeline steps to complete first.
    :param aws_conn_id: the Airflow connection; None uses boto3's default credentials and region.
    :param region_name: the AWS region; default: the configuration's, the connection's, or boto3's.
    :param verify: whether to check TLS certificates, or the path of a CA bundle; default: the connection's.
    :param botocore_config: options of `botocore.config.Config` as a dict; default: the connection's.
    :param wait_for_completion: wait in the worker until the execution has ended.
    :param deferrable: wait in the triggerer, without a worker slot. Default: `[operators] default_deferrable` if
        `wait_for_completion` is set.
    :param poll_interval: seconds, or a timedelta, between polls of the execution, or of the condition that delays its
        start; a task that cannot start yet is deferred for at least 10 seconds.
    :param progress: what the task's log shows while it waits: "status" the execution's status, "steps" also each
        step's, "logs" also the jobs' log lines, from which the report page draws live curves.
    :param on_busy: if another execution is training the same partition of this pipeline: "wait" for it, "fail"
        immediately, or "ignore" it.
    :param on_failure: if the operator waits: "restart" starts a new execution in a retry, "resume" reruns the failed
        steps.
    :param stop_on_kill: stop the execution if this task is killed, marked or cleared while it runs or waits, or if its
        `execution_timeout` expires.
    :param max_concurrent_executions: wait while so many executions of this pipeline are running (None: no limit).
    :param max_wait: seconds, or a timedelta, for which the task waits for a busy partition, a quota or other executions
        before it fails.
    :param max_cost: reject a start that may cost more: instances x hours until `max_runtime_seconds` x the price in
        `price_per_hour` of section [airflow_sagemaker], in its currency. Types without a price are rejected, too.
    :param preflight: check first that the three channel objects exist (off if `dependencies` create them).
    :param dry_run: do everything except deploying and starting; the task is skipped, and its XCom has what it would
        start.
    :param mode: "full", or "test" for one small instance and a few rows with the same definition.
    :param sdk_python: the interpreter that has the SageMaker SDK; default: AIRFLOW_SAGEMAKER_SDK_PYTHON, or this one.
    :param notifiers: if the operator waits: see `SageMakerTrainingPipelineSensor`.
    :param thresholds: if the operator waits: see `SageMakerTrainingPipelineSensor`.

    XCom: the execution's ARN; `training_pipeline` with pipeline_name, digest, version_alias, parameters, partition,
    console_url, display_name, execution_arn, aws_conn_id and region_name; `training_definition`, the definition that is
    running; and `outcome`, if the operator waits.
    """

    template_fields: Sequence[str] = (
        "config", "partition", "aws_conn_id", "region_name", "verify", "botocore_config", "dependencies", *SETTINGS,
    )  # fmt: skip
    template_fields_renderers = {"config": "json", "botocore_config": "json"}  # noqa: RUF012 - Airflow's own convention
    operator_extra_links = LINKS
    ui_color = "#e0ecf8"

    def __init__(
        self,
        *,
        config: BasePipelineConfig | Mapping[str, JsonValue] | str | os.PathLike[str],
        partition: str = RUN_PARTITION,
        dependencies: Sequence[str] | str = (),
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: JsonObject | None = None,
        wait_for_completion: bool = False,
        deferrable: bool | None = None,
        poll_interval: timedelta | float | str = 30.0,
        progress: str = ProgressLevel.STEPS.value,
        on_busy: str = "wait",
        on_failure: str = "restart",
        stop_on_kill: bool = True,
        max_concurrent_executions: int | str | None = None,
        max_wait: timedelta | float | str = timedelta(days=1),
        max_cost: float | str | None = None,
        preflight: bool = True,
        dry_run: bool = False,
        mode: str = "full",
        sdk_python: str | None = None,
        notifiers: BaseNotifier | Sequence[BaseNotifier] = (),
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = plain_config(config)
        self.partition = partition
        self._partition_is_given = partition != RUN_PARTITION
        self.dependencies = [dependencies] if isinstance(dependencies, str) else list(dependencies)
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.wait_for_completion = wait_for_completion or bool(deferrable)
        by_default: bool = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = by_default if deferrable is None else deferrable
        self.poll_interval: Any = SETTINGS["poll_interval"]("poll_interval", poll_interval)
        self.progress: Any = SETTINGS["progress"]("progress", progress)
        self.on_busy: Any = SETTINGS["on_busy"]("on_busy", on_busy)
        self.on_failure: Any = SETTINGS["on_failure"]("on_failure", on_failure)
        self.stop_on_kill = stop_on_kill
        self.max_concurrent_executions: Any = SETTINGS["max_concurrent_executions"](
            "max_concurrent_executions", max_concurrent_executions
        )
        self.max_wait: Any = SETTINGS["max_wait"]("max_wait", max_wait)
        self.max_cost: Any = SETTINGS["max_cost"]("max_cost", max_cost)
        self.preflight = preflight
        self.is_dry_run = dry_run
        self.mode: Any = SETTINGS["mode"]("mode", mode)
        self.sdk_python = sdk_python
        self.notifiers = check_notifiers(notifiers)
        self.thresholds = check_thresholds(thresholds)
        if not self.wait_for_completion:  # default_args may hold what is meant for the sensor
            for_all = kwargs.get("default_args") or {}
            given = {"notifiers": notifiers, "thresholds": thresholds}
            if any(value and value is not for_all.get(name) for name, value in given.items()):
                raise ValueError("notifiers and thresholds: set them on the SageMakerTrainingPipelineSensor that waits")
        self.page_urls: dict[str, str] = {}
        self._kill_switch = KillSwitch()
        check_when_parsed(self.config, self.get_dag())
        self._parameters: dict[str, str] = {}
        self._model_artifact = ""

    # --- Airflow's entry points ---

    def render_template(self, content: Any, context: Context, *args: Any, **kwargs: Any) -> Any:
        """Render a template; under native rendering, partitions and other strings stay strings."""

        def render(value: Any) -> Any:
            return super(SageMakerTrainingPipelineOperator, self).render_template(value, context, *args, **kwargs)

        if content is self.partition:
            return render_text(content, render)
        if content is self.config and isinstance(content, Mapping):
            return render_settings(content, render)
        return render(content)

    def execute(self, context: Context) -> str | None:
        """Return the execution's ARN. Raises AirflowFailException for errors that no retry can fix."""
        return self._run(context)

    def resume_waiting(self, context: Context, event: JsonObject | None = None, since: float = 0.0) -> str | None:
        """Called after a wait for a busy partition, a quota or other executions."""
        return self._run(context, waiting_since=since)

    def execute_complete(self, context: Context, event: JsonObject | None = None) -> str:
        """Called with the trigger's event, after the execution has ended (deferrable)."""
        from airflow_sagemaker.aws.executions import ExecutionArn
        from airflow_sagemaker.wait.execution_watch import checked_event, open_executions
        from airflow_sagemaker.wait.progress_report import POSITION_KEY

        with self._failing_for_good():
            check_rendered(self, SETTINGS)
            event = checked_event(event)
            arn = ExecutionArn.parse(event["execution_arn"])
            # the ARN's, because only the process that started the execution knew the configuration's region
            target = self._target(arn.region)
            watch = self._watch(open_executions(target, self.log), arn.text, event.get(POSITION_KEY))
            execution = watch.executions.describe(arn.text)
            if execution.live:  # its failed steps were retried in the meantime (RetryPipelineExecution)
                self._defer_to_trigger(target, arn.text)
            watch.log_progress(to_the_end=True)
            return self._conclude(context, watch, execution)

    def resume_execution(self, next_method: str, next_kwargs: JsonObject | None, context: Context) -> Any:
        """Resume after the trigger's event, an error, or the deferral's timeout, after which nothing waits any more."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            self._stop_after_timeout(context)
            raise

    def on_kill(self) -> None:
        """End the compile process and stop a known execution; `execute` stops one that is only being started."""
        self._kill_switch.throw()

    def get_openlineage_facets_on_complete(self, task_instance: object) -> object:
        """Return inputs and outputs; called by Airflow's OpenLineage provider."""
        from airflow_sagemaker.lineage import lineage_of_parameters

        return lineage_of_parameters(self._parameters, self._model_artifact)

    def render_template_fields(self, context: Context, jinja_env: Environment | None = None) -> None:
        """Render the templates; if a task returned a configuration object, the error says what to return instead."""
        try:
            super().render_template_fields(context, jinja_env)
        except ImportError as error:
            if "allow list" not in str(error) or "Config" not in str(error):
                raise
            hint = "return config.to_dict() from that task instead"
            raise AirflowFailException(
                f"config: a task returned a configuration object, which Airflow does not deserialize; {hint} ({error})"
            ) from None

    # --- start -------------------------------------------------------------------------------------------------------

    def _run(self, context: Context, waiting_since: float | None = None) -> str | None:
        from airflow_sagemaker.start.record import require_lasting_records
        from airflow_sagemaker.start.start_call import Killed, MustWait
        from airflow_sagemaker.start.start_xcoms import push_start
        from airflow_sagemaker.start.task_start import DryRun, TaskStart

        with self._failing_for_good(), self._time_for_a_stop():
            check_rendered(self, SETTINGS)
            if not self.wait_for_completion:
                require_lasting_records()
            config = self._build_config(context)
            aws = self._open_aws(config)
            start = TaskStart(context, config, aws, self._start_settings(), self._kill_switch)
            launcher = start.launcher
            try:
                execution = start.run()
            except MustWait as reason:
                self._defer_until_free(str(reason), waiting_since)
            except Killed as reason:
                raise AirflowFailException(str(reason)) from reason
            except DryRun as reason:
                raise AirflowSkipException(str(reason)) from None
            self._kill_switch.execution_arn = execution.arn
            self._parameters = launcher.record.parameters if launcher.record else {}
            watch = self._watch(launcher.executions, execution.arn)
            push_start(context, launcher, execution, watch.page_urls[XCom.EXECUTION_LINK])
            push_links(context, watch.page_urls)
            return self._wait_for_end(context, watch, execution) if self.wait_for_completion else execution.arn

    def _render_settings(self, settings: JsonObject, context: Context) -> JsonObject:
        return render_settings(settings, lambda value: self.render_template(value, context))

    def _build_config(self, context: Context) -> BasePipelineConfig:
        given = given_data(self.config, context, self._render_settings)
        config = build_config(
            given,
            context,
            partition=self.partition,
            partition_is_given=self._partition_is_given,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
        )
        self.partition = config.partition
        return config

    def _target(self, region: str | None = None) -> AwsTarget:
        from airflow_sagemaker.aws.connections import AwsTarget

        return AwsTarget(self.aws_conn_id, self.region_name or region, self.verify, self.botocore_config)

    def _open_aws(self, config: BasePipelineConfig) -> Aws:
        from airflow_sagemaker.aws.client import Aws
        from airflow_sagemaker.aws.executions import Executions
        from airflow_sagemaker.aws.stopping import KILL_SECONDS

        aws = Aws(self._target(config.region), self.log)
        self._kill_switch.interrupts(aws)
        if self.stop_on_kill:
            self._kill_switch.stops_by(Executions(Aws(self._target(config.region), self.log, patience=KILL_SECONDS)))
        return aws

    def _start_settings(self) -> StartSettings:
        from airflow_sagemaker.start.task_start import StartSettings

        return StartSettings(
            retries=self.retries,
            waits_for_end=self.wait_for_completion,
            on_failure=self.on_failure,
            on_busy=self.on_busy,
            max_concurrent_executions=self.max_concurrent_executions,
            max_cost=self.max_cost,
            preflight=self.preflight,
            is_dry_run=self.is_dry_run,
            mode=self.mode,
            dependencies=self.dependencies,
            sdk_python=self.sdk_python,
        )

    def _defer_until_free(self, reason: str, since: float | None) -> None:
        """Release the worker slot for a while; fail after `max_wait` in total."""
        from airflow_sagemaker.triggers import PauseTrigger

        now = time.time()
        since = since or now
        if now - since > self.max_wait:
            raise AirflowSageMakerError(f"gave up after {now - since:.0f} s (max_wait): {reason}")
        pause = PauseTrigger(self.poll_interval)
        self.log.info("Not started yet: %s. Checking again in about %.0f s", reason, pause.seconds)
        self.defer(trigger=pause, method_name="resume_waiting", kwargs={"since": since})

    # --- wait (if the operator waits) --------------------------------------------------------------------------------

    def _watch(self, executions: Executions, arn: str, position: object = None) -> ExecutionWatch:
        from airflow_sagemaker.wait.execution_watch import ExecutionWatch
        from airflow_sagemaker.wait.progress_report import ProgressReport

        watch = ExecutionWatch(executions, arn, ProgressReport.continued(self.progress, position))
        self.page_urls = watch.page_urls
        return watch

    def _wait_for_end(self, context: Context, watch: ExecutionWatch, execution: Execution) -> str:
        if execution.live and self.deferrable:
            self._defer_to_trigger(watch.executions.aws.target, execution.arn)
        ended = watch.poll_until_ended(self.poll_interval, lambda: self._kill_switch.thrown)
        if self._kill_switch.thrown:
            raise AirflowFailException(f"killed while waiting for {execution.arn}")
        return self._conclude(context, watch, ended)

    def _defer_to_trigger(self, target: AwsTarget, arn: str) -> None:
        from airflow_sagemaker.triggers import SageMakerTrainingPipelineTrigger

        trigger = SageMakerTrainingPipelineTrigger(
            execution_arn=arn,
            **target.as_dict(),
            poll_interval=self.poll_interval,
            progress=self.progress,
            stop_on_kill=self.stop_on_kill,
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=self.execution_timeout)

    def _conclude(self, context: Context, watch: ExecutionWatch, execution: Execution) -> str:
        """Return the outcome, or fail: a retry starts a new execution, unless a user has stopped this one."""
        from airflow_sagemaker.aws.executions import Status
        from airflow_sagemaker.start.record_stores import record_store
        from airflow_sagemaker.wait.execution_watch import update_assets

        try:
            outcome = watch.conclude(execution)
        except ExecutionFailed as error:
            if execution.status == Status.STOPPED:
                raise AirflowFailException(str(error)) from error
            raise
        outcome = watch_metrics(self, context, watch.executions.aws, outcome, execution)
        self._model_artifact = outcome.model_artifact
        if not self._parameters:  # resumed in another process than the one that started it
            record = record_store(context, watch.executions.aws.target, self.log).load()
            self._parameters = record.parameters if record is not None else {}
        context["ti"].xcom_push(key=XCom.OUTCOME.value, value=outcome.as_dict())
        update_assets(context, self.outlets, outcome, execution.owner.get("partition", self.partition))
        return execution.arn

    def _stop_after_timeout(self, context: Context) -> None:
        from airflow_sagemaker.aws.executions import ExecutionArn
        from airflow_sagemaker.start.record_stores import record_store
        from airflow_sagemaker.wait.execution_watch import stop_at_timeout

        record = record_store(context, self._target(), self.log).load()
        if record is None or record.arn is None or not self.stop_on_kill:
            return
        region = ExecutionArn.parse(record.arn).region
        stop_at_timeout(lambda: self._target(region), record.arn, self.log, "execution_timeout")

    @contextlib.contextmanager
    def _failing_for_good(self) -> Iterator[None]:
        """Fail without retries if a retry would fail, too: invalid configuration, missing input or execution."""
        try:
            yield
        except (ConfigurationError, PreflightError, ExecutionNotFound, AliasMoved, RecordUnreadable) as error:
            raise AirflowFailException(str(error)) from None  # the chain would show the same message twice

    @contextlib.contextmanager
    def _time_for_a_stop(self) -> Iterator[None]:
        """Give on_kill more time after `execution_timeout`: Airflow waits for it then, but kills soon after SIGTERM."""
        try:
            yield
        except AirflowTaskTimeout:
            self._kill_switch.seconds = TIMEOUT_STOP_SECONDS
            raise
