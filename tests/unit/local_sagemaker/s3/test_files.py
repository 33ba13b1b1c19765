"""Direct reads of objects stay inside the buckets."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_sagemaker.s3.files import S3ReadError, read_object


def test_objects_outside_of_the_buckets_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    bucket = tmp_path / "s3" / "bucket"
    bucket.mkdir(parents=True)
    (bucket / "link").symlink_to(tmp_path / "secret")
    (bucket / "ok").write_text("content")
    assert read_object(tmp_path / "s3", "s3://bucket/ok", limit=7) == b"content"
    for uri in ("s3://bucket/../../secret", "s3://../secret", "s3://bucket/link", "file:///etc/passwd", "s3://bucket"):
        with pytest.raises(S3ReadError):
            read_object(tmp_path / "s3", uri, limit=100)
    with pytest.raises(S3ReadError, match="larger"):
        read_object(tmp_path / "s3", "s3://bucket/ok", limit=6)
