"""The messages of Callback steps: stored with the step, delivered at least once, deleted with the step."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from local_sagemaker.identifiers import now

_WAITING = """
SELECT messages.*, steps.execution AS execution, steps.name AS step_name
FROM messages JOIN steps ON steps.seq = messages.step
WHERE messages.delivered IS NULL AND steps.status IN ('Executing', 'Stopping') ORDER BY messages.seq
"""


def message_path(data_dir: Path, queue: str, seq: int) -> Path:
    """The file of a delivered message; each queue has a folder."""
    return data_dir / "callbacks" / queue.rsplit("/", 1)[-1] / f"{seq:06}.json"


def add(connection: sqlite3.Connection, step: int, queue: str, body: str) -> None:
    """Store a message of a step's row."""
    connection.execute(
        "INSERT INTO messages (step, queue, body, created) VALUES (?, ?, ?, ?)", (step, queue, body, now())
    )


def waiting(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """Undelivered messages of unfinished steps, oldest first."""
    return connection.execute(_WAITING).fetchall()


def mark_as_delivered(connection: sqlite3.Connection, seq: int) -> None:
    """Mark a message as delivered."""
    connection.execute("UPDATE messages SET delivered = ? WHERE seq = ?", (now(), seq))
