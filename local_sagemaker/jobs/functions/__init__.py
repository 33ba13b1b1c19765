"""Lambda functions of Lambda steps; each call runs in a separate process."""

from __future__ import annotations

from local_sagemaker.jobs.functions.caller import Functions, Outcome

__all__ = ["Functions", "Outcome"]
