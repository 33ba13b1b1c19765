"""The words that rooms share: each is written once, and the training program's own copy is the same."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_sagemaker import contract
from airflow_sagemaker.pages import assets

ROOT = Path(__file__).resolve().parents[3]
WORDS = {
    *(metric.name for metric in contract.METRICS),
    *(key.value for key in contract.XCom if key not in {contract.XCom.RETURN_VALUE, contract.XCom.OUTCOME}),
    contract.PAGES_URL_PREFIX,
}
"""Those that mean nothing else."""


def python_files() -> Iterator[Path]:
    for folder in ("plugins", "dags", "bin"):
        yield from (ROOT / folder).rglob("*.py")


def texts_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@pytest.mark.skipif(
    not (ROOT / "plugins" / "airflow_sagemaker").is_dir(), reason="an installed package: its sources are not here"
)
def test_no_other_file_spells_a_word_of_the_contract() -> None:
    spelt = {str(file.relative_to(ROOT)): texts_in(file) & WORDS for file in python_files()}
    assert {file for file, words in spelt.items() if words} == {"plugins/airflow_sagemaker/contract.py"}


def test_the_pages_scripts_take_the_words_from_the_contract() -> None:
    scripts = {n: a.content.decode() for n, a in assets.load_assets().files.items() if n.endswith(".js")}
    served = scripts.pop("contract.js")
    found = json.loads(re.search(r"CONTRACT = (.*);", served)[1])  # type: ignore[index]
    assert [metric["name"] for metric in found["metrics"]] == [metric.name for metric in contract.METRICS]
    for name, text in scripts.items():
        assert not [word for word in WORDS if f'"{word}"' in text], name


def test_the_training_programs_copy_is_the_same() -> None:
    pytest.importorskip("torch")
    from training.evaluation import metrics, report

    assert [metric.name for metric in contract.METRICS] == list(metrics.NAMES)
    assert report.SCHEMA == contract.REPORT_SCHEMA


def test_a_report_of_another_schema_is_not_read_and_both_are_named() -> None:
    assert contract.report_problem({"schema": contract.REPORT_SCHEMA, "test": {}}) == ""
    assert contract.report_problem({"my_own": 1}) == ""
    assert "has schema 99, expected 1" in contract.report_problem({"schema": 99})


def test_an_alias_and_its_digest() -> None:
    assert contract.digest_of_alias(contract.version_alias("abc")) == "abc"
    assert contract.digest_of_alias("live") == ""
