"""Keys and the files that hold their objects: every key has a place of its own, and lists are in the keys' order."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.storage import keys
from local_sagemaker.s3.storage.catalog import Catalog, Info
from local_sagemaker.s3.storage.listing import list_page
from local_sagemaker.s3.storage.objects import Objects

PARTS = st.one_of(
    st.sampled_from(["", ".", "..", "a", "b", "a%s3", "%s3", "%s3%s3", "a%", "%25", "a\0", "ü", "a.b", "-", "A", " "]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), max_size=8),
)
KEYS = st.lists(PARTS, min_size=1, max_size=5).map("/".join).filter(bool)


@given(KEYS)
def test_names_are_those_of_files_and_are_undone(key: str) -> None:
    names = keys.file_names(key)
    assert all(name not in ("", ".", "..") and "/" not in name and "\0" not in name for name in names)
    assert "/".join(str(keys.part_of_name(name)) for name in names) == key
    assert keys.part_of_name(keys.aside(names[-1])) == key.rpartition("/")[2]


@given(KEYS, KEYS)
def test_no_two_keys_have_one_file(one: str, other: str) -> None:
    assert (keys.file_names(one) == keys.file_names(other)) == (one == other)


def test_an_ordinary_key_is_its_path() -> None:
    assert keys.file_names("models/2013-07-04/model.tar.gz") == ["models", "2013-07-04", "model.tar.gz"]


@pytest.mark.parametrize("key", ["", "a" * 1025, "ü" * 513, "a/" + "b" * 253])
def test_keys_that_no_file_can_hold_are_refused_by_name(key: str) -> None:
    with pytest.raises(S3Error) as caught:
        keys.file_names(key)
    assert caught.value.code == "KeyTooLongError"


@pytest.mark.parametrize(
    "name", ["ab", "a" * 64, "Upper", "a_b", "-ab", "ab.", "a..b", "a.-b", "a-.b", "192.168.0.1", "xn--a", "a/b", ""]
)
def test_names_that_no_bucket_has(name: str) -> None:
    with pytest.raises(S3Error, match="not valid"):
        keys.check_new_bucket(name)


class Bucket(RuleBasedStateMachine):
    """A bucket against a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self.objects = Objects(folder / "s3", Catalog(folder / "s3.db"))
        self.objects.create_bucket("bucket", "us-east-1", None)
        self.model: dict[str, bytes] = {}

    def teardown(self) -> None:
        self._folder.cleanup()

    @rule(key=KEYS, content=st.binary(max_size=3))
    def put(self, key: str, content: bytes) -> None:
        with self.objects.stage() as staged:
            staged.write(content)
            self.objects.publish(staged, "bucket", key, Info(content.hex()))
        self.model[key] = content

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)) if self.model else KEYS)
        assert self.objects.delete("bucket", key) == (key in self.model)
        self.model.pop(key, None)

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)) if self.model else KEYS)
        if key not in self.model:
            with pytest.raises(S3Error):
                self.objects.find("bucket", key)
            return
        found = self.objects.find("bucket", key)
        assert (found.size, found.info.etag) == (len(self.model[key]), self.model[key].hex())

    @rule(
        prefix=st.one_of(st.just(""), KEYS),
        delimiter=st.sampled_from(["", "/", "a", "%", "//"]),
        limit=st.integers(1, 4),
    )
    def list(self, prefix: str, delimiter: str, limit: int) -> None:
        found: list[str] = []
        after, truncated = "", True
        while truncated:
            page = list_page(self.objects, "bucket", prefix=prefix, delimiter=delimiter, after=after, limit=limit)
            names = sorted([*(item.key for item in page.objects), *page.prefixes], key=str.encode)
            assert len(names) <= limit
            assert all(item.info.etag == self.model[item.key].hex() for item in page.objects)
            found += names
            after, truncated = page.last, page.truncated
        assert found == sorted(_rolled_up(self.model, prefix, delimiter), key=str.encode)

    @rule(after=KEYS)
    def list_after(self, after: str) -> None:
        page = list_page(self.objects, "bucket", after=after)
        expected = sorted((key for key in self.model if key.encode() > after.encode()), key=str.encode)
        assert [item.key for item in page.objects] == expected

    @invariant()
    def nothing_else_is_left(self) -> None:
        files = [path for path in self.objects.folder.rglob("*") if path.is_file()]
        assert len(files) == len(self.model)


def _rolled_up(model: dict[str, Any], prefix: str, delimiter: str) -> set[str]:
    found = set()
    for key in model:
        if key.startswith(prefix):
            head, mark, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            found.add(prefix + head + mark if mark else key)
    return found


TestBucket = Bucket.TestCase
TestBucket.settings = settings(max_examples=40, stateful_step_count=20)
