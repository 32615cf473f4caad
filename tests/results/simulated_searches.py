"""Searches whose truth is known: how far what they saw of their front is off, and what is expected.

``python -m tests.results.simulated_searches`` prints the table in docs/expectation.md.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from mlgsearch.results.analysis.front import is_non_dominated
from mlgsearch.results.analysis.uncertainty.expectation import Expectations
from mlgsearch.results.analysis.uncertainty.shrinkage import Runs

Values = npt.NDArray[np.float64]

#: Standard deviation of how hard images are, in logits of a student: errors overlap.
_HARDNESS = 3.0

_ABILITIES = np.linspace(-25, 25, 501)


@dataclass(frozen=True)
class Search:
    """What is searched.

    ``settings`` and ``seeds`` are standard deviations in logits: of what settings of one size
    differ by, and of what another seed changes. ``images`` counts those of the validation part,
    None stands for all there are. ``collapsed`` is the share of trials that learn nothing.
    ``verified`` trials, drawn by lot, are trained under three more seeds.
    """

    trials: int = 40
    images: int | None = 269
    settings: float = 0.15
    seeds: float = 0.2
    collapsed: float = 0.0
    verified: int = 0


@dataclass(frozen=True)
class Found:
    """How the fronts' n unverified trials compare with the truth, in points of accuracy.

    The truth is a setting's mean over 50 trainings on all images. ``seen_bias`` and ``bias`` are
    how much more was seen and is expected, in the mean, ``seen_error`` and ``error`` without sign.
    ``inside`` is the share of intervals, ``width`` wide, that hold one more training.
    """

    n: int
    seen_bias: float
    bias: float
    seen_error: float
    error: float
    inside: float
    width: float


def simulate(search: Search, rounds: int, seed: int = 0) -> Found:
    """Search again and again, and compare the front with the truth."""
    rng = np.random.default_rng(seed)
    rows = np.array([row for _ in range(rounds) for row in _one(search, rng)])  # (k, 6)
    seen, expected, low, high, truth, new = rows.T
    return Found(
        n=len(rows),
        seen_bias=100 * float(np.mean(seen - truth)),
        bias=100 * float(np.mean(expected - truth)),
        seen_error=100 * float(np.mean(np.abs(seen - truth))),
        error=100 * float(np.mean(np.abs(expected - truth))),
        inside=float(np.mean((low <= new) & (new <= high))),
        width=100 * float(np.mean(high - low)),
    )


def _one(search: Search, rng: np.random.Generator) -> Iterator[tuple[float, ...]]:
    sizes = np.exp(rng.uniform(np.log(0.01), np.log(0.1), search.trials))
    # From 70 % at the smallest to 98.5 % at the largest, where it saturates.
    curve = 4.2 - 3.4 * np.exp(-np.log(sizes / 0.01) / 0.8)
    setting = curve + search.settings * rng.standard_normal(search.trials)
    setting[rng.random(search.trials) < search.collapsed] = -1.3

    def train() -> Values:
        return setting + search.seeds * rng.standard_normal(search.trials)

    validation = _Images(search.images, rng)
    seen = validation.accuracy(train())
    best = is_non_dominated(np.column_stack([seen, sizes]), [True, False])
    front = np.flatnonzero(best)
    verified = rng.permutation(search.trials)[: search.verified]
    runs = [train() for _ in range(3 if search.verified else 0)]
    test = _Images(search.images, rng)
    on_validation = [validation.accuracy(run) for run in runs]
    on_test = [test.accuracy(run) for run in runs]
    expectations = Expectations(
        range(search.trials),
        sizes,
        seen,
        search.images,
        {
            int(i): Runs(
                np.array([run[i] for run in on_validation]),
                np.array([run[i] for run in on_test]),
                search.images or 10**9,
            )
            for i in verified
        },
    )
    again = np.array([expit(train()) for _ in range(50)])  # (50, n), on all images of the world
    for row in front[~np.isin(front, verified)]:
        found = expectations[int(row)]
        truth = float(again[:, row].mean())
        yield float(seen[row]), found.accuracy, found.low, found.high, truth, float(again[0, row])


class _Images:
    """Some images, harder or easier; without a number all images of the world."""

    def __init__(self, count: int | None, rng: np.random.Generator) -> None:
        self._rng = rng
        self._hardness = None if count is None else _HARDNESS * rng.standard_normal(count)

    def accuracy(self, values: Values) -> Values:
        """Look at students whose accuracies on all images have these logits, shape (n,)."""
        if self._hardness is None:
            return np.asarray(expit(values))
        ability = np.interp(expit(values), _OVERALL, _ABILITIES)
        right = expit(ability[:, None] - self._hardness)  # (n, m)
        return np.asarray((self._rng.random(right.shape) < right).mean(axis=1))


def _overall() -> Values:
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    values: Values = expit(_ABILITIES[:, None] - _HARDNESS * nodes) @ (weights / weights.sum())
    return values


#: The accuracy on all images of a student of each ability.
_OVERALL = _overall()

SEARCHES = {
    "settings and seeds alike": Search(),
    "seeds alone": Search(settings=0.0, seeds=0.25),
    "settings alone": Search(settings=0.25, seeds=0.0),
    "no noise, all images": Search(settings=0.25, seeds=0.0, images=None),
    "seeds, all images": Search(settings=0.15, seeds=0.2, images=None),
    "10,000 images, seeds of 0.03": Search(settings=0.1, seeds=0.03, images=10_000),
    "12 trials": Search(trials=12),
    "200 trials": Search(trials=200),
    "a tenth collapsed": Search(collapsed=0.1),
    "6 trials verified, 3 seeds": Search(verified=6),
    "seeds alone, 6 verified": Search(settings=0.0, seeds=0.25, verified=6),
    "settings alone, 6 verified": Search(settings=0.25, seeds=0.0, verified=6),
}


def main() -> None:
    """Print what the searches find."""
    out = sys.stdout
    out.write("| search | n | seen | expected | seen, abs | expected, abs | inside | width |\n")
    for name, search in SEARCHES.items():
        found = simulate(search, int(sys.argv[1]) if len(sys.argv) > 1 else 300)
        out.write(
            f"| {name} | {found.n:,} | {found.seen_bias:+.2f} | {found.bias:+.2f} "
            f"| {found.seen_error:.2f} | {found.error:.2f} | {found.inside:.1%} "
            f"| {found.width:.1f} |\n"
        )
        out.flush()


if __name__ == "__main__":
    main()
