"""Which task run an execution belongs to: a line of JSON in its description."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_sagemaker.types import JsonObject

OWNER_CLEAR_EPOCH = "max_tries"
"""Key of the clear epoch in an execution's description; all versions use it."""
OWNER_UNSEEN_CLEARS = "unseen_clears"
"""Key of the number of clears that did not change the clear epoch."""
OWNER_LIMIT = 3072
"""Maximum characters of PipelineExecutionDescription."""


def owner_text(
    *,
    dag_id: str,
    run_id: str,
    task_id: str,
    map_index: int,
    partition: str,
    clear_epoch: int,
    unseen_clears: int = 0,
) -> str:
    """Return an execution's description: its task run, and the clears before its start, as a line of JSON.

    Names are shortened if it is too long, so that it remains valid JSON.
    """
    owner: dict[str, str | int] = {
        "dag_id": dag_id,
        "run_id": run_id,
        "task_id": task_id,
        "map_index": map_index,
        "partition": partition,
        OWNER_CLEAR_EPOCH: clear_epoch,
        **({OWNER_UNSEEN_CLEARS: unseen_clears} if unseen_clears else {}),
    }
    text = json.dumps(owner)
    if len(text) > OWNER_LIMIT:  # non-ASCII characters would take six characters each
        text = json.dumps(owner, ensure_ascii=False)
    while len(text) > OWNER_LIMIT:
        longest = max(owner, key=lambda name: len(str(owner[name])))
        owner[longest] = str(owner[longest])[: -max(1, len(text) - OWNER_LIMIT)]
        text = json.dumps(owner, ensure_ascii=False)
    return text


def read_owner(description: str) -> JsonObject:
    """Return the task run in a description; empty if the execution is not ours."""
    try:
        owner = json.loads(description)
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) and "dag_id" in owner else {}


def owners_clear_epoch(owner: JsonObject) -> tuple[int, int] | None:
    """Return the clears before an execution was requested (epoch, unseen clears)."""
    epoch, unseen = owner.get(OWNER_CLEAR_EPOCH), owner.get(OWNER_UNSEEN_CLEARS, 0)
    return (epoch, unseen) if isinstance(epoch, int) and isinstance(unseen, int) else None
