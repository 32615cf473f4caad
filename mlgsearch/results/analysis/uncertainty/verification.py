"""What is known of a trial's student from several seeds and the test part."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from mlgsearch.records import OBJECTIVES, TrialRecord, TrialState, VerificationRecord
from mlgsearch.results.analysis.uncertainty.front_probability import (
    Values,
    front_probabilities,
    sample_std,
)


@dataclass(frozen=True)
class VerifiedPoint:
    """A trial's student, trained to its end under each of ``seeds``.

    Accuracies are fractions, means over the seeds: on the test part as trained and from the packed
    file, and on the validation part. ``test_std`` is the standard deviation over the seeds (n - 1),
    None for one seed. ``front_probability`` is how likely no other student verified with as many
    ``epochs`` dominates it, see ``front_probabilities``; None where no spread is known.
    """

    trial: TrialRecord
    epochs: int
    seeds: tuple[int, ...]
    test_accuracy: float
    test_std: float | None
    packed_accuracy: float
    validation_accuracy: float
    test_samples: int
    packed_bytes: int
    front_probability: float | None

    def objective_value(self, name: str) -> float | None:
        """Return the trial's value of an objective, as shown.

        A trial of an early version knows no ``packed_bytes``: then it is that of its verification.
        """
        return _objective_value(self.trial, self.packed_bytes, name)


def verified_points(
    trials: Iterable[TrialRecord],
    verifications: Iterable[VerificationRecord],
    objectives: Sequence[str],
) -> list[VerifiedPoint]:
    """Sum up the COMPLETE verifications of a study: by epochs, then smallest memory ratio first.

    Args:
        trials: of the study.
        verifications: of the study.
        objectives: the study's. The probabilities draw accuracy; ``loss`` has no part in them,
            all others are what they are.
    """
    numbers = {trial.number: trial for trial in trials}
    runs: dict[int, dict[int, list[VerificationRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in verifications:
        if record.state is TrialState.COMPLETE:
            runs[record.epochs][record.trial].append(record)
    points = []
    for epochs in sorted(runs):
        students = sorted(
            runs[epochs].items(), key=lambda item: (numbers[item[0]].sizes.memory_ratio, item[0])
        )
        probabilities = front_probabilities(
            [[_known(run.test_accuracy) for run in done] for _, done in students],
            _costs(
                [(numbers[number], _packed_bytes(done)) for number, done in students], objectives
            ),
        )
        points += [
            _point(
                numbers[number],
                sorted(done, key=lambda run: run.seed),
                None if probabilities is None else probabilities[i],
            )
            for i, (number, done) in enumerate(students)
        ]
    return points


def _point(
    trial: TrialRecord, runs: Sequence[VerificationRecord], probability: float | None
) -> VerifiedPoint:
    test = [_known(run.test_accuracy) for run in runs]
    return VerifiedPoint(
        trial=trial,
        epochs=runs[0].epochs,
        seeds=tuple(run.seed for run in runs),
        test_accuracy=fmean(test),
        test_std=sample_std(test),
        packed_accuracy=fmean(_known(run.packed_accuracy) for run in runs),
        validation_accuracy=fmean(_known(run.validation_accuracy) for run in runs),
        test_samples=max(int(_known(run.test_samples)) for run in runs),
        packed_bytes=_packed_bytes(runs),
        front_probability=probability,
    )


def _packed_bytes(runs: Sequence[VerificationRecord]) -> int:
    return max(int(_known(run.packed_bytes)) for run in runs)


def _objective_value(trial: TrialRecord, packed_bytes: int, name: str) -> float | None:
    value = trial.objective_value(name)
    return packed_bytes if value is None and name == "packed_bytes" else value


def _costs(students: Sequence[tuple[TrialRecord, int]], objectives: Sequence[str]) -> Values:
    """Return the values that are fixed, shape (k, c), smaller is better.

    Args:
        students: trials, each with the size of its verified packed file in bytes.
        objectives: the study's.
    """
    fixed = [OBJECTIVES[name] for name in objectives if name not in ("accuracy", "loss")]
    values = [
        [
            _known(_objective_value(trial, size, o.name)) * (-1 if o.larger_is_better else 1)
            for o in fixed
        ]
        for trial, size in students
    ]
    return np.asarray(values, dtype=np.float64).reshape(len(students), len(fixed))


def _known(value: float | None) -> float:
    assert value is not None, "a COMPLETE verification of a COMPLETE trial has all its figures"
    return value


def with_spread(mean: float, std: float | None) -> str:
    """Write an accuracy in percent, and its standard deviation where there is one."""
    spread = "" if std is None else f" \N{PLUS-MINUS SIGN} {100 * std:.2f}"
    return f"{100 * mean:.2f}{spread} %"


def likely(probability: float) -> str:
    """Write a probability in whole percents; 0 and 100 are only what is certain."""
    if 0 < probability < 0.005:
        return "less than 1 %"
    return "more than 99 %" if 0.995 <= probability < 1 else f"{100 * probability:.0f} %"
