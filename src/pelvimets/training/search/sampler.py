"""How a search draws values and when it stops a trial."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from pelvimets.errors import SettingsError
from pelvimets.training.search.records import SHARES


class TrialSampler(BaseSampler):
    """Random values or TPE, seeded for each trial by its number.

    So a random search draws the same trials however many workers share it, and no two
    workers draw the same values.
    """

    def __init__(self, name: str, seed: int) -> None:
        if name not in ("random", "tpe"):
            raise SettingsError("Unknown sampler", got=name, remedy="Known: random, tpe")
        self._name, self._seed = name, seed
        self._number, self._sampler = -1, self._made(0)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Names that are drawn together."""
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Values drawn together."""
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """One value drawn alone."""
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        if trial.number != self._number:
            self._number, self._sampler = trial.number, self._made(trial.number)
        return self._sampler

    def _made(self, number: int) -> BaseSampler:
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        if self._name == "random":
            return RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(seed=seed, multivariate=True, constant_liar=True)


def made_pruner(name: str) -> BasePruner:
    """The pruner; none stops a trial in the first quarter of its schedule."""
    if name == "median":
        return MedianPruner(n_startup_trials=5, n_warmup_steps=SHARES // 4)
    if name == "hyperband":
        return HyperbandPruner(min_resource=SHARES // 4, max_resource=SHARES)
    if name == "none":
        return NopPruner()
    raise SettingsError("Unknown pruner", got=name, remedy="Known: median, hyperband, none")
