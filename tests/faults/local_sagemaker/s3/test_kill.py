"""The S3 process dies at any moment: what was answered is there, and nothing is half there."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from local_sagemaker.s3.storage.catalog import Catalog, Info
from local_sagemaker.s3.storage.listing import list_page
from local_sagemaker.s3.storage.objects import Objects
from tests.support.s3_server import LocalS3
from tests.support.waiting import wait_until

PART = 5 * 2**20
ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalS3]:
    server = LocalS3(tmp_path)
    server.client().create_bucket(Bucket="bucket")
    yield server
    server.stop()


class Writers:
    """Threads that write until they are told to end, and keep what was answered."""

    def __init__(self, server: LocalS3) -> None:
        self._server = server
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self.answered: dict[str, str] = {}
        """The number of the last write that was answered, by key."""
        self.begun: dict[str, int] = {}

    def start(self, key: str, write: Callable[[Any, str, int], None]) -> None:
        def work() -> None:
            client, number = self._server.client(connect_timeout=2, read_timeout=20), 0
            while not self._ending.is_set():
                number += 1
                self.begun[key] = number
                with contextlib.suppress(BotoCoreError, ClientError):
                    write(client, key, number)
                    self.answered[key] = str(number)

        self._threads.append(threading.Thread(target=work))
        self._threads[-1].start()

    def stop(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()


def body(key: str, number: int) -> bytes:
    """A content that says who wrote it; long enough to take several pieces."""
    return f"{key} {number} ".encode().ljust(64, b".") * (2**21 // 64)


def put(client: Any, key: str, number: int) -> None:
    client.put_object(
        Bucket="bucket", Key=key, Body=body(key, number), Metadata={"n": str(number)}, Tagging=f"n={number}"
    )


def copy(client: Any, key: str, number: int) -> None:
    client.put_object(
        Bucket="bucket", Key=f"{key}-source", Body=body(key, number), Metadata={"n": str(number)}, Tagging=f"n={number}"
    )
    client.copy_object(Bucket="bucket", Key=key, CopySource=f"bucket/{key}-source")


def in_parts(client: Any, key: str, number: int) -> None:
    named = {"Bucket": "bucket", "Key": key}
    upload = client.create_multipart_upload(**named, Metadata={"n": str(number)}, Tagging=f"n={number}")
    named["UploadId"] = upload["UploadId"]
    whole = (body(key, number) * 3)[: PART + 64 * 1000]
    parts = []
    for position, piece in enumerate((whole[:PART], whole[PART:]), 1):
        etag = client.upload_part(**named, PartNumber=position, Body=piece)["ETag"]
        parts.append({"PartNumber": position, "ETag": etag})
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})


def check(server: LocalS3, writers: Writers) -> None:
    """Each object is one of its writes as a whole, and none older than the last one that was answered."""
    client = server.client(retries={"max_attempts": 8, "mode": "standard"})
    listed = {item["Key"]: item for item in client.list_objects_v2(Bucket="bucket").get("Contents", [])}
    for key, answered in writers.answered.items():
        found = client.get_object(Bucket="bucket", Key=key)
        content, number = found["Body"].read(), int(found["Metadata"]["n"])
        assert int(answered) <= number <= writers.begun[key]
        whole = body(key, number) if len(content) == 2**21 else (body(key, number) * 3)[: PART + 64 * 1000]
        assert content == whole
        if "-" not in found["ETag"]:
            assert found["ETag"].strip('"') == hashlib.md5(content, usedforsecurity=False).hexdigest()
        assert (listed[key]["ETag"], listed[key]["Size"]) == (found["ETag"], len(content))
        assert client.get_object_tagging(Bucket="bucket", Key=key)["TagSet"] == [{"Key": "n", "Value": str(number)}]
    for key in set(listed) - set(writers.answered):
        assert listed[key]["Size"] in (2**21, PART + 64 * 1000)


@pytest.mark.parametrize("kills", [4, pytest.param(40, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])])
def test_uploads_and_copies(server: LocalS3, kills: int) -> None:
    writers = Writers(server)
    for number, write in enumerate((put, copy, in_parts, put)):
        writers.start(f"folder/{write.__name__}{number}", write)
    try:
        for number in range(kills):
            begun = sum(writers.begun.values())
            # at another point of some write each time
            wait_until(lambda begun=begun, more=1 + number % 5: sum(writers.begun.values()) >= begun + more, "requests")
            time.sleep(number * 0.037 % 0.2)
            pid = server.pid
            server.kill()
            wait_until(lambda pid=pid: server.pid != pid, "another server process")
    finally:
        writers.stop()
    wait_until(lambda: len(list((server.folder / ".incomplete").iterdir())) <= kills, "the clean-up")
    check(server, writers)
    assert writers.answered


DIES = """
import os, pathlib, sys
from local_sagemaker.s3.storage.catalog import Catalog, Info
from local_sagemaker.s3.storage.objects import Objects

folder, moment = pathlib.Path(sys.argv[1]), sys.argv[2]
objects = Objects(folder / "s3", Catalog(folder / "s3.db"))
rename = pathlib.Path.rename

def die(path, target):
    if moment == "after":
        rename(path, target)
    os._exit(9)

with objects.stage() as staged:
    staged.write(b"new content")
    pathlib.Path.rename = die
    objects.publish(staged, "bucket", "folder/k", Info("new", metadata={"n": "new"}))
"""


@pytest.mark.parametrize(("moment", "kept"), [("before", "old"), ("after", "new")])
def test_the_rename_decides(tmp_path: Path, moment: str, kept: str) -> None:
    """Content and what belongs to it change at the same moment, when the file gets its name."""
    objects = Objects(tmp_path / "s3", Catalog(tmp_path / "s3.db"))
    objects.create_bucket("bucket", "us-east-1", None)
    with objects.stage() as staged:
        staged.write(b"old content")
        objects.publish(staged, "bucket", "folder/k", Info("old", metadata={"n": "old"}))
    died = subprocess.run([sys.executable, "-c", DIES, str(tmp_path), moment], cwd=ROOT, check=False, timeout=60)
    assert died.returncode == 9
    found = objects.find("bucket", "folder/k")
    assert (found.info.etag, found.info.metadata) == (kept, {"n": kept})
    assert (tmp_path / "s3/bucket/folder/k").read_bytes() == f"{kept} content".encode()
    [listed] = list_page(objects, "bucket").objects
    assert listed == found


def test_a_completion_that_was_cut_off_is_completed_again(server: LocalS3) -> None:
    """The file of the object is made ready, then the process dies before it has its name."""
    client = server.client(retries={"max_attempts": 8, "mode": "standard"})
    named = {"Bucket": "bucket", "Key": "big"}
    named["UploadId"] = client.create_multipart_upload(**named, Metadata={"a": "b"})["UploadId"]
    contents = [bytes([number]) * PART for number in range(1, 4)]
    parts = [
        {"PartNumber": number, "ETag": client.upload_part(**named, PartNumber=number, Body=content)["ETag"]}
        for number, content in enumerate(contents, 1)
    ]
    whole = server.folder / ".incomplete" / named["UploadId"] / "whole"
    assert whole.stat().st_size == 3 * PART
    server.kill()
    wait_until(lambda: client.list_parts(**named)["Parts"], "the first part")
    first = client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts[:2]})
    again = client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts[:2]})  # a reply that was lost
    assert first["ETag"] == again["ETag"]
    found = client.get_object(Bucket="bucket", Key="big")
    assert found["Body"].read() == b"".join(contents[:2])
    assert found["Metadata"] == {"a": "b"}
    assert not whole.parent.exists()


def test_everything_outlives_a_restart(tmp_path: Path) -> None:
    server = LocalS3(tmp_path)
    client = server.client()
    client.create_bucket(Bucket="bucket")
    client.put_bucket_tagging(Bucket="bucket", Tagging={"TagSet": [{"Key": "b", "Value": "1"}]})
    put_answer = client.put_object(
        Bucket="bucket", Key="k", Body=b"content", Metadata={"a": "b"}, ContentType="text/x", Tagging="t=1"
    )
    upload = client.create_multipart_upload(Bucket="bucket", Key="big")["UploadId"]
    part = client.upload_part(Bucket="bucket", Key="big", UploadId=upload, PartNumber=1, Body=b"part")
    server.stop()
    again = LocalS3(tmp_path)
    try:
        client = again.client()
        found = client.get_object(Bucket="bucket", Key="k", ChecksumMode="ENABLED")
        assert (found["Body"].read(), found["Metadata"], found["ContentType"]) == (b"content", {"a": "b"}, "text/x")
        assert (found["ETag"], found["ChecksumCRC32"]) == (put_answer["ETag"], put_answer["ChecksumCRC32"])
        assert client.get_object_tagging(Bucket="bucket", Key="k")["TagSet"] == [{"Key": "t", "Value": "1"}]
        assert client.get_bucket_tagging(Bucket="bucket")["TagSet"] == [{"Key": "b", "Value": "1"}]
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(Bucket="bucket", Key="big", UploadId=upload, MultipartUpload=parts)
        assert client.get_object(Bucket="bucket", Key="big")["Body"].read() == b"part"
    finally:
        again.stop()
