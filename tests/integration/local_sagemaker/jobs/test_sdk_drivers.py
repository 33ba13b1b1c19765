"""Jobs as the SDK's ModelTrainer makes them: its own drivers run, with a mount and without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.local_jobs import BUCKET, Backend, Jobs

TRAIN = """
import json, os, pathlib, sys
rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
total = 1.0
if world > 1:
    import torch, torch.distributed as dist
    dist.init_process_group("gloo")
    value = torch.tensor([float(rank + 1)])
    dist.all_reduce(value)
    total = value.item()
    dist.barrier()  # the first process serves the others: it must not end before them
    dist.destroy_process_group()
seen = {"argv": sys.argv[1:], "hps": json.loads(os.environ["SM_HPS"]), "world": world, "total": total,
        "train": pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "train.txt").read_text(),
        "host": os.environ["SM_CURRENT_HOST"]}
if rank == 0:
    pathlib.Path(os.environ["SM_MODEL_DIR"], "seen.json").write_text(json.dumps(seen))
    print(f"Train Loss: {total}")
"""

WAIT = """
import signal, sys, time
def save(*_):
    with open("/opt/ml/checkpoints/last", "w") as file:
        file.write("saved")
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
print("waiting", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def requests(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    source = tmp_path_factory.mktemp("source")
    (source / "train.py").write_text(TRAIN)
    (source / "wait.py").write_text(WAIT)
    (source / "requirements.txt").write_text("six\n")
    backend.put("sdk-in/train.txt", "rows")
    script = Path(__file__).with_name("sdk_requests.py")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    # ModelTrainer asks IAM, which moto's server does not answer, and does without: no retries
    environment = {**kept, **backend.env, "AWS_MAX_ATTEMPTS": "1"}
    command = [sys.executable, str(script), str(source), BUCKET]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    return json.loads(answer.stdout.splitlines()[-1])


def seen_by(jobs: Jobs, tmp_path: Path, name: str) -> dict[str, Any]:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(jobs.backend.read(f"sdk-out/{name}/output/model.tar.gz"))
    with tarfile.open(archive) as tar:
        return json.load(tar.extractfile("seen.json"))  # type: ignore[arg-type]


@pytest.mark.timeout(900)  # two agents and two workers import torch: minutes on a machine that others use, too
@pytest.mark.parametrize(
    ("way", "kind", "world", "total"),
    [
        ("jobs", "plain", 1, 1.0),
        ("rewriting_jobs", "plain", 1, 1.0),
        pytest.param("jobs", "torchrun", 2, 3.0, marks=pytest.mark.slow),
        ("jobs", "torchrun_two_hosts", 2, 3.0),
        pytest.param("rewriting_jobs", "torchrun_two_hosts", 2, 3.0, marks=pytest.mark.slow),
        pytest.param("rewriting_jobs", "torchrun", 2, 3.0, marks=pytest.mark.slow),
    ],
)
def test_a_real_model_trainer_job_trains(
    requests: dict[str, dict[str, Any]],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    way: str,
    kind: str,
    world: int,
    total: float,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    jobs: Jobs = request.getfixturevalue(way)
    name = f"{kind}-{way}".replace("_", "-")
    ended = jobs.wait(jobs.submit(name, requests[kind]), deadline=600)
    assert ended["TrainingJobStatus"] == "Completed", ended.get("FailureReason", "") + jobs.log(name)[-3000:]
    seen = seen_by(jobs, tmp_path, name)
    assert (seen["world"], seen["total"], seen["host"], seen["train"]) == (world, total, "algo-1", "rows")
    assert seen["hps"] == {"learning_rate": 0.25, "names": ["a b", "c"], "label": "late"}
    assert seen["argv"] == ["--learning_rate", "0.25", "--names", '["a b", "c"]', "--label", "late"]
    (metric,) = ended["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("Train Loss", total)


@pytest.mark.parametrize(("kind", "saved"), [("driver", False), ("command", True)])
def test_sigterm_is_lost_in_the_sdks_own_driver_and_not_in_a_command_that_replaces_the_shell(
    requests: dict[str, dict[str, Any]], backend: Backend, tmp_path: Path, kind: str, saved: bool
) -> None:
    jobs = Jobs(backend, tmp_path, stop_grace_seconds=10 if saved else 1)
    arn = jobs.submit(kind, requests[kind])
    jobs.wait_for_log(kind, "\nwaiting")
    jobs.supervisor.stop(arn)
    assert jobs.wait(arn)["TrainingJobStatus"] == "Stopped"
    assert backend.path(f"sdk-checkpoints/{kind}/last").exists() == saved
    assert ("does not handle it: '/bin/bash -c chmod" in jobs.log(kind)) != saved
