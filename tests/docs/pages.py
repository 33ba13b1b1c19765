"""The pages of the documentation, and the code blocks in them.

A comment on the line before a fence says what is done with a block beyond parsing it:

    <!-- run -->              run it (bash or Python) in the page's workspace, and it must end with 0
    <!-- run: sagemaker -->   the same as a client of a local SageMaker, whose folder is var/sagemaker
    <!-- run: sagemaker slow --> ... with --slow only
    <!-- file: NAME -->       write it to the page's workspace, for the blocks that follow
    <!-- config -->           YAML: a valid PytorchTrainingConfig; Python: leaves one in the name `config`
    <!-- config: part -->     YAML: valid together with a table's fields
    <!-- dag -->              Airflow imports it without an error, and it holds a DAG
    <!-- connection -->       JSON: an Airflow connection that names region, bucket and role
    <!-- settings -->         ini: options of [airflow_sagemaker] that the provider declares, and their values

A workspace is a temporary folder per page with links to everything in the root of the checkout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
MARK = re.compile(r"<!-- (run|file|config|dag|connection|settings)(?:: (.+?))? -->")
FENCE = re.compile(r"(\s*)(`{3,}|~{3,})\s*(\S*)")


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is the line of its fence, from 1."""

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@cache
def pages() -> tuple[Path, ...]:
    """All pages for readers."""
    return tuple(sorted([*TOP, *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")]))


@cache
def blocks() -> tuple[Block, ...]:
    """Every fenced block of every page."""
    return tuple(block for page in pages() for block in blocks_of(page))


def blocks_of(page: Path) -> Iterator[Block]:
    """The fenced blocks of one page, with the marks before them."""
    lines = page.read_text(encoding="utf-8").splitlines()
    number, marks = 0, dict[str, str]()
    while number < len(lines):
        fence = FENCE.fullmatch(lines[number])
        if fence is None:
            found = MARK.fullmatch(lines[number].strip())
            marks = {**marks, found[1]: found[2] or ""} if found else {}
            number += 1
            continue
        indent, opening, language = fence.groups()
        end = next((n for n in range(number + 1, len(lines)) if lines[n].strip() == opening), None)
        assert end is not None, f"{page}:{number + 1}: the block is never closed"
        text = "".join(line.removeprefix(indent) + "\n" for line in lines[number + 1 : end])
        yield Block(page, number + 1, language, text, marks)
        number, marks = end + 1, {}


def prose_of(page: Path) -> str:
    """The page without its fenced blocks and code spans."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"^\s*(`{3,}|~{3,})[^\n]*\n.*?^\s*\1\s*$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`", "``", text)
