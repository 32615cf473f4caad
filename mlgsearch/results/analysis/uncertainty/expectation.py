"""What to expect of a trial beside what was seen: a new training, looked at with new images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit, stdtrit

from mlgsearch.records import TrialRecord, TrialState, VerificationRecord
from mlgsearch.results.analysis.trial_columns import NO_TRIAL, TrialColumns
from mlgsearch.results.analysis.uncertainty.front_probability import sample_std
from mlgsearch.results.analysis.uncertainty.shrinkage import Runs, estimate

Values = npt.NDArray[np.float64]

#: How likely one new training lies in the interval.
LEVEL = 0.9

#: For means over a normal distribution: nodes, and weights that sum to 1.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS /= _WEIGHTS.sum()


@dataclass(frozen=True)
class Expectation:
    """What to expect of a trial; fractions.

    ``accuracy`` is the mean of new trainings on new images; one new training lies between ``low``
    and ``high`` with 90 %. ``seeds`` counts the trainings that verified the trial, 0 where none
    did; ``std`` is their standard deviation, None for fewer than two.
    """

    accuracy: float
    low: float
    high: float
    seeds: int = 0
    std: float | None = None


class Expectations:
    """What to expect of a study's COMPLETE trials, and which leads among them are ties.

    Args:
        numbers: of the n trials that have a result of their own.
        sizes: their memory ratios, positive, shape (n,).
        accuracies: on the validation part, fractions, shape (n,).
        samples: images of the validation part; None where that is not known.
        runs: what `verify` found, trained as long as in the search, by trial.
        sources: trials that share another's result, to that trial.
    """

    def __init__(
        self,
        numbers: Sequence[int],
        sizes: Values,
        accuracies: Values,
        samples: float | None,
        runs: Mapping[int, Runs] | None = None,
        sources: Mapping[int, int] | None = None,
    ) -> None:
        self.samples = samples
        self._rows = {number: row for row, number in enumerate(numbers)}
        self._runs = {self._rows[number]: them for number, them in (runs or {}).items()}
        self._rows |= {number: self._rows[own] for number, own in (sources or {}).items()}
        if len(numbers):
            found = self._estimates = estimate(sizes, accuracies, samples, self._runs)
            std = np.sqrt(found.new_variance)  # (n,)
            self._mean = expit(found.mean[:, None] + std[:, None] * _NODES) @ _WEIGHTS
            reach = std * stdtrit(found.freedom, (1 + LEVEL) / 2)
            self._low, self._high = expit(found.mean - reach), expit(found.mean + reach)
            # Where nothing scatters, rounding alone would put it beside the interval.
            self._mean = np.clip(self._mean, self._low, self._high)
            self._accuracies = self._mean.copy()
            for row, them in self._runs.items():
                self._accuracies[row] = fmean(them.test.tolist())

    @classmethod
    def of_trials(
        cls,
        trials: Iterable[TrialRecord],
        verifications: Iterable[VerificationRecord],
        samples: int | None,
    ) -> Self:
        """As `of_columns`."""
        return cls.of_columns(TrialColumns.of_records(trials), verifications, samples)

    @classmethod
    def of_columns(
        cls,
        columns: TrialColumns,
        verifications: Iterable[VerificationRecord],
        samples: int | None,
    ) -> Self:
        """Look at the trials of a study; those that are not COMPLETE have no part in it."""
        done = columns.at(columns.usable_rows(("accuracy", "memory_ratio")))
        there = set(done.number.tolist())
        reused = zip(done.number.tolist(), done.reused_from.tolist(), strict=True)
        sources = {number: own for number, own in reused if own != NO_TRIAL and own in there}
        trained = done.at(~np.isin(done.number, list(sources)))
        epochs = dict(zip(trained.number.tolist(), trained.epochs_wanted.tolist(), strict=True))
        found: dict[int, list[VerificationRecord]] = {}
        for run in verifications:
            if run.state is TrialState.COMPLETE and run.epochs == epochs.get(run.trial):
                found.setdefault(run.trial, []).append(run)
        return cls(
            trained.number.tolist(),
            trained.memory_ratio,
            trained.accuracy,
            samples,
            {number: _runs(them) for number, them in found.items()},
            sources,
        )

    @property
    def is_of_test_part(self) -> bool:
        """Whether all are on the scale of the test part: some trial is verified."""
        return bool(self._runs)

    def __contains__(self, number: int) -> bool:
        return number in self._rows

    def __getitem__(self, number: int) -> Expectation:
        """Return what to expect of a trial.

        Raises:
            KeyError: it is not among the trials.
        """
        return self._of_row(self._rows[number])

    def find(self, number: int) -> Expectation | None:
        """Return what to expect of a trial; None where it is not among them."""
        row = self._rows.get(number)
        return None if row is None else self._of_row(row)

    def accuracies(self, numbers: Sequence[int]) -> Values:
        """Return the accuracies to expect of k trials, shape (k,): as one by one, but at once.

        Raises:
            KeyError: one is not among the trials.
        """
        rows = [self._rows[number] for number in numbers]
        return self._accuracies[rows] if rows else np.empty(0)

    def is_tie(self, number: int, other: int) -> bool:
        """Whether the lead of one trial's setting over another's is within its standard error.

        The one-standard-error rule of Breiman et al. 1984, "Classification and Regression Trees",
        section 3.4.3, on the logit scale.
        """
        lead, error = self._estimates.lead(self._rows[number], self._rows[other])
        return abs(lead) <= error

    def _of_row(self, row: int) -> Expectation:
        low, high = float(self._low[row]), float(self._high[row])
        if row not in self._runs:
            return Expectation(float(self._mean[row]), low, high)
        test = self._runs[row].test.tolist()
        return Expectation(fmean(test), low, high, len(test), sample_std(test))


def _runs(records: Sequence[VerificationRecord]) -> Runs:
    return Runs(
        np.array([run.validation_accuracy for run in records], dtype=np.float64),
        np.array([run.test_accuracy for run in records], dtype=np.float64),
        max(run.test_samples or 1 for run in records),
    )
