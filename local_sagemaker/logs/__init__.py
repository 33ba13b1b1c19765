"""The part of CloudWatch Logs that jobs and their readers need. Logs are on disk, so they survive a restart.

Nothing here depends on SageMaker.
"""

from local_sagemaker.logs.actions import LOG_ACTIONS
from local_sagemaker.logs.store import LogStore

__all__ = ["LOG_ACTIONS", "LogStore"]
