"""Lines out of bytes, masked secrets, metrics and caps."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.jobs.host.runner.output import MAX_LINE, CappedSink, LineSplitter, Mask, MetricFinder

KEYS = {"AWS_ACCESS_KEY_ID": "AKIALOCAL0123456789A", "AWS_SECRET_ACCESS_KEY": "5e" * 20, "AWS_SESSION_TOKEN": "short"}
mask = Mask(KEYS)


def lines_of(chunks: list[bytes]) -> list[str]:
    splitter = LineSplitter(mask)
    found = [line for chunk in chunks for line in splitter.feed(chunk)]
    return found + list(splitter.close())


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=6))
def test_the_lines_do_not_depend_on_how_the_bytes_arrive(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    chunks = [data[a:b] for a, b in pairwise(edges)]
    assert lines_of(chunks) == lines_of([data])


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), max_size=30)))
def test_text_lines_come_back_as_they_were(lines: list[str]) -> None:
    safe = [line for line in lines if mask(line) == line]
    assert lines_of(["".join(line + "\n" for line in safe).encode()]) == safe


def test_an_endless_line_is_cut() -> None:
    found = lines_of([b"x" * (3 * MAX_LINE + 5)])
    assert [len(line) for line in found] == [MAX_LINE, MAX_LINE, MAX_LINE, 5]


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        (
            "pip install -i https://aws:abc.def==@d.codeartifact/pypi/",
            "pip install -i https://aws:******@d.codeartifact/pypi/",
        ),
        ("CODEARTIFACT_AUTH_TOKEN=abc next", "CODEARTIFACT_AUTH_TOKEN=****** next"),
        ("see https://example.org:443/a@b", "see https://example.org:443/a@b"),
        ("s3://bucket/key", "s3://bucket/key"),
        ('{"AWS_ACCESS_KEY_ID": "AKIALOCAL0123456789A"}', '{"AWS_ACCESS_KEY_ID": "******"}'),
        (f"key={KEYS['AWS_SECRET_ACCESS_KEY']}.", "key=******."),
        ("a short line", "a short line"),
    ],
)
def test_secrets_are_masked_and_nothing_else(line: str, masked: str) -> None:
    assert mask(line) == masked


def test_metrics_are_the_first_group_as_a_number() -> None:
    finder = MetricFinder.of(
        [
            {"Name": "Loss", "Regex": r"^Train Loss: ([0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?|nan|inf)$"},
            {"Name": "NoGroup", "Regex": "Train"},
            {"Name": "Broken", "Regex": "("},
            {"Name": "Words", "Regex": "Train (Loss)"},
        ]
    )
    assert list(finder.find("Train Loss: 1.5e-3")) == [("Loss", 0.0015)]
    assert list(finder.find("Train Loss: ")) == []


@given(st.lists(st.integers(1, 50), max_size=80), st.integers(0, 500))
def test_a_cap_keeps_the_first_and_the_last_lines(sizes: list[int], limit: int) -> None:
    written: list[str] = []
    sink = CappedSink(lambda _, line: written.append(line), limit, "log", tail_lines=3)
    lines = [f"{number}:" + "x" * size for number, size in enumerate(sizes)]
    for line in lines:
        sink.add(0, line)
    sink.close()
    kept = [line for line in written if not line.startswith("[")]
    assert kept == lines if sum(map(len, lines)) + len(lines) <= limit else kept[-3:] == lines[-3:]
    assert kept == [line for line in lines if line in kept]
