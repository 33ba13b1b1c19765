"""What all tests share: the options, and by its own pytest plugin one local SageMaker for the whole session."""

from __future__ import annotations

import os

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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=_order)
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="takes minutes: run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


def _order(item: pytest.Item) -> int:
    """The real Airflow's runs first: they take longest, and the other worker of `bin/test` goes on beside them.

    The browser last, because Playwright keeps an event loop running for the rest of its process, where asyncio.run is
    refused.
    """
    if "browser" in item.keywords:
        return 2
    return 0 if "integration/stack" in item.nodeid else 1
