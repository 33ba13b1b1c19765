"""The command line. It uses Airflow only through its REST API, and does not import the pages.

Commands: init, split, validate, estimate, compile, diff, publish, doctor, smoke, run, logs, stop, predict,
orphans, backfill-summary.

Exit codes: 0 success (diff, publish --check: nothing would change), 1 something would change, the training did not
succeed or orphans are left, 2 invalid command line or configuration, 3 compiling failed, 4 AWS (or Airflow) rejected a
call, could not be reached or returned something unreadable, 130 interrupted. `--version` prints the installed version.
Heavy modules are imported only when they are needed: `validate` needs neither SDK nor network.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence

from airflow_sagemaker import __version__
from airflow_sagemaker.cli.examples import add_example, program_name
from airflow_sagemaker.cli.output import Interrupted, Output
from airflow_sagemaker.cli.table_parser import add_init, add_predict, add_split
from airflow_sagemaker.contract import PROGRESS_LEVELS, ProgressLevel
from airflow_sagemaker.exceptions import AirflowSageMakerError, CompileError, ConfigurationError, TableError
from airflow_sagemaker.types import JsonObject

CHANGED, WRONG, NOT_COMPILED, REFUSED, INTERRUPTED = 1, 2, 3, 4, 130
EXIT_CODES: dict[type[AirflowSageMakerError], int] = {
    ConfigurationError: WRONG,
    TableError: WRONG,
    CompileError: NOT_COMPILED,
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    root = argparse.ArgumentParser(
        prog=program_name(), description="Train PyTorch models on SageMaker Pipelines, without Airflow."
    )
    root.add_argument("--version", action="version", version=f"airflow-sagemaker {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_init(commands)
    _add_split(commands)
    _add_validate(commands)
    estimated = _add_command(commands, "estimate", "print the maximum cost of a run, from the prices in price_per_hour")
    estimated.add_argument("--from-date", metavar="DATE", help="first date of a backfill; needs --to-date")
    estimated.add_argument("--to-date", metavar="DATE", help="last date of a backfill")
    made = _add_command(commands, "compile", "print the pipeline's definition, without calling AWS")
    made.add_argument("--output", metavar="FILE", help="write the definition to this file instead of printing it")
    _add_command(commands, "diff", "compare the definition with the deployed one; exit code 1 if they differ")
    _add_publish(commands)
    _add_doctor(commands)
    _add_smoke(commands)
    run = _add_command(commands, "run", "deploy if needed, start an execution and wait until it ends")
    _add_connection_values(run)
    run.add_argument("--no-wait", action="store_true", help="return as soon as the execution has started")
    run.add_argument(
        "--progress", choices=PROGRESS_LEVELS, default=ProgressLevel.LOGS.value, help="what to report while waiting"
    )
    run.add_argument("--ignore-busy", action="store_true", help="start even if another execution trains this partition")
    for name, text in (("logs", "print the log of an execution's jobs"), ("stop", "stop an execution")):
        command = _add_command(commands, name, text)
        latest = "the partition's latest" + (" running one" if name == "stop" else " one")
        command.add_argument("--execution", metavar="ARN", help=f"use this execution instead of {latest}")
        if name == "logs":
            command.add_argument("--follow", action="store_true", help="continue until the execution has ended")
    add_predict(commands)
    _add_orphans(commands)
    _add_backfill_summary(commands)
    for name, command in commands.choices.items():
        add_example(name, command, root.prog)
    return root


def _add_validate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add_command(commands, "validate", "check the configuration and its files, without network or SDK")
    command.add_argument(
        "--data", nargs="?", const="", metavar="FOLDER",
        help="also check the partition's data, on S3 or in this folder: columns, label, ids, and the last partition",
    )  # fmt: skip
    command.add_argument(
        "--against", metavar="PLACE",
        help="with --data: folder or S3 URI of the partition to compare with (default: on S3, the one before)",
    )  # fmt: skip
    command.add_argument(
        "--limit", action="append", default=[], metavar="NAME=NUMBER", dest="limits",
        help="with --data: change a limit of the comparison, such as row_ratio=5 or drift=0.25; 0 only reports",
    )  # fmt: skip
    _add_connection_values(command)


def _add_split(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = add_split(commands)
    command.add_argument(
        "--partition", metavar="DATE", help="partition of the data (default: the file's, or today in UTC)"
    )
    _add_connection_values(command)
    _add_overrides(command)


def _add_publish(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "compile, upload and deploy, so that Airflow can start the pipeline without the SageMaker SDK"
    command = commands.add_parser("publish", help=text, description=text)
    command.add_argument("source", metavar="SOURCE", help="a configuration file or a folder with DAGs")
    command.add_argument("--check", action="store_true", help="change nothing; exit code 1 if something would change")
    _add_connection_values(command)
    _add_overrides(command)
    _add_patience(command)
    _add_sdk_python(command)


def _add_connection_values(command: argparse.ArgumentParser) -> None:
    of_connection = "if the configuration has none; must match the Airflow connection"
    command.add_argument("--bucket", help=f"bucket, {of_connection}")
    command.add_argument("--role-arn", metavar="ARN", help=f"execution role, {of_connection}")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    command.add_argument("--region", default=region, help=f"region, {of_connection} (default: AWS_DEFAULT_REGION)")


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "check everything that a training needs, without starting anything; exit code 1 if a check fails"
    command = commands.add_parser("doctor", help=text, description=text)
    command.add_argument("source", metavar="CONFIG.yaml", help="the training configuration")
    command.add_argument(
        "--aws-conn-id", metavar="NAME", help="Airflow connection to use (default: boto3's own credentials)"
    )
    _add_connection_values(command)
    _add_airflow_options(command)
    _add_overrides(command)
    _add_patience(command)
    _add_sdk_python(command)


def _add_smoke(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = (
        "train for a few seconds on ml.m5.large with every call that the package makes, and print where AWS's "
        "responses differ from docs/fidelity.md"
    )
    command = commands.add_parser("smoke", help=text, description=text)
    command.add_argument(
        "--yes", action="store_true", help="required, because the command costs two minutes of ml.m5.large"
    )
    _add_connection_values(command)
    _add_json(command)
    _add_patience(command)
    _add_sdk_python(command)


def _add_orphans(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = (
        "list running executions that no Airflow task waits for; exit code 1 if any are left, "
        "4 if some could not be checked"
    )
    command = commands.add_parser("orphans", help=text, description=text)
    _add_airflow_options(command)
    command.add_argument("--pipeline", action="append", help="check only this pipeline; may be repeated")
    command.add_argument("--region", help="AWS region (default: boto3's)")
    command.add_argument(
        "--stop", action="store_true", help="stop those that this Airflow started and no longer waits for"
    )
    command.add_argument(
        "--unknown-too", action="store_true", help="with --stop, also stop those that may belong to another Airflow"
    )
    _add_records_on_s3(command)
    _add_json(command)
    _add_patience(command)


def _add_records_on_s3(command: argparse.ArgumentParser) -> None:
    """What docs/versions.md describes; the defaults are the variables with which Airflow itself is set up."""
    group = command.add_argument_group("records on S3", "required for Airflow 3.2, which has no task state store")
    for name, what in (
        ("record-bucket", "record_bucket of that Airflow, or else the bucket of its connection"),
        ("record-prefix", "record_prefix of that Airflow"),
    ):
        variable = f"AIRFLOW__AIRFLOW_SAGEMAKER__{name.replace('-', '_').upper()}"
        group.add_argument(f"--{name}", default=os.environ.get(variable), help=f"{what} (default: {variable})")
    group.add_argument(
        "--base-url",
        default=os.environ.get("AIRFLOW__API__BASE_URL"),
        help="[api] base_url of that Airflow, if it is not --airflow-url (default: AIRFLOW__API__BASE_URL)",
    )


def _add_backfill_summary(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = (
        "list a DAG's partitions with the results of their newest runs; exit code 1 unless all are done or skipped, "
        "4 if results could not be read"
    )
    command = commands.add_parser("backfill-summary", help=text, description=text)
    command.add_argument("dag_id", metavar="DAG_ID", help="DAG that trains the partitions")
    command.add_argument("--from-date", metavar="PARTITION", help="first partition (default: the first with a run)")
    command.add_argument("--to-date", metavar="PARTITION", help="last partition (default: the last with a run)")
    _add_airflow_options(command)
    _add_json(command)


def _add_airflow_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--airflow-url", default=os.environ.get("AIRFLOW_URL"), help="URL of Airflow (default: AIRFLOW_URL)"
    )
    command.add_argument(
        "--token",
        default=os.environ.get("AIRFLOW_API_TOKEN"),
        help="token for Airflow's API (default: AIRFLOW_API_TOKEN)",
    )
    command.add_argument("--username", help="sign in with this username instead of a token")
    command.add_argument(
        "--password",
        default=os.environ.get("AIRFLOW_PASSWORD"),
        help="password for --username (default: AIRFLOW_PASSWORD)",
    )


def _add_patience(command: argparse.ArgumentParser) -> None:
    text = "how long a call waits for AWS to respond (default: 30)"
    command.add_argument("--patience", type=_positive_seconds, default=30.0, metavar="SECONDS", help=text)


def _positive_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, 0 or more, not {text!r}")
    return seconds


def _add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.add_argument("config", metavar="CONFIG.yaml", help="the training configuration")
    command.add_argument(
        "--partition", metavar="DATE", help="partition of the run (default: the file's, or today in UTC)"
    )
    _add_overrides(command)
    if name not in ("validate", "compile"):
        _add_patience(command)
    if name not in ("validate", "logs", "stop"):
        _add_sdk_python(command)
    return command


def _add_overrides(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", dest="params",
        help="override a setting or hyperparameter, such as epochs=3 or tags.team=ml; may be repeated",
    )  # fmt: skip
    _add_json(command)


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def _add_sdk_python(command: argparse.ArgumentParser) -> None:
    command.add_argument("--sdk-python", metavar="PYTHON", help="Python interpreter with the SageMaker SDK")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = build_parser().parse_args(argv)
    output = Output(json_only=arguments.json)
    try:
        return _run_command(arguments, output)
    except AirflowSageMakerError as error:
        wrong = error.violations if isinstance(error, ConfigurationError) else []
        details: JsonObject = {"violations": [violation.as_dict() for violation in wrong]} if wrong else {}
        output.failed(error, **details)
        return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), REFUSED)
    except KeyboardInterrupt as error:
        interrupted = error if isinstance(error, Interrupted) else Interrupted("interrupted")
        arn = interrupted.execution_arn
        output.failed(interrupted, **({"execution_arn": arn} if arn else {}))
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run_command(arguments: argparse.Namespace, output: Output) -> int:
    if arguments.command == "compile" or (arguments.command == "validate" and arguments.data is None):
        from airflow_sagemaker.cli import offline

        return (
            offline.validate(arguments, output)
            if arguments.command == "validate"
            else offline.compile_(arguments, output)
        )
    if arguments.command == "estimate":
        from airflow_sagemaker.cli.estimate import estimate

        return estimate(arguments, output)
    if arguments.command == "init":
        from airflow_sagemaker.cli.table_commands import init

        return init(arguments, output)
    if arguments.command == "predict":
        from airflow_sagemaker.cli.predict import predict

        return predict(arguments, output)
    from botocore.exceptions import BotoCoreError, ClientError

    from airflow_sagemaker.aws.faults import RULE, Fault, classify_error
    from airflow_sagemaker.cli import doctor, online, publish, smoke, table_commands

    known = {
        "split": table_commands.split, "validate": table_commands.validate_data,
        "doctor": doctor.doctor, "smoke": smoke.smoke,
        "diff": online.diff, "publish": publish.publish, "run": online.run, "logs": online.logs, "stop": online.stop,
        "orphans": online.orphans, "backfill-summary": online.backfill_summary,
    }  # fmt: skip
    command = known[arguments.command]
    try:
        return command(arguments, output)
    except (BotoCoreError, ClientError) as error:
        fault = classify_error(error)
        nobody = "check the network, and AWS_ENDPOINT_URL if it is set"
        output.failed(error, hint=nobody if fault is Fault.UNAVAILABLE else RULE[fault].advice)
        return REFUSED
