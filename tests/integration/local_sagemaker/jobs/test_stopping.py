"""Ends that the program did not choose: stop, the run time's limit, spot interruptions; and its checkpoints then."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest

from local_sagemaker.jobs.supervisor import UnknownJob
from tests.support.local_jobs import BUCKET, WAITS, Backend, Jobs, script_request
from tests.support.waiting import wait_until

GRACEFUL = """
import os, signal, sys, time
def end(*_):
    with open("/opt/ml/checkpoints/last", "w") as file:
        file.write("saved at the end")
    os.utime("/opt/ml/checkpoints/last", (time.time() + 60,) * 2)  # as fresh as can be when the job ends
    with open("/opt/ml/model/m", "w") as file:
        file.write("partial model")
    print("saved")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    time.sleep(1)
"""


def with_checkpoints(text: str, prefix: str, **members: Any) -> dict[str, Any]:
    return script_request(text, CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints/{prefix}"}, **members)


def test_stop_gives_time_to_save_and_uploads_what_was_saved(jobs: Jobs, backend: Backend) -> None:
    arn = jobs.submit("stopped", with_checkpoints(GRACEFUL, "stopped"))
    jobs.wait_for_log("stopped", "ready")
    jobs.supervisor.stop(arn)
    ended = jobs.wait(arn)
    assert (ended["TrainingJobStatus"], ended["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert jobs.events.history[arn] == ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
    assert backend.read("checkpoints/stopped/last") == b"saved at the end"
    with tarfile.open(fileobj=io.BytesIO(backend.read("out/stopped/output/model.tar.gz"))) as tar:
        assert tar.getnames() == ["m"]
    assert "FailureReason" not in ended


DRIVER = """
import signal, subprocess, sys
process = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGTERM))
for line in process.stdout:
    print(line.decode().strip(), flush=True)
sys.exit(process.wait())
"""


@pytest.mark.parametrize("way", ["jobs", "rewriting_jobs"])
def test_a_first_process_that_hands_the_signal_down_lets_the_program_save(
    request: pytest.FixtureRequest, way: str
) -> None:
    """As this project's drivers do: a shell that is replaced, and a parent that reads the program by a pipe."""
    jobs: Jobs = request.getfixturevalue(way)
    job = with_checkpoints(GRACEFUL, way)
    job["AlgorithmSpecification"]["ContainerEntrypoint"] = ["/bin/bash", "-c", 'cd /; exec python3 -c "$0" "$1"']
    job["AlgorithmSpecification"]["ContainerArguments"] = [DRIVER, GRACEFUL]
    arn = jobs.submit(f"nested-{way}".replace("_", "-"), job)
    name = arn.rpartition("/")[2]
    jobs.wait_for_log(name, "ready")
    jobs.supervisor.stop(arn)
    assert jobs.wait(arn)["TrainingJobStatus"] == "Stopped"
    assert "saved" in jobs.log(name).splitlines()
    assert jobs.backend.read(f"checkpoints/{way}/last") == b"saved at the end"


@pytest.mark.parametrize("rewrite", [False, True])
def test_a_shell_as_first_process_swallows_the_signal_as_on_aws(backend: Backend, tmp_path: Any, rewrite: bool) -> None:
    """As the SDK's own drivers do it: the program that would save hears nothing, and the log says so."""
    jobs = Jobs(backend, tmp_path, stop_grace_seconds=1, rewrite_paths=rewrite)
    name = f"swallowed-{rewrite}".lower()
    job = with_checkpoints(GRACEFUL, name)
    job["AlgorithmSpecification"]["ContainerEntrypoint"] = ["/bin/bash", "-c", 'python3 -c "$0"; exit $?']
    job["AlgorithmSpecification"]["ContainerArguments"] = [GRACEFUL]
    arn = jobs.submit(name, job)
    jobs.wait_for_log(name, "ready")
    jobs.supervisor.stop(arn)
    assert jobs.wait(arn)["TrainingJobStatus"] == "Stopped"
    assert not backend.path(f"checkpoints/{name}/last").exists()
    ready, note = jobs.log(name).splitlines()
    assert ready == "ready"
    assert "only to the container's first process, as on AWS, which does not handle it: '/bin/bash -c" in note


def test_the_end_of_the_first_process_is_the_end_of_all(jobs: Jobs, backend: Backend) -> None:
    """Whatever it has started has no time of its own to save, as in a container."""
    first = "import signal,subprocess,sys,time; subprocess.Popen([sys.executable, '-c', sys.argv[1]]);"
    first += "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); time.sleep(600)"
    late = GRACEFUL.replace("def end(*_):", "def end(*_):\n    time.sleep(1)")
    job = with_checkpoints(first, "orphans")
    job["AlgorithmSpecification"]["ContainerArguments"] = [late]
    arn = jobs.submit("orphans", job)
    jobs.wait_for_log("orphans", "ready")
    jobs.supervisor.stop(arn)
    assert jobs.wait(arn)["TrainingJobStatus"] == "Stopped"
    assert jobs.log("orphans").splitlines() == ["ready"]
    assert not backend.path("checkpoints/orphans/last").exists()


def test_a_program_that_ignores_the_request_is_killed_after_the_grace(backend: Backend, tmp_path: Any) -> None:
    impatient = Jobs(backend, tmp_path, stop_grace_seconds=0.5)
    text = (
        "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    arn = impatient.submit("deaf", script_request(text))
    impatient.wait_for_log("deaf", "deaf")
    impatient.supervisor.stop(arn)
    assert impatient.wait(arn)["TrainingJobStatus"] == "Stopped"


def test_a_queued_job_is_stopped_without_running(backend: Backend, tmp_path: Any) -> None:
    single = Jobs(backend, tmp_path, max_jobs=1)
    running = single.submit("first", script_request(WAITS))
    waiting = single.submit("second", script_request("print('never')"))
    single.wait_for_log("first", "on")
    single.supervisor.stop(waiting)
    assert single.wait(waiting)["SecondaryStatus"] == "Stopped"
    assert not (tmp_path / "jobs/training/second").exists()
    single.supervisor.stop(running)
    single.wait(running)
    wait_until(lambda: is_unknown(single, running), "the job is forgotten")


def is_unknown(jobs: Jobs, arn: str) -> bool:
    try:
        jobs.supervisor.stop(arn)
    except UnknownJob:
        return True
    return False


def test_max_runtime_stops_the_job_and_keeps_its_model(jobs: Jobs, backend: Backend) -> None:
    request = with_checkpoints(GRACEFUL, "limit", StoppingCondition={"MaxRuntimeInSeconds": 1})
    ended = jobs.run("limit", request)
    assert (ended["TrainingJobStatus"], ended["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert backend.path("out/limit/output/model.tar.gz").exists()
    assert ended["ModelArtifacts"]


RESUMING = """
import os, signal, sys, time
def say(text):
    print(text, flush=True)
path = "/opt/ml/checkpoints/epoch"
if os.path.exists(path):
    say("resumed from " + open(path).read())
    sys.exit(0)
def end(*_):
    open(path, "w").write("epoch 3")
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
say("fresh")
time.sleep(600)
"""


def test_a_spot_interruption_restarts_from_the_checkpoints(jobs: Jobs) -> None:
    request = with_checkpoints(
        RESUMING,
        "spot",
        EnableManagedSpotTraining=True,
        StoppingCondition={"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200},
    )
    arn = jobs.submit("spot", request)
    jobs.wait_for_log("spot", "fresh")
    jobs.supervisor.interrupt(arn)
    ended = jobs.wait(arn)
    assert ended["TrainingJobStatus"] == "Completed"
    assert "resumed from epoch 3" in jobs.log("spot")
    attempt = ["Starting", "Downloading", "Training"]
    assert jobs.events.history[arn] == [*attempt, "Interrupted", *attempt, "Uploading", "Completed"]


def test_only_spot_jobs_are_interrupted(jobs: Jobs) -> None:
    arn = jobs.submit("on-demand", script_request(WAITS))
    jobs.wait_for_log("on-demand", "on")
    with pytest.raises(ValueError, match="is not a managed spot training job"):
        jobs.supervisor.interrupt(arn)
    jobs.supervisor.stop(arn)
    jobs.wait(arn)


def test_checkpoints_go_up_while_the_job_runs_and_come_down_before(jobs: Jobs, backend: Backend) -> None:
    backend.put("checkpoints/both/before/old", "old")
    text = """
import os, time
print("found", open("/opt/ml/checkpoints/before/old").read(), flush=True)
open("/opt/ml/checkpoints/new.tmp", "w").write("n" * 100000)
os.replace("/opt/ml/checkpoints/new.tmp", "/opt/ml/checkpoints/new")
while not os.path.exists("/opt/ml/checkpoints/go"):
    time.sleep(0.05)
"""
    arn = jobs.submit("both", with_checkpoints(text, "both"))
    jobs.wait_for_log("both", "found old")
    wait_until(lambda: backend.path("checkpoints/both/new").exists(), "the checkpoint is in S3")
    assert jobs.status(arn) == "InProgress"
    assert backend.read("checkpoints/both/new") == b"n" * 100000
    (jobs.data_dir / "jobs/training/both/host-1/ml/checkpoints/go").touch()
    assert jobs.wait(arn)["TrainingJobStatus"] == "Completed"
    assert not backend.path("checkpoints/both/new.tmp").exists()
