"""The page at `/`: executions, their steps, their jobs' metrics and logs. Plain HTML made here, without scripts."""

from local_sagemaker.web.layout import missing
from local_sagemaker.web.routes import render

__all__ = ["missing", "render"]
