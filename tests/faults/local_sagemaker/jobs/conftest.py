"""The job supervisor's fixtures."""

import pytest

from tests.support.local_jobs import Jobs, backend, jobs, rewriting_jobs  # noqa: F401


@pytest.fixture(params=["jobs", "rewriting_jobs"])
def both(request: pytest.FixtureRequest) -> Jobs:
    return request.getfixturevalue(request.param)
