"""The commands that call AWS, with boto3's default credentials and endpoints."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING

from airflow_sagemaker.aws import model_overlay
from airflow_sagemaker.aws.client import Aws
from airflow_sagemaker.aws.connections import AwsTarget
from airflow_sagemaker.aws.executions import Execution, ExecutionArn, Executions, Status
from airflow_sagemaker.aws.faults import Fault, classify_error
from airflow_sagemaker.aws.live_executions import LONGEST_EXECUTION
from airflow_sagemaker.aws.outcome import explain_failure, read_outcome
from airflow_sagemaker.aws.stopping import stop_execution
from airflow_sagemaker.aws.versions import CompiledPipeline
from airflow_sagemaker.cli.offline import read_configuration
from airflow_sagemaker.cli.output import Interrupted, Output, paint_text
from airflow_sagemaker.config.base import BasePipelineConfig
from airflow_sagemaker.contract import ProgressLevel
from airflow_sagemaker.definition.compiler import compile_pipeline
from airflow_sagemaker.definition.published import Publications
from airflow_sagemaker.definition.s3_cache import S3Cache
from airflow_sagemaker.exceptions import (
    MISSING,
    ConfigurationError,
    ExecutionError,
    ExecutionNotFound,
    NotStopped,
    PartitionBusy,
    Violation,
)
from airflow_sagemaker.start.decision import OnBusy
from airflow_sagemaker.start.input_check import check_inputs
from airflow_sagemaker.start.launcher import Launcher, Request
from airflow_sagemaker.start.record import Clears, ExecutionRecord, TaskRun
from airflow_sagemaker.start.run_config import resolve_config
from airflow_sagemaker.start.start_call import MustWait
from airflow_sagemaker.wait.execution_watch import ExecutionWatch
from airflow_sagemaker.wait.progress_report import ProgressReport

if TYPE_CHECKING:
    from airflow_sagemaker.cli.airflow_api import AirflowApi
    from airflow_sagemaker.cli.orphans import Orphan
    from airflow_sagemaker.types import BotoClient

POLL_SECONDS = 2.0
NOT_LOOKED = 4
"""Exit code if the state of something could not be read."""


@dataclass(frozen=True)
class EnvironmentTarget(AwsTarget):
    """The target of boto3's default configuration: environment, profile, AWS_ENDPOINT_URL."""

    def client(self, service: str) -> BotoClient:
        """Return a client without retries; the caller retries."""
        import boto3
        from botocore.config import Config

        once = Config(retries={"mode": "standard", "total_max_attempts": 1})
        session = model_overlay.add_overlay(boto3.Session(region_name=self.region_name))
        try:
            client: BotoClient = session.client(service, config=once)
        except ValueError as error:  # from botocore, for an invalid endpoint URL in the environment or profile
            rule = f"cannot be used: {error}"
            named = (f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL")
            found = next((os.environ[name] for name in named if os.environ.get(name)), MISSING)
            raise ConfigurationError([Violation("AWS_ENDPOINT_URL", found, rule)], what="environment") from None
        return client


class RecordInMemory:
    """Replaces a task's state store: the record exists as long as the command runs."""

    def __init__(self) -> None:
        self.record: ExecutionRecord | None = None

    def load(self) -> ExecutionRecord | None:
        """Return what was saved."""
        return self.record

    def save(self, record: ExecutionRecord) -> None:
        """Keep it."""
        self.record = record


def _open_executions(arguments: argparse.Namespace, config: BasePipelineConfig, output: Output) -> Executions:
    config.require(["region"])
    target = EnvironmentTarget(aws_conn_id=None, region_name=config.region)
    return Executions(Aws(target, output, patience=arguments.patience))


def diff(arguments: argparse.Namespace, output: Output) -> int:
    """Print what a deployment would change in the deployed definition."""
    config = read_configuration(arguments)
    compiled = compile_pipeline(config, sdk_python=arguments.sdk_python)
    deployed = _deployed_definition(_open_executions(arguments, config, output).aws, compiled.pipeline_name)
    before, after = _pretty_json(deployed) if deployed else "", _pretty_json(compiled.definition)
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), "deployed", "compiled", lineterm=""))
    data = {
        "ok": True, "pipeline_name": compiled.pipeline_name, "exists": deployed is not None,
        "changed": bool(lines), "version_alias": compiled.version_alias, "diff": lines,
    }  # fmt: skip
    if deployed is None:
        output.note(f"pipeline {compiled.pipeline_name} does not exist and would be created")
    elif not lines:
        output.note(f"pipeline {compiled.pipeline_name} is up to date ({compiled.version_alias})")
    kinds = {"+": "added", "-": "removed", "@": "strong"}
    output.result(data, "\n".join(paint_text(line, kinds.get(line[:1], ""), sys.stdout) for line in lines))
    return 1 if lines else 0


def _deployed_definition(aws: Aws, pipeline_name: str) -> str | None:
    try:
        reply = aws.call("sagemaker", "describe_pipeline", PipelineName=pipeline_name)
    except Exception as error:
        if classify_error(error) is Fault.GONE:
            return None
        raise
    return str(reply["PipelineDefinition"])


def _pretty_json(definition: str) -> str:
    return json.dumps(json.loads(definition), indent=2, sort_keys=True)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Compile, deploy if needed, start, and wait for the end unless --no-wait is given."""
    config = read_configuration(arguments)
    executions = _open_executions(arguments, config, output)
    config = resolve_config(config, executions.aws)
    if not config.dependencies:  # a step before the training may write the channels
        check_inputs(executions.aws, config)
    place = (executions.aws, str(config.code_bucket), config.pipeline_name, str(config.role_arn))
    compiled = compile_pipeline(
        config, sdk_python=arguments.sdk_python, shared=S3Cache(*place), published=Publications(*place)
    )
    execution = _start_or_interrupt(arguments, config, compiled, executions)
    if arguments.no_wait:
        output.result(
            {"ok": True, "execution_arn": execution.arn, "version_alias": compiled.version_alias}, execution.arn
        )
        return 0
    try:
        watch = ExecutionWatch(executions, execution.arn, ProgressReport(arguments.progress))
        ended = watch.poll_until_ended(POLL_SECONDS, lambda: False)
    except KeyboardInterrupt:
        this = f"{quote(arguments.config)} --execution {execution.arn}"
        raise Interrupted(
            f"interrupted; the training keeps running: {execution.arn}\n"
            f"follow it: python -m airflow_sagemaker logs {this} --follow\n"
            f"stop it:   python -m airflow_sagemaker stop {this}",
            execution.arn,
        ) from None
    return _report_end(executions, ended, output, log_was_printed=arguments.progress == ProgressLevel.LOGS)


def _start_or_interrupt(
    arguments: argparse.Namespace, config: BasePipelineConfig, compiled: CompiledPipeline, executions: Executions
) -> Execution:
    try:
        return _start_execution(arguments, config, compiled, executions)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted while starting; a training may be running\n"
            f"stop it: python -m airflow_sagemaker stop {quote(arguments.config)} --partition {config.partition}"
        ) from None


def _start_execution(
    arguments: argparse.Namespace, config: BasePipelineConfig, compiled: CompiledPipeline, executions: Executions
) -> Execution:
    launcher = Launcher(
        executions=executions,
        store=RecordInMemory(),
        request=Request(
            run=TaskRun(dag_id="", run_id="command line", task_id="", map_index=-1),
            clears=Clears(0),
            partition=config.partition,
            pipeline_name=config.pipeline_name,
            parameters=config.pipeline_parameters(run_key=uuid.uuid4().hex[:16]),
        ),
        on_busy=OnBusy.IGNORE if arguments.ignore_busy else OnBusy.WAIT,
    )
    try:
        launcher.require_free_place()
    except MustWait as busy:
        raise PartitionBusy(
            f"{busy}; use `logs --follow` to follow it, `stop` to stop it, or `run --ignore-busy` to start another one"
        ) from None
    try:
        return launcher.launch(compiled)
    except MustWait as error:
        raise ExecutionError(str(error)) from error


def _report_end(executions: Executions, execution: Execution, output: Output, *, log_was_printed: bool) -> int:
    if execution.status != Status.SUCCEEDED:
        with_log = output.json_only or not log_was_printed
        text = str(explain_failure(executions, execution, with_log=with_log))
        data = {"ok": False, "status": execution.status, "execution_arn": execution.arn, "message": text}
        if not output.json_only:
            output.note(text, "error")
        output.result(data)
        return 1
    outcome = read_outcome(executions, execution)
    lines = [f"{name}: {value:.6g}" for name, value in outcome.metrics.items()]
    tested = (outcome.report or {}).get("test") or {}
    lines += [f"Test {name}: {value:.6g}" for name, value in tested.items() if isinstance(value, int | float)]
    lines += [f"model: {outcome.model_artifact}", f"execution: {outcome.execution_arn}"]
    output.result({"ok": True, **outcome.as_dict()}, "\n".join(lines))
    return 0


def _chosen_execution(
    arguments: argparse.Namespace, config: BasePipelineConfig, executions: Executions, *, running_first: bool = False
) -> Execution:
    """Return the given execution, or the partition's latest; `running_first` prefers the latest running one."""
    if arguments.execution is not None:
        return executions.describe(_checked_arn(arguments.execution, config))
    since = datetime.now(UTC) - LONGEST_EXECUTION
    listed = executions.listed(config.pipeline_name, created_after=since)
    found = (execution for execution in listed if _partition_of(execution) == config.partition)
    for execution in sorted(found, key=lambda one: one.status != Status.EXECUTING) if running_first else found:
        return executions.describe(execution.arn)
    raise ExecutionNotFound(
        f"pipeline {config.pipeline_name} has no execution for partition {config.partition} in the last 28 days"
    )


def _checked_arn(text: str, config: BasePipelineConfig) -> str:
    try:
        region = ExecutionArn.parse(text).region
    except ExecutionNotFound:
        rule = "is not the ARN of a pipeline execution"
        hint = "expected arn:aws:sagemaker:REGION:ACCOUNT:pipeline/NAME/execution/ID"
    else:
        if region == config.region:
            return text
        rule, hint = f"is in {region}, but the configured region is {config.region}", f"--param region={region}"
    raise ConfigurationError([Violation("--execution", text, rule, hint)], what="command line")


def _partition_of(execution: Execution) -> str:
    try:
        return str(json.loads(execution.description)["partition"])
    except (ValueError, KeyError, TypeError):
        return ""


def logs(arguments: argparse.Namespace, output: Output) -> int:
    """Print the log lines of an execution's jobs."""
    config = read_configuration(arguments)
    executions = _open_executions(arguments, config, output)
    execution = _chosen_execution(arguments, config, executions)
    report, lines = ProgressReport("logs", since=datetime.min.replace(tzinfo=UTC)), []
    while True:
        for _, line in report.new_lines(executions, execution.arn, to_the_end=True):
            lines.append(line)
            if not output.json_only:
                output.result({}, line)
        if not arguments.follow or not execution.live:
            break
        time.sleep(POLL_SECONDS)
        execution = executions.describe(execution.arn)
    if output.json_only:
        output.result({"ok": True, "execution_arn": execution.arn, "status": execution.status, "lines": lines})
    return 0


def stop(arguments: argparse.Namespace, output: Output) -> int:
    """Stop an execution, and repeat until SageMaker confirms it; does nothing if it has ended."""
    config = read_configuration(arguments)
    executions = _open_executions(arguments, config, output)
    execution = _chosen_execution(arguments, config, executions, running_first=True)
    if execution.status == Status.EXECUTING:
        execution = stop_execution(executions, execution.arn, within=arguments.patience)
        stops = execution.status in {Status.STOPPING, Status.STOPPED}
    else:
        stops = False
    text = f"stopping {execution.arn}" if stops else f"nothing to stop: {execution.arn} is {execution.status}"
    output.result({"ok": True, "stopped": stops, "execution_arn": execution.arn, "status": execution.status}, text)
    return 0


def orphans(arguments: argparse.Namespace, output: Output) -> int:
    """List executions that no Airflow task waits for; stop them with --stop."""
    from airflow_sagemaker.cli.orphans import RecordsOnS3, find_orphans
    from airflow_sagemaker.start.record_on_s3 import PREFIX

    airflow = open_airflow(arguments)
    target = EnvironmentTarget(aws_conn_id=None, region_name=arguments.region)
    aws = Aws(target, output, patience=arguments.patience)
    executions, on_s3 = Executions(aws), None
    if arguments.record_bucket:
        base_url = arguments.airflow_url if arguments.base_url is None else arguments.base_url
        on_s3 = RecordsOnS3(aws, arguments.record_bucket, base_url, arguments.record_prefix or PREFIX)
    entries, lines = [], []
    for orphan in list(find_orphans(executions, airflow, arguments.pipeline, on_s3)):
        stopped = not orphan.unread and _is_stopped(arguments, executions, orphan, output)
        entries.append({**orphan.as_dict(), "stopped": stopped})
        owner, told = orphan.execution.owner, "stopping" if stopped else "it runs"
        task = f"{owner.get('dag_id')}/{owner.get('run_id')}, partition {owner.get('partition')}"
        lines += [f"{orphan.execution.display_name}  {task}: {orphan.reason} ({told})", f"    {orphan.execution.arn}"]
    unread = sum(entry["unread"] for entry in entries)
    left = sum(not entry["stopped"] for entry in entries) - unread
    data = {"ok": not left and not unread, "orphans": entries, "left": left, "unread": unread}
    output.result(data, "\n".join(lines) or "no orphans")
    return NOT_LOOKED if unread else 1 if left else 0


def backfill_summary(arguments: argparse.Namespace, output: Output) -> int:
    """List a DAG's partitions with their results."""
    from airflow_sagemaker.cli import backfill_summary as backfill

    airflow = open_airflow(arguments)
    results = backfill.summarize_backfill(airflow, arguments.dag_id, arguments.from_date, arguments.to_date)
    whole = all(result.state in (backfill.DONE, backfill.SKIPPED) for result in results)
    output.result({"ok": whole, **backfill.as_dict(results)}, backfill.as_text(results))
    if any(result.state == backfill.UNREAD for result in results):
        return NOT_LOOKED
    return 0 if whole else 1


def _is_stopped(arguments: argparse.Namespace, executions: Executions, orphan: Orphan, output: Output) -> bool:
    """Whether it is being stopped or has ended; an error is logged, so that the others are stopped too."""
    if orphan.stopping:
        return True
    if not arguments.stop or not (orphan.known or arguments.unknown_too):
        return False
    arn = orphan.execution.arn
    try:
        stop_execution(executions, arn, within=arguments.patience)
    except ExecutionNotFound:
        return True
    except NotStopped as error:
        output.error("%s", error)
        return False
    return True


def open_airflow(arguments: argparse.Namespace) -> AirflowApi:
    """Return Airflow's API, with the command line's URL and token, or username and password."""
    from airflow_sagemaker.cli.airflow_api import AirflowApi

    wrong = []
    if not arguments.airflow_url:
        wrong.append(Violation("--airflow-url", MISSING, "is required", "or set AIRFLOW_URL"))
    if not arguments.token and not (arguments.username and arguments.password):
        wrong.append(
            Violation("--token", MISSING, "is required", "or set AIRFLOW_API_TOKEN, or use --username and --password")
        )
    token = (arguments.token or "").strip()
    if len(token.split()) > 1:
        wrong.append(Violation("--token", "(hidden)", "must not contain spaces or line breaks"))
    if wrong:
        raise ConfigurationError(wrong, what="command line")
    if token:
        return AirflowApi(arguments.airflow_url, token)
    return AirflowApi.signed_in(arguments.airflow_url, arguments.username, arguments.password)
