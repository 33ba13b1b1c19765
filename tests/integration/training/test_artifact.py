"""The artifact answers in a process that knows nothing of this repository, and on the command line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

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
ROOT = Path(__file__).resolve().parents[3]


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
        ("[" * 100_000, JSON, JSON),
        (json.dumps([{**rows[0], "city": "\ud800"}]), JSON, JSON),
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
    assert answers[6] == "ValueError: the body has no rows"
    assert answers[7].startswith("ValueError: the body is not JSON: ")
    assert "content type image/png is not supported" in answers[8]
    assert 0 < json.loads(answers[9])[0]["probability"] < 1
    width = table.num_columns
    assert answers[10] == f"ValueError: row 1 has {width + 1} values; the header line has {width} columns"
    assert answers[11] == "ValueError: column age occurs twice in the header line"
    assert answers[12] == "ValueError: the body has no rows below its header line"
    assert answers[13] == "ValueError: the body is not a CSV with a header line: unexpected end of data"
    assert answers[14] == "ValueError: the body has no rows below its header line"
    assert answers[15].startswith("ValueError: the body is not JSON: maximum recursion depth exceeded")
    assert answers[16] == "ValueError: column city contains half of a surrogate pair, which is not text"


KINDS: dict[str, pa.DataType] = {
    "number": pa.float64(), "small number": pa.float32(), "count": pa.int16(), "amount": pa.decimal128(10, 2),
    "flag": pa.bool_(), "number flag": pa.bool_(), "grade": pa.decimal128(4, 1), "code": pa.int64(),
    "tenth": pa.float32(), "word": pa.dictionary(pa.int8(), pa.string()), "zero": pa.string(),
    "empty": pa.string(),
}  # fmt: skip
"""One column of each kind; those from "flag" on are categories, except the flag that is taken for a number."""
NUMBERS = ["number", "small number", "count", "amount", "number flag"]
CATEGORIES = [name for name in KINDS if name not in NUMBERS]


def table_of_every_kind(rows: int, seed: int, classes: list[str]) -> pa.Table:
    """Rows whose label depends on all columns a little; each column lacks some values."""
    random = np.random.default_rng(seed)
    drawn = {name: random.integers(0, 6, rows) for name in KINDS}
    score = sum(np.where(values > 2, 1.0, -1.0) for values in drawn.values()) + random.normal(size=rows)
    columns: dict[str, Any] = {"row id": range(rows)}
    for name, kind in KINDS.items():
        values: list[Any] = (drawn[name] / 10).tolist()
        if pa.types.is_boolean(kind):
            values = (drawn[name] > 2).tolist()
        elif pa.types.is_decimal(kind):
            values = [Decimal(str(value)) for value in values]
        elif pa.types.is_integer(kind):
            values = drawn[name].tolist()
        elif not pa.types.is_floating(kind):
            values = ["" if name == "empty" and value > 2 else f"00{value}" for value in drawn[name]]
        gaps = random.random(rows) < 0.05
        filled = [None if gap else value for gap, value in zip(gaps, values, strict=True)]
        columns[name] = pa.array(filled, kind if not pa.types.is_dictionary(kind) else None).cast(kind)
    cuts = np.quantile(score, np.linspace(0, 1, len(classes) + 1)[1:-1])
    columns["label"] = [classes[i] for i in np.digitize(score, cuts)]
    return pa.table(columns)


@pytest.mark.parametrize("classes", [["no", "yes"], ["a", "b", "c"]])
def test_every_kind_of_column_is_served_as_it_was_trained(classes: list[str], shipped: Path, tmp_path: Path) -> None:
    """The AUC of the report, from the rows of test as parquet, as JSON and as the CSV that pandas writes."""
    for seed, split in enumerate(("train", "val", "test")):
        (tmp_path / "channels" / split).mkdir(parents=True)
        table = table_of_every_kind(400, seed, classes)
        pq.write_table(table, tmp_path / "channels" / split / f"{split}.parquet")
    job = Job(tmp_path / "job", shipped, tmp_path / "channels")
    lists = {"full_field_list": ["row id", "label", *KINDS], "tab_field_list": NUMBERS, "cat_field_list": CATEGORIES}
    job.run(label_name="label", epochs=4, learning_rate=0.02, **lists)
    packed = tmp_path / "model.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(job.model, ".")
    features = table.drop_columns(["label"])
    rows = json.dumps(features.to_pylist(), default=float)
    (tmp_path / "served").mkdir()
    text = features.to_pandas().to_csv(index=False)
    served = serve(packed, tmp_path / "served", [(rows, JSON, JSON), (text, CSV, JSON)])
    truth = np.array([classes.index(label) for label in table["label"].to_pylist()])
    assert job.report["test"]["AUC ROC"] > 0.6
    for answers in map(json.loads, served):
        if len(classes) == 2:
            said = np.array([answer["probability"] for answer in answers])
        else:
            said = np.array([[answer["probabilities"][name] for name in classes] for answer in answers])
            said = said / said.sum(1, keepdims=True)  # they are rounded
        auc = roc_auc_score(truth, said, multi_class="ovr")
        assert auc == pytest.approx(job.report["test"]["AUC ROC"], abs=1e-5)
    answers = predict(packed, job.channels / "test" / "test.parquet")
    columns = ["probability"] if len(classes) == 2 else [f"probability_{name}" for name in classes]
    said = np.stack([answers[name].to_numpy() for name in columns], 1)
    auc = roc_auc_score(truth, said[:, 0] if len(classes) == 2 else said, multi_class="ovr")
    assert auc == pytest.approx(job.report["test"]["AUC ROC"], abs=1e-6)
    assert answers["label"].to_pylist() == [answer["label"] for answer in json.loads(served[0])]
    assert answers.column_names[3:] == ([] if len(classes) == 2 else [f"probability_{name}" for name in classes])


def test_predict_on_the_command_line(artifact: Path, finished: Job, tmp_path: Path, capfd: Any) -> None:
    rows = finished.channels / "test" / "test.parquet"
    assert main([str(artifact), str(rows), str(tmp_path / "answers.parquet")]) == 0
    answers = pq.read_table(tmp_path / "answers.parquet")
    assert answers.column_names == ["row id", "probability", "label"]
    assert len(answers) == 601
    pq.write_table(pq.read_table(rows).drop_columns(["age"]), tmp_path / "less.parquet")
    capfd.readouterr()
    table = pq.read_table(rows)
    table.to_pandas().to_csv(tmp_path / "rows.csv", index=False)
    assert main([str(artifact), str(tmp_path / "rows.csv")]) == 0
    printed = pyarrow.csv.read_csv(io.BytesIO(capfd.readouterr().out.encode()))
    assert printed["label"].to_pylist() == answers["label"].to_pylist()
    (tmp_path / "parts").mkdir()
    for number, start in enumerate((0, 300)):
        pq.write_table(table.slice(start, 300 + number), tmp_path / "parts" / f"part-{number}.snappy.parquet")
    (tmp_path / "parts" / "_SUCCESS").touch()
    assert main([str(finished.model), str(tmp_path / "parts"), str(tmp_path / "again.parquet")]) == 0
    again = pq.read_table(tmp_path / "again.parquet")
    assert again.drop_columns(["probability"]) == answers.drop_columns(["probability"])
    assert again["probability"].to_pylist() == pytest.approx(answers["probability"].to_pylist(), abs=1e-6)
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


def test_predict_reads_and_writes_s3(artifact: Path, finished: Job, local_sagemaker: Any, tmp_path: Path) -> None:
    """A model, a folder of parts and the answers, all on S3, with the environment that any boto3 program takes."""
    s3 = local_sagemaker.client("s3")
    s3.create_bucket(Bucket="predict")
    s3.put_object(Bucket="predict", Key="out/model.tar.gz", Body=artifact.read_bytes())
    table = pq.read_table(finished.channels / "test" / "test.parquet")
    for number, start in enumerate((0, 300)):
        part = io.BytesIO()
        pq.write_table(table.slice(start, 300 + number), part)
        s3.put_object(Bucket="predict", Key=f"rows/part-{number}.parquet", Body=part.getvalue())
    s3.put_object(Bucket="predict", Key="rows/_SUCCESS", Body=b"")
    places = ["s3://predict/out/model.tar.gz", "s3://predict/rows/", "s3://predict/answers.parquet"]
    command = [sys.executable, "-m", "training.predict", *places]
    env = {**os.environ, **local_sagemaker.env}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    written = pq.read_table(io.BytesIO(s3.get_object(Bucket="predict", Key="answers.parquet")["Body"].read()))
    expected = predict(artifact, finished.channels / "test" / "test.parquet")
    assert written["row id"].to_pylist() == table["row id"].to_pylist()
    assert written["probability"].to_pylist() == pytest.approx(expected["probability"].to_pylist(), abs=1e-6)
    command[-2] = "s3://predict/nothing.parquet"
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "nothing.parquet" in done.stderr
    assert "Traceback" not in done.stderr
