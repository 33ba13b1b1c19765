"""Public texts use the words that engineers use: each phrase here has made readers stop, and has a better form."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, pages, prose_of

CODE = (
    "bin",
    "dags",
    "deploy",
    "examples",
    "local_sagemaker",
    "plugins",
    "preprocessing",
    "training",
)
"""Folders whose messages, log lines and help texts are checked."""
DOCUMENTED = (*CODE, "tests/support")
"""Folders whose docstrings and comments are checked, too."""
SCRIPTS = (
    ".ci/*",
    ".env.example",
    "Dockerfile",
    "bin/*",
    "deploy/**/*",
    "docker-compose.yaml",
    "packaging/**/*",
)
"""Files that are not Python, whose comments and messages are checked."""
BETTER = {
    r"(?<!here )(?:is|are|was) no (?!longer\b|such\b|more\b|other\b|need\b)\w+": "'is not a ...', or what it must be",
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
    r"[Bb]eside (?:the|a|an|those|that of|it|its)\b": "'next to', 'in addition to'",
    r"out of line\b": "'deviates from'",
    r"whole or (?:not|absent|nothing)": "'completely or not at all'",
    r"(?:is|are|was|were) held against": "'is compared with'",
    r"(?:not be|be|is|are) asked of\b": "'is requested'",
    r"made[ -]up (?:table|data|customers)": "'synthetic'",
    r"(?:is|are|was) at hand\b": "'is available'",
    r"(?:each|every|any|all|none) but for\b": "'except'",
    r"says nothing (?:of|about)\b": "'does not contain'",
    r"[Ll]ight on purpose": "what it does not import, and why",
    r"(?:the|which) rooms?\b": "'layer', 'package'",
    r"thereof\b|whereupon\b|wherein\b": "'of it', 'after which', 'in which'",
    r"in(?: |-)between two looks|two looks at\b": "'between checks', 'between polls'",
    r"no (?:retry|attempt|try) can heal\b": "'that no retry can fix'",
    r"(?:faults?|errors?) that heals?\b": "'transient faults'",
    r"as (?:it|they) (?:is|are|was|were)(?= returned)": "'unchanged'",
    r"(?:what|who) (?:a|the) person (?:has )?decided": "'manual decisions'",
    r"le(?:t|ts) by\b": "'accepted', 'skipped'",
    r"(?:written|writes?|write it|wrote) down\b": "'stored', 'recorded'",
    r"unless asked otherwise": "'by default'",
    r"hand(?:s|ed)? on\b": "'passes on'",
    r"told (?:apart|again)": "'distinguished', 'identified'",
    r"[Ww]ho asks\b": "'the caller'",
    r"(?:when|if) it is none\b|is none of\b": "'if it is not ...'",
    r"as the service has it": "'as on AWS'",
    r"in the place of\b": "'instead of'",
    r"[Tt]ak(?:e|es|ing) up what": "'continues the work of'",
    r"in the service's words": "'with the service's message'",
    r"(?:not|no\w*) any more\b": "'no longer'",
    r"(?:no|nothing) need\w* be\b": "'need not', 'nothing has to be'",
    r"what (?:there is|is there)\b": "'the existing ...'",
    r"whether it was one\b": "what is returned, and when it is true",
    r"; gives (?:the|its|their|an|a)\b": "'returns ...'",
    r"what (?:it|he|she) was told\b": "'its options', 'its arguments'",
    r"(?:put|put there|made) by hand": "'created by hand'",
    r"moments? that (?:it|they) (?:does|do) not choose": "'random times'",
    r"with the whole of\b": "'with'",
    r"brings? it about\b": "'for any reason'",
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


def documentation_of(module: Path) -> Iterator[tuple[int, str]]:
    """The docstrings and comments of a module."""
    text = module.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def scripts() -> list[Path]:
    """Shell scripts, settings and packages' metadata: text files that are neither Python nor pages."""
    files = (path for pattern in SCRIPTS for path in ROOT.glob(pattern) if path.is_file())
    return sorted(path for path in files if path.suffix not in (".py", ".pyc", ".md", ".txt"))


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
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_messages_and_help_read_without_stopping(module: Path) -> None:
    assert [f"line {line}: {problem}" for line, text in sentences_of(module) for problem in found_in(text)] == []


@pytest.mark.parametrize("folder", DOCUMENTED)
def test_docstrings_and_comments_read_without_stopping(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {problem}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in documentation_of(path)
        for problem in found_in(text)
    ]
    assert found == []


def test_scripts_and_settings_read_without_stopping() -> None:
    assert scripts()
    found = [
        f"{path.relative_to(ROOT)}: {problem}"
        for path in scripts()
        for problem in found_in(re.sub(r"^\s*#", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE))
    ]
    assert found == []
