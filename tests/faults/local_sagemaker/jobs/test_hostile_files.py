"""Files that a job leaves or names: what is not a file, links, holes, a full disk, paths that lead out."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.support.local_jobs import BUCKET, IMAGE, ROLE, Backend, Jobs, channel, script_request
from tests.support.small_disk import small_disk

STRANGE = {
    "FIFO": "os.mkfifo(path)",
    "link to a FIFO": "os.mkfifo('/opt/ml/tmp/fifo'); os.symlink('/opt/ml/tmp/fifo', path)",
    "socket": "import socket; socket.socket(socket.AF_UNIX).bind(path)",
    "folder": "os.mkdir(path)",
    "link to a device": "os.symlink('/dev/zero', path)",
    "link to itself": "os.symlink(path, path)",
}


@pytest.mark.parametrize("strange", STRANGE)
def test_what_is_no_file_ends_no_job_late(jobs: Jobs, backend: Backend, strange: str) -> None:
    text = f"""
import os
os.makedirs("/opt/ml/tmp", exist_ok=True)
os.chdir("/opt/ml")  # a socket's path is short
for path in ("output/failure", "model/x", "output/data/x", "checkpoints/x"):
    try:
        {STRANGE[strange]}
    except FileExistsError:
        os.symlink("/opt/ml/tmp/fifo", path)
print("made", flush=True)
raise SystemExit(CODE)
"""
    for code in (0, 1):
        name = f"strange-{strange.replace(' ', '-')}-{code}"
        config = {"S3Uri": f"s3://{BUCKET}/{name}"}
        ended = jobs.run(name, script_request(text.replace("CODE", str(code)), CheckpointConfig=config))
        assert ended["TrainingJobStatus"] == ("Failed" if code else "Completed"), ended
        assert not backend.path(f"{name}/x").exists()


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder that a job has no business with."""
    for name in ("failure", "data/failure", "x"):
        (tmp_path / "foreign" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "foreign" / name).write_text("foreign words")
    return tmp_path / "foreign"


@pytest.mark.parametrize(
    ("replaced", "compression"),
    [("output/data", "GZIP"), ("model", "GZIP"), ("model", "NONE"), ("checkpoints", "GZIP"), ("output", "GZIP")],
)
def test_a_folder_that_became_a_link_is_not_followed(
    jobs: Jobs, backend: Backend, foreign: Path, replaced: str, compression: str
) -> None:
    text = f"""
import os, shutil
shutil.rmtree("/opt/ml/{replaced}")
os.symlink({str(foreign)!r}, "/opt/ml/{replaced}")
raise SystemExit(CODE)
"""
    for code in (0, 1):
        out = f"linked-{uuid.uuid4().hex}"
        request = script_request(
            text.replace("CODE", str(code)),
            OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/{out}", "CompressionType": compression},
            CheckpointConfig={"S3Uri": f"s3://{BUCKET}/{out}"},
        )
        ended = jobs.run(out, request)
        assert ended["TrainingJobStatus"] == ("Failed" if code else "Completed"), ended
        assert "foreign" not in ended.get("FailureReason", "")
        assert [path for path in backend.path(out).rglob("*") if path.is_file()] == []


def test_outputs_of_processing_are_not_followed_out_of_their_folder(
    both: Jobs, backend: Backend, foreign: Path
) -> None:
    text = f"""
import os, shutil
os.mkfifo("/opt/ml/output/message")
for name in ("end", "live"):
    shutil.rmtree("/opt/ml/processing/" + name)
    os.symlink({str(foreign)!r}, "/opt/ml/processing/" + name)
os.mkfifo("/opt/ml/processing/plain/fifo")
os.symlink({str(foreign / "x")!r}, "/opt/ml/processing/plain/link")
open("/opt/ml/processing/plain/x", "w").write("own")
"""
    out = f"processed-{uuid.uuid4().hex}"
    outputs = [
        {
            "OutputName": name,
            "S3Output": {"S3Uri": f"s3://{BUCKET}/{out}/{name}", "LocalPath": f"/opt/ml/processing/{name}",
                         "S3UploadMode": "Continuous" if name == "live" else "EndOfJob"},
        }
        for name in ("end", "live", "plain")
    ]  # fmt: skip
    request = {
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", "-c", text]},
        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large"}},
        "ProcessingOutputConfig": {"Outputs": outputs},
    }
    ended = both.run(out, request, "processing")
    assert ended["ProcessingJobStatus"] == "Completed", ended
    stored = [path for path in backend.path(out).rglob("*") if path.is_file()]
    assert stored == [backend.path(f"{out}/plain/x")]
    assert backend.read(f"{out}/plain/x") == b"own"


@pytest.mark.parametrize("compression", ["GZIP", "NONE"])
def test_a_file_of_holes_ends_the_job_and_names_it(jobs: Jobs, backend: Backend, compression: str) -> None:
    text = "import os; os.truncate(open('/opt/ml/model/holes', 'wb').name, 10**13)"
    output = {"S3OutputPath": f"s3://{BUCKET}/holes", "CompressionType": compression}
    ended = jobs.run(f"holes-{compression}", script_request(text, OutputDataConfig=output))
    assert ended["TrainingJobStatus"] == "Failed"
    assert ended["FailureReason"].startswith("ClientError: Artifact upload failed: ")
    assert "exceed the limit of 1024 MB" in ended["FailureReason"]


def test_folders_without_an_end_end_the_job_and_can_be_removed(jobs: Jobs) -> None:
    deep = """
import os
os.chdir("/opt/ml/model")
for _ in range(3000):
    os.mkdir("d")
    os.chdir("d")
"""
    for text, status in ((deep, "Failed"), (deep, "Failed"), ("print('as before')", "Completed")):
        ended = jobs.run("deep", script_request(text))
        assert ended["TrainingJobStatus"] == status, ended
        assert "nested more than 128 deep" in ended.get("FailureReason", "nested more than 128 deep")
    assert jobs.log("deep") == "as before\n"


def test_filling_the_volume_ends_the_job_and_names_it(jobs: Jobs) -> None:
    text = """
import os, time
with open("/opt/ml/output/data/big", "wb") as file:
    file.truncate(0)
    for n in range(1200):
        os.posix_fallocate(file.fileno(), n << 20, 1 << 20)
print("filled", flush=True)
os.rename("/opt/ml/output/data/big", "/opt/ml/big")
time.sleep(600)
"""
    ended = jobs.run("volume", script_request(text))
    assert ended["TrainingJobStatus"] == "Failed"
    assert ended["FailureReason"].startswith("ClientError: No space left on device: the job uses 1")
    assert "its volume has 1024 MB" in ended["FailureReason"]


def test_a_job_that_fills_the_disk_is_ended_and_the_reason_names_the_disk(backend: Backend, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", megabytes=64) as folder:
        full = Jobs(backend, folder, disk_reserve_bytes=16 * 2**20)
        text = """
import time
open("/opt/ml/output/data/big", "wb").write(b"x" * 55 * 2**20)
time.sleep(600)
"""
        ended = full.run("full", script_request(text))
        assert ended["TrainingJobStatus"] == "Failed"
        assert f"ClientError: No space left on device: the disk of {folder}" in ended["FailureReason"]
        again = full.run("again", script_request("print('never')"))
        assert again["FailureReason"] == ended["FailureReason"]  # the first one's folder is still there


@pytest.mark.parametrize("key", ["../../outside", "a/../../../outside"])
def test_key_names_cannot_leave_the_channel(jobs: Jobs, backend: Backend, key: str) -> None:
    backend.put("safe/here", "x")
    backend.put("list.json", f'[{{"prefix": "s3://{BUCKET}/safe/"}}, "{key}"]')
    listed = channel("train", "list.json", S3DataType="ManifestFile")
    name = f"escape-{len(key)}"
    ended = jobs.run(name, script_request("print('never')", InputDataConfig=[listed]))
    assert ended["TrainingJobStatus"] == "Failed"
    assert "points outside of its channel" in ended["FailureReason"]


@pytest.mark.parametrize("name", ["../code", "..", "a/b"])
def test_channel_names_cannot_leave_the_folder(jobs: Jobs, backend: Backend, name: str) -> None:
    backend.put("safe/here", "x")
    ended = jobs.run("channel-name", script_request("print('never')", InputDataConfig=[channel(name, "safe/")]))
    assert ended["TrainingJobStatus"] == "Failed"
    assert "ChannelName" in ended["FailureReason"]


@pytest.mark.parametrize("path", ["/etc", "/opt/ml/../../etc", "/opt/ml"])
def test_checkpoints_cannot_leave_the_folder(jobs: Jobs, path: str) -> None:
    config = {"S3Uri": f"s3://{BUCKET}/ck", "LocalPath": path}
    ended = jobs.run("local-path", script_request("print('never')", CheckpointConfig=config))
    assert ended["TrainingJobStatus"] == "Failed"
    assert f"LocalPath {path!r} is not below /opt/ml" in ended["FailureReason"]


def test_links_in_what_a_job_leaves_are_not_followed(jobs: Jobs, backend: Backend) -> None:
    text = """
import os
os.symlink("/etc/passwd", "/opt/ml/checkpoints/passwd")
os.symlink("/etc", "/opt/ml/model/etc")
os.symlink("/etc/passwd", "/opt/ml/output/failure")
open("/opt/ml/checkpoints/real", "w").write("r")
raise SystemExit(1)
"""
    ended = jobs.run("links", script_request(text, CheckpointConfig={"S3Uri": f"s3://{BUCKET}/ck-links"}))
    assert backend.read("ck-links/real") == b"r"
    assert not backend.path("ck-links/passwd").exists()
    assert "root:" not in ended["FailureReason"]
