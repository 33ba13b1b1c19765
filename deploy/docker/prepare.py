"""The service that runs once before Airflow: checks the settings, migrates the database, creates user, pool and bucket.

All checks run before the first change, so a failed start does not change the database. It can be run again at any time.
`python prepare.py aws` checks only AWS: credentials, bucket and role of the connection aws_default.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

from stack import StackError, require, run

LOGS = Path("/opt/airflow/logs")
FREE_MB = 500
S3_WAIT_SECONDS = 120


def main() -> None:
    """Run all checks, then make all changes."""
    check_secrets()
    check_volume(LOGS)
    check_database(require("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"))
    connection = aws_connection()
    if sys.argv[1:] == ["aws"]:
        check_aws(connection)
        return
    say("migrating the database")
    airflow("db", "migrate")
    make_user()
    slots = os.environ.get("TRAINING_SLOTS") or "8"
    pool = require("SAGEMAKER_TRAINING_POOL", hint="docker-compose.yaml sets it")
    airflow("pools", "set", "--include-deferred", pool, slots, "Trainings on SageMaker at once")
    make_bucket(connection)
    say("ready")


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"prepare: {text}", flush=True)


def check_secrets() -> None:
    """Check the Fernet key and the JWT secret, which Airflow would use only when a task needs them."""
    key = require("AIRFLOW__CORE__FERNET_KEY")
    for part in key.split(","):
        try:
            length = len(base64.urlsafe_b64decode(part))
        except ValueError:
            length = 0
        if length != 32:
            raise StackError("FERNET_KEY is not 32 bytes as base64: use the key that bin/make-env generates")
    if len(require("AIRFLOW__API_AUTH__JWT_SECRET")) < 32:
        raise StackError("JWT_SECRET is shorter than 32 characters: use the one that bin/make-env generates")
    require("AIRFLOW__API__SECRET_KEY")
    require("ADMIN_PASSWORD")


def check_volume(folder: Path) -> None:
    """Check that Airflow's log volume is writable and has free space."""
    probe = folder / ".probe"
    try:
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise StackError(
            f"the volume at {folder} cannot be written by user {os.getuid()}: {error.strerror}. "
            "Mount it writable, or set AIRFLOW_UID in .env to its owner"
        ) from None
    free = shutil.disk_usage(folder).free // 2**20
    if free < FREE_MB:
        raise StackError(
            f"{free} MB are free on the volume at {folder}, but {FREE_MB} are needed: free disk space on the host"
        )


def check_database(url: str) -> None:
    """The database can be reached and no newer Airflow has migrated it. Changes nothing."""
    import psycopg2

    try:
        connection = psycopg2.connect(url.replace("postgresql+psycopg2://", "postgresql://"), connect_timeout=10)
    except psycopg2.OperationalError as error:
        reason = str(error).strip().splitlines()[-1]
        hint = ""
        if "password authentication failed" in reason:
            hint = (
                ". The volume postgres-data keeps its original password: put that one into "
                "POSTGRES_PASSWORD in .env, or change it in the database (docs/compose.md)"
            )
        raise StackError(f"the database rejected the connection: {reason}{hint}") from None
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('alembic_version')")
        if cursor.fetchone()[0] is None:
            return
        cursor.execute("SELECT version_num FROM alembic_version")
        row = cursor.fetchone()
    connection.close()
    if row is not None:
        check_revision(row[0])


def check_revision(revision: str) -> None:
    """Check that this Airflow knows the database's schema."""
    import airflow
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    try:
        ScriptDirectory(str(Path(airflow.__file__).parent / "migrations")).get_revision(revision)
    except CommandError:
        raise StackError(
            f"the database is at schema {revision}, which Airflow {airflow.__version__} does not know: a newer Airflow "
            "has migrated it. Use that version's image, or restore the backup made before the upgrade. "
            "Nothing was changed"
        ) from None


def airflow(*arguments: str, secret: str | None = None) -> str:
    """Run Airflow's command line and return its output; StackError with the output's end when it fails.

    `secret` goes out as --password and is in no message.
    """
    done = subprocess.run(
        ["airflow", *arguments, *([f"--password={secret}"] if secret else [])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.strip().splitlines()[-15:])
        raise StackError(f"airflow {' '.join(arguments[:2])} failed with status {done.returncode}:\n{tail}")
    return done.stdout


def make_user() -> None:
    """Create the UI's administrator, or set the password to ADMIN_PASSWORD."""
    name, password = os.environ.get("ADMIN_USER") or "admin", require("ADMIN_PASSWORD")
    person = ("--firstname", name, "--lastname", name, "--email", f"{name}@localhost", "--role", "Admin")
    out = airflow("users", "create", "--username", name, *person, secret=password)
    if "already exist" in out:
        airflow("users", "reset-password", "--username", name, secret=password)
    say(f"the user {name} can sign in")


class _Extra(TypedDict, total=False):
    endpoint_url: str
    service_config: dict[str, dict[str, str]]


class Connection(TypedDict, total=False):
    """The members of an Airflow connection that are used here."""

    extra: _Extra


def aws_connection() -> Connection:
    """The connection aws_default, parsed from its JSON."""
    try:
        found: Connection = json.loads(require("AIRFLOW_CONN_AWS_DEFAULT"))
        return found
    except ValueError as error:
        raise StackError(
            f"AIRFLOW_CONN_AWS_DEFAULT is not JSON ({error}): use the one that bin/make-env writes"
        ) from None


def _client(service: str) -> Any:
    """A boto3 client for the connection aws_default from the amazon provider's hook, like those of tasks."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    return AwsBaseHook(aws_conn_id="aws_default", client_type=service).get_conn()


def _bucket(connection: Connection) -> str:
    service = (connection.get("extra") or {}).get("service_config") or {}
    bucket = (service.get("s3") or {}).get("bucket_name")
    if not bucket:
        raise StackError("AIRFLOW_CONN_AWS_DEFAULT has no bucket (service_config.s3.bucket_name)")
    return str(bucket)


def make_bucket(connection: Connection) -> None:
    """Create the local SageMaker's bucket when S3 responds. On AWS, CloudFormation creates the bucket."""
    if not (connection.get("extra") or {}).get("endpoint_url"):
        return
    s3, bucket = _client("s3"), _bucket(connection)
    names = _patiently(lambda: [entry["Name"] for entry in s3.list_buckets()["Buckets"]])
    if bucket not in names:
        s3.create_bucket(Bucket=bucket)
        say(f"created the bucket {bucket}")


def _patiently(call: Callable[[], list[str]]) -> list[str]:
    """Return the result of `call`, which is retried until the server responds."""
    from botocore.exceptions import BotoCoreError, ClientError

    deadline = time.monotonic() + S3_WAIT_SECONDS
    while True:
        try:
            return call()
        except ClientError as error:
            raise StackError(f"the local SageMaker's S3 rejected the request: {error}") from None
        except BotoCoreError as error:
            if time.monotonic() > deadline:
                raise StackError(
                    f"the local SageMaker's S3 has not responded within {S3_WAIT_SECONDS} s: {error}"
                ) from None
            time.sleep(1)


def check_aws(connection: Connection) -> None:
    """Check credentials, bucket and role on AWS; StackError for the first problem."""
    from botocore.exceptions import BotoCoreError, ClientError

    bucket = _bucket(connection)
    role = (connection["extra"]["service_config"].get("sagemaker") or {}).get("execution_role_arn")
    if not role:
        raise StackError("AIRFLOW_CONN_AWS_DEFAULT has no role (service_config.sagemaker.execution_role_arn)")
    try:
        say(f"authenticated as {_client('sts').get_caller_identity()['Arn']}")
        _client("s3").head_bucket(Bucket=bucket)
        say(f"the bucket {bucket} exists")
        _client("sagemaker").list_pipelines(MaxResults=1)
        say(f"SageMaker responds; trainings run as {role}")
    except (BotoCoreError, ClientError) as error:
        raise StackError(f"AWS: {error}") from None


if __name__ == "__main__":
    run(main)
