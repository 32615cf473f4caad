"""Which of a study's trials are the better ones, known without going over all of them."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Self

import numpy as np
import numpy.typing as npt
from optuna.samplers._tpe.sampler import _split_complete_trials
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

#: TPE takes at most so many trials for the better ones.
MOST_BETTER = 50

_SEEN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)


class BetterTrials:
    """Splits a study's trials as Optuna's TPE does, into the better ones and the others.

    Of the COMPLETE trials only those are compared that fewer than ``MOST_BETTER`` others dominate.
    That changes nothing: whatever dominates a trial has a lower rank than it, so a trial that so
    many dominate is never among so many better ones. Which they are depends on the trials alone,
    not on the order in which they ended, so a resumed study splits as an undisturbed one.

    Args:
        directions: of the study's objectives.
    """

    def __init__(self, directions: Sequence[StudyDirection]) -> None:
        self._signs = np.array([-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in directions])
        self._states: dict[int, TrialState] = {}
        self._seen: list[int] = []  # numbers of the trials that TPE looks at, ascending
        self._count: Counter[TrialState] = Counter()
        #: What may be among the better ones: numbers, shape (k,); losses, (k, m), smaller is
        #: better; how many trials dominate each, (k,).
        self._numbers: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._losses: npt.NDArray[np.float64] = np.zeros((0, len(directions)))
        self._dominators: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    @classmethod
    def of(cls, study: Study) -> Self:
        """Take note of all trials of a study."""
        made = cls(study.directions)
        for trial in study.get_trials(deepcopy=False):
            made.put(trial)
        return made

    @property
    def ended(self) -> int:
        """How many trials are COMPLETE or PRUNED."""
        return self._count[TrialState.COMPLETE] + self._count[TrialState.PRUNED]

    def put(self, trial: FrozenTrial) -> None:
        """Take note of a trial that is new, or in another state than before; COMPLETE is final."""
        number, state, before = trial.number, trial.state, self._states.get(trial.number)
        if state == before:
            return
        self._states[number] = state
        self._count[state] += 1
        if before is not None:
            self._count[before] -= 1
        if (state in _SEEN) != (before in _SEEN):
            if state in _SEEN:
                insort(self._seen, number)
            else:
                del self._seen[bisect_left(self._seen, number)]
        if state == TrialState.COMPLETE:
            self._compare(number, np.asarray(trial.values, dtype=np.float64) * self._signs)

    def split(
        self, trials: Sequence[FrozenTrial], study: Study, n_better: int, n_others: int, but: int
    ) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
        """Return the better trials and the others, each by number.

        Args:
            trials: the study's trials by number.
            study: has the directions.
            n_better: how many are the better ones, at most ``MOST_BETTER``: COMPLETE trials by
                rank, and PRUNED ones where those are too few.
            n_others: the most of the others, RUNNING ones included, which are evenly spread over
                the study's course.
            but: the number of a trial that belongs to neither.
        """
        assert n_better <= MOST_BETTER, n_better
        candidates = [trials[number] for number in self._numbers.tolist()]
        found, _ = _split_complete_trials(candidates, study, n_better)
        better = {trial.number for trial in found}
        if len(better) < n_better:
            pruned = (n for n in self._seen if self._states[n] == TrialState.PRUNED and n != but)
            better.update(islice(pruned, n_better - len(better)))
        others = self._spread(sorted({*better, but}), n_others)
        return [trials[number] for number in sorted(better)], [trials[n] for n in others]

    def _compare(self, number: int, losses: npt.NDArray[np.float64]) -> None:
        """Add a COMPLETE trial to what may be better, and drop what too many dominate by now."""
        known = self._losses
        is_behind = (known >= losses).all(axis=1) & (known > losses).any(axis=1)  # (k,)
        is_ahead = (known <= losses).all(axis=1) & (known < losses).any(axis=1)  # (k,)
        dominators = np.append(self._dominators + is_behind, is_ahead.sum())
        numbers = np.append(self._numbers, number)
        may_be_better = np.flatnonzero(dominators < MOST_BETTER)
        order = may_be_better[np.argsort(numbers[may_be_better])]
        self._numbers, self._dominators = numbers[order], dominators[order]
        self._losses = np.vstack([known, losses])[order]

    def _spread(self, left_out: Sequence[int], most: int) -> list[int]:
        """Return numbers of trials, without some, at most so many and evenly spread."""
        places = [bisect_left(self._seen, n) for n in left_out if self._states.get(n) in _SEEN]
        count = len(self._seen) - len(places)
        if count <= most:
            wanted = np.arange(count)
        else:
            wanted = (np.arange(most) * (count / most)).astype(np.int64)
        # The i-th of what is left lies behind as many left out as had fewer than i left before.
        before = np.asarray(places, dtype=np.int64) - np.arange(len(places))
        return [self._seen[i] for i in wanted + np.searchsorted(before, wanted, side="right")]
