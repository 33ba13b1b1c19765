"""The pages' options, in section [airflow_sagemaker] of airflow.cfg.

`price_per_hour`: JSON, instance type to price per instance hour, such as `{"ml.g5.12xlarge": 7.09}`. Without it, the
report shows billable seconds but no costs: prices differ by region, contract and spot market, so none are included.
`price_currency`: shown next to the costs, default `USD`.
`live_figures`: whether the api-server reads the figures of running trainings from AWS (default False), which needs the
connection's credentials and permissions.
As environment variables: AIRFLOW__AIRFLOW_SAGEMAKER__PRICE_PER_HOUR, AIRFLOW__AIRFLOW_SAGEMAKER__PRICE_CURRENCY,
AIRFLOW__AIRFLOW_SAGEMAKER__LIVE_FIGURES.
"""

from __future__ import annotations

import logging

from airflow_sagemaker.start.prices import CURRENCY_OPTION, DEFAULT_CURRENCY, OPTION, SECTION, Prices
from airflow_sagemaker.types import JsonObject

log = logging.getLogger(__name__)


def live_figures() -> bool:
    """Return whether live figures come from AWS instead of the waiting task's log."""
    from airflow.configuration import conf

    return bool(conf.getboolean(SECTION, "live_figures", fallback=False))


def page_options() -> JsonObject:
    """Return the options for the pages. An invalid price map is omitted, with a warning in the log."""
    from airflow.configuration import conf

    currency = conf.get(SECTION, CURRENCY_OPTION, fallback=DEFAULT_CURRENCY)
    prices = Prices({})
    try:
        prices = Prices.parse(conf.get(SECTION, OPTION, fallback=""))
    except Exception as error:
        log.warning("[%s] price_per_hour is not a JSON object of numbers, so no costs are shown: %s", SECTION, error)
    return {"prices": dict(prices.per_hour), "currency": currency, "live": live_figures()}
