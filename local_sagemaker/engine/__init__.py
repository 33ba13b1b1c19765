"""Runs executions: one thread makes the decisions, the supervisor's threads report, and the database has all state.

What a step does is defined in `steps/`. Nothing here responds to clients.
"""

from local_sagemaker.engine.engine import Engine
from local_sagemaker.engine.outbox import Outbox

__all__ = ["Engine", "Outbox"]
