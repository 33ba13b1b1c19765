"""Host names that a request may use on loopback: DNS rebinding must not reach the server."""

from __future__ import annotations

import pytest

from local_sagemaker.addresses import is_own_name, url


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:4600", "bucket.localhost:4601", "127.0.0.1", "127.3.2.1:80", "[::1]", "[::1]:4600"],
)
def test_names_of_loopback(host: str) -> None:
    assert is_own_name(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.com",
        "localhost.example.com",
        "notlocalhost",
        "127.0.0.1.nip.io:4600",
        "0.0.0.0",
        "192.168.0.1:4600",
        "[::2]:80",
        "2130706433",
    ],
)
def test_all_other_names(host: str) -> None:
    assert not is_own_name(host)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:1"),
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::1", "http://[::1]:1"),
        ("::", "http://[::1]:1"),
    ],
)
def test_clients_reach_an_address_that_names_this_machine(address: str, expected: str) -> None:
    assert url(address, 1) == expected
