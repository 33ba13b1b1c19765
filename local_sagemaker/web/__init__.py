"""The pages at `/`: executions, their steps, their jobs' metrics and logs, as plain HTML without scripts.

They are read-only.
"""

from local_sagemaker.web.layout import missing
from local_sagemaker.web.routes import render

__all__ = ["missing", "render"]
