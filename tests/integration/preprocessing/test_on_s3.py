"""Real flights through real S3: the raw dates, the splits, and what a run that fails leaves behind."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from botocore.exceptions import ClientError

from preprocessing import child, output, storage
from preprocessing.errors import ConflictError, PreprocessingError
from preprocessing.flights.table import FLIGHTS
from preprocessing.on_s3 import extract, preprocess, previous_profiles, splits_folder
from preprocessing.window import Window, parse_partition

LOG = logging.getLogger("test")
PIPELINE = "flight-delay-training"


@pytest.fixture(scope="module")
def s3(local_sagemaker: Any) -> Any:
    client = local_sagemaker.client("s3")
    client.create_bucket(Bucket="flights")
    return client


def window(partition: str, days: int = 28) -> Window:
    return FLIGHTS.window(parse_partition(partition), days)


def objects(s3: Any, prefix: str) -> dict[str, bytes]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="flights", Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {key: s3.get_object(Bucket="flights", Key=key)["Body"].read() for key in keys}


def test_a_partition_from_the_source_to_its_splits(s3: Any) -> None:
    first = extract(FLIGHTS, s3, "flights", window("2013-07-04"))
    assert first["written"] == sum(map(len, FLIGHTS.raw_dates(window("2013-07-04")).values()))
    assert extract(FLIGHTS, s3, "flights", window("2013-07-04"))["written"] == 0
    about = preprocess(FLIGHTS, s3, "flights", PIPELINE, window("2013-07-04"))
    assert about["input_path"] == "s3://flights/flight-delay-training/input/2013-07-04"
    found = objects(s3, f"{PIPELINE}/input/")
    folder = f"{PIPELINE}/input/2013-07-04"
    assert set(found) == {f"{folder}/manifest.json", *(f"{folder}/{s}/{s}.parquet" for s in ("train", "val", "test"))}
    test = pl.read_parquet(io.BytesIO(found[f"{folder}/test/test.parquet"]))
    assert test.columns == FLIGHTS.full_field_list
    assert test.height == about["rows"]["test"] == 5988
    manifest = json.loads(found[f"{folder}/manifest.json"])
    assert manifest["rows"] == about["rows"]
    assert manifest["checks"] == about["checks"]
    assert set(manifest["profile"]) == set(FLIGHTS.daily)
    extract(FLIGHTS, s3, "flights", window("2013-07-05"))
    following = preprocess(FLIGHTS, s3, "flights", PIPELINE, window("2013-07-05"))["checks"]
    assert [f["value"] for f in following if f["check"] == "earlier partitions compared with"] == [1]


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
        preprocess(FLIGHTS, s3, "flights", PIPELINE, window("2019-06-01"))
    assert objects(s3, f"{PIPELINE}/input/2019-06-01") == {}


def test_raw_files_are_uploaded_as_they_come(s3: Any) -> None:
    """Of a window of millions of rows no more than a few files may wait in memory."""
    folder = storage.Folder(s3, "flights", "as-they-come")

    def coming() -> Iterator[tuple[str, bytes]]:
        for number in range(3 * storage.THREADS):
            assert len(folder.etags("flights/")) > number - storage.THREADS
            yield f"flights/{number}", b"x"

    assert storage.upload_raw(FLIGHTS, folder, coming()) == {"written": 3 * storage.THREADS, "unchanged": 0}
    again = [("flights/0", b"x"), ("flights/1", b"y")]
    assert storage.upload_raw(FLIGHTS, folder, again) == {"written": 1, "unchanged": 1}


def test_splits_of_several_parts_are_committed(s3: Any, tmp_path: Path) -> None:
    """Larger than what boto3 uploads and copies in one piece."""
    ours = written(tmp_path / "ours", "large")
    large = os.urandom(20 * 2**20)
    (ours / output.split_key("train")).write_bytes(large)
    storage.publish(ours, storage.Folder(s3, "flights", "large/input/2013-07-04"))
    assert objects(s3, "large/input/2013-07-04/train/")["large/input/2013-07-04/train/train.parquet"] == large
    assert len(objects(s3, "large/input/")) == 4


class BreaksAt:
    """A client whose n-th copy fails, as a connection does."""

    def __init__(self, client: Any, copies: int) -> None:
        self._client, self._left = client, copies

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def copy_object(self, **kwargs: Any) -> Any:
        if self._left == 0:
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "cut"}}, "CopyObject")
        self._left -= 1
        return self._client.copy_object(**kwargs)


@pytest.mark.parametrize("copies", [0, 1, 2])
def test_a_commit_that_is_cut_off_is_not_whole_and_the_next_run_makes_it_so(s3: Any, copies: int) -> None:
    extract(FLIGHTS, s3, "flights", window("2013-07-05"))
    with pytest.raises(ClientError, match="cut"):
        preprocess(FLIGHTS, BreaksAt(s3, copies), "flights", PIPELINE, window("2013-07-05"))
    folder = f"{PIPELINE}/input/2013-07-05"
    assert f"{folder}/manifest.json" not in objects(s3, folder)
    assert objects(s3, f"{PIPELINE}/input/.aside/") == {}
    preprocess(FLIGHTS, s3, "flights", PIPELINE, window("2013-07-05"))
    assert len(objects(s3, folder)) == 4


class Meanwhile:
    """A client before whose n-th copy something else happens."""

    def __init__(self, client: Any, copies: int, happens: Callable[[], None]) -> None:
        self._client, self._left, self._happens = client, copies, happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def copy_object(self, **kwargs: Any) -> Any:
        if self._left == 0:
            self._happens()
        self._left -= 1
        return self._client.copy_object(**kwargs)


def written(folder: Path, text: str) -> Path:
    """A partition's files as a run leaves them, their content told apart by `text`."""
    for split in output.SPLITS:
        file = folder / output.split_key(split)
        file.parent.mkdir(parents=True)
        file.write_text(f"{split} {text}")
    (folder / output.MANIFEST).write_text(json.dumps({"of": text}))
    return folder


@pytest.mark.parametrize("copies", [0, 1, 2])
@pytest.mark.parametrize("other", ["late data", "the same"])
def test_two_runs_of_a_partition_at_once_leave_one_of_them_or_no_manifest(
    s3: Any, tmp_path: Path, copies: int, other: str
) -> None:
    target = storage.Folder(s3, "flights", f"at-once/input/2013-07-0{copies}-{other.replace(' ', '-')}")
    ours, theirs = written(tmp_path / "ours", "the same"), written(tmp_path / "theirs", other)
    interrupted = Meanwhile(s3, copies, lambda: storage.publish(theirs, target))
    mine = storage.Folder(interrupted, target.bucket, target.prefix)
    if other == "late data" and copies > 0:
        with pytest.raises(ConflictError, match="another run wrote this partition at the same time"):
            storage.publish(ours, mine)
        assert f"{target.prefix}/{output.MANIFEST}" not in objects(s3, target.prefix)
        storage.publish(ours, target)
    else:
        storage.publish(ours, mine)
    assert objects(s3, "at-once/input/.aside/") == {}
    found = {key.removeprefix(f"{target.prefix}/"): content for key, content in objects(s3, target.prefix).items()}
    assert found == {str(file.relative_to(ours)): file.read_bytes() for file in ours.rglob("*.*")}


def test_a_partition_that_a_job_is_to_make_has_no_manifest_meanwhile(s3: Any) -> None:
    extract(FLIGHTS, s3, "flights", window("2013-07-06"))
    preprocess(FLIGHTS, s3, "flights", "by-job", window("2013-07-06"))
    manifest = "by-job/input/2013-07-06/manifest.json"
    assert manifest in objects(s3, "by-job/")
    extract(FLIGHTS, s3, "flights", window("2013-07-06"), list_for="by-job")
    assert manifest not in objects(s3, "by-job/")
