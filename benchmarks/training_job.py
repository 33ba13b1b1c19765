"""Runs training/train.py as the container does, for the benchmarks of the training program."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from common import ROOT

PLACES = {"SM_MODEL_DIR": "model", "SM_OUTPUT_DATA_DIR": "output", "SM_CHECKPOINT_DIR": "checkpoints"}


@dataclass(frozen=True)
class Result:
    """The result of a training."""

    log: str
    report: dict[str, Any]
    peak_mb: float
    """Peak resident memory of its largest process."""
    cpu_seconds: float


def start(
    channels: Path, folder: Path, hyperparameters: dict[str, Any], processes: int = 1
) -> tuple[psutil.Popen, Path]:
    """Start a training on `channels` (train, val, test below it), one thread per process; also return its log."""
    folder.mkdir(parents=True, exist_ok=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith("SM_")}
    env |= {"OMP_NUM_THREADS": "1", "SM_HPS": json.dumps(hyperparameters), "SM_OUTPUT_FAILURE": str(folder / "failure")}
    env |= {f"SM_CHANNEL_{split.upper()}": str(channels / split) for split in ("train", "val", "test")}
    env |= {name: str(folder / place) for name, place in PLACES.items()}
    command = [sys.executable, "train.py"]
    if processes > 1:
        run = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
        command = [sys.executable, *run, f"--nproc-per-node={processes}", "train.py"]
    with (folder / "log").open("w") as log:
        process = psutil.Popen(command, cwd=ROOT / "training", env=env, stdout=log, stderr=log)
    return process, folder / "log"


def train(channels: Path, folder: Path, hyperparameters: dict[str, Any], processes: int = 1) -> Result:
    """Train to the end, into `folder`. Exits on a failure."""
    process, log = start(channels, folder, hyperparameters, processes)
    _, status, usage = os.wait4(process.pid, 0)
    text = log.read_text()
    if status:
        sys.exit(f"the training failed:\n{text[-3000:]}")
    report = json.loads((folder / "output" / "report.json").read_text())
    return Result(text, report, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime)
