"""Real flights through real S3: the raw dates, the splits, and what a run that fails leaves behind."""

from __future__ import annotations

import io
import json
import logging
import os
from typing import Any

import polars as pl
import pytest
from botocore.exceptions import ClientError

from preprocessing import child, fields, raw, source
from preprocessing.errors import PreprocessingError
from preprocessing.flights_on_s3 import extract, preprocess
from preprocessing.window import Window, parse_partition

LOG = logging.getLogger("test")
PIPELINE = "flight-delay-training"


@pytest.fixture(scope="module")
def s3(local_sagemaker: Any) -> Any:
    client = local_sagemaker.client("s3")
    client.create_bucket(Bucket="flights")
    return client


def window(partition: str, days: int = 28) -> Window:
    return Window(parse_partition(partition), days, start=source.FIRST)


def objects(s3: Any, prefix: str) -> dict[str, bytes]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="flights", Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {key: s3.get_object(Bucket="flights", Key=key)["Body"].read() for key in keys}


def test_a_partition_from_the_source_to_its_splits(s3: Any) -> None:
    first = extract(s3, "flights", window("2013-07-04"))
    assert first["written"] == sum(len(window("2013-07-04").dates(table)) for table in raw.SCHEMAS)
    assert extract(s3, "flights", window("2013-07-04"))["written"] == 0
    about = preprocess(s3, "flights", PIPELINE, window("2013-07-04"))
    assert about["input_path"] == "s3://flights/flight-delay-training/input/2013-07-04"
    found = objects(s3, f"{PIPELINE}/input/")
    folder = f"{PIPELINE}/input/2013-07-04"
    assert set(found) == {f"{folder}/manifest.json", *(f"{folder}/{s}/{s}.parquet" for s in ("train", "val", "test"))}
    test = pl.read_parquet(io.BytesIO(found[f"{folder}/test/test.parquet"]))
    assert test.columns == fields.FULL_FIELD_LIST
    assert test.height == about["rows"]["test"] == 5988
    assert json.loads(found[f"{folder}/manifest.json"])["rows"] == about["rows"]


def test_the_program_alone_does_the_same(s3: Any, local_sagemaker: Any) -> None:
    env = {**os.environ, **local_sagemaker.env}
    common = ["--partition", "2026-11-25", "--days", "28", "--bucket", "flights"]
    assert child.run(["extract", *common], env=env, log=LOG)["first"] == "2026-09-30"
    about = child.run(["s3", "--pipeline", PIPELINE, *common], env=env, log=LOG)
    assert about["dates"]["test"] == ["2026-11-19", "2026-11-25"]
    assert min(about["rows"].values()) > 3000


def test_a_partition_that_was_never_extracted_is_named_and_nothing_is_left(s3: Any) -> None:
    with pytest.raises(PreprocessingError, match=r"partition 2019-06-01: .* raw files are missing, .* run extract"):
        preprocess(s3, "flights", PIPELINE, window("2019-06-01"))
    assert objects(s3, f"{PIPELINE}/input/2019-06-01") == {}


class BreaksAt:
    """A client whose n-th copy fails, as a connection does."""

    def __init__(self, client: Any, copies: int) -> None:
        self._client, self._left = client, copies

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def copy(self, *args: Any, **kwargs: Any) -> Any:
        if self._left == 0:
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "cut"}}, "CopyObject")
        self._left -= 1
        return self._client.copy(*args, **kwargs)


@pytest.mark.parametrize("copies", [0, 1, 2])
def test_a_commit_that_is_cut_off_is_not_whole_and_the_next_run_makes_it_so(s3: Any, copies: int) -> None:
    extract(s3, "flights", window("2013-07-05"))
    with pytest.raises(ClientError, match="cut"):
        preprocess(BreaksAt(s3, copies), "flights", PIPELINE, window("2013-07-05"))
    folder = f"{PIPELINE}/input/2013-07-05"
    assert f"{folder}/manifest.json" not in objects(s3, folder)
    assert objects(s3, f"{PIPELINE}/input/.aside/") == {}
    preprocess(s3, "flights", PIPELINE, window("2013-07-05"))
    assert len(objects(s3, folder)) == 4
