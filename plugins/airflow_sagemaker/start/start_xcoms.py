"""The XComs that the operator pushes about its start, for pages and downstream tasks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_sagemaker.aws.executions import ExecutionArn
from airflow_sagemaker.contract import XCom, version_alias

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_sagemaker.aws.executions import Execution, Executions
    from airflow_sagemaker.start.launcher import Launcher, Request
    from airflow_sagemaker.types import JsonObject


def start_details(request: Request, digest: str, parameters: dict[str, str]) -> JsonObject:
    """Return the value of `XCom.STARTED` before the start: what is known only later is empty."""
    return {
        "pipeline_name": request.pipeline_name,
        "digest": digest,
        "version_alias": version_alias(digest),
        "parameters": parameters,
        "partition": request.partition,
        "console_url": "",
        "display_name": "",
        "execution_arn": "",
    }


def push_start(context: Context, launcher: Launcher, execution: Execution, console_url: str) -> None:
    """Push what is running, right after the start."""
    record, target = launcher.record, launcher.executions.aws.target
    if record is not None:  # always true; for the type checker
        details = start_details(launcher.request, record.digest, record.parameters) | {
            "pipeline_name": record.pipeline_name,
            "display_name": record.display_name,
            "console_url": console_url,
            "execution_arn": execution.arn,
            "aws_conn_id": target.aws_conn_id,
            "region_name": ExecutionArn.parse(execution.arn).region,
        }
        context["ti"].xcom_push(key=XCom.STARTED.value, value=details)
    if launcher.attached:  # Airflow has cleared the XComs of the earlier try
        _push_definition_of(context, launcher.executions, execution.arn)


def push_dry_run(context: Context, launcher: Launcher, digest: str) -> None:
    """Push what would be started."""
    details = start_details(launcher.request, digest, launcher.request.parameters)
    context["ti"].xcom_push(key=XCom.STARTED.value, value=details)


def push_definition(context: Context, definition: str) -> None:
    """The definition that is about to run."""
    context["ti"].xcom_push(key=XCom.DEFINITION.value, value=json.loads(definition))


def _push_definition_of(context: Context, executions: Executions, arn: str) -> None:
    """Read it from SageMaker: compiling now might give another definition than the running one."""
    try:
        push_definition(context, executions.definition(arn))
    except Exception as error:  # must not fail a task whose training is running
        key = XCom.DEFINITION.value
        executions.aws.log.warning("XCom %s is missing: the definition of %s could not be read: %s", key, arn, error)
