"""Who is told of a rejected model: Airflow's own SMTP notifier, and a mail server on loopback that gets the message."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker import SageMakerPromoteModelOperator
from tests.support.mail_sink import MailSink
from tests.support.pipelines import Pipelines

AUC = "Validation AUC ROC"


def notifier() -> Any:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    return SmtpNotifier(
        to="team@example.com",
        subject="{{ promotion.status }}: {{ promotion.partition }}",
        html_content="{{ promotion.reason }} {{ promotion.findings | join('; ') }}",
    )


class Promotions:
    """Promotions in this process, of one model of any quality."""

    def __init__(self, pipelines: Pipelines) -> None:
        self.pipelines = pipelines
        self.group = pipelines.bucket
        s3 = pipelines.server.client("s3")
        s3.put_object(Bucket=pipelines.bucket, Key="models/model.tar.gz", Body=b"model")

    def promote(self, day: int, auc: float, **settings: Any) -> dict[str, Any]:
        task = SageMakerPromoteModelOperator(
            task_id="promote",
            outcome={
                "execution_arn": f"arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/{day:012}",
                "model_artifact": f"s3://{self.pipelines.bucket}/models/model.tar.gz",
                "metrics": {AUC: auc},
            },
            group=self.group,
            metric=AUC,
            partition=f"2026-01-{day:02}",
            aws_conn_id="local_sagemaker",
            **settings,
        )
        ti = SimpleNamespace(
            dag_id="d", run_id=f"r{day}", task_id="promote", map_index=-1, try_number=1, xcom_push=lambda **_: None
        )
        return task.execute({"ti": ti, "outlet_events": {}})  # type: ignore[arg-type]


@pytest.fixture
def promotions(pipelines: Pipelines) -> Promotions:
    return Promotions(pipelines)


def test_a_rejected_model_is_mailed_and_an_approved_one_is_not(promotions: Promotions, sink: MailSink) -> None:
    assert promotions.promote(1, 0.75, notifiers=notifier())["status"] == "Approved"
    assert sink.messages == []
    assert promotions.promote(2, 0.60, notifiers=[notifier()])["status"] == "Rejected"
    (message,) = sink.messages
    assert "Rejected: 2026-01-02" in message
    assert "worse than the champion's 0.75" in message


def test_an_unusual_day_is_mailed_also_where_it_is_good_enough(promotions: Promotions, sink: MailSink) -> None:
    for day in range(1, 10):
        promotions.promote(day, 0.75 + day / 10000, better_than=None, notifiers=notifier())
    assert sink.messages == []
    promoted = promotions.promote(10, 0.65, better_than=None, notifiers=notifier())
    assert promoted["status"] == "Approved"
    assert promoted["findings"] == [f"{AUC} of 2026-01-10 is 0.65, the median of earlier partitions 0.7505"]
    assert len(sink.messages) == 1
    backfilled = promotions.promote(0, 0.65, better_than=None, notifiers=notifier())
    assert (backfilled["findings"], len(sink.messages)) == ([], 1), "later days are not compared with"


def test_a_mail_server_that_is_down_does_not_undo_a_promotion(
    promotions: Promotions, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": 9, "extra": {"disable_ssl": True, "retry_limit": 1}}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
    promotions.promote(1, 0.75)
    assert promotions.promote(2, 0.60, notifiers=notifier())["status"] == "Rejected"
