"""The policies for both roles hold the rights of the calls that are made, and no others."""

from __future__ import annotations

import ast
import json
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import botocore.client
import pytest

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.cli import main
from airflow_sagemaker.definition.compiler import compile_pipeline
from local_sagemaker.jobs.spec import JobSpec
from local_sagemaker.jobs.supervisor import JobSupervisor
from tests.support.deployed import step, substituted

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "plugins" / "airflow_sagemaker"
SPECIAL = {
    "s3:CopyObject": "s3:PutObject",
    "s3:HeadObject": "s3:GetObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
}
CALLS = {"call", "once", "pages"}
# Rights that go with a call: CreatePipeline hands the role over and may carry tags.
COMPANIONS = {"iam:PassRole", "sagemaker:AddTags"}


def action(service: str, operation: str) -> str:
    name = f"{service}:{operation}"
    return SPECIAL.get(name, name)


# What SageMaker does under the jobs' role and no local run can show: the image and the metrics of the job, as
# "SageMaker Roles" of its developer guide lists them.
BY_THE_SERVICE = {
    "cloudwatch:PutMetricData", "logs:DescribeLogStreams", "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
    "s3:AbortMultipartUpload",  # of an artifact whose upload is given up
    "s3:DeleteObject",  # see the page beside the policies
}  # fmt: skip
WRITES = """
import pathlib
checkpoints = pathlib.Path("/opt/ml/checkpoints")
assert (checkpoints / "old.pt").read_text() == "of an earlier run"
(checkpoints / "new.pt").write_text("new")
pathlib.Path("/opt/ml/output/data/report.json").write_text("{}")
pathlib.Path("/opt/ml/model/model.pt").write_text("model")
print("written")
"""


def as_list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def statements(name: str) -> list[dict[str, Any]]:
    return list(json.loads((ROOT / "docs" / "iam" / f"{name}.json").read_text())["Statement"])


def allowed(name: str = "airflow-role") -> set[str]:
    return {action for statement in statements(name) for action in as_list(statement["Action"])}


def allows(name: str, action: str, resource: str, words: Mapping[str, str]) -> bool:
    """Whether the policy, its words in capitals replaced, allows an action on a resource."""
    text = json.dumps([s for s in statements(name) if action in as_list(s["Action"])])
    for word, value in words.items():
        text = text.replace(word, value)
    patterns = [pattern for statement in json.loads(text) for pattern in as_list(statement["Resource"])]
    return any(fnmatchcase(resource, pattern) for pattern in patterns)


def resource_of(service: str, arguments: Mapping[str, Any]) -> str:
    if service == "s3":
        return "arn:aws:s3:::" + "/".join(arguments[key] for key in ("Bucket", "Key") if key in arguments)
    assert service == "logs", service
    return f"arn:aws:logs:us-east-1:123456789012:log-group:{arguments['logGroupName']}:stream"


def called_in_source() -> set[str]:
    """Each `call`, `once` or `pages("service", "operation", ...)` of the package: all its calls go through these."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
                names = [argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant)]
                if len(names) == 2:
                    found.add(action(names[0], "".join(part.capitalize() for part in names[1].split("_"))))
    return found


def test_the_policy_is_what_the_source_calls() -> None:
    source = called_in_source()
    assert "sagemaker:StartPipelineExecution" in source  # the search finds something at all
    assert allowed() == source | COMPANIONS


def on_each_call(monkeypatch: pytest.MonkeyPatch, seen: Callable[[str, str, Any], None]) -> None:
    """Call `seen` with service, operation and arguments of each call that botocore makes in this process."""
    original = botocore.client.BaseClient._make_api_call

    def recorded(client: Any, operation: str, arguments: Any) -> Any:
        seen(client.meta.service_model.signing_name, operation, arguments)
        return original(client, operation, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", recorded)


def recorded_calls(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The IAM actions of all calls from now on."""
    calls: set[str] = set()
    on_each_call(monkeypatch, lambda service, operation, _: calls.add(action(service, operation)))
    return calls


def written(config: PytorchTrainingConfig, server: Any, folder: Path) -> Path:
    """The configuration as a file, with its bucket and channels in S3."""
    s3, bucket = server.client("s3"), config.bucket
    s3.create_bucket(Bucket=bucket)
    for uri in config.channel_uris().values():
        s3.put_object(Bucket=bucket, Key=uri.removeprefix(f"s3://{bucket}/"), Body=b"rows")
    path = folder / "training.yaml"
    path.write_text(json.dumps(config.to_dict()))  # JSON is YAML
    return path


def test_a_run_makes_no_call_that_the_policy_lacks(
    config: PytorchTrainingConfig, local_sagemaker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "rights"
    path = written(config.updated(bucket=name, pipeline_name=name, distribution="none"), local_sagemaker, tmp_path)
    for variable, value in local_sagemaker.env.items():
        monkeypatch.setenv(variable, value)
    calls = recorded_calls(monkeypatch)
    assert main(["run", str(path), "--json"]) == 0
    assert main(["logs", str(path), "--json"]) == 0
    assert "sagemaker:StartPipelineExecution" in calls
    assert calls <= allowed()


def test_a_start_of_what_was_published_makes_no_call_that_the_start_only_policy_lacks(
    config: PytorchTrainingConfig, local_aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "start-rights"
    config = config.updated(bucket=name, pipeline_name=name, distribution="none", tags={"team": "flights"})
    path = written(config, local_aws, tmp_path)
    calls = recorded_calls(monkeypatch)
    assert main(["publish", str(path), "--json"]) == 0
    assert calls <= allowed()
    calls.clear()
    assert main(["run", str(path), "--json", "--sdk-python", "/bin/false"]) == 0
    assert {"sagemaker:StartPipelineExecution", "s3:GetObject"} <= calls <= allowed("airflow-start-role")


class Ends:
    """The API side's place: waits for a job's end."""

    def __init__(self) -> None:
        self.changes: dict[str, Any] = {}
        self.ended = threading.Event()

    def changed(self, arn: str, changes: Mapping[str, Any]) -> None:
        self.changes.update(changes)
        status = changes.get("TrainingJobStatus") or changes.get("ProcessingJobStatus")
        if status in {"Completed", "Failed", "Stopped"}:
            self.ended.set()


class Jobs:
    """Runs one job at a time on the local SageMaker's S3 and Logs; `calls` are those made for it."""

    def __init__(self, local_sagemaker: Any, folder: Path) -> None:
        self.calls: set[tuple[str, str]] = set()
        self._environment = local_sagemaker.env
        self._folder = folder

    def run(self, kind: Any, request: dict[str, Any]) -> None:
        ends = Ends()
        supervisor = JobSupervisor(
            self._folder, client_env=self._environment, events=ends, max_jobs=1, job_python=sys.executable,
            stop_grace_seconds=1,
        )  # fmt: skip
        try:
            arn = f"arn:aws:sagemaker:us-east-1:123456789012:{kind}-job/rights"
            supervisor.submit(JobSpec(kind, "rights", arn, request))
            assert ends.ended.wait(120)
        finally:
            supervisor.shutdown()
        assert ends.changes[f"{kind.capitalize()}JobStatus"] == "Completed", ends.changes


@pytest.fixture
def jobs(local_sagemaker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    found = Jobs(local_sagemaker, tmp_path / "jobs")
    on_each_call(
        monkeypatch,
        lambda service, operation, given: found.calls.add((action(service, operation), resource_of(service, given))),
    )
    return found


def words_of(bucket: str) -> dict[str, str]:
    return {"BUCKET": bucket, "PIPELINE_NAME": bucket, "REGION": "us-east-1", "ACCOUNT": "123456789012"}


def test_a_training_job_makes_no_call_that_the_jobs_role_lacks(
    config: PytorchTrainingConfig, local_sagemaker: Any, jobs: Jobs
) -> None:
    """The shipped definition's job with code, channels, a checkpoint to resume from, a report, a model and a log."""
    bucket = "execution-rights"
    (Path(config.source_dir) / "train.py").write_text(WRITES)
    config = config.updated(bucket=bucket, pipeline_name=bucket, distribution="none")
    compiled = compile_pipeline(config)
    s3 = local_sagemaker.client("s3")
    s3.create_bucket(Bucket=bucket)
    for upload in compiled.uploads:
        s3.put_object(Bucket=bucket, Key=upload.key, Body=Path(upload.path).read_bytes())
    for uri in (*config.channel_uris().values(), f"{config.checkpoint_path}/old.pt"):
        s3.put_object(Bucket=bucket, Key=uri.removeprefix(f"s3://{bucket}/"), Body=b"of an earlier run")
    request = substituted(step(compiled.definition)["Arguments"], config.pipeline_parameters())
    jobs.calls.clear()
    jobs.run("training", {"TrainingJobName": "rights", **request})

    words = words_of(bucket)
    assert [call for call in jobs.calls if not allows("job-role", *call, words)] == []
    written = {resource.split("/")[2] for name, resource in jobs.calls if name == "s3:PutObject"}
    assert written == {"output", "checkpoints"}, "both places that the policy lets a training write to"
    assert allowed("job-role") == {name for name, _ in jobs.calls} | BY_THE_SERVICE
    assert not allows("job-role", "s3:PutObject", f"arn:aws:s3:::{bucket}/{bucket}/code/x", words)
    registry, _, image = config.image().partition("/")
    image_arn = f"arn:aws:ecr:us-east-1:{registry.split('.')[0]}:repository/{image.split(':')[0]}"
    assert allows("job-role", "ecr:BatchGetImage", image_arn, words)


def test_the_processing_step_of_the_shipped_dag_makes_no_call_that_the_jobs_role_lacks(
    config: PytorchTrainingConfig, local_sagemaker: Any, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its inputs and outputs; the program behind them makes no calls."""
    bucket = "processing-rights"
    monkeypatch.syspath_prepend(ROOT / "dags")
    config = config.updated(bucket=bucket, pipeline_name=bucket)
    compiled = compile_pipeline(config, dependencies=["flight_delay.processing_step:preprocess_by_time"])
    s3 = local_sagemaker.client("s3")
    s3.create_bucket(Bucket=bucket)
    for upload in compiled.uploads:
        s3.put_object(Bucket=bucket, Key=upload.key, Body=Path(upload.path).read_bytes())
    raw = "raw/flights/date=2013-07-04/flights.parquet"
    s3.put_object(Bucket=bucket, Key=raw, Body=b"rows")
    splits = str(config.input_path).removeprefix(f"s3://{bucket}/")
    manifest = json.dumps([{"prefix": f"s3://{bucket}/raw/"}, raw.removeprefix("raw/")])
    s3.put_object(Bucket=bucket, Key=f"{splits}/raw.manifest", Body=manifest.encode())
    s3.put_object(Bucket=bucket, Key=f"{splits}/previous/previous.json", Body=b"[]")
    request = substituted(step(compiled.definition, "Preprocess")["Arguments"], config.pipeline_parameters())
    outputs = "/opt/ml/processing/output"
    script = f"ls {outputs}; for o in {outputs}/*; do echo x > $o/file; done"
    request["AppSpecification"] |= {"ContainerEntrypoint": ["/bin/bash", "-c", script]}
    del request["AppSpecification"]["ContainerArguments"]
    jobs.calls.clear()
    jobs.run("processing", {"ProcessingJobName": "rights", **request})

    assert [call for call in jobs.calls if not allows("job-role", *call, words_of(bucket))] == []
    written = {resource.split("/")[2] for name, resource in jobs.calls if name == "s3:PutObject"}
    assert written == {"input"}
    assert any("/ProcessingJobs" in resource for _, resource in jobs.calls)
    assert {"sagemaker:CreateProcessingJob", "sagemaker:StopProcessingJob"} <= allowed("pipeline-role")


def test_the_preprocessing_tasks_make_no_call_that_their_policy_lacks(local_sagemaker: Any, jobs: Jobs) -> None:
    from preprocessing import on_s3
    from preprocessing.flights.table import FLIGHTS
    from preprocessing.window import Window

    bucket = "preprocessing-rights"
    client = local_sagemaker.client("s3")
    client.create_bucket(Bucket=bucket)
    jobs.calls.clear()
    window = Window(date(2014, 3, 1), days=28)
    on_s3.extract(FLIGHTS, client, bucket, window, list_for=bucket)
    on_s3.preprocess(FLIGHTS, client, bucket, bucket, window)
    assert [call for call in jobs.calls if not allows("preprocessing-role", *call, words_of(bucket))] == []
    assert {name for name, _ in jobs.calls} >= {"s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:DeleteObject"}
