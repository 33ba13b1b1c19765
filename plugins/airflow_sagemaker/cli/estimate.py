"""`estimate`: the maximum cost of a run, or of a run for each date of a range."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from airflow_sagemaker.cli.offline import read_configuration
from airflow_sagemaker.exceptions import ConfigurationError, Violation
from airflow_sagemaker.start.prices import OPTION, Prices

if TYPE_CHECKING:
    import argparse

    from airflow_sagemaker.cli.output import Output


def estimate(arguments: argparse.Namespace, output: Output) -> int:
    """Print the estimate; the exit code is 0 even if a price is missing, which the text mentions."""
    config = read_configuration(arguments)
    try:
        prices = Prices.of_environment()
    except ValueError as error:
        raise ConfigurationError([Violation(OPTION, "(environment)", str(error))], what="prices") from None
    runs, jobs = _runs(arguments), config.compute()
    known = all(job.instance_type in prices.per_hour for job in jobs)
    data = {"ok": True, "runs": runs, "currency": prices.currency, "most": prices.most(jobs) * runs if known else None}
    output.result(data, prices.text(jobs, runs))
    return 0


def _runs(arguments: argparse.Namespace) -> int:
    first, last = arguments.from_date, arguments.to_date
    if first is None and last is None:
        return 1
    problem = Violation("--from-date", [first, last], "must be two dates YYYY-MM-DD, the last not before the first")
    try:
        days = (datetime.date.fromisoformat(last) - datetime.date.fromisoformat(first)).days + 1
    except (TypeError, ValueError):
        raise ConfigurationError([problem], what="command line") from None
    if days < 1:
        raise ConfigurationError([problem], what="command line")
    return days
