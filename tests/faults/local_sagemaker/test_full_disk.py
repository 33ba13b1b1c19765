"""A disk that is full: refused by its name, what was answered is kept, and work goes on once there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.small_disk import small_disk
from tests.support.waiting import wait_until

from .conftest import Server
from .pipelines import create_training, job, start, wait_end

PIPELINE = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/kill"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small") as folder:
        yield folder


def fill(path: Path) -> None:
    """Take every byte that is left, to the last."""
    with path.open("wb", buffering=0) as stream:
        for size in (65536, 4096, 1):
            try:
                while stream.write(b"x" * size):
                    pass
            except OSError:
                continue


def test_full_disk_refuses_by_name_and_loses_nothing(serve: Callable[..., Server], small: Path) -> None:
    server = serve(small / "data")
    sagemaker, s3 = server.client("sagemaker"), server.client("s3")
    s3.create_bucket(Bucket="kill")
    create_training(server, "echo trained")
    kept: list[int] = []

    def tag() -> None:
        for number in range(3000):  # the write-ahead log has some pages left to write on
            value = f"{number}-" + "v" * 200
            sagemaker.add_tags(ResourceArn=PIPELINE, Tags=[{"Key": f"k{number % 40}", "Value": value}])
            kept.append(number)

    fill(small / "filler")
    with pytest.raises(ClientError, match="Is its disk full") as caught:
        tag()
    assert str(server.data_dir) in str(caught.value)
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket="kill", Key="big", Body=b"x" * 2**20)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
    assert "Contents" not in s3.list_objects_v2(Bucket="kill")  # nothing half-written
    assert sagemaker.describe_pipeline(PipelineName="kill")["PipelineStatus"] == "Active"  # reading goes on
    (small / "filler").unlink()
    sagemaker.add_tags(ResourceArn=PIPELINE, Tags=[{"Key": "after", "Value": "1"}])
    server.kill()
    again = serve(small / "data")
    tags = {tag["Key"]: tag["Value"] for tag in again.client("sagemaker").list_tags(ResourceArn=PIPELINE)["Tags"]}
    assert tags.pop("after") == "1"
    # the last value of each key that was answered is the one that is kept
    assert {key: value.partition("-")[0] for key, value in tags.items()} == {f"k{n % 40}": str(n) for n in kept}


def failed_step(server: Server) -> dict[str, Any]:
    """The step of the execution, once it has failed."""
    arn = start(server)
    assert wait_end(server, arn)["PipelineExecutionStatus"] == "Failed"
    [step] = server.client("sagemaker").list_pipeline_execution_steps(PipelineExecutionArn=arn)[
        "PipelineExecutionSteps"
    ]
    return dict(step)


def test_artifact_that_does_not_fit_fails_its_job_naming_the_disk_of_s3(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with small_disk(tmp_path / "data" / "s3") as folder:
        server = serve()
        s3 = server.client("s3")
        s3.create_bucket(Bucket="kill")
        create_training(server, "head -c 20000000 /dev/urandom > /opt/ml/model/weights", retried=False)
        reason = failed_step(server)["FailureReason"]
        assert "Artifact upload failed: No space left on device: the disk of" in reason
        assert f"the disk of {folder} has only " in reason
        assert "the file has 19 MB" in reason
        assert "Contents" not in s3.list_objects_v2(Bucket="kill")
        assert f"the disk of {folder} has only " in server.log()
        with pytest.raises(ClientError, match=rf"\(InsufficientStorage\)(?s:.*)the disk of {folder} has only "):
            s3.put_object(Bucket="kill", Key="large", Body=b"x" * 20_000_000)
        assert "Contents" not in s3.list_objects_v2(Bucket="kill")
        server.stop()


def test_job_does_not_start_on_a_disk_without_room(serve: Callable[..., Server], small: Path) -> None:
    server = serve(small / "data")
    server.client("s3").create_bucket(Bucket="kill")
    create_training(server, "true", retried=False)
    reason = failed_step(server)["FailureReason"]
    assert f"ClientError: No space left on device: the disk of {server.data_dir} has only 1" in reason
    request = job("true") | {"TrainingJobName": "direct"}
    client = server.client("sagemaker")
    client.create_training_job(**request)
    found = wait_for_job(client, "direct")
    assert (found["TrainingJobStatus"], str(server.data_dir) in found["FailureReason"]) == ("Failed", True)


def wait_for_job(client: Any, name: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = client.describe_training_job(TrainingJobName=name)
        return None if found["TrainingJobStatus"] == "InProgress" else found

    return dict(wait_until(ended, f"the end of {name}"))
