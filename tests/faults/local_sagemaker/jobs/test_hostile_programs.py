"""Programs that hang, fork, flood or lie: contained, and the job says what happened."""

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

from tests.support.local_jobs import Backend, Jobs, processes_with, script_request
from tests.support.waiting import wait_until


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
    root = Path(__file__).parents[4]
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
    assert "lines omitted]" in log
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
    assert "the metric 'Evil' was dropped" in jobs.log(name)


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
