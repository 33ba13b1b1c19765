"""On which port a home's local SageMaker serves: links of earlier runs must go on leading somewhere."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from local_stack.processes import free_port
from local_stack.settings import Home
from local_stack.stack import port_of_sagemaker

from local_sagemaker.client.environment import client_environment, save


def served_on(folder: Path, port: int) -> Home:
    home = Home(folder)
    home.sagemaker.mkdir()
    save(home.sagemaker, client_environment(f"http://127.0.0.1:{port}", "http://127.0.0.1:2", "key", "secret"))
    return home


def test_the_last_port_is_taken_again(tmp_path: Path) -> None:
    port = free_port()
    assert port_of_sagemaker(served_on(tmp_path, port), 0) == port


def test_another_one_is_taken_while_somebody_else_has_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port_of_sagemaker(served_on(tmp_path, port), 0) != port


def test_a_port_that_is_asked_for_wins(tmp_path: Path) -> None:
    asked = free_port()
    assert port_of_sagemaker(served_on(tmp_path, free_port()), asked) == asked


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"AWS_ENDPOINT_URL": "http://127.0.0.1:many"}'])
def test_without_a_last_one_any_free_one_does(tmp_path: Path, content: str | None) -> None:
    home = Home(tmp_path)
    home.sagemaker.mkdir()
    if content is not None:
        (home.sagemaker / "endpoint.json").write_text(content)
    assert port_of_sagemaker(home, 0) > 0
