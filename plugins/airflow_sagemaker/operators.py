"""The operator: from a configuration to one running execution of a SageMaker pipeline."""

from __future__ import annotations

from airflow_sagemaker import airflow_compat  # noqa: F401 - refuses an old Airflow

# isort: split
import contextlib
import json
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_sagemaker.exceptions import AirflowSageMakerError
from airflow_sagemaker.links import LINKS
from airflow_sagemaker.start.run_config import RUN_PARTITION, build_config, given_data, one_of, plain, run_parameters
from airflow_sagemaker.wait.operator_waiting import DEFINITION, DETAILS, FollowingOperator

if TYPE_CHECKING:
    import subprocess

    from airflow.sdk import Context

    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.executions import Execution, Executions
    from airflow_sagemaker.config.training import PytorchTrainingConfig
    from airflow_sagemaker.definition.compiler import CompiledPipeline
    from airflow_sagemaker.start.launcher import Launcher

__all__ = ["RUN_PARTITION", "SageMakerTrainingPipelineOperator"]

KILL_SECONDS = 4.0
"""How long on_kill waits for its stop call: Airflow kills the process five seconds after the signal."""


class SageMakerTrainingPipelineOperator(FollowingOperator):
    """Validate, compile, deploy if the definition is new, and start one execution for this task run, exactly once.

    Alone it returns as soon as the execution runs, and a `SageMakerTrainingPipelineSensor` waits for it. With
    `wait_for_completion` (in the worker) or `deferrable` (in the triggerer) it waits itself, and its retries follow a
    failed execution.

    :param config: a `PytorchTrainingConfig`, the same as a dict (templates in it are rendered), or the path of a YAML
        file (relative to the DAG file).
    :param partition: the date or key that this run trains; the default is the run's.
    :param dependencies: "module:function" references that return pipeline steps to complete first.
    :param aws_conn_id: the Airflow connection; none leaves credentials and region to boto3's own chain.
    :param region_name: the AWS region; else the configuration's, the connection's, boto3's.
    :param verify: whether TLS certificates are checked, or the path of a CA bundle; else the connection's.
    :param botocore_config: options of `botocore.config.Config` as a dict; else the connection's.
    :param wait_for_completion: wait in the worker until the execution has ended.
    :param deferrable: the same in the triggerer, which holds no worker slot.
    :param poll_interval: seconds between two looks at an execution, or at what keeps it from starting.
    :param progress: what a wait tells in the task's log: "status" the execution's, "steps" also each step's, "logs"
        also the jobs' own lines, from which the report page draws live curves.
    :param on_busy: when another execution trains the same partition of this pipeline: "wait" for it, "fail" at once,
        "ignore" it.
    :param on_failure: operator alone: "restart" starts a new execution in a retry, "resume" reruns the failed steps.
    :param stop_on_kill: stop the execution when this task is killed, marked or cleared while it runs or waits, or when
        its `execution_timeout` passes.
    :param max_concurrent_executions: wait while so many executions of this pipeline run (none: no limit).
    :param max_wait: seconds, or a timedelta, until a wait for a busy partition, a quota or a free place fails the task.
    :param preflight: look for the three channel objects first (off when `dependencies` make them).
    :param dry_run: do everything but deploy and start; the task ends as skipped, its XCom says what it would start.
    :param mode: "full", or "test" for one small instance and a few rows with the same definition.
    :param sdk_python: the interpreter that has the SageMaker SDK; default: AIRFLOW_SAGEMAKER_SDK_PYTHON, else this one.

    XCom: the execution's ARN; `training_pipeline` with pipeline_name, digest, version_alias, parameters, partition,
    console_url, display_name, execution_arn, aws_conn_id and region_name; `training_definition`, the definition that it
    runs; operator alone: `outcome`.
    """

    template_fields: Sequence[str] = (
        "config", "partition", "aws_conn_id", "region_name", "verify", "botocore_config", "dependencies",
    )  # fmt: skip
    template_fields_renderers = {"config": "json", "botocore_config": "json"}  # noqa: RUF012 - Airflow's own convention
    operator_extra_links = LINKS
    ui_color = "#e0ecf8"

    def __init__(
        self,
        *,
        config: PytorchTrainingConfig | Mapping[str, Any] | str | os.PathLike[str],
        partition: str = RUN_PARTITION,
        dependencies: Sequence[str] = (),
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        wait_for_completion: bool = False,
        deferrable: bool = False,
        poll_interval: float = 30.0,
        progress: str = "steps",
        on_busy: str = "wait",
        on_failure: str = "restart",
        stop_on_kill: bool = True,
        max_concurrent_executions: int | None = None,
        max_wait: timedelta | float = timedelta(days=1),
        preflight: bool = True,
        dry_run: bool = False,
        mode: str = "full",
        sdk_python: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = plain(config)
        self.partition = partition
        self.dependencies = list(dependencies)
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.progress = one_of("progress", progress, ("status", "steps", "logs"))
        self.on_busy = one_of("on_busy", on_busy, ("wait", "fail", "ignore"))
        self.on_failure = one_of("on_failure", on_failure, ("restart", "resume"))
        self.stop_on_kill = stop_on_kill
        self.max_concurrent_executions = max_concurrent_executions
        self.max_wait = max_wait.total_seconds() if isinstance(max_wait, timedelta) else float(max_wait)
        self.preflight = preflight
        self.is_dry_run = dry_run
        self.mode = one_of("mode", mode, ("full", "test"))
        self.sdk_python = sdk_python
        self._children: list[Any] = []
        self._running: str | None = None
        self._stopper: Any = None

    @property
    def follows(self) -> bool:
        """Whether this task itself waits for the end of its execution."""
        return self.wait_for_completion or self.deferrable

    # --- Airflow's entry points ---

    def execute(self, context: Context) -> str | None:
        """Returns the execution's ARN; raises AirflowFailException for what no retry can heal."""
        return self._run(context)

    def resume_waiting(self, context: Context, event: dict[str, Any] | None = None, since: float = 0.0) -> str | None:
        """Called after a pause for a busy partition, a quota or a free place."""
        return self._run(context, waiting_since=since)

    def on_kill(self) -> None:
        """End the compiler's processes and stop a known execution; what is not known yet, `execute` stops itself.

        This runs inside a signal handler of the task's main thread: it must not talk to the supervisor, nor share a
        client's locks with the call it may have interrupted, so the stop call has a client and a thread of its own.
        """
        self._killed = True
        aws = getattr(self, "_aws", None)
        if aws is not None:
            aws.stopped.set()
        for child in self._children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
        if self._running is not None and self.stop_on_kill and self._stopper is not None:
            thread = threading.Thread(target=self._stopper.stop, args=(self._running,), name="stop-execution")
            thread.start()
            thread.join(KILL_SECONDS)

    # --- one run -----------------------------------------------------------------------------------------------------

    def _run(self, context: Context, waiting_since: float | None = None) -> str | None:
        from airflow_sagemaker.aws.executions import Executions
        from airflow_sagemaker.start.launcher import Killed, MustWait

        with self._failing_for_good():
            config = self._build_config(context)
            executions = Executions(self._open_aws(config))
            launcher = self._launcher(context, config, executions)
            try:
                execution = launcher.reattach() or self._launch(context, config, launcher)
            except MustWait as reason:
                self._defer_until_free(str(reason), waiting_since)
            except Killed as reason:
                raise AirflowFailException(str(reason)) from reason
            self._running = execution.arn
            self._publish(context, launcher, execution)
            return self._follow(context, executions, execution) if self.follows else execution.arn

    def _build_config(self, context: Context) -> PytorchTrainingConfig:
        given = given_data(self.config, context, self.render_template)
        config = build_config(
            given, context, partition=self.partition, aws_conn_id=self.aws_conn_id, region_name=self.region_name
        )
        self.partition = config.partition
        return config

    def _open_aws(self, config: PytorchTrainingConfig) -> Aws:
        from airflow_sagemaker.aws.client import Aws
        from airflow_sagemaker.aws.executions import Executions

        self._aws = Aws(self._target(config.region), self.log)
        if self._killed:
            self._aws.stopped.set()
        if self.stop_on_kill:
            # Made now, because on_kill runs where no connection can be asked for.
            stopping = Aws(self._target(config.region), self.log, patience=KILL_SECONDS)
            stopping.client("sagemaker")
            self._stopper = Executions(stopping)
        return self._aws

    def _launcher(self, context: Context, config: PytorchTrainingConfig, executions: Executions) -> Launcher:
        from airflow_sagemaker.start.launcher import Launcher, OnBusy, OnFailure, Request
        from airflow_sagemaker.start.record import RecordStore, TaskRun

        ti: Any = context["ti"]
        run, epoch = TaskRun.of(ti), int(ti.max_tries or 0)
        run_key = None if config.step_cache_expires_after else f"run-{run.run_key(epoch)}"
        parameters = run_parameters(config, run_key, test=self.mode == "test")
        request = Request(run, epoch, config.partition, config.pipeline_name, parameters)
        return Launcher(
            executions,
            RecordStore(context),
            request,
            follows=self.follows,
            on_failure=OnFailure(self.on_failure),
            on_busy=OnBusy(self.on_busy),
            max_concurrent=self.max_concurrent_executions,
            killed=lambda: self._killed,
        )

    def _launch(self, context: Context, config: PytorchTrainingConfig, launcher: Launcher) -> Execution:
        from airflow_sagemaker.start.input_check import check_inputs

        launcher.guard()
        if self.preflight and not (self.dependencies or config.dependencies):
            check_inputs(launcher.executions.aws, config)
        compiled = self._compile(config, launcher.executions.aws)
        context["ti"].xcom_push(key=DEFINITION, value=json.loads(compiled.definition))
        if self.is_dry_run:
            self._describe_dry_run(context, launcher, compiled)
        return launcher.launch(compiled)

    def _compile(self, config: PytorchTrainingConfig, aws: Aws) -> CompiledPipeline:
        from airflow_sagemaker.definition.compiler import compile_pipeline
        from airflow_sagemaker.definition.s3_cache import S3Cache

        bucket = config.code_bucket

        return compile_pipeline(
            config,
            dependencies=self.dependencies,
            sdk_python=self.sdk_python,
            on_child=self._remember_child,
            shared=S3Cache(aws, bucket, config.pipeline_name, str(config.role_arn)) if bucket else None,
        )

    def _remember_child(self, child: subprocess.Popen[bytes]) -> None:
        self._children.append(child)
        if self._killed:  # the signal came before the child did
            self.on_kill()

    def _describe_dry_run(self, context: Context, launcher: Launcher, compiled: CompiledPipeline) -> None:
        details = launcher.request.details(compiled.digest, launcher.request.parameters)
        context["ti"].xcom_push(key=DETAILS, value=details)
        self.log.info("Dry run: would start %s, version %s, with", compiled.pipeline_name, compiled.version_alias)
        for name, value in sorted(launcher.request.parameters.items()):
            self.log.info("  %s = %s", name, value)
        raise AirflowSkipException("dry_run: nothing was deployed or started")

    def _defer_until_free(self, reason: str, since: float | None) -> None:
        """Give the worker slot back for a while; after `max_wait` in all the task fails."""
        import time

        from airflow_sagemaker.triggers import PauseTrigger

        now = time.time()
        since = since or now
        if now - since > self.max_wait:
            raise AirflowSageMakerError(f"waited {now - since:.0f} s in vain: {reason}")
        self.log.info("Not started yet: %s. Looking again in about %.0f s", reason, self.poll_interval)
        self.defer(trigger=PauseTrigger(self.poll_interval), method_name="resume_waiting", kwargs={"since": since})
