"""Pipelines on the shared local SageMaker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.mail_sink import MailSink, mail_sink
from tests.support.pipelines import Pipelines
from tests.support.samples import connection_of


@pytest.fixture
def pipelines(local_sagemaker: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipelines]:
    bucket = f"scripts-{uuid.uuid4().hex[:10]}"
    local_sagemaker.client("s3").create_bucket(Bucket=bucket)
    connection = connection_of(local_sagemaker.env, local_sagemaker.endpoint_url, bucket)
    monkeypatch.setenv("AIRFLOW_CONN_LOCAL_SAGEMAKER", connection)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    made = Pipelines(local_sagemaker, bucket)
    yield made
    made.stop_all()


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailSink]:
    """A mail server that gets the messages of Airflow's connection `smtp_default`."""
    with mail_sink() as (server, connection):
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", connection)
        yield server
