"""Links between pages and to files lead somewhere, anchors included, and every page can be found from the index."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, pages, prose_of

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
INDEX = ROOT / "docs" / "README.md"


@cache
def links_of(page: Path) -> tuple[str, ...]:
    return tuple(LINK.findall(prose_of(page)))


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, made as GitHub makes them."""
    fenced = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", fenced, re.MULTILINE):
        text = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        again = found.count(text)
        found.append(f"{text}-{again}" if again else text)
    return frozenset(found)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links_of(page):
        if re.match(r"[a-z]+:", link):
            if not re.match(r"https://[^/]+\.", link):
                broken.append(link)
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        inside = target.is_relative_to(ROOT) and target.exists()
        if not inside or (anchor and target.suffix == ".md" and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


def test_every_page_of_docs_can_be_reached_from_the_index() -> None:
    seen, waiting = set[Path](), [INDEX]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = [(page.parent / link.partition("#")[0]).resolve() for link in links_of(page) if ":" not in link]
        waiting += [target for target in targets if target.suffix == ".md" and target.exists()]
    docs = {page for page in pages() if page.is_relative_to(ROOT / "docs")}
    assert sorted(str(page.relative_to(ROOT)) for page in docs - seen) == []
