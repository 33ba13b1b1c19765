"""What a tuning job tries next: within the ranges, the same again after a restart, and better than by chance."""

from __future__ import annotations

import statistics

import pytest

from local_sagemaker.tuning.ranges import CategoricalRange, NumericRange
from local_sagemaker.tuning.strategies import BAYESIAN, GRID, RANDOM, Search, Trial

RATE = NumericRange("rate", 1e-5, 1.0, "Logarithmic", is_integer=False)
DEPTH = NumericRange("depth", 1, 8, "Linear", is_integer=True)
KIND = CategoricalRange("kind", ("a", "b"))


def search(strategy: str, seed: str = "1", trials: int = 30) -> Search:
    return Search(strategy, (RATE, DEPTH, KIND), seed, maximize=False, trials=trials)


def loss(values: dict[str, str]) -> float:
    """Least at rate 0.01, depth 3, kind b."""
    distance = abs(RATE.unit(values["rate"]) - RATE.unit("0.01")) * 5 + abs(int(values["depth"]) - 3) / 4
    return distance + (values["kind"] == "a")


def play(chosen: Search) -> list[Trial]:
    trials: list[Trial] = []
    for number in range(1, chosen.trials + 1):
        values = chosen.choose(number, trials)
        trials.append(Trial(values, loss(values)))
    return trials


@pytest.mark.parametrize("strategy", [RANDOM, BAYESIAN])
def test_a_choice_follows_from_seed_and_trials_alone(strategy: str) -> None:
    trials = play(search(strategy, trials=8))
    assert play(search(strategy, trials=8)) == trials
    assert play(search(strategy, seed="2", trials=8)) != trials
    running = [*trials, Trial(trials[0].values, None)]
    assert search(strategy).choose(9, running) == search(strategy).choose(9, running)
    for trial in trials:
        assert 1e-5 <= float(trial.values["rate"]) <= 1
        assert 1 <= int(trial.values["depth"]) <= 8
        assert trial.values["kind"] in ("a", "b")


def test_bayesian_finds_better_values_than_random() -> None:
    def last_losses(strategy: str) -> float:
        return statistics.fmean(
            trial.objective or 0 for seed in "12345" for trial in play(search(strategy, seed=seed))[-10:]
        )

    assert last_losses(BAYESIAN) < 0.7 * last_losses(RANDOM)


def test_bayesian_maximizes() -> None:
    chosen = Search(BAYESIAN, (RATE,), "1", maximize=True, trials=30)
    trials: list[Trial] = []
    for number in range(1, 31):
        values = chosen.choose(number, trials)
        trials.append(Trial(values, float(values["rate"])))
    assert statistics.fmean(trial.objective or 0 for trial in trials[-10:]) > 0.3


def test_grid_tries_every_combination_once() -> None:
    grid = Search(GRID, (KIND, CategoricalRange("size", ("1", "2", "3"))), "1", maximize=True, trials=6)
    found = [tuple(grid.choose(number, ()).values()) for number in range(1, 7)]
    assert len(set(found)) == 6
