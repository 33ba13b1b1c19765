"""Make the harness importable by its own name, and its fixtures known."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from jobs_harness import backend, jobs, rewriting_jobs  # noqa: F401
