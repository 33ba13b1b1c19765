"""What all tests share: the options, and by its own pytest plugin one local SageMaker for the whole session."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from hypothesis import settings

# A busy machine fails no test. CI tries the same examples for the same code, so that it judges the change; every run by
# hand tries others.
settings.register_profile("suite", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("suite")

pytest_plugins = ["local_sagemaker.testing"]
pytest.register_assert_rewrite("tests.support")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow (minutes each)")
    parser.addoption("--soak", action="store_true", help="also run the tests marked soak (half an hour together)")


def pytest_configure() -> None:
    # A shell ignores SIGINT for what it runs in the background, and each process that a test starts would inherit it.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: order_of(item.nodeid))
    for mark in ("slow", "soak"):
        if config.getoption(f"--{mark}"):
            continue
        skip = pytest.mark.skip(reason=f"takes minutes: run with --{mark}")
        for item in items:
            if mark in item.keywords:
                item.add_marker(skip)


TOGETHER = ("tests/browser/",)
"""Folders whose files share what is costly to start: one worker of `bin/test` gets all of them."""

LONGEST = (
    "tests/integration/stack/",
    "tests/browser/",
    "tests/integration/training/",
    "tests/integration/compile/",
    "tests/faults/airflow/",
    "tests/faults/training/",
    "tests/docs/test_blocks.py",
    "tests/integration/",
    "tests/faults/",
)
"""What takes longest begins first: what is left for the end is short, and no worker waits long for another."""


def order_of(nodeid: str) -> int:
    """The place of a test's file among the others."""
    return next((place for place, start in enumerate(LONGEST) if nodeid.startswith(start)), len(LONGEST))


def unit_of(nodeid: str) -> str:
    """What one worker gets as a whole: a file, so that its fixtures are made once, or a folder of TOGETHER."""
    return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist, which debugging does without
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadfile`, with units of `unit_of`."""
    from xdist.scheduler import LoadFileScheduling

    class InUnits(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    return InUnits(config, log) if config.getoption("dist") == "loadfile" else None
