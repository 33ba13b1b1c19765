"""Which task run an execution belongs to: one line of JSON in its description."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_sagemaker.types import JsonObject

OWNER_CLEAR_EPOCH = "max_tries"
"""The clear epoch's key in an execution's description, as all versions write it."""
OWNER_UNSEEN_CLEARS = "unseen_clears"
"""Clears that left the clear epoch as it was."""
OWNER_LIMIT = 3072
"""Characters of PipelineExecutionDescription."""


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
    """The execution's description: which task run it belongs to, and after which clear of it, as one line of JSON.

    Names that are too long for it are shortened one by one, never the JSON: an owner that cannot be parsed is no owner.
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
    if len(text) > OWNER_LIMIT:  # names in other scripts: six characters each as ASCII, one as they are
        text = json.dumps(owner, ensure_ascii=False)
    while len(text) > OWNER_LIMIT:
        longest = max(owner, key=lambda name: len(str(owner[name])))
        owner[longest] = str(owner[longest])[: -max(1, len(text) - OWNER_LIMIT)]
        text = json.dumps(owner, ensure_ascii=False)
    return text


def read_owner(description: str) -> JsonObject:
    """The task run that a description names; empty for executions of others."""
    try:
        owner = json.loads(description)
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) and "dag_id" in owner else {}


def owners_clear_epoch(owner: JsonObject) -> tuple[int, int] | None:
    """After which clear of its task an execution was asked for (epoch, unseen clears)."""
    epoch, unseen = owner.get(OWNER_CLEAR_EPOCH), owner.get(OWNER_UNSEEN_CLEARS, 0)
    return (epoch, unseen) if isinstance(epoch, int) and isinstance(unseen, int) else None
