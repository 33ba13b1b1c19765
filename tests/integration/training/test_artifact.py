"""The artifact answers in a process that knows nothing of this repository, and on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.support.training_jobs import Job
from training import inference
from training.predict import main, predict

SERVER = """
import json, sys
model_dir = sys.argv[1]
sys.path.insert(0, model_dir + "/code")   # as the inference container does
import inference
import training
assert training.__path__ == [model_dir + "/code/training"], training.__path__
model = inference.model_fn(model_dir)
answers = []
for body, content_type, accept in json.load(sys.stdin):
    try:
        rows = inference.input_fn(body, content_type)
        answers.append(inference.output_fn(inference.predict_fn(rows, model), accept))
    except ValueError as error:
        answers.append("ValueError: " + str(error))
print(json.dumps(answers))
"""
JSON, CSV = "application/json", "text/csv"


@pytest.fixture(scope="module")
def artifact(finished: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model.tar.gz, as SageMaker packs the model's folder."""
    path = tmp_path_factory.mktemp("artifact") / "model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(finished.model, ".")
    return path


def serve(artifact: Path, folder: Path, requests: list[tuple[str, str, str]]) -> list[str]:
    """Answer requests with the unpacked artifact in an isolated interpreter (-I: no PYTHONPATH, no current folder)."""
    with tarfile.open(artifact) as archive:
        archive.extractall(folder / "model", filter="data")
    command = [sys.executable, "-I", "-c", SERVER, str(folder / "model")]
    process = subprocess.run(
        command, input=json.dumps(requests), cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, process.stderr
    answers: list[str] = json.loads(process.stdout)
    return answers


def test_serves_json_and_csv_without_the_repository(artifact: Path, finished: Job, tmp_path: Path) -> None:
    table = pq.read_table(finished.channels / "test" / "test.parquet").slice(0, 50)
    rows: list[dict[str, Any]] = table.to_pylist()
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(table, sink)
    text = sink.getvalue().to_pybytes().decode()
    broken = [{k: v for k, v in rows[0].items() if k != "age"}]
    requests = [
        (json.dumps(rows), JSON, JSON),
        (json.dumps({"instances": rows}), JSON, CSV),
        ("\ufeff" + text, CSV + "; charset=utf-8", JSON),
        (json.dumps(rows[0]), JSON, JSON),
        (json.dumps(broken), JSON, JSON),
        (json.dumps([{**rows[0], "age": "old"}]), JSON, JSON),
        (json.dumps([]), JSON, JSON),
        ("[", JSON, JSON),
        ("x", "image/png", JSON),
        (json.dumps([{**rows[0], "city": "never seen", "age": None, "code": None}]), JSON, JSON),
        (text.replace("\n", "\n,", 1), CSV, JSON),
        ("age,age\n1,2\n", CSV, JSON),
        ("age\n", CSV, JSON),
        ('age\n"1', CSV, JSON),
        ("", CSV, JSON),
    ]
    answers = serve(artifact, tmp_path, requests)
    listed, as_csv, from_csv, single = (
        json.loads(answers[0]),
        answers[1],
        json.loads(answers[2]),
        json.loads(answers[3]),
    )
    expected = predict(artifact, finished.channels / "test" / "test.parquet").slice(0, 50)
    assert [a["probability"] for a in listed] == pytest.approx(expected["probability"].to_pylist(), abs=1e-6)
    assert [a["label"] for a in listed] == expected["label"].to_pylist()
    assert from_csv == listed
    assert single == listed[:1]
    assert as_csv.splitlines()[0] == "probability,label"
    assert len(as_csv.splitlines()) == 51
    assert answers[4].startswith("ValueError: missing columns: age; expected größe")
    assert "column age must be numeric, found string" in answers[5]
    assert answers[6] == "ValueError: the body holds no rows"
    assert answers[7].startswith("ValueError: ")
    assert "content type image/png is not served" in answers[8]
    assert 0 < json.loads(answers[9])[0]["probability"] < 1
    width = table.num_columns
    assert answers[10] == f"ValueError: row 1 has {width + 1} values; the header line has {width} columns"
    assert answers[11] == "ValueError: column age stands twice in the header line"
    assert answers[12] == "ValueError: the body holds no rows below its header line"
    assert answers[13] == "ValueError: the body is no CSV with a header line: unexpected end of data"
    assert answers[14] == "ValueError: the body holds no rows below its header line"


def test_predict_on_the_command_line(artifact: Path, finished: Job, tmp_path: Path, capfd: Any) -> None:
    rows = finished.channels / "test" / "test.parquet"
    assert main([str(artifact), str(rows), str(tmp_path / "answers.parquet")]) == 0
    answers = pq.read_table(tmp_path / "answers.parquet")
    assert answers.column_names == ["row id", "probability", "label"]
    assert len(answers) == 601
    pq.write_table(pq.read_table(rows).drop_columns(["age"]), tmp_path / "less.parquet")
    assert main([str(artifact), str(tmp_path / "less.parquet")]) == 1
    assert "Error: missing columns: age" in capfd.readouterr().err
    assert main([str(rows), str(rows)]) == 1
    assert main([str(artifact), str(rows), str(tmp_path / "no" / "answers.parquet")]) == 1
    assert "Error: " in capfd.readouterr().err
    assert main([]) == 2


def test_weights_load_without_running_code(finished: Job) -> None:
    """weights_only refuses anything but tensors: an artifact from elsewhere cannot run code when it is loaded."""
    assert all(hasattr(weight, "shape") for weight in finished.weights.values())
    assert os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD") is None
    assert inference.model_fn(str(finished.model)).threshold == finished.report["threshold"]
