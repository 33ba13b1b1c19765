"""Runs executions: one thread decides, the supervisor's threads report, the database remembers.

What a single step does belongs to `steps/`, and nothing here answers a caller.
"""

from local_sagemaker.engine.engine import Engine
from local_sagemaker.engine.outbox import Outbox

__all__ = ["Engine", "Outbox"]
