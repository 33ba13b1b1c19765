"""A disk that is full: refused by its name, what was answered is kept, and work goes on once there is room."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from .conftest import Server
from .test_kill import create

PIPELINE = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/kill"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"small", str(folder).encode(), b"tmpfs", 0, b"size=12m"):
        pytest.skip(f"mounting is not allowed here: {os.strerror(ctypes.get_errno())}")
    yield folder
    libc.umount2(str(folder).encode(), 2)  # detached: whatever still has it open does not matter


def fill(path: Path) -> None:
    """Take every byte that is left, to the last."""
    with path.open("wb", buffering=0) as stream:
        for size in (65536, 4096, 1):
            try:
                while stream.write(b"x" * size):
                    pass
            except OSError:
                continue


def test_full_disk_refuses_by_name_and_loses_nothing(serve: Callable[..., Server], small_disk: Path) -> None:
    server = serve(small_disk / "data")
    sagemaker, s3 = server.client("sagemaker"), server.client("s3")
    s3.create_bucket(Bucket="kill")
    create(server, "echo trained")
    kept: list[int] = []

    def tag() -> None:
        for number in range(3000):  # the write-ahead log has some pages left to write on
            value = f"{number}-" + "v" * 200
            sagemaker.add_tags(ResourceArn=PIPELINE, Tags=[{"Key": f"k{number % 40}", "Value": value}])
            kept.append(number)

    fill(small_disk / "filler")
    with pytest.raises(ClientError, match="Is its disk full") as caught:
        tag()
    assert str(server.data_dir) in str(caught.value)
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket="kill", Key="big", Body=b"x" * 2**20)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
    assert "Contents" not in s3.list_objects_v2(Bucket="kill")  # nothing half-written
    assert sagemaker.describe_pipeline(PipelineName="kill")["PipelineStatus"] == "Active"  # reading goes on
    (small_disk / "filler").unlink()
    sagemaker.add_tags(ResourceArn=PIPELINE, Tags=[{"Key": "after", "Value": "1"}])
    server.kill()
    again = serve(small_disk / "data")
    tags = {tag["Key"]: tag["Value"] for tag in again.client("sagemaker").list_tags(ResourceArn=PIPELINE)["Tags"]}
    assert tags.pop("after") == "1"
    # the last value of each key that was answered is the one that is kept
    assert {key: value.partition("-")[0] for key, value in tags.items()} == {f"k{n % 40}": str(n) for n in kept}
