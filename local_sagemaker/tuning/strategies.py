"""The strategies of tuning jobs, which choose the values of the next training job.

A choice depends only on the job's seed, the trial's number and the earlier trials, which are all in the database. So a
server that was killed and restarted makes the same choice.
"""

from __future__ import annotations

import importlib.util
import itertools
import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_sagemaker.tuning.ranges import CategoricalRange, Range, combinations

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

BAYESIAN, RANDOM, GRID = "Bayesian", "Random", "Grid"


@dataclass(frozen=True)
class Trial:
    """An earlier trial."""

    values: dict[str, str]
    objective: float | None
    """None while it is running."""


@dataclass(frozen=True)
class Search:
    """The settings of a tuning job's search."""

    strategy: str
    ranges: Sequence[Range]
    seed: str
    maximize: bool
    trials: int
    """The total number of trials."""

    def choose(self, number: int, earlier: Sequence[Trial]) -> dict[str, str]:
        """The values of a trial. Numbers start at 1; `earlier` contains running and successful trials."""
        if self.strategy == GRID:
            return next(itertools.islice(combinations(list(self.ranges)), number - 1, None))
        source = random.Random(f"{self.seed}:{number}")  # noqa: S311 - not used for security
        if self.strategy == BAYESIAN:
            return self._choose_by_optuna(source.getrandbits(32), earlier)
        return {item.name: _anywhere(item, source) for item in self.ranges}

    def _choose_by_optuna(self, seed: int, earlier: Sequence[Trial]) -> dict[str, str]:
        """Use a tree-structured Parzen estimator on the ranges' unit scales."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        distributions = {item.name: _distribution(item) for item in self.ranges}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # running trials count as bad ones, so that parallel jobs do not all try the same values
            startup = min(10, max(3, self.trials // 3))
            sampler = optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True
            )
            study = optuna.create_study(direction="maximize" if self.maximize else "minimize", sampler=sampler)
            for trial in earlier:
                study.add_trial(_frozen(trial, self.ranges, distributions))
            chosen = study.ask(distributions).params
        return {item.name: _text(item, chosen[item.name]) for item in self.ranges}


def has_optuna() -> bool:
    """Whether the strategy Bayesian is available."""
    return importlib.util.find_spec("optuna") is not None


def _anywhere(item: Range, source: random.Random) -> str:
    return source.choice(item.values) if isinstance(item, CategoricalRange) else item.at(source.random())


def _text(item: Range, value: str | float) -> str:
    return str(value) if isinstance(item, CategoricalRange) else item.at(float(value))


def _distribution(item: Range) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return CategoricalDistribution(item.values) if isinstance(item, CategoricalRange) else FloatDistribution(0, 1)


def _frozen(trial: Trial, ranges: Sequence[Range], distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    params = {
        item.name: trial.values[item.name] if isinstance(item, CategoricalRange) else item.unit(trial.values[item.name])
        for item in ranges
    }
    state = TrialState.RUNNING if trial.objective is None else TrialState.COMPLETE
    return create_trial(state=state, params=params, distributions=distributions, value=trial.objective)
