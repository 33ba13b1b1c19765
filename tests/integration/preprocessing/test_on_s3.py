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

from preprocessing import checks, child, fields, raw, source
from preprocessing.errors import PreprocessingError
from preprocessing.flights_on_s3 import extract, preprocess, previous_profiles, splits_folder
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
    manifest = json.loads(found[f"{folder}/manifest.json"])
    assert manifest["rows"] == about["rows"]
    assert manifest["checks"] == about["checks"]
    assert set(manifest["profile"]) == set(checks.DAILY)
    extract(s3, "flights", window("2013-07-05"))
    following = preprocess(s3, "flights", PIPELINE, window("2013-07-05"))["checks"]
    assert [f["value"] for f in following if f["check"] == "partitions before, compared with"] == [1]


def test_a_partition_is_compared_with_the_whole_ones_before_it(s3: Any) -> None:
    """Those of the 28 days before it, the newest first; one without a manifest is none."""
    days = ["2013-06-01", "2013-07-01", "2013-07-02", "2013-07-03", "2013-07-09"]
    for day in days:
        manifest = json.dumps({"profile": {"carrier": {"values": [day], "counts": [1], "missing": 0}}}).encode()
        s3.put_object(Bucket="flights", Key=f"other/input/{day}/manifest.json", Body=manifest)
    s3.delete_object(Bucket="flights", Key="other/input/2013-07-02/manifest.json")
    s3.put_object(Bucket="flights", Key="other/input/2013-07-02/train/train.parquet", Body=b"")
    target = splits_folder(s3, "flights", "other", window("2013-07-04"))
    found = [profile["carrier"]["values"] for profile in previous_profiles(target, window("2013-07-04"))]
    assert found == [["2013-07-03"], ["2013-07-01"]]


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
