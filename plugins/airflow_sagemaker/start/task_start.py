"""The start of a task run: from a validated configuration and the operator's settings to a running execution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.executions import Executions
from airflow_sagemaker.definition.compiler import compile_pipeline
from airflow_sagemaker.definition.published import Publications
from airflow_sagemaker.definition.s3_cache import S3Cache
from airflow_sagemaker.start.decision import OnBusy, OnFailure
from airflow_sagemaker.start.input_check import check_inputs
from airflow_sagemaker.start.launcher import Launcher, Request
from airflow_sagemaker.start.record import Clears, TaskRun
from airflow_sagemaker.start.record_stores import record_store
from airflow_sagemaker.start.run_config import require_cost, resolve_config, run_parameters
from airflow_sagemaker.start.start_xcoms import push_definition, push_dry_run

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.aws.client import Aws
    from airflow_sagemaker.aws.executions import Execution
    from airflow_sagemaker.aws.versions import CompiledPipeline
    from airflow_sagemaker.config.base import BasePipelineConfig
    from airflow_sagemaker.start.kill_switch import KillSwitch


class DryRun(Exception):
    """Nothing was deployed or started because of `dry_run`; a signal to the operator, not an error."""


@dataclass(frozen=True, kw_only=True)
class StartSettings:
    """The operator's rendered settings that a start depends on; see the operator."""

    retries: int | None
    waits_for_end: bool
    on_failure: str
    on_busy: str
    max_concurrent_executions: int | None
    max_cost: float | None
    preflight: bool
    is_dry_run: bool
    mode: str
    dependencies: Sequence[str]
    sdk_python: str | None


class TaskStart:
    """Starts a task run's execution; afterwards, `launcher` has the execution and its record."""

    def __init__(
        self, context: Context, config: BasePipelineConfig, aws: Aws, settings: StartSettings, kill_switch: KillSwitch
    ) -> None:
        self._context = context
        self._config = config
        self._aws = aws
        self._settings = settings
        self._kill_switch = kill_switch
        self.launcher = self._make_launcher()

    def run(self) -> Execution:
        """Continue with an earlier try's execution, or start one.

        Raises MustWait, Killed or DryRun, after which nothing is left running, and this package's errors.
        """
        return self.launcher.reattach() or self._launch()

    def _make_launcher(self) -> Launcher:
        config, settings, ti = self._config, self._settings, self._context["ti"]
        run, store = TaskRun.of(ti), record_store(self._context, self._aws.target, self._aws.log)
        clear_number = getattr(self._context.get("dag_run"), "clear_number", None)
        clears = Clears(int(ti.max_tries or 0), settings.retries, clear_number)
        unseen = clears.unseen(store.load())
        return Launcher(
            Executions(self._aws),
            store,
            Request(run, clears, config.partition, config.pipeline_name, {}, unseen),
            waits_for_end=settings.waits_for_end,
            on_failure=OnFailure(settings.on_failure),
            on_busy=OnBusy(settings.on_busy),
            max_concurrent=settings.max_concurrent_executions,
            kill_switch=self._kill_switch,
        )

    def _resolve(self) -> BasePipelineConfig:
        """Resolve what only AWS knows, such as the champion, for a new execution only."""
        self._config = config = resolve_config(self._config, self._aws)
        request = self.launcher.request
        run_key = f"run-{request.run.run_key(request.clears.max_tries, request.unseen_clears)}"
        parameters = run_parameters(config, run_key, test=self._settings.mode == "test")
        self.launcher.request = replace(request, parameters=parameters)
        return config

    def _launch(self) -> Execution:
        config, limit = self._resolve(), self._settings.max_cost
        if limit is not None:
            require_cost(config.for_test() if self._settings.mode == "test" else config, limit)
        self.launcher.require_free_place()
        if self._settings.preflight and not (self._settings.dependencies or config.dependencies):
            check_inputs(self._aws, config)
        compiled = self._compile()
        push_definition(self._context, compiled.definition)
        if self._settings.is_dry_run:
            self._describe_dry_run(compiled)
            raise DryRun("dry_run: nothing was deployed or started")
        return self.launcher.launch(compiled)

    def _compile(self) -> CompiledPipeline:
        config, bucket = self._config, self._config.code_bucket
        place = (self._aws, str(bucket), config.pipeline_name, str(config.role_arn))
        return compile_pipeline(
            config,
            dependencies=self._settings.dependencies,
            sdk_python=self._settings.sdk_python,
            on_child=self._kill_switch.ends_child,
            shared=S3Cache(*place) if bucket else None,
            published=Publications(*place) if bucket else None,
        )

    def _describe_dry_run(self, compiled: CompiledPipeline) -> None:
        push_dry_run(self._context, self.launcher, compiled.digest)
        log = self._aws.log
        log.info("Dry run: would start %s, version %s, with", compiled.pipeline_name, compiled.version_alias)
        for name, value in sorted(self.launcher.request.parameters.items()):
            log.info("  %s = %s", name, value)
