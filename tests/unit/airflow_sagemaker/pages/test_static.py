"""The pages' files: what they may not contain, and that importing the plugin's part stays light."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from airflow_sagemaker.pages import EXTERNAL_VIEWS, URL_PREFIX, assets

OURS = sorted(name for name in assets.load_assets().files if name.endswith(".js") and not name.startswith("vendor/"))


@pytest.mark.parametrize("name", OURS)
def test_scripts_never_make_markup_or_code_from_text(name: str) -> None:
    text = assets.load_assets().files[name].content.decode()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.srcdoc", text)


def test_nothing_is_fetched_from_elsewhere() -> None:
    loaded = assets.load_assets()
    texts = {name: asset.content.decode() for name, asset in loaded.files.items() if not name.endswith(".txt")}
    for name, text in (texts | loaded.pages).items():
        urls = set(re.findall(r"(?:https?:)?//[a-z][\w.-]+\.[a-z]{2,}[^\s\"'`]*", text))
        assert urls <= {"http://www.w3.org/2000/svg", "https://github.com/leeoniya/uPlot"}, name
        assert not re.search(r"@import|url\(", text), name


@pytest.mark.parametrize("page", ["report", "history"])
def test_pages_name_files_that_exist_by_relative_addresses(page: str) -> None:
    loaded = assets.load_assets()
    named = re.findall(r'(?:src|href)="([^"]+)"', loaded.pages[page])
    assert named
    for address in named:
        assert address.startswith("static/{{digest}}/")
        assert address.removeprefix("static/{{digest}}/") in loaded.files
    assert "<script>" not in loaded.pages[page]


@pytest.mark.parametrize("page", ["report", "history"])
def test_every_imported_module_is_preloaded(page: str) -> None:
    """A browser that learns of a module only from another one asks for it a round trip later."""
    loaded = assets.load_assets()
    wanted, seen = [f"{page}.js"], set()
    while wanted:
        name = wanted.pop()
        seen.add(name)
        text = loaded.files[name].content.decode()
        wanted += [
            other
            for other in re.findall(r'from "\./([\w.]+)"|import "\./([\w.]+)"', text)
            for other in other
            if other and other not in seen
        ]
    preloaded = set(re.findall(r'modulepreload" href="static/\{\{digest\}\}/([\w.]+)"', loaded.pages[page]))
    assert preloaded == seen - {f"{page}.js"}


def test_the_chart_library_comes_with_its_licence() -> None:
    files = assets.load_assets().files
    assert b"MIT License" in files["vendor/uplot-LICENSE.txt"].content
    assert b"v1.6.32" in files["vendor/uplot-1.6.32.min.js"].content


def test_views_are_relative_and_their_routes_unique() -> None:
    routes = [view["url_route"] for view in EXTERNAL_VIEWS]
    assert len(set(routes)) == len(routes)
    assert all(view["href"].startswith(URL_PREFIX.removeprefix("/") + "/") for view in EXTERNAL_VIEWS)


def test_importing_the_plugins_part_loads_no_web_framework() -> None:
    code = (
        "import sys; before = set(sys.modules); import airflow_sagemaker.pages;"
        "new = {name.split('.')[0] for name in set(sys.modules) - before};"
        "heavy = {'fastapi', 'starlette', 'sqlalchemy', 'airflow', 'boto3', 'sagemaker'};"
        "import json; print(json.dumps(sorted(new & heavy)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": "plugins"}
    )
    assert json.loads(done.stdout) == []
