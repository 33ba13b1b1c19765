"""What an operator of Airflow may set for the pages, in the section [airflow_sagemaker] of airflow.cfg.

`price_per_hour`: JSON, instance type to price of one instance hour, e.g. `{"ml.g5.12xlarge": 7.09}`. Without it the
report shows billable seconds and no amount: prices differ by region, contract and spot market, so none is shipped.
`price_currency`: shown next to the amount, default `USD`.
`live_figures`: whether the api-server itself reads the figures of running trainings from AWS (default False). It then
needs the connection's credentials and permissions.
As environment variables: AIRFLOW__AIRFLOW_SAGEMAKER__PRICE_PER_HOUR, AIRFLOW__AIRFLOW_SAGEMAKER__PRICE_CURRENCY,
AIRFLOW__AIRFLOW_SAGEMAKER__LIVE_FIGURES.
"""

from __future__ import annotations

import logging

from airflow_sagemaker.start.prices import CURRENCY_OPTION, DEFAULT_CURRENCY, OPTION, SECTION, Prices
from airflow_sagemaker.types import JsonObject

log = logging.getLogger(__name__)


def live_figures() -> bool:
    """Whether the report's live figures come from AWS instead of the waiting task's log."""
    from airflow.configuration import conf

    return bool(conf.getboolean(SECTION, "live_figures", fallback=False))


def page_options() -> JsonObject:
    """The options as the pages get them. A price map that cannot be read is left out, with a warning in the log."""
    from airflow.configuration import conf

    currency = conf.get(SECTION, CURRENCY_OPTION, fallback=DEFAULT_CURRENCY)
    prices = Prices({})
    try:
        prices = Prices.parse(conf.get(SECTION, OPTION, fallback=""))
    except Exception as error:
        log.warning("[%s] price_per_hour is not a JSON object of numbers, so no costs are shown: %s", SECTION, error)
    return {"prices": dict(prices.per_hour), "currency": currency, "live": live_figures()}
