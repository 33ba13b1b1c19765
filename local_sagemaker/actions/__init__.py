"""The actions that this server has, by the service's names."""

from __future__ import annotations

from local_sagemaker.actions import executions, jobs, models, pipelines, starts, tags, versions
from local_sagemaker.actions.registry import ACTIONS, Action

__all__ = ["ACTIONS", "Action", "executions", "jobs", "models", "pipelines", "starts", "tags", "versions"]
