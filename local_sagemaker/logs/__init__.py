"""CloudWatch Logs as far as jobs and their readers need it, kept on disk: logs outlive the server.

Nothing here knows SageMaker.
"""

from local_sagemaker.logs.actions import LOG_ACTIONS
from local_sagemaker.logs.store import LogStore

__all__ = ["LOG_ACTIONS", "LogStore"]
