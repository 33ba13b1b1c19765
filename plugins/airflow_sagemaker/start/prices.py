"""The maximum cost of a run, from the prices of this installation; none are included, because they differ.

The prices are the option `price_per_hour` in section [airflow_sagemaker] of airflow.cfg: JSON, from instance type to
price per instance hour. The pages use the same option for costs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

SECTION = "airflow_sagemaker"
OPTION, CURRENCY_OPTION = "price_per_hour", "price_currency"
_VARIABLE = "AIRFLOW__AIRFLOW_SAGEMAKER__"
DEFAULT_CURRENCY = "USD"


class Compute(Protocol):
    """The instances of a job and their longest time."""

    @property
    def instance_type(self) -> str:
        """The instance type, such as ml.m5.large."""

    @property
    def count(self) -> int:
        """Number of instances."""

    @property
    def max_seconds(self) -> int:
        """Seconds until SageMaker stops the job."""


@dataclass(frozen=True)
class Prices:
    """Price of one instance hour by instance type."""

    per_hour: Mapping[str, float]
    currency: str = DEFAULT_CURRENCY

    @classmethod
    def parse(cls, text: str, currency: str = DEFAULT_CURRENCY) -> Prices:
        """Read the option. Raises ValueError unless it is a JSON object of numbers."""
        found = json.loads(text) if text.strip() else {}
        if not isinstance(found, dict):
            raise ValueError(f'{OPTION} must be a JSON object such as {{"ml.m5.large": 0.115}}, got {text!r}')
        return cls({str(name): float(price) for name, price in found.items()}, currency or DEFAULT_CURRENCY)

    @classmethod
    def of_environment(cls) -> Prices:
        """Read the option from its environment variable, without Airflow."""
        return cls.parse(
            os.environ.get(_VARIABLE + OPTION.upper(), ""), os.environ.get(_VARIABLE + CURRENCY_OPTION.upper(), "")
        )

    def most(self, jobs: Iterable[Compute]) -> float:
        """Return the cost of these jobs if each runs until it is stopped. Raises KeyError without a price."""
        return sum(self.per_hour[job.instance_type] * job.count * job.max_seconds / 3600 for job in jobs)

    def text(self, jobs: Iterable[Compute], runs: int = 1) -> str:
        """Return the estimate in words, or which price is missing."""
        jobs = list(jobs)
        parts = [f"{job.count} x {job.instance_type} for {job.max_seconds / 3600:g} h" for job in jobs]
        what = " + ".join(parts) or "no jobs with a known cost"
        try:
            amount = self.most(jobs) * runs
        except KeyError as missing:
            return f"{what}: no price is set for {missing.args[0]} ({OPTION} in section [{SECTION}])"
        times = f", {runs} runs" if runs != 1 else ""
        return f"{what}{times}: {amount:,.2f} {self.currency} at most"
