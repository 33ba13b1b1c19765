"""What a run costs at most, the ceiling of the operator, and the command that prints it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_sagemaker import PytorchScoringConfig, PytorchTrainingConfig, cli
from airflow_sagemaker.exceptions import ConfigurationError
from airflow_sagemaker.start.prices import Prices
from airflow_sagemaker.start.run_config import require_cost
from tests.support.samples import HYPERPARAMETERS

VARIABLE = "AIRFLOW__AIRFLOW_SAGEMAKER__PRICE_PER_HOUR"


def training(**changes: Any) -> PytorchTrainingConfig:
    given = {"training_instance_type": "ml.m5.large", "training_instance_count": 2, "max_runtime_seconds": 5400}
    return PytorchTrainingConfig(**{"hyperparameters": HYPERPARAMETERS, **given, **changes})


def test_price_times_instances_times_longest_runtime() -> None:
    prices = Prices({"ml.m5.large": 0.5}, "EUR")
    assert prices.most(training().compute()) == 0.5 * 2 * 1.5
    assert prices.text(training().compute(), 365) == "2 x ml.m5.large for 1.5 h, 365 runs: 547.50 EUR at most"


def test_every_kind_says_what_it_runs_on() -> None:
    config = PytorchScoringConfig(model="s3://bucket/models/model.tar.gz", input_path="s3://bucket/rows/day")
    assert Prices({"ml.m5.xlarge": 0.25}).most(config.compute()) == 1.0


@pytest.mark.parametrize(("limit", "is_refused"), [(1.5, False), (1.49, True)])
def test_a_start_above_the_ceiling_is_refused(limit: float, is_refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps({"ml.m5.large": 0.5}))
    if not is_refused:
        require_cost(training(), limit)
        return
    with pytest.raises(ConfigurationError, match=r"2 x ml.m5.large for 1.5 h: 1.50 USD at most.*cheaper instance"):
        require_cost(training(), limit)


@pytest.mark.parametrize(
    ("prices", "message"),
    [("{}", "no price is set for ml.m5.large"), ("[1]", "must be a JSON object"), ("{", "price_per_hour")],
)
def test_a_ceiling_that_cannot_be_checked_is_refused(
    prices: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, prices)
    with pytest.raises(ConfigurationError, match=message):
        require_cost(training(), 100)


def configured(folder: Path) -> str:
    path = folder / "training.yaml"
    path.write_text(json.dumps({**training().to_dict(), "source_dir": str(folder)}))
    return str(path)


@pytest.mark.parametrize(
    ("options", "price", "expected"),
    [
        ([], {"ml.m5.large": 0.5}, "2 x ml.m5.large for 1.5 h: 1.50 USD at most"),
        (["--from-date", "2026-01-30", "--to-date", "2026-02-01"], {"ml.m5.large": 0.5}, "3 runs: 4.50 USD at most"),
        ([], {}, "no price is set for ml.m5.large"),
    ],
)
def test_the_command_line_prints_it(
    options: list[str], price: Any, expected: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps(price))
    assert cli.main(["estimate", configured(tmp_path), *options]) == 0
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [["--from-date", "2026-01-30"], ["--from-date", "2026-02-02", "--to-date", "2026-02-01"]]
)
def test_a_range_that_is_none_is_refused(options: list[str], tmp_path: Path, capsys: Any) -> None:
    assert cli.main(["estimate", configured(tmp_path), *options]) == 2
    assert "must be two dates" in capsys.readouterr().err
