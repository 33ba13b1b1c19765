"""Commands of blocks that are not run (they need AWS, Docker or a terminal of their own) exist with their options."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks

NOT_OF_A_CALL = {"--query", "--output", "--region", "--profile"}
WRITTEN_BY_HAND = {("cloudformation", "deploy"), ("s3", "sync")}
"""Commands of the aws command line that are no call of the API."""
PARSE_AIRFLOW = (
    "import json, sys; from airflow.cli.cli_parser import get_parser; "
    "[get_parser().parse_args(words) for words in json.loads(sys.stdin.read())]"
)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Where a command stands, and its words; the assignments in front of it are left out."""
    for block in blocks():
        if block.language != "bash" or "run" in block.marks:
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\||[|;]", re.sub(r"\$\((.*?)\)", "VALUE", line)):
                words = shlex.split(part, comments=True)
                while words and re.match(r"^[A-Z_]+=", words[0]):
                    words = words[1:]
                if words:
                    yield str(block), words


def of(*begin: str) -> list[tuple[str, list[str]]]:
    """The commands that begin with these words (python: any interpreter's path), without them."""
    found = []
    for where, words in commands():
        plain = ["python" if re.search(r"(^|/)python[0-9.]*$", words[0]) else words[0], *words[1:]]
        if plain[: len(begin)] == list(begin):
            found.append((where, plain[len(begin) :]))
    return found


@pytest.mark.parametrize(("where", "words"), of("python", "-m", "airflow_sagemaker"))
def test_the_packages_own_commands(where: str, words: list[str]) -> None:
    from airflow_sagemaker.cli import build_parser

    build_parser().parse_args(words)


@pytest.mark.parametrize(("where", "words"), of("python", "-m", "local_sagemaker"))
def test_the_local_sagemakers_commands(where: str, words: list[str]) -> None:
    from local_sagemaker.__main__ import parser

    parser().parse_args(words)


def test_airflows_commands(tmp_path: Path) -> None:
    lines = [words for _, words in of("airflow")]
    assert lines
    done = subprocess.run(
        [sys.executable, "-c", PARSE_AIRFLOW], input=json.dumps(lines), capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__UNIT_TEST_MODE": "True"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(("where", "words"), of("aws"))
def test_calls_of_aws_and_their_options(where: str, words: list[str]) -> None:
    from botocore import xform_name
    from botocore.session import Session

    service, command = words[:2]
    if (service, command) in WRITTEN_BY_HAND:
        return
    model = Session().get_service_model("s3" if service == "s3api" else service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    assert command in names
    shape = model.operation_model(names[command]).input_shape
    known = {f"--{xform_name(name, '-')}" for name in (shape.members if shape else {})} | NOT_OF_A_CALL
    assert {word for word in words[2:] if word.startswith("--")} <= known


@pytest.mark.parametrize(("where", "words"), [found for found in commands() if re.match(r"(bin|deploy)/", found[1][0])])
def test_scripts_of_the_checkout(where: str, words: list[str]) -> None:
    script = ROOT / words[0]
    assert script.is_file()
    assert script.stat().st_mode & 0o100
