"""Accuracies of a search, shrunk by the noise that is in them; empirical Bayes on the logit scale.

The best of many is partly luck, so what a search saw of its best falls when it is trained again.
How far is estimated as by Fay and Herriot 1979 ("Estimates of income for small places"). Such an
estimate holds also for trials that were chosen because they looked good (Efron 2011, "Tweedie's
formula and selection bias").

Trial i with accuracy a_i on m validation images has z_i = log((m a_i + 1/2) / (m - m a_i + 1/2)),
which stays finite at 0 and 1; its variance by the images alone is v_i = 1 / (m p_i (1 - p_i)), p_i
on the trend. The model::

    z_i = f(log size_i) + real_i + seed_i + own_i + shared
    real_i ~ N(0, tau^2)         what the settings differ by, beside their size
    seed_i ~ N(0, sigma^2)       what another seed of the training changes
    own_i ~ N(0, (1 - c) v_i)    which of the images it happens to get right
    shared ~ N(0, c v_i)         whether the images are easier than others, for all students

f never falls (``monotone_trend``). The same images are hard for all students of a study, hence c,
which is set to 1/2. What is shared moves no trial against another; as c is not known, every
interval has v_i in full.

With T^2 = tau^2 + sigma^2, V_i = T^2 + (1 - c) v_i and the noise N_i = sigma^2 + (1 - c) v_i, the
setting's own value has mean f_i + B_i (z_i - f_i), B_i = 1 - N_i / V_i, and variance
B_i N_i + (1 - B_i)^2 var(f_i). Trials far off the trend have no part in it. From 3 standard
deviations on, a trial is moved the less the farther off it is, as by Efron and Morris 1972
("Limiting the risk of Bayes and empirical Bayes estimators"): V_i grows with its distance d to
d^4 / (81 V_i).

T and the share rho = sigma^2 / T^2 are averaged over, weighted by how probable they make what was
seen. The scatter about f determines T but not rho: nothing else known, rho is uniform on [0, 1],
except that a sigma above 0.3 is rare (digits: 0.1 to 0.3, CIFAR-10: about 0.03). Where `verify`
trained settings under several seeds, how their accuracies on one part scatter gives sigma.

Verified trials have their mean on the test part, not shrunk: it was not chosen for being good. Its
variance is moderated by the pooled one as in ``front_probability``. Their trainings, looked at with
both parts, also show how much harder the test part is than the validation part; all other trials
are moved by that, so that they compare.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from mlgsearch.results.analysis.uncertainty.front_probability import PRIOR_FREEDOM
from mlgsearch.results.analysis.uncertainty.monotone_trend import Trend, fit, rises

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: The part of the images' noise that all students share.
SHARED = 0.5

#: A standard deviation between seeds above which it is rare, in logits.
_USUAL_SEED_STD = 0.3

#: A scatter that is always thought possible, in logits: few trials say little about it.
_POSSIBLE_SCATTER = 0.5

#: Of more trials, those of nearly one size count for the trend as one, by their mean; and so many
#: say which are far off it.
_MOST_GROUPS = 1_024

#: So many standard deviations off the trend a trial is far.
_FAR = 3.0

_SCATTERS = 25

#: What share of the weight a scatter needs to have a part in the average.
_NEGLIGIBLE = 1e-12

_SHARES = np.linspace(0, 1, 21)

#: Where no variance is known to be larger.
_NONE = 1e-12


@dataclass(frozen=True, eq=False)
class Runs:
    """Trainings of one trial under other seeds: accuracies (k,), and the test part's images."""

    validation: Values
    test: Values
    test_samples: int


@dataclass(frozen=True, eq=False)
class Estimates:
    """What is known of n settings, on the logit scale; shape (n,) unless said otherwise.

    ``mean`` is of the setting, over all seeds. Its variance is ``own``, and that of the trend,
    which neighbours share: of ``pull`` (n, p) times coefficients with ``covariance`` (p, p). One
    new training has the variances ``seed`` and ``shared`` besides. ``freedom`` is how many degrees
    of freedom these variances have.
    """

    mean: Values
    own: Values
    pull: Values
    covariance: Values
    seed: Values
    shared: Values
    freedom: Values

    @property
    def new_variance(self) -> Values:
        """The variance of one new training on new images."""
        trend = np.einsum("np,pq,nq->n", self.pull, self.covariance, self.pull)
        return np.asarray(self.own + trend + self.seed + self.shared)

    def lead(self, row: int, other: int) -> tuple[float, float]:
        """Return how far the mean of ``row`` is above that of ``other``, and the standard error."""
        apart = self.pull[row] - self.pull[other]
        variance = self.own[row] + self.own[other] + apart @ self.covariance @ apart
        return float(self.mean[row] - self.mean[other]), float(np.sqrt(variance))


def estimate(
    sizes: Values, accuracies: Values, samples: float | None, runs: Mapping[int, Runs]
) -> Estimates:
    """Estimate what n settings are worth, from one training of each and more of some.

    Args:
        sizes: positive, shape (n,).
        accuracies: on the validation part, fractions, shape (n,).
        samples: images of the validation part; None where that is not known: their noise is then
            not taken apart from the scatter.
        runs: trainings under other seeds by row, with the same number of epochs.
    """
    z = logits(accuracies, samples)
    places = np.log(sizes)
    basis = rises(places)
    near = _near(basis, z)
    groups = _Groups.of(places, basis, z, near)
    start = basis @ groups.fit(1.0, np.zeros(len(groups.z))).coefficients  # (n,)
    own = (1 - SHARED) * _image_variance(expit(start), samples)  # (n,)
    seen = _SeedScatter.of(list(runs.values()), samples)
    scatter = np.sqrt(np.mean((z - start)[near] ** 2))
    most = max(3 * scatter, 2 * seen.std, _POSSIBLE_SCATTER)
    group_own = groups.means(own)
    scatters = [
        _Scatter.of(total, groups.fit(total, group_own), seen)
        for total in np.linspace(0, most, _SCATTERS) ** 2
    ]
    log_weights = np.array([scatter.log_weight for scatter in scatters])
    weights = np.exp(log_weights - log_weights.max())
    counted = weights > _NEGLIGIBLE * weights.sum()
    parts = [
        one.part(z, basis, own) for one, counts in zip(scatters, counted, strict=True) if counts
    ]
    return _with_runs(_average(parts, weights[counted], basis), samples, runs)


def logits(accuracies: Values, samples: float | None) -> Values:
    """Return log odds, half an image added to both sides (Anscombe 1956).

    Where ``samples`` is None nothing is added, but 0 and 1 are moved inside: half as far as the
    nearest accuracy that is neither.
    """
    if samples is not None:
        odds = (accuracies * samples + 0.5) / ((1 - accuracies) * samples + 0.5)
    else:
        gaps = np.minimum(accuracies, 1 - accuracies)
        gap = gaps[gaps > 0].min(initial=0.01) / 2
        inside = np.clip(accuracies, gap, 1 - gap)
        odds = inside / (1 - inside)
    return np.asarray(np.log(odds))


@dataclass(frozen=True, eq=False)
class _Groups:
    """What the trend is fitted to: g groups of trials with neighbouring sizes, often of one each.

    ``order`` are their rows by size, and ``starts`` the places in it where groups begin; ``basis``
    (g, p) and ``z`` are means, ``squares`` about them.
    """

    order: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]
    counts: Values
    basis: Values
    z: Values
    squares: Values

    @classmethod
    def of(cls, places: Values, basis: Values, z: Values, used: Mask) -> "_Groups":
        """Group the trials that are used."""
        order = np.flatnonzero(used)
        order = order[np.argsort(places[order], kind="stable")]
        n = len(order)
        edges = np.linspace(0, n, min(n, _MOST_GROUPS) + 1).astype(np.intp)
        starts, counts = edges[:-1], np.diff(edges).astype(np.float64)
        mean = np.add.reduceat(z[order], starts) / counts
        return cls(
            order,
            starts,
            counts,
            np.add.reduceat(basis[order], starts) / counts[:, None],
            mean,
            np.add.reduceat((z[order] - np.repeat(mean, np.diff(edges))) ** 2, starts),
        )

    def means(self, values: Values) -> Values:
        """Return the mean of each group (g,) of what trials have (n,)."""
        return np.asarray(np.add.reduceat(values[self.order], self.starts) / self.counts)

    def fit(self, total: float, own: Values) -> Trend:
        """Fit the trend under the variances ``total`` + ``own`` (g,) of a trial in each group."""
        spread = total + own
        found = fit(self.basis, self.z, spread / self.counts)
        spread = np.maximum(spread, _NONE)
        within = (self.counts - 1) * np.log(spread) + self.squares / spread
        return replace(found, log_evidence=found.log_evidence - 0.5 * float(within.sum()))


@dataclass(frozen=True, eq=False)
class _Scatter:
    """One scatter T: ``total`` is T^2, ``log_weight`` how probable it is, up to a constant.

    ``seed_mean`` and ``seed_variance`` are of sigma^2 over the shares.
    """

    total: float
    trend: Trend
    log_weight: float
    seed_mean: float
    seed_variance: float

    @classmethod
    def of(cls, total: float, trend: Trend, seen: "_SeedScatter") -> "_Scatter":
        seed = _SHARES * total  # (R,)
        likely = seen.log_likelihood(seed)  # (R,)
        prior = np.exp(-seed / (2 * _USUAL_SEED_STD**2))
        share = prior / prior.sum() * np.exp(likely - likely.max())
        log_weight = trend.log_evidence + likely.max() + np.log(share.sum())
        share /= share.sum()
        mean = float(share @ seed)
        return cls(total, trend, float(log_weight), mean, float(share @ (seed - mean) ** 2))

    def part(self, z: Values, basis: Values, own: Values) -> "_Part":
        """Return the estimates from what was seen, shape (n,), at places of a basis."""
        expected = basis @ self.trend.coefficients
        off = z - expected
        spread = self.total + own
        # ** 4 would take longer than all the rest.
        spread = np.maximum(spread, ((off / _FAR) ** 2) ** 2 / np.maximum(spread, _NONE))
        spread = np.maximum(spread, _NONE)
        # B_i is linear in sigma^2: its moments follow from those of sigma^2.
        noise = self.seed_mean + own
        pull = noise / spread
        kept_noise = np.maximum((1 - pull) * noise - self.seed_variance / spread, 0)
        return _Part(
            mean=expected + (1 - pull) * off,
            own=kept_noise + self.seed_variance * (off / spread) ** 2,
            pull=pull,
            covariance=self.trend.covariance,
            seed=self.seed_mean,
        )


@dataclass(frozen=True, eq=False)
class _Part:
    """The estimates under one scatter T; ``pull`` (n,) is how much the trend counts."""

    mean: Values
    own: Values
    pull: Values
    covariance: Values
    seed: float


def _average(parts: list[_Part], weights: Values, basis: Values) -> Estimates:
    weights = weights / weights.sum()
    means = np.array([part.mean for part in parts])  # (K, n)
    mean = weights @ means
    own = weights @ np.array([part.own for part in parts]) + weights @ (means - mean) ** 2
    pull = weights @ np.array([part.pull for part in parts])
    seed = float(weights @ np.array([part.seed for part in parts]))
    n = len(mean)
    return Estimates(
        mean=mean,
        own=own,
        pull=pull[:, None] * basis,
        covariance=np.tensordot(weights, np.array([part.covariance for part in parts]), 1),
        seed=np.full(n, seed),
        shared=np.zeros(n),
        freedom=np.full(n, np.inf),
    )


def _with_runs(found: Estimates, samples: float | None, runs: Mapping[int, Runs]) -> Estimates:
    """Put in what is verified, and move the others to the test part."""
    shift, shift_variance = _shift(list(runs.values()), samples)
    test_samples = max((them.test_samples for them in runs.values()), default=None)
    mean = found.mean + shift
    shared = _image_variance(expit(mean), test_samples or samples) + shift_variance
    own, seed = found.own.copy(), found.seed.copy()
    pull, freedom = found.pull.copy(), found.freedom.copy()
    for row, them in runs.items():
        k = len(them.test)
        z = logits(np.atleast_1d(them.test.mean()), k * them.test_samples)
        images = _image_variance(expit(z), them.test_samples)[0]
        pooled = found.seed[row] + (1 - SHARED) * images
        squares = k * np.var(logits(them.test, them.test_samples))
        variance = (squares + PRIOR_FREEDOM * pooled) / (k - 1 + PRIOR_FREEDOM)
        mean[row], own[row], pull[row] = z[0], variance / k, 0.0
        seed[row], shared[row] = variance, images
        freedom[row] = k - 1 + PRIOR_FREEDOM
    return replace(found, mean=mean, own=own, pull=pull, seed=seed, shared=shared, freedom=freedom)


def _shift(runs: list[Runs], samples: float | None) -> tuple[float, float]:
    """Return how far test accuracies are from validation accuracies, in logits, and the variance.

    The images that all share give such a shift the variance c (v + v'); each training sees it with
    the error (1 - c) (v + v') of its own. From the two follows the posterior mean.
    """
    count = sum(len(them.test) for them in runs)
    if not count:
        return 0.0, 0.0
    shifts, variances = [], []
    for them in runs:
        shifts += list(logits(them.test, them.test_samples) - logits(them.validation, samples))
        variances += list(
            _image_variance(_inside(them.test, them.test_samples), them.test_samples)
            + _image_variance(_inside(them.validation, samples), samples)
        )
    precision = 1 / np.array(variances)
    variance = count / precision.sum()
    shift = float(np.average(shifts, weights=precision))
    prior, error = SHARED * variance, (1 - SHARED) * variance / count
    return shift * prior / (prior + error), prior * error / (prior + error)


@dataclass(frozen=True, eq=False)
class _SeedScatter:
    """How accuracies of k settings scatter over seeds, in logits.

    On the validation part; on the test part where the former's number of images is not known.
    ``squares`` about each mean, ``freedom``, and the variance by the ``images``; shape (k,).
    """

    squares: Values
    freedom: Values
    images: Values

    @classmethod
    def of(cls, runs: list[Runs], samples: float | None) -> "_SeedScatter":
        several = [
            (them.test, them.test_samples) if samples is None else (them.validation, samples)
            for them in runs
            if len(them.test) > 1
        ]
        p = [_inside(values, images).mean(keepdims=True) for values, images in several]
        parts = list(zip(p, several, strict=True))
        return cls(
            np.array([np.var(logits(values, images)) * len(values) for values, images in several]),
            np.array([len(values) - 1.0 for values, _ in several]),
            np.array(
                [(1 - SHARED) * _image_variance(mean, images)[0] for mean, (_, images) in parts]
            ),
        )

    @property
    def std(self) -> float:
        """Pooled; 0 where nothing is known."""
        freedom = self.freedom.sum()
        return float(np.sqrt(self.squares.sum() / freedom)) if freedom else 0.0

    def log_likelihood(self, variances: Values) -> Values:
        """Return the logarithm of how probable it is under each variance of the seeds' noise."""
        expected = np.maximum(variances[:, None] + self.images, _NONE)  # (R, k)
        return np.asarray(
            -0.5 * (self.freedom * np.log(expected) + self.squares / expected).sum(axis=1)
        )


def _near(basis: Values, z: Values) -> Mask:
    """Return which trials are not far off a trend that a minority cannot bend, shape (n,).

    The trend is of least absolute deviations, by reweighting; distances are measured by the median.
    """
    some = np.s_[:: -(-len(z) // _MOST_GROUPS)]
    off = np.ones(len(z[some]))
    for _ in range(10):
        trend = fit(basis[some], z[some], np.maximum(off, 1e-3))
        off = np.abs(z[some] - trend.values)
    usual = 1.4826 * float(np.median(off))
    return np.asarray(np.abs(z - basis @ trend.coefficients) <= max(_FAR * usual, 1e-3))


def _image_variance(p: Values, samples: float | None) -> Values:
    return np.zeros(len(p)) if samples is None else 1 / (samples * p * (1 - p))


def _inside(accuracies: Values, samples: float | None) -> Values:
    return np.asarray(expit(logits(accuracies, samples)))
