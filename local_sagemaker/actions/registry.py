"""The registry of actions."""

from __future__ import annotations

from collections.abc import Callable

from local_sagemaker.actions.context import Context
from local_sagemaker.types import Request, Response

Action = Callable[[Context, Request], Response]

ACTIONS: dict[str, Action] = {}


def action(function: Action) -> Action:
    """Register `create_pipeline` as CreatePipeline."""
    name = "".join(part.capitalize() for part in function.__name__.split("_"))
    ACTIONS[name] = function
    return function
