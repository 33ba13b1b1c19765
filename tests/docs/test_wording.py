"""Public texts use the words that engineers use: each phrase here has made readers stop, and has a better form."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, pages, prose_of

CODE = (
    "local_sagemaker",
    "plugins/airflow_sagemaker/aws",
    "plugins/airflow_sagemaker/config",
    "plugins/airflow_sagemaker/cli",
    "plugins/airflow_sagemaker/definition",
    "plugins/airflow_sagemaker/kinds",
    "plugins/airflow_sagemaker/pages",
    "plugins/airflow_sagemaker/start",
    "plugins/airflow_sagemaker/table",
    "plugins/airflow_sagemaker/wait",
)
MODULES = tuple(f"plugins/airflow_sagemaker/{name}.py" for name in (
    "airflow_compat", "exceptions", "links", "operators", "sensors", "triggers",
))  # fmt: skip
COMMAND_LINES = ("local_sagemaker/__main__.py",)
BETTER = {
    r"(?<!there )(?:is|are|was) no (?!longer\b|such\b|more\b|other\b|need\b)\w+": "'is not a ...', or what it must be",
    r"to be had": "'available'",
    r"stands? (?:twice|in|there|beside|above|below|open|on)\b": "'is in', 'occurs twice', 'duplicate'",
    r"l(?:ies?|ay|ying) (?:in|at|on|under|below|there|beside|inside|elsewhere|where)\b": "'is in', 'is stored in'",
    r"go(?:es|ing)? on (?:with|until|running|as|from|meanwhile)": "'continues with', 'keeps running', 'resumes from'",
    r"in vain": "what was tried, and for how long",
    r"at the first try": "'on the first attempt'",
    r"to the letter": "'exactly', 'the same request'",
    r"for ever\b": "'forever'",
    r"for good\b": "'permanently', 'without retries'",
    r"(?i:whoever)": "'anyone who', 'everyone who'",
    r"refused by name": "'rejected with an error that names it'",
    r"(?:is|was|are|were) told\b": "'is reported'",
    r"tells? (?:nothing|what|which|whether)\b": "'shows', 'reports', 'says'",
    r"knows nothing of": "'does not depend on'",
    r"\ban? \w+ of (?:its|your|their) own": "'a separate ...', 'its own ...', 'your own ...'",
    r"said (?:once|by)\b": "'defined once', 'reported by'",
    r"looked (?:at|after)": "'checked', 'examined'",
    r"all the same": "'still', 'nevertheless'",
    r"by itself alone": "'alone'",
    r"what (?:became|becomes|came) of": "'the result of'",
    r"(?:is|are|was) left out": "'is excluded', 'is omitted'",
    r"ma(?:kes?|de) room": "'frees disk space'",
    r"puts? (?:right|aside)\b": "'fixes', 'moves'",
    r"anew\b": "'again', 'a new ...'",
    r"nobody knows\b": "'it is unknown'",
    r"(?:lacks? (?:a|the|this)|without the|rights? to|no) rights?\b": "'permission'",
    r"[Ll]ook(?:s|ing)? again\b": "'checks again'",
    r"carr(?:y|ies|ying) on with\b": "'continues with'",
}


def sentences_of(module: Path) -> Iterator[tuple[int, str]]:
    """The texts of a module that a user may read: what is not a docstring and has a blank."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    documentation = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


def found_in(text: str) -> list[str]:
    joined = " ".join(text.split())
    found = []
    for pattern, better in BETTER.items():
        for match in re.finditer(rf"(?<![\w-]){pattern}", joined):
            context = joined[max(match.start() - 40, 0) : match.end() + 30]
            found.append(f"'{match[0]}' in '...{context}...': write {better}")
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_reads_without_stopping(page: Path) -> None:
    assert found_in(prose_of(page)) == []


@pytest.mark.parametrize(
    "module",
    [
        *(path for folder in CODE for path in sorted((ROOT / folder).rglob("*.py"))),
        *(ROOT / name for name in (*MODULES, *COMMAND_LINES)),
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_messages_and_help_read_without_stopping(module: Path) -> None:
    assert [f"line {line}: {problem}" for line, text in sentences_of(module) for problem in found_in(text)] == []
