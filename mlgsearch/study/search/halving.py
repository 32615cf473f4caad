"""Successive halving on a front: a trial is judged only by trials that are at least as small.

Memory is known before training and accuracy is not, so a small student must not be stopped for
being less accurate than a large one. At a rung a trial goes on if its accuracy is in the top
fraction among the trials at least as small, or extends the front at that rung: then it is the best
of them. Accuracies after a short training are not sharp, so another is better only by more than a
tolerance. The asynchronous form of successive halving of Li et al., "A system for
massively parallel hyperparameter tuning" (MLSys 2020), with this comparison in place of theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Halving:
    """The rule; `EarlyStoppingSpec` has its defaults.

    Args:
        factor: one in so many trials goes on from a rung; above 1.
        first_rung: the epoch of the first rung.
        rung_factor: the next are at so many times the one before; above 1, None: ``factor``.
        tolerance: another trial is better by more than this, a fraction.
        min_trials: while fewer trials can be compared, the one judged included, all go on.
    """

    factor: int
    first_rung: int
    rung_factor: int | None
    tolerance: float
    min_trials: int

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Return the epochs at which trials of a full length of ``epochs`` are judged."""
        rungs = []
        rung = self.first_rung
        while rung < epochs:
            rungs.append(rung)
            rung *= self.rung_factor or self.factor
        return tuple(rungs)

    def goes_on(self, one: int, costs: Values, accuracies: Values) -> bool:
        """Return whether a trial goes on from a rung that n trials have reached.

        It does where no other dominates it there, and where fewer than one in ``factor`` of the
        trials at least as small, itself included, are better. Of those that are as accurate, or
        more so within the tolerance, half count as better, so that a crowd at chance level does
        not go on together. Equal costs are at least as small. A NaN accuracy stops no trial and is
        better than none.

        Args:
            one: the trial's row.
            costs: what is known of each trial before its training, smaller is better, shape (n, m).
            accuracies: at that rung, larger is better, shape (n,).
        """
        are_rivals = (costs <= costs[one]).all(axis=1)  # (n,), one itself included
        n_rivals = int(are_rivals.sum())
        if n_rivals < self.min_trials:
            return True
        are_ahead = are_rivals & (accuracies > accuracies[one])
        are_equal = are_rivals & (accuracies == accuracies[one])
        is_smaller = (costs < costs[one]).any(axis=1)
        if not are_ahead.any() and not (are_equal & is_smaller).any():
            return True
        n_better = int((are_ahead & (accuracies > accuracies[one] + self.tolerance)).sum())
        n_alike = int(are_ahead.sum()) - n_better + int(are_equal.sum()) - 1
        return (n_better + n_alike / 2) * self.factor < n_rivals


class _Rung:
    """The trials that reached one epoch, as arrays."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[tuple[float, ...], float]] = {}
        self._arrays: tuple[dict[int, int], Values, Values] | None = None

    def put(self, number: int, costs: tuple[float, ...], accuracy: float) -> None:
        self.rows[number] = costs, accuracy
        self._arrays = None

    def drop(self, number: int) -> None:
        if self.rows.pop(number, None) is not None:
            self._arrays = None

    def goes_on(self, number: int, rule: Halving) -> bool:
        if self._arrays is None:
            index = {number: i for i, number in enumerate(self.rows)}
            costs = np.array([costs for costs, _ in self.rows.values()], dtype=np.float64)
            accuracies = np.array([a for _, a in self.rows.values()], dtype=np.float64)
            self._arrays = index, costs, accuracies
        index, costs, accuracies = self._arrays
        return rule.goes_on(index[number], costs, accuracies)


class Ladder:
    """How the trials of one study rank at each rung, and which of the stopped may go on.

    Args:
        rule: the rule.
        epochs: the full length of a trial.
    """

    def __init__(self, rule: Halving, epochs: int):
        self._rule = rule
        self._rungs = {rung: _Rung() for rung in rule.rungs(epochs)}
        self._stopped: dict[int, _Rung] = {}
        #: Stopped trials that may go on now; None where that must be looked up again.
        self._ready: list[int] | None = []

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which trials are judged."""
        return tuple(self._rungs)

    def put(self, number: int, costs: Sequence[float], epoch: int, accuracy: float) -> None:
        """Take note of a trial's accuracy after an epoch; only those at rungs matter."""
        if epoch in self._rungs:
            self._rungs[epoch].put(number, tuple(costs), accuracy)
            self._ready = None

    def goes_on(self, number: int, first: int, last: int) -> bool:
        """Judge a trial that just finished epochs ``first`` to ``last``.

        It is judged at the highest rung among them; where there is none, it goes on.
        """
        passed = [rung for rung in self._rungs if first <= rung <= last]
        return not passed or self._rungs[passed[-1]].goes_on(number, self._rule)

    def stop(self, number: int, epochs_done: int) -> None:
        """Note that a trial was stopped after so many epochs; later results may let it go on."""
        reached = [rung for rung in self._rungs if rung <= epochs_done]
        if reached and number in self._rungs[reached[-1]].rows:
            self._stopped[number] = self._rungs[reached[-1]]
            self._ready = None

    def take_up(self, number: int) -> None:
        """Note that a stopped trial goes on."""
        del self._stopped[number]
        self._ready = None

    def drop(self, number: int) -> None:
        """Forget a trial whose training failed: it is no measure for others."""
        self._stopped.pop(number, None)
        for rung in self._rungs.values():
            rung.drop(number)
        self._ready = None

    @property
    def next_ready(self) -> int | None:
        """The lowest number of a stopped trial that goes on by what is known now, if any."""
        if self._ready is None:
            self._ready = [
                number
                for number, rung in sorted(self._stopped.items(), key=lambda item: item[0])
                if rung.goes_on(number, self._rule)
            ]
        return self._ready[0] if self._ready else None


def replay(curves: Values, costs: Values, rule: Halving) -> npt.NDArray[np.int64]:
    """Return how many epochs each trial would have had under a rule, one worker training.

    Trials come in the order of their rows; before each new one, and at the end, stopped ones that
    may go on do so.

    Args:
        curves: each trial's accuracy after each epoch of a full training, shape (n, epochs).
        costs: what is known of each trial before its training, smaller is better, shape (n,) or
            (n, m).
        rule: the rule.

    Returns:
        epochs trained, shape (n,); where it is ``epochs``, the trial is COMPLETE.
    """
    n, epochs = curves.shape
    costs = np.asarray(costs, dtype=np.float64).reshape(n, -1)
    ladder = Ladder(rule, epochs)
    done = np.zeros(n, dtype=np.int64)
    fresh = 0
    while (one := ladder.next_ready) is not None or fresh < n:
        if one is None:
            one, fresh = fresh, fresh + 1
        else:
            ladder.take_up(one)
        while done[one] < epochs:
            done[one] += 1
            last = int(done[one])
            ladder.put(one, costs[one].tolist(), last, float(curves[one, last - 1]))
            if last < epochs and not ladder.goes_on(one, last, last):
                ladder.stop(one, last)
                break
    return done
