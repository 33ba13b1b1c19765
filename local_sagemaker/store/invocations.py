"""The calls of Lambda steps: stored with the step, started at most once, deleted with the step."""

from __future__ import annotations

import sqlite3

from local_sagemaker.identifiers import now

_LEFT = """
SELECT invocations.* FROM invocations JOIN steps ON steps.seq = invocations.step
WHERE steps.status IN ('Executing', 'Stopping') ORDER BY invocations.step
"""


def add(connection: sqlite3.Connection, step: int, function: str, event: str) -> None:
    """Store the call of a step's row."""
    connection.execute("INSERT INTO invocations (step, function, event) VALUES (?, ?, ?)", (step, function, event))


def begin(connection: sqlite3.Connection, step: int) -> sqlite3.Row | None:
    """Mark a step's call as started and return it; None if it has already started."""
    row: sqlite3.Row | None = connection.execute(
        "UPDATE invocations SET begun = ? WHERE step = ? AND begun IS NULL RETURNING *", (now(), step)
    ).fetchone()
    return row


def left(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """The calls of unfinished steps."""
    return connection.execute(_LEFT).fetchall()
