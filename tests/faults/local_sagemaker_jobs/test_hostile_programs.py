"""Programs that hang, fork, flood, lie or fill the disk: contained, and the job says what happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.local_jobs import BUCKET, IMAGE, ROLE, Backend, Jobs, channel, processes_with, script_request
from tests.support.small_disk import small_disk
from tests.support.waiting import wait_until


@pytest.fixture(params=["jobs", "rewriting_jobs"])
def both(request: pytest.FixtureRequest) -> Jobs:
    return request.getfixturevalue(request.param)


def marked(text: str, mark: str, **members: Any) -> dict[str, Any]:
    return script_request(text, Environment={"MARK": mark}, **members)


DAEMONS = """
import os, signal, subprocess, sys, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            time.sleep(600)
        os._exit(0)
subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; setsid sleep 600 & sleep 600"], start_new_session=True)
time.sleep(0.3)
print("daemons are up", flush=True)
"""


def test_daemons_end_with_the_program(both: Jobs) -> None:
    mark = uuid.uuid4().hex
    ended = both.run(f"daemons-{mark}", marked(DAEMONS, mark))
    assert ended["TrainingJobStatus"] == "Completed"
    assert processes_with(mark) == []


def test_a_program_that_hangs_is_ended_at_its_limit(backend: Backend, tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    strict = Jobs(backend, tmp_path, stop_grace_seconds=0.5)
    hang = DAEMONS + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(60)"
    ended = strict.run("hang", marked(hang, mark, StoppingCondition={"MaxRuntimeInSeconds": 2}))
    assert ended["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert processes_with(mark) == []


@pytest.mark.parametrize("rewrite", [False, True])
def test_a_fork_bomb_is_ended_and_named(backend: Backend, tmp_path: Path, rewrite: bool) -> None:
    mark = uuid.uuid4().hex
    few = Jobs(backend, tmp_path, max_processes=60, rewrite_paths=rewrite)
    bomb = """
import os, time
for _ in range(100):
    if os.fork() == 0:
        os.setsid()
        while True:
            if os.fork() == 0:
                os._exit(0)
            time.sleep(0.05)
time.sleep(600)
"""
    ended = few.run("bomb", marked(bomb, mark))
    assert ended["TrainingJobStatus"] == "Failed"
    assert "more than 60 processes" in ended["FailureReason"]
    assert processes_with(mark) == []


@pytest.mark.parametrize("options", [(), ("--rewrite",)])
def test_kill_9_of_the_server_leaves_no_process(backend: Backend, tmp_path: Path, options: tuple[str, ...]) -> None:
    mark = uuid.uuid4().hex
    server = tmp_path / "server.py"
    server.write_text(SERVER)
    root = Path(__file__).parents[3]
    command = [sys.executable, str(server), str(tmp_path / "data"), mark, Jobs.arn("training", "orphan"), *options]
    process = subprocess.Popen(command, env={**os.environ, **backend.env, "PYTHONPATH": f"{root}:{root / 'bin'}"})
    try:
        log = tmp_path / "data/jobs/training/orphan/host-1/output.log"
        wait_until(lambda: log.exists() and "daemons are up" in log.read_text(), "the job runs")
        assert len(processes_with(mark)) >= 5
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: not processes_with(mark), "every process of the job is gone", 20)


SERVER = (
    """
import sys, time
from pathlib import Path
from tests.support.local_jobs import Recorder, script_request
from local_sagemaker.jobs.spec import JobSpec
from local_sagemaker.jobs.supervisor import JobSupervisor
import os
supervisor = JobSupervisor(Path(sys.argv[1]), client_env={k: v for k, v in os.environ.items() if k.startswith("AWS_")},
    events=Recorder(), max_jobs=1, job_python=sys.executable, stop_grace_seconds=5, rewrite_paths=len(sys.argv) > 4)
text = '''"""
    + DAEMONS
    + """
time.sleep(600)'''
supervisor.submit(JobSpec("training", "orphan", sys.argv[3], script_request(text, Environment={"MARK": sys.argv[2]})))
time.sleep(600)
"""
)


def test_shutdown_ends_all_and_reports_nothing(backend: Backend, tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    one = Jobs(backend, tmp_path)
    arn = one.submit("shut", marked(DAEMONS + "time.sleep(600)", mark))
    one.wait_for_log("shut", "daemons are up")
    one.supervisor.shutdown()
    assert processes_with(mark) == []
    assert one.status(arn) == "InProgress"


def test_a_flood_of_output_is_capped_and_its_end_is_kept(backend: Backend, tmp_path: Path) -> None:
    capped = Jobs(backend, tmp_path, log_file_bytes=2**20, log_stream_bytes=2**16)
    flood = """
import sys
line = "x" * 99 + "\\n"
for _ in range(100):
    sys.stdout.write(line * 10000)
print("Train Loss: 0.125")
raise SystemExit(4)
"""
    request = script_request(flood)
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "Loss", "Regex": "Train Loss: ([0-9.]+)"}]
    ended = capped.run("flood", request)
    assert ended["FailureReason"].endswith("Train Loss: 0.125, exit code: 4")
    assert ended["FinalMetricDataList"][0]["Value"] == 0.125
    log = capped.log("flood")
    assert len(log) < 2 * 2**20
    assert "[log file reached 1048576 bytes; only its last lines will follow]" in log
    assert "lines left out]" in log
    assert log.endswith("Train Loss: 0.125\n")
    events = list_events(backend, "flood")
    assert events[-1] == "Train Loss: 0.125"
    assert sum(map(len, events)) < 2**17


def list_events(backend: Backend, job: str) -> list[str]:
    client, token, found = backend.client("logs"), None, []
    group = "/aws/sagemaker/TrainingJobs"
    streams = client.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
    while True:
        more = {"nextToken": token} if token else {}
        page = client.get_log_events(
            logGroupName=group, logStreamName=streams[0]["logStreamName"], startFromHead=True, **more
        )
        found += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token or not page["events"]:
            return found
        token = page["nextForwardToken"]


def test_binary_output_and_endless_lines_are_kept_as_text(jobs: Jobs, backend: Backend) -> None:
    text = """
import os, sys
os.write(1, bytes(range(256)) * 40 + b"\\n")
os.write(1, b"y" * 300000)
os.write(1, b"\\nafter\\r\\n")
"""
    ended = jobs.run("binary", script_request(text))
    assert ended["TrainingJobStatus"] == "Completed"
    assert jobs.log("binary").endswith("after\n")
    assert list_events(backend, "binary")[-1] == "after"


@pytest.mark.parametrize("regex", ["^(a+)+$", "(a|aa)+$", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_a_regex_that_never_ends_is_given_up_and_the_job_goes_on(jobs: Jobs, backend: Backend, regex: str) -> None:
    request = script_request("print('a' * 60 + '!', flush=True); print('loss=0.5')")
    request["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "Evil", "Regex": regex},
        {"Name": "Loss", "Regex": "loss=([0-9.]+)"},
    ]
    name = f"evil-regex-{len(regex)}"
    ended = jobs.run(name, request)
    assert ended["TrainingJobStatus"] == "Completed"
    assert [metric["MetricName"] for metric in ended["FinalMetricDataList"]] == ["Loss"]
    assert "the metric 'Evil' is given up" in jobs.log(name)


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
    assert "more than the 1024 MB that there is room for" in ended["FailureReason"]


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


@pytest.mark.parametrize("rewrite", [False, True])
def test_killing_its_own_supervisor_is_a_failure_and_leaves_nothing(
    backend: Backend, tmp_path: Path, rewrite: bool
) -> None:
    """With a PID namespace the program cannot reach it; without one it can, and the server still cleans up."""
    mark = uuid.uuid4().hex
    text = (
        DAEMONS + "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(1)\nprint('survived', flush=True)\ntime.sleep(600)"
    )
    request = marked(text, mark, StoppingCondition={"MaxRuntimeInSeconds": 3})
    ended = Jobs(backend, tmp_path, stop_grace_seconds=0.5, rewrite_paths=rewrite).run("patricide", request)
    assert ended["TrainingJobStatus"] in {"Failed", "Stopped"}
    assert processes_with(mark) == []


def test_a_slow_reader_does_not_lose_the_end(jobs: Jobs) -> None:
    started = time.monotonic()
    ended = jobs.run("burst", script_request("for n in range(50000): print('line', n)\nprint('the end')"))
    assert ended["TrainingJobStatus"] == "Completed"
    assert jobs.log("burst").endswith("the end\n")
    assert time.monotonic() - started < 80
