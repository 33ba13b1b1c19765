"""Deletes old executions and jobs: their rows, messages, logs and job folders, but nothing in S3.

It can run while a server is running: each part is one transaction, and only ended executions and jobs are deleted.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker.identifiers import now
from local_sagemaker.job_files import remove_tree, walk
from local_sagemaker.jobs.spec import job_folder
from local_sagemaker.logs import LogStore
from local_sagemaker.store.database import Database
from local_sagemaker.store.messages import message_path

_LOG_GROUPS = {"training": "/aws/sagemaker/TrainingJobs", "processing": "/aws/sagemaker/ProcessingJobs"}
_OLD_EXECUTIONS = "status NOT IN ('Executing', 'Stopping') AND modified < ?"
_OLD_JOBS = "live = 0 AND modified < ? AND NOT EXISTS (SELECT 1 FROM steps WHERE steps.job = jobs.arn)"
_ALONE = "tuning IS NULL OR NOT EXISTS (SELECT 1 FROM jobs AS tunings WHERE tunings.arn = jobs.tuning)"
"""The training jobs of a tuning job are kept as long as the tuning job."""
_OLD_MESSAGES = f"""
SELECT messages.queue, messages.seq FROM messages JOIN steps ON steps.seq = messages.step
WHERE steps.execution IN (SELECT arn FROM executions WHERE {_OLD_EXECUTIONS})
"""  # noqa: S608


@dataclass(frozen=True)
class Collected:
    """What was deleted, or would be."""

    executions: int
    jobs: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.executions} executions and {self.jobs} jobs with {self.bytes / 1e6:.1f} MB of job folders"


def collect(data_dir: Path, *, older_than_seconds: float, dry_run: bool) -> Collected:
    """Delete what ended before that time."""
    database, logs = Database(data_dir / "sagemaker.db"), LogStore(data_dir / "logs.db")
    try:
        return _collect(database, logs, data_dir, now() - older_than_seconds, dry_run)
    finally:
        logs.close()
        database.close()


class _DryRun(Exception):
    """Raised to roll back a dry run's transaction."""


def _collect(database: Database, logs: LogStore, data_dir: Path, cutoff: float, dry_run: bool) -> Collected:
    jobs: list[sqlite3.Row] = []
    messages: list[Path] = []
    executions = 0
    try:
        with database.write() as connection:
            messages = _old_messages(connection, data_dir, cutoff)
            executions = _forget_executions(connection, cutoff)
            # tuning jobs first, then the training jobs that they created
            jobs = [*_forget_jobs(connection, cutoff), *_forget_jobs(connection, cutoff)]
            if dry_run:
                raise _DryRun
    except _DryRun:
        pass
    if not dry_run:
        for path in messages:
            path.unlink(missing_ok=True)
    size = 0
    for job in jobs:
        folder = job_folder(data_dir, job["kind"], job["name"], job["arn"])
        size += _size(folder)
        if not dry_run:
            if job["kind"] in _LOG_GROUPS:
                _forget_logs(logs, _LOG_GROUPS[job["kind"]], job["name"])
            remove_tree(folder)
    return Collected(executions, len(jobs), size)


def _old_messages(connection: sqlite3.Connection, data_dir: Path, cutoff: float) -> list[Path]:
    """The message files of old executions."""
    rows = connection.execute(_OLD_MESSAGES, (cutoff,))
    return [message_path(data_dir, row["queue"], row["seq"]) for row in rows]


def _forget_jobs(connection: sqlite3.Connection, cutoff: float) -> list[sqlite3.Row]:
    rows = connection.execute(
        f"SELECT kind, name, arn FROM jobs WHERE {_OLD_JOBS} AND ({_ALONE})",  # noqa: S608
        (cutoff,),
    ).fetchall()
    for row in rows:
        connection.execute("DELETE FROM tags WHERE arn = ?", (row["arn"],))
        connection.execute("DELETE FROM jobs WHERE arn = ?", (row["arn"],))
    return rows


def _forget_executions(connection: sqlite3.Connection, cutoff: float) -> int:
    old = f"SELECT arn FROM executions WHERE {_OLD_EXECUTIONS}"  # noqa: S608
    for table, column in (("tokens", "resource"), ("tags", "arn")):
        connection.execute(f"DELETE FROM {table} WHERE {column} IN ({old})", (cutoff,))  # noqa: S608
    connection.execute("DELETE FROM tokens WHERE resource IS NULL AND created < ?", (cutoff,))
    connection.execute(f"UPDATE versions SET last_execution = NULL WHERE last_execution IN ({old})", (cutoff,))  # noqa: S608
    return connection.execute(f"DELETE FROM executions WHERE {_OLD_EXECUTIONS}", (cutoff,)).rowcount  # noqa: S608


def _forget_logs(logs: LogStore, group: str, job: str) -> None:
    with logs.write() as connection:
        connection.execute(
            "DELETE FROM streams WHERE log_group = (SELECT seq FROM log_groups WHERE name = ?)"
            " AND substr(name, 1, ?) = ?",
            (group, len(job) + 1, f"{job}/"),
        )


def _size(folder: Path) -> int:
    try:
        return sum(entry.status.st_size for entry in walk(folder, folder) if entry.is_file)
    except OSError:  # too deep to be measured, but it can still be removed
        return 0
