"""The strategies of a tuning job: which values its next training job tries.

A choice depends on nothing but the job's seed, the number of the trial and the trials before it, all of which are in
the database: a server that was killed chooses for the next trial what it would have chosen anyway.
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
    """What an earlier training job tried."""

    values: dict[str, str]
    objective: float | None
    """None while it runs."""


@dataclass(frozen=True)
class Search:
    """What stays the same through a tuning job."""

    strategy: str
    ranges: Sequence[Range]
    seed: str
    maximize: bool
    trials: int
    """How many there will be."""

    def choose(self, number: int, earlier: Sequence[Trial]) -> dict[str, str]:
        """The values of the trial of that number, the first is 1; `earlier` holds running and successful trials."""
        if self.strategy == GRID:
            return next(itertools.islice(combinations(list(self.ranges)), number - 1, None))
        source = random.Random(f"{self.seed}:{number}")  # noqa: S311 - a search, no secret
        if self.strategy == BAYESIAN:
            return self._choose_by_optuna(source.getrandbits(32), earlier)
        return {item.name: _anywhere(item, source) for item in self.ranges}

    def _choose_by_optuna(self, seed: int, earlier: Sequence[Trial]) -> dict[str, str]:
        """A tree-structured Parzen estimator over the unit scales of the ranges."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        distributions = {item.name: _distribution(item) for item in self.ranges}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # the running trials count as bad ones, so that parallel jobs do not all try the same
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
    """Whether the strategy Bayesian can run."""
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
