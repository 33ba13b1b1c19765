"""The job supervisor's fixtures."""

from tests.support.local_jobs import backend, jobs, rewriting_jobs  # noqa: F401
