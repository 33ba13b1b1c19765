"""`split` to S3, and `validate --data` of a partition there, against the one before it, or of a folder against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker.cli import main
from tests.support.tables import customers, write_parquet

BUCKET = "checked-tables"
SPLITS = ("train", "val", "test")


def write_partition(folder: Path, columns: dict[str, Any]) -> None:
    for split in SPLITS:
        own = [f"{split}{one}" for one in columns["customer_id"]]
        write_parquet(folder / split / f"{split}.parquet", columns | {"customer_id": own})


@pytest.fixture
def folder(local_sagemaker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, value in local_sagemaker.env.items():
        monkeypatch.setenv(name, value)
    table = str(write_parquet(tmp_path / "churn.parquet", customers()))
    assert main(["init", table, "--label", "churned", "--dags-folder", "."]) == 0
    return tmp_path


def findings(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    capsys.readouterr()
    code = main(["validate", "churn.yaml", "--bucket", BUCKET, "--json", *options])
    answer = json.loads(capsys.readouterr().out)
    if code == 0:
        return {f"{one['check']} of {one['where']}": one for one in answer["data_checks"]}
    return {"message": answer["message"]}


def test_the_newest_partition_before_is_the_measure(
    folder: Path, local_sagemaker: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    s3 = local_sagemaker.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for seed, partition in enumerate(("2026-01-30", "2026-01-31", "2026-02-02")):
        write_partition(folder / partition, customers(seed=seed))
        for split in SPLITS:
            name = f"{split}/{split}.parquet"
            s3.upload_file(str(folder / partition / name), BUCKET, f"churn/input/{partition}/{name}")
    s3.put_object(Bucket=BUCKET, Key="churn/input/2026-02-01/train/train.parquet", Body=b"torn")

    found = findings(capsys, "--data", "--partition", "2026-01-30")
    assert found["earlier partitions compared with of train"]["value"] == 0
    found = findings(capsys, "--data", "--partition", "2026-02-02")
    last = f"s3://{BUCKET}/churn/input/2026-01-31"
    assert found["earlier partitions compared with of train"]["example"] == last, (
        "the torn one has failed its own check"
    )
    assert 0 < found["drift (PSI) since the last partition of train.age"]["value"] < 0.3

    first = f"s3://{BUCKET}/churn/input/2026-01-30"
    found = findings(capsys, "--data", "--partition", "2026-01-30", "--against", first, "--limit", "drift=0.01")
    assert found["drift (PSI) since the last partition of train.country"]["value"] == 0
    write_partition(folder / "now", customers(seed=4, country=["DK"] * 400))
    found = findings(capsys, "--data", "now", "--against", first, "--limit", "drift=0.25")
    assert "drift (PSI) since the last partition in train.country:" in found["message"]
    torn = f"s3://{BUCKET}/churn/input/2026-02-01"
    assert "is not a complete Parquet file" in findings(capsys, "--data", "now", "--against", torn)["message"]


def test_split_uploads_a_partition_once(folder: Path, local_sagemaker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    s3, bucket = local_sagemaker.client("s3"), "split-tables"

    def split(*options: str) -> str:
        arguments = ["split", "churn.parquet", "churn.yaml", "--bucket", bucket, "--partition", "2026-01-31"]
        return "" if main([*arguments, *options]) == 0 else capsys.readouterr().err

    def uploaded() -> dict[str, bytes]:
        keys = [f"churn/input/2026-01-31/{name}/{name}.parquet" for name in SPLITS]
        return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    assert f"bucket {bucket} does not exist; use another --bucket, or add --create-bucket" in split()
    assert split("--create-bucket") == ""
    first = uploaded()
    write_parquet(folder / "churn.parquet", customers(seed=7))
    assert "2026-01-31 is not empty; use another --partition, or --overwrite" in split()
    assert uploaded() == first
    assert split("--overwrite") == ""
    assert not set(uploaded().values()) & set(first.values())
