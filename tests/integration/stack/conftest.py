"""One whole stack for the tests of this folder: Airflow's four processes and the local SageMaker, all real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from local_stack.demo import DAG_ID
from local_stack.settings import Home
from local_stack.stack import Stack, running_stack


@pytest.fixture(scope="module")  # ends with the file: its Airflow must not run beside all other tests
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(Home(tmp_path_factory.mktemp("stack")), max_jobs=2) as running:
        client = running.airflow
        running.processes.wait_until(lambda: client.exists(f"/dags/{DAG_ID}"), what="the DAG", seconds=120)
        yield running
