"""One S3 server for the session, a bucket for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.s3_server import LocalS3


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalS3]:
    server = LocalS3(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()
    assert " ERROR " not in server.log_file.read_text()


@pytest.fixture(scope="session")
def s3(server: LocalS3) -> Any:
    return server.client()


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name
