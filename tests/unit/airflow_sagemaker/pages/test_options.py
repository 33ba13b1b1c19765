"""The pages' settings, as an operator of Airflow writes them."""

from __future__ import annotations

import logging

import pytest

from airflow_sagemaker.pages.options import page_options

PRICES = "AIRFLOW__AIRFLOW_SAGEMAKER__PRICE_PER_HOUR"
CURRENCY = "AIRFLOW__AIRFLOW_SAGEMAKER__PRICE_CURRENCY"
LIVE = "AIRFLOW__AIRFLOW_SAGEMAKER__LIVE_FIGURES"


def test_without_settings_no_costs_are_shown_and_aws_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PRICES, raising=False)
    assert page_options() == {"prices": {}, "currency": "USD", "live": False}


def test_the_settings_reach_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PRICES, '{"ml.m5.large": 0.115}')
    monkeypatch.setenv(CURRENCY, "EUR")
    monkeypatch.setenv(LIVE, "True")
    assert page_options() == {"prices": {"ml.m5.large": 0.115}, "currency": "EUR", "live": True}


@pytest.mark.parametrize("text", ["{not json", "[1, 2]", '{"ml.m5.large": "cheap"}'])
def test_a_map_that_cannot_be_read_costs_only_the_amounts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    monkeypatch.setenv(PRICES, text)
    with caplog.at_level(logging.WARNING):
        assert page_options()["prices"] == {}
    assert "price_per_hour" in caplog.text
