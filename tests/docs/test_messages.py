"""What troubleshooting.md quotes is what the code says: a message that is reworded must be reworded there too."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
SOURCES = ("plugins", "local_sagemaker", "training", "preprocessing", "bin/local_stack")
SCRIPTS = ("bin/setup", "bin/sdk-env")
PAGES = "plugins/airflow_sagemaker/pages/static"
NOT_OURS = "## Messages of Airflow, the SDK and AWS"


def quoted() -> list[str]:
    """The code spans in the first column of the tables, above the section of what others say."""
    ours = PAGE.read_text(encoding="utf-8").partition(NOT_OURS)[0]
    rows = re.findall(r"^\| (`.+?) \|", ours, re.MULTILINE)
    return [span for row in rows for span in re.findall(r"``? ?(.+?) ?``?(?=,|$| <br>| or )", row)]


@cache
def texts() -> str:
    """Every string constant in the code; the parts of an f-string stand apart."""
    found = []
    for source in SOURCES:
        for path in sorted((ROOT / source).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    found += [(ROOT / script).read_text(encoding="utf-8") for script in SCRIPTS]
    found += [script.read_text(encoding="utf-8") for script in sorted((ROOT / PAGES).glob("*.js"))]
    return "\0".join(found)


def test_there_are_messages() -> None:
    assert len(quoted()) > 30


@pytest.mark.parametrize("message", quoted())
def test_the_code_says_so(message: str) -> None:
    parts = [part.strip() for part in message.replace("\\|", "|").split("...")]
    missing = [part for part in parts if len(part) > 2 and part not in texts()]
    assert missing == []
