"""The calls of Lambda steps: written down with the step, begun once at most, forgotten with it."""

from __future__ import annotations

import sqlite3

from local_sagemaker.identifiers import now

_LEFT = """
SELECT invocations.* FROM invocations JOIN steps ON steps.seq = invocations.step
WHERE steps.status IN ('Executing', 'Stopping') ORDER BY invocations.step
"""


def add(connection: sqlite3.Connection, step: int, function: str, event: str) -> None:
    """Write the call of a step's row down."""
    connection.execute("INSERT INTO invocations (step, function, event) VALUES (?, ?, ?)", (step, function, event))


def begin(connection: sqlite3.Connection, step: int) -> sqlite3.Row | None:
    """The call of a step that has not begun yet, which it now has; None when there is none."""
    row: sqlite3.Row | None = connection.execute(
        "UPDATE invocations SET begun = ? WHERE step = ? AND begun IS NULL RETURNING *", (now(), step)
    ).fetchone()
    return row


def left(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """The calls of steps that have not ended."""
    return connection.execute(_LEFT).fetchall()
