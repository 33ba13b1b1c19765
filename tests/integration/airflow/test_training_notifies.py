"""Who is notified of a metric that got worse: by the task that waits, with Airflow's own notifier, over real SMTP."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sagemaker import SageMakerTrainingPipelineOperator, SageMakerTrainingPipelineSensor
from airflow_sagemaker.aws.versions import deploy_pipeline
from tests.support.fault_proxy import FaultProxy
from tests.support.mail_sink import MailSink
from tests.support.pipelines import Pipelines, compiled, script_step
from tests.support.samples import connection_of
from tests.support.waiting import wait_until

AUC = "Validation AUC ROC"
USUAL = [0.751, 0.749, 0.752, 0.748, 0.75, 0.7505]


def notifier() -> Any:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    return SmtpNotifier(to="t@example.com", subject="Metrics", html_content="{{ outcome.findings | join('; ') }}")


class Trainings:
    """Trainings of one pipeline, a partition each, that report any AUC."""

    def __init__(self, pipelines: Pipelines) -> None:
        self.pipelines = pipelines
        self.sagemaker = pipelines.server.client("sagemaker")

    def step(self, partition: str, auc: float) -> dict[str, Any]:
        step = script_step(self.pipelines.bucket, f"echo '{AUC}: {auc}'; touch /opt/ml/model/model")
        arguments = step["Arguments"]
        arguments["OutputDataConfig"]["S3OutputPath"] = f"s3://{self.pipelines.bucket}/p/output/{partition}"
        arguments["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": AUC, "Regex": f"{AUC}: ([0-9.]+)"}]
        return step

    def add_earlier(self, values: list[float]) -> None:
        names = [f"{self.pipelines.bucket}-{day}" for day in range(1, len(values) + 1)]
        for day, (name, auc) in enumerate(zip(names, values, strict=True), 1):
            self.sagemaker.create_training_job(TrainingJobName=name, **self.step(f"2026-01-{day:02}", auc)["Arguments"])

        def ended(name: str) -> bool:
            return bool(self.sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "Completed")

        wait_until(lambda: all(map(ended, names)), "the earlier trainings")

    def wait_for(self, auc: float, partition: str = "2026-01-09", **settings: Any) -> dict[str, Any]:
        """Train a partition; return the outcome of the sensor that waits for it."""
        made = compiled(f"{self.pipelines.bucket}-{partition}", [self.step(partition, auc)])
        deploy_pipeline(self.pipelines.executions.aws, made)
        arn = self.pipelines.start(made, owner=json.dumps({"dag_id": "d", "partition": partition}))
        wait_until(lambda: not self.pipelines.executions.describe(arn).live, "the training")
        settings = {"aws_conn_id": "local_sagemaker", **settings}
        task = SageMakerTrainingPipelineSensor(task_id="wait", execution_arn=arn, **settings)
        ti = SimpleNamespace(xcom_push=lambda **_: None)
        return dict(task.execute({"ti": ti, "outlet_events": {}}))  # type: ignore[arg-type]


@pytest.fixture
def trainings(pipelines: Pipelines) -> Trainings:
    return Trainings(pipelines)


def test_a_worse_day_is_found_by_the_earlier_ones_and_mailed(
    trainings: Trainings, sink: MailSink, capsys: pytest.CaptureFixture[str]
) -> None:
    trainings.add_earlier(USUAL)
    finding = f"{AUC} of 2026-01-09 is 0.61, the median of earlier partitions 0.75025"
    assert trainings.wait_for(0.61, notifiers=notifier())["findings"] == [finding]
    assert finding in capsys.readouterr().out
    (message,) = sink.messages
    assert finding in message
    assert trainings.wait_for(0.7495, "2026-01-10", notifiers=[notifier()])["findings"] == []
    assert len(sink.messages) == 1


def test_a_backfilled_day_is_not_compared_with_later_ones(trainings: Trainings) -> None:
    trainings.add_earlier(USUAL)
    limits = {AUC: {"min_value": 0.1}}
    assert trainings.wait_for(0.61, "2025-12-31", thresholds=limits)["findings"] == []


def test_a_missed_threshold_is_mailed_and_fails_nothing(trainings: Trainings, sink: MailSink) -> None:
    limits = {AUC: {"min_value": 0.7}, "Validation Loss": {"max_value": 0.6}}
    outcome = trainings.wait_for(0.61, notifiers=notifier(), thresholds=limits)
    assert outcome["status"] == "Succeeded"
    assert outcome["findings"] == [
        f"{AUC} of 2026-01-09 is 0.61, must be at least 0.7",
        "Validation Loss of 2026-01-09 was not reported, must be at most 0.6",
    ]
    (message,) = sink.messages
    assert "must be at least 0.7; Validation Loss" in message


def test_without_the_permission_to_search_the_thresholds_are_checked(
    trainings: Trainings, sink: MailSink, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    env = trainings.pipelines.server.env
    with FaultProxy(trainings.pipelines.server.endpoint_url) as proxy:
        proxy.inject("Search", "denied", times=9)
        monkeypatch.setenv("AIRFLOW_CONN_WITHOUT_SEARCH", connection_of(env, proxy.url, trainings.pipelines.bucket))
        limits = {AUC: {"min_value": 0.7}}
        outcome = trainings.wait_for(0.61, aws_conn_id="without_search", notifiers=notifier(), thresholds=limits)
    assert len(outcome["findings"]) == 1
    assert "The metrics of earlier partitions could not be read" in capsys.readouterr().out
    assert len(sink.messages) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"thresholds": {AUC: {"minimum": 0.7}}}, "must have min_value, max_value or both"),
        ({"thresholds": {AUC: 0.7}}, "must have min_value, max_value or both"),
        ({"thresholds": {AUC: {"min_value": "high"}}}, "must be a number"),
        ({"thresholds": {AUC: {"min_value": 0.7, "max_value": 0.6}}}, "must not be above max_value"),
        ({"notifiers": "team@example.com"}, "is not a notifier"),
    ],
)
def test_wrong_settings_break_the_dag_file(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        SageMakerTrainingPipelineSensor(task_id="wait", execution_arn="arn", **settings)


def test_an_operator_that_does_not_wait_cannot_notify() -> None:
    with pytest.raises(ValueError, match="set them on the SageMakerTrainingPipelineSensor"):
        SageMakerTrainingPipelineOperator(task_id="start", config="training.yaml", thresholds={AUC: {"min_value": 0.7}})
