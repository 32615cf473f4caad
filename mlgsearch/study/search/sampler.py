"""Optuna samplers by name, seeded afresh for every proposal."""

import hashlib
import math
import warnings
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.study import Study
from optuna.trial import FrozenTrial

from mlgsearch.errors import StudyFileError
from mlgsearch.study.search.better_trials import MOST_BETTER, BetterTrials
from mlgsearch.train.own_code import call, load_callable

#: Of the trials that are not among the better ones TPE takes so many into account.
MOST_WORSE = 200


class _WholeSpace:
    """Hands a sampler the space instead of letting it infer one from all trials, each time."""

    def __init__(self, *args: Any, space: dict[str, BaseDistribution], **options: Any):
        super().__init__(*args, **options)
        self._whole_space = {k: v for k, v in sorted(space.items()) if not v.single()}

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._whole_space


class _Tpe(_WholeSpace, TPESampler):
    """Optuna's TPE, whose pictures of the better and of the worse trials have bounds.

    A proposal costs what they hold: without bounds one of 100 numbers takes 0.14 s at 200 trials
    and 0.53 s at 2,000. A tenth of the trials are the better ones, as in Optuna, but at most
    ``MOST_BETTER``. Of the others at most ``MOST_WORSE`` are taken, evenly spread over the study's
    course; where there are fewer, nothing is proposed otherwise than by Optuna's own. Which trials
    these are ``better`` knows; without it all trials are gone over for each proposal.
    """

    def __init__(self, *, better: BetterTrials | None, **options: Any):
        super().__init__(**options)
        self._better = better

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        # Optuna's shares a proposal with other processes besides, of which there are none here.
        known = BetterTrials.of(study) if self._better is None else self._better
        if not search_space or known.ended < self._n_startup_trials:
            return {}
        better, others = known.split(
            study.get_trials(deepcopy=False),
            study,
            n_better=min(math.ceil(0.1 * known.ended), MOST_BETTER),
            n_others=MOST_WORSE,
            but=trial.number,
        )
        below = self._build_parzen_estimator(study, search_space, better, handle_below=True)
        above = self._build_parzen_estimator(study, search_space, others, handle_below=False)
        drawn = below.sample(self._rng.rng, self._n_ei_candidates)
        gain = self._compute_acquisition_func(drawn, below, above)
        best = self._compare(drawn, gain)
        return {
            name: distribution.to_external_repr(best[name])
            for name, distribution in search_space.items()
        }


class _NsgaII(_WholeSpace, NSGAIISampler):
    pass


class _NsgaIII(_WholeSpace, NSGAIIISampler):
    pass


class _Qmc(_WholeSpace, QMCSampler):
    pass


def proposal_seed(study_seed: int, number: int) -> int:
    """Derive the 32-bit seed of one proposal."""
    digest = hashlib.sha256(f"mlgsearch proposal {study_seed} {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def make_sampler(
    name: str,
    *,
    study_seed: int,
    number: int,
    space: dict[str, BaseDistribution],
    better: BetterTrials | None = None,
) -> BaseSampler:
    """Make the sampler of one proposal; what it proposes depends on the recorded trials only.

    Args:
        name: ``tpe``, ``nsga2``, ``nsga3``, ``random``, ``qmc``, or ``module:callable``, which is
            called with ``seed`` and returns an Optuna sampler.
        study_seed: the study's seed.
        number: the number that the proposal's trial will have.
        space: every parameter's distribution.
        better: the study's trials as TPE splits them; None: it goes over all of them.

    Raises:
        OwnCodeError: the callable cannot be found or called, or raises.
        StudyFileError: it gives something else.
    """
    seed = proposal_seed(study_seed, number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's notes on experimental classes and arguments
        match name:
            case "tpe":
                return _Tpe(space=space, better=better, seed=seed, multivariate=True)
            case "nsga2":
                return _NsgaII(space=space, seed=seed)
            case "nsga3":
                return _NsgaIII(space=space, seed=seed)
            case "random":
                return RandomSampler(seed=seed)
            case "qmc":
                # One sequence for the whole study; how far it is read is kept with the trials.
                return _Qmc(space=space, seed=proposal_seed(study_seed, 0), scramble=True)
            case _:
                key = "search.sampler"
                sampler = call(load_callable(name, key), name, key, seed=seed)
    if not isinstance(sampler, BaseSampler):
        raise StudyFileError(f"search.sampler: {name} gave {sampler!r}, not an Optuna sampler")
    if isinstance(sampler, CmaEsSampler):
        raise StudyFileError(
            f"search.sampler: {name} gave Optuna's CmaEsSampler, which unpickles what it finds in "
            "the database, so whoever may write there could run code here; and it knows one "
            "objective only: take another sampler"
        )
    return sampler
