"""Lambda functions that Lambda steps invoke, each call in a process of its own."""

from __future__ import annotations

from local_sagemaker.jobs.functions.caller import Functions, Outcome

__all__ = ["Functions", "Outcome"]
