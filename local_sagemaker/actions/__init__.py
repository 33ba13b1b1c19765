"""The SageMaker actions that this server has, one function each, by the service's names.

No HTTP here, and no decision about what an execution does next: an action reads or writes, and wakes the engine.
"""

from __future__ import annotations

from local_sagemaker.actions import (
    callbacks,
    execution_control,
    executions,
    jobs,
    models,
    pipelines,
    search,
    tags,
    tunings,
    versions,
)
from local_sagemaker.actions.registry import ACTIONS, Action

__all__ = [
    "ACTIONS",
    "Action",
    "callbacks",
    "execution_control",
    "executions",
    "jobs",
    "models",
    "pipelines",
    "search",
    "tags",
    "tunings",
    "versions",
]
