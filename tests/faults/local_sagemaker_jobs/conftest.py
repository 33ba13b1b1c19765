"""The harness of the integration tests serves here too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "integration" / "local_sagemaker_jobs"))

from jobs_harness import backend, jobs, rewriting_jobs  # noqa: F401
