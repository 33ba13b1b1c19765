"""The table of the training tests, and a training job as folders and processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

NUMERIC = ["größe", "age", "noise"]
CATEGORICAL = ["city", "code"]
CITIES = ["Zürich", "東京", "São Paulo", "it's", "plain"]
FIELDS = {
    "id_name": "row id",
    "label_name": "late",
    "full_field_list": ["row id", "late", *NUMERIC, *CATEGORICAL],
    "tab_field_list": NUMERIC,
    "cat_field_list": CATEGORICAL,
}
SMALL = {
    "learning_rate": 0.005,
    "dropout": 0.1,
    "hidden_size": 32,
    "hidden_layers": 2,
    "embedding_size": 4,
    "batch_size": 50,
    "epochs": 3,
    "patience": 0,
}
DEADLINE = 300  # seconds that a busy machine may need


def make_table(rows: int, seed: int) -> pa.Table:
    """Return rows whose label depends on two numbers and a category; a tenth of the ages is missing."""
    random = np.random.default_rng(seed)
    size, age, noise = (
        random.lognormal(0, 1, rows),
        random.integers(0, 90, rows).astype(float),
        random.normal(size=rows),
    )
    city, code = random.integers(0, len(CITIES), rows), random.integers(0, 4, rows)
    logit = 1.5 * np.sin(2 * np.log(size)) + np.where(age > 40, 1.0, -1.0) + (city - 2) * 0.6 - 0.8
    label = (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    return pa.table(
        {
            "row id": pa.array([f"r{i}" for i in range(rows)]),
            "late": label,
            "größe": size,
            "age": pa.array(age, mask=random.random(rows) < 0.1),
            "noise": noise,
            "city": pa.array([CITIES[i] for i in city]),
            "code": pa.array(code, mask=random.random(rows) < 0.05),
        }
    )


Label = Callable[[pa.Table], pa.Array]


def write_channels(
    folder: Path, train: int = 2030, val: int = 600, test: int = 601, *, label: Label | None = None
) -> None:
    """Write the three channels' files; `label` computes another label from the rows."""
    for seed, (split, rows) in enumerate({"train": train, "val": val, "test": test}.items()):
        (folder / split).mkdir(parents=True, exist_ok=True)
        table = make_table(rows, seed)
        if label:
            table = table.set_column(1, "late", label(table))
        pq.write_table(table, folder / split / f"{split}.parquet", row_group_size=500)


def sizes(table: pa.Table) -> pa.Array:
    """Return three classes as strings: the size of the row's number, mixed with its label."""
    size = np.log(table["größe"].to_numpy()) + table["late"].to_numpy() * 0.5
    return pa.array(np.array(["small", "medium", "large"])[np.digitize(size, [-0.5, 0.7])])


@dataclass
class Job:
    """A training job: its folders, and how it is run."""

    folder: Path
    code: Path
    channels: Path

    def env(self, **hyperparameters: object) -> dict[str, str]:
        """Return the container's variables, with the hyperparameters as the drivers pass them."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SM_", "PYTHONPATH"))}
        return {
            **inherited,
            "SM_HPS": json.dumps({**FIELDS, **SMALL, **hyperparameters}),
            **{f"SM_CHANNEL_{split.upper()}": str(self.channels / split) for split in ("train", "val", "test")},
            "SM_MODEL_DIR": str(self.model),
            "SM_OUTPUT_DATA_DIR": str(self.folder / "output"),
            "SM_CHECKPOINT_DIR": str(self.checkpoints),
            "SM_OUTPUT_FAILURE": str(self.failure),
            "OMP_NUM_THREADS": "1",
        }

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def failure(self) -> Path:
        return self.folder / "failure"

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "output" / "report.json").read_text())

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        return torch.load(self.model / "model.pt", weights_only=True)

    def start(self, processes: int = 1, **hyperparameters: object) -> subprocess.Popen[str]:
        """Start `python train.py`, or torchrun with several processes, in the shipped folder."""
        command = [sys.executable, "train.py"]
        if processes > 1:
            run = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
            command = [sys.executable, *run, f"--nproc-per-node={processes}", "train.py"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, cwd=self.code, env=self.env(**hyperparameters), text=True, **pipes)

    def run(self, processes: int = 1, *, status: int = 0, **hyperparameters: object) -> str:
        """Train to the end, check the exit status, and return the log."""
        process = self.start(processes, **hyperparameters)
        try:
            log, _ = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
        assert process.returncode == status, log[-3000:]
        return log


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Poll until a condition is true; fail if the process ends first, or the time is up."""
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert process.poll() is None, (
            f"the process ended with {process.returncode}: {process.communicate()[0][-2000:]}"
        )
        assert time.monotonic() < deadline, "time is up"
        time.sleep(0.01)
