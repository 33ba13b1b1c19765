"""Runs executions: one thread decides, the supervisor's threads report, the database remembers."""

from local_sagemaker.engine.engine import Engine

__all__ = ["Engine"]
