"""The actions that this server has, by the service's names."""

from __future__ import annotations

from local_sagemaker.actions import execution_control, executions, jobs, models, pipelines, tags, versions
from local_sagemaker.actions.registry import ACTIONS, Action

__all__ = ["ACTIONS", "Action", "execution_control", "executions", "jobs", "models", "pipelines", "tags", "versions"]
