"""What the stack must refuse: each with the reason in words, a status that is not 0, and nothing changed."""

from __future__ import annotations

import socket

from tests.compose.project import Stack, compose_program
from tests.compose.shell import ROOT, TrialError, call, say

ASIDE = "stackrefused"


def without_env(stack: Stack) -> None:
    """No .env: the first missing secret is named."""
    empty = stack.work / "empty"
    empty.write_text("")
    command = [
        *compose_program(stack.env),
        "--env-file",
        str(empty),
        "--file",
        str(ROOT / "docker-compose.yaml"),
        "config",
    ]
    expect(call(command, env=stack.env, check=False), "bin/make-env to set", what="a missing .env")


def before_start(stack: Stack) -> None:
    """A port in use, a read-only volume, a full disk: found before Postgres is touched."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(stack.setting("LOCAL_SAGEMAKER_PORT"))))
        holder.listen()
        answer = stack.compose("up", "--detach", "local-sagemaker", check=False, project=ASIDE)
        expect(answer, "in use", stack.setting("LOCAL_SAGEMAKER_PORT"), what="a port in use")
    stack.compose("down", "--volumes", project=ASIDE)
    read_only = "services: {prepare: {volumes: ['airflow-logs:/opt/airflow/logs:ro']}}"
    expect(_prepare(stack, read_only), "cannot be written", what="a read-only volume")
    small = "volumes: {airflow-logs: {driver_opts: {type: tmpfs, device: tmpfs, o: 'size=8m,mode=1777'}}}"
    expect(_prepare(stack, small), "MB are free", what="a full disk")


def while_up(stack: Stack) -> None:
    """A wrong password and a newer database: `prepare` refuses both, and the schema is as it was."""
    url = "postgresql+psycopg2://airflow:wrong@postgres:5432/airflow"
    wrong = ("run", "--rm", "--no-deps", "-T", "-e", f"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN={url}", "prepare")
    expect(
        stack.compose(*wrong, check=False),
        "password authentication failed",
        "POSTGRES_PASSWORD",
        what="a wrong password",
    )
    revision = _sql(stack, "SELECT version_num FROM alembic_version")
    _sql(stack, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    try:
        answer = stack.compose("run", "--rm", "--no-deps", "-T", "prepare", check=False)
        expect(answer, "ffffffffffff", "newer Airflow", what="a database of a newer version")
        if _sql(stack, "SELECT version_num FROM alembic_version") != "ffffffffffff":
            raise TrialError("prepare changed the schema of a newer database")
    finally:
        _sql(stack, f"UPDATE alembic_version SET version_num = '{revision}'")
    stack.compose("run", "--rm", "--no-deps", "-T", "prepare")
    say("prepare ran a second time on the same database: harmless")


def expect(answer: tuple[int, str], *words: str, what: str) -> None:
    """The command has failed, and its output holds every one of `words`."""
    status, text = answer
    missing = [word for word in words if word not in text]
    if status == 0 or missing:
        raise TrialError(
            f"{what} was not refused as it should be (status {status}, without {missing}):\n{text[-2000:]}"
        )
    line = max(text.splitlines(), key=lambda line: sum(word in line for word in words))
    say(f"refused, {what}: {line.strip()[:230]}")


def _prepare(stack: Stack, override: str) -> tuple[int, str]:
    file = stack.work / "override.yaml"
    file.write_text(override)
    run = ("run", "--rm", "--no-deps", "-T", "prepare")
    try:
        return stack.compose(*run, check=False, project=ASIDE, files=[file])
    finally:
        stack.compose("down", "--volumes", project=ASIDE, files=[file])
        file.unlink()


def _sql(stack: Stack, statement: str) -> str:
    psql = ("exec", "-T", "postgres", "psql", "--username=airflow", "--dbname=airflow", "-Atc", statement)
    return stack.compose(*psql)[1].strip()
