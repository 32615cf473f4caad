"""A sampler that proposes only what keeps a study's limits."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from mlgsearch.errors import StudyFileError

#: Draws until a proposal is pulled towards an earlier one, which kept the limits; and until the
#: limits are taken to be out of reach where there is none.
_DRAWS = 50
_MOST_DRAWS = 1000

#: What is left of the way to an earlier proposal is halved so often.
_HALVINGS = 12

Parameters = dict[str, Any]


class LimitedSampler(BaseSampler):
    """Draws from another sampler until a proposal is allowed: nothing else is ever stored.

    So what it proposes has the other one's distribution, cut where limits are broken. A sampler
    that insists on what is not allowed, as TPE where the best lies at a limit, has its proposal
    pulled towards an earlier one until it is. Parameters that a trial has been given already stay
    as they are: what is drawn beside them is allowed together with them.

    Args of the constructor:
        inner: the sampler.
        space: every parameter's distribution.
        allowed: returns the parameters of a proposal that keeps the limits, which may be changed
            to do so; None where the proposal is to be drawn again.
    """

    def __init__(
        self,
        inner: BaseSampler,
        space: Mapping[str, BaseDistribution],
        allowed: Callable[[Parameters], Parameters | None],
    ) -> None:
        self._inner = inner
        self._space = {k: v for k, v in sorted(space.items()) if not v.single()}
        self._fixed = {k: v for k, v in space.items() if v.single()}
        self._allowed = allowed

    def reseed_rng(self) -> None:
        """Reseed the inner one."""
        self._inner.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the whole space: every parameter is drawn at once."""
        return self._space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Parameters:
        """Draw until it is allowed.

        Raises:
            StudyFileError: none of many draws is.
        """
        inner_space = self._inner.infer_relative_search_space(study, trial)
        fixed = {
            name: distribution.to_external_repr(_only(distribution))
            for name, distribution in self._fixed.items()
        }
        given = {
            name: value
            for name, value in trial.system_attrs.get("fixed_params", {}).items()
            if name in search_space
        }
        draws = _DRAWS if trial.number else _MOST_DRAWS
        for _ in range(draws):
            drawn = self._inner.sample_relative(study, trial, inner_space)
            whole = {
                name: drawn[name]
                if name in drawn
                else self._inner.sample_independent(study, trial, name, distribution)
                for name, distribution in search_space.items()
            }
            found = self._allowed({**fixed, **whole, **given})
            if found is not None and given.items() <= found.items():
                return {name: found[name] for name in search_space}
        earlier = [
            known.params
            for known in study.get_trials(deepcopy=False)
            if known.number != trial.number and known.params.keys() >= search_space.keys()
        ]
        if earlier and not given:
            one = earlier[trial.number % len(earlier)]  # the nearest one would soon be repeated
            anchor = {name: one[name] for name in search_space}
            for halving in range(_HALVINGS):
                found = self._allowed({**fixed, **self._between(anchor, whole, 0.5**halving)})
                if found is not None:
                    return {name: found[name] for name in search_space}
            if self._allowed({**fixed, **anchor}) is not None:
                return anchor
        raise StudyFileError(
            f"limits: none of {draws:,} proposals keeps them; narrow the ranges of `space`, "
            "or take space.kind: allocation, which plans within limits"
        )

    def _between(self, anchor: Parameters, drawn: Parameters, share: float) -> Parameters:
        """Go a share of the way from one proposal to another; choices are the anchor's."""
        found = dict(anchor)
        for name, known in self._space.items():
            if isinstance(known, FloatDistribution | IntDistribution):
                start = _place(anchor[name], known)
                found[name] = _value(start + share * (_place(drawn[name], known) - start), known)
        return found

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one parameter alone, which Optuna asks for where a proposal is fixed in part."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Pass it on."""
        self._inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Pass it on."""
        self._inner.after_trial(study, trial, state, values)


def _only(distribution: BaseDistribution) -> float:
    """Return the internal form of the one value that a distribution has."""
    low = getattr(distribution, "low", None)
    return 0.0 if low is None else float(low)


def _place(value: float, distribution: FloatDistribution | IntDistribution) -> float:
    """Return where a value lies in its range, from 0 to 1; by ratio where that is logarithmic."""
    low, high, value = distribution.low, distribution.high, float(value)
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def _value(place: float, distribution: FloatDistribution | IntDistribution) -> float | int:
    """Turn `_place` around."""
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        value = math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
    else:
        value = low + place * (high - low)
    value = min(max(value, low), high)
    return round(value) if isinstance(distribution, IntDistribution) else value
