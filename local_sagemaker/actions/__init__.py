"""The supported SageMaker actions, one function each, named after the service's actions.

They read or write the database and wake the engine; HTTP, and what an execution does next, are handled elsewhere.
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
