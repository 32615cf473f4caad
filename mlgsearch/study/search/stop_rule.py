"""When a search has done enough: before its total of trials is reached."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mlgsearch.records import OBJECTIVES, TrialRecord, TrialState
from mlgsearch.results.analysis.front import front, front_hypervolume
from mlgsearch.results.analysis.uncertainty.expectation import Expectations
from mlgsearch.study.file.search_spec import StopSpec

#: Half the width of a 90 % interval in standard deviations.
_HALF_WIDTH = 1.645

#: Of fewer trials the scatter, and with it the noise, is not known: then any growth counts.
_FEW = 8

#: The noise of a front is estimated anew so often while a study waits for ``no_gain`` trials.
_LOOKS = 5


#: Unix seconds, from and to.
Span = tuple[float, float]


class StopRule:
    """Decides when no further trial is proposed, and why.

    What it decides is a function of the records and the clock, so a resumed study stops where an
    undisturbed one does.

    Args:
        spec: the study file's ``search.stop``.
        objectives: what spans the front.
        reference: where hypervolumes are counted from; see ``StudyRecord``.
        samples: images of the validation part; None where that is not known.
        given: how many trials are written in the file or planned; ``no_gain`` counts from the
            first one after them.
    """

    def __init__(
        self,
        spec: StopSpec,
        objectives: Sequence[str],
        reference: Mapping[str, float],
        samples: int | None,
        given: int,
    ) -> None:
        self._spec = spec
        self._objectives = objectives
        self._reference = reference
        self._samples = samples
        self._given = given
        self._counted = -1
        self._reason: str | None = None
        self._spans: list[Span] = []  # in which the finished trials were trained

    def reason(self, records: Iterable[TrialRecord], began: datetime, now: datetime) -> str | None:
        """Return why the search is to end, None where it goes on.

        Args:
            records: all trials of the study.
            began: when this driver began; what was being trained before that counts once it is
                finished.
            now: the present time, with a timezone as ``began``.
        """
        finished: list[TrialRecord] = []
        unfinished: list[TrialRecord] = []
        for record in records:
            (finished if record.state.is_finished else unfinished).append(record)
        if len(finished) != self._counted:
            self._counted = len(finished)
            finished.sort(key=lambda r: (r.finished_at is None, r.finished_at or began, r.number))
            self._reason = self._reached(finished) or self._without_gain(finished)
            self._spans = _union(_spans(finished, began, now))
        return self._reason or self._out_of_time(_spans(unfinished, began, now))

    def _reached(self, finished: Sequence[TrialRecord]) -> str | None:
        goal = self._spec.front_reaches
        if not goal:
            return None
        for trial in front(finished, self._objectives):
            values = {name: trial.objective_value(name) for name in goal}
            if all(
                value is not None
                and (
                    value >= goal[name]
                    if OBJECTIVES[name].larger_is_better
                    else value <= goal[name]
                )
                for name, value in values.items()
            ):
                said = ", ".join(f"{name} {value:g}" for name, value in values.items())
                return f"trial {trial.number} reaches search.stop.front_reaches: {said}"
        return None

    def _without_gain(self, finished: Sequence[TrialRecord]) -> str | None:
        patience = self._spec.no_gain
        if patience is None:
            return None
        # At the last look, so that what ended since, in flight then, changes no answer.
        finished = finished[: len(finished) - (len(finished) - self._given) % _between(patience)]
        if len(finished) < self._given + patience:
            return None
        before = finished[:-patience]
        grown = self._hypervolume(finished) - self._hypervolume(before)
        if grown > 0 and grown > self._noise(before):
            return None
        return (
            f"the front has not grown by more than the noise of a training in {patience} trials "
            "(search.stop.no_gain)"
        )

    def _noise(self, trials: Sequence[TrialRecord]) -> float:
        """Return the standard deviation of the hypervolume, were the front trained once more."""
        complete = sum(trial.state is TrialState.COMPLETE for trial in trials)
        if "accuracy" not in self._objectives or complete < _FEW:
            return 0.0
        best = front(trials, self._objectives)
        expected = Expectations.of_trials(trials, [], self._samples)
        whole = self._hypervolume(best)
        variance = 0.0
        for trial in best:
            if trial.number in expected:
                found = expected[trial.number]
                std = (found.high - found.low) / (2 * _HALF_WIDTH)
                variance += (whole - self._hypervolume(_lowered(best, trial.number, std))) ** 2
        return math.sqrt(variance)

    def _hypervolume(self, trials: Sequence[TrialRecord]) -> float:
        return front_hypervolume(trials, self._objectives, self._reference)

    def _out_of_time(self, in_flight: Sequence[Span]) -> str | None:
        hours = self._spec.hours
        if hours is None or _length(_union([*self._spans, *in_flight])) < 3600 * hours:
            return None
        return f"trials were trained for {hours:g} hours (search.stop.hours)"


def _between(patience: int) -> int:
    """Return the trials from one look at the noise to the next."""
    return max(1, patience // _LOOKS)


def _spans(records: Iterable[TrialRecord], began: datetime, now: datetime) -> list[Span]:
    """Return when each trial was trained.

    A finished trial was trained for its stages' seconds up to its end, whatever pauses it had; of
    one that was stopped early or failed only the time from its creation is known.
    """
    spans = []
    for record in records:
        end = record.finished_at if record.state.is_finished else now
        if record.state is TrialState.WAITING or end is None or record.created_at is None:
            continue
        if record.reused_from is not None:
            continue
        start = record.created_at
        if not record.state.is_finished:
            start = max(start, began)
        elif record.stage_seconds:
            start = max(start, end - timedelta(seconds=sum(record.stage_seconds.values())))
        spans.append((start.timestamp(), end.timestamp()))
    return spans


def _union(spans: Iterable[Span]) -> list[Span]:
    """Join spans that overlap or touch."""
    joined: list[Span] = []
    for start_s, end_s in sorted(span for span in spans if span[0] <= span[1]):
        if joined and start_s <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end_s)
        else:
            joined.append((start_s, end_s))
    return joined


def _length(spans: Iterable[Span]) -> float:
    return sum(end_s - start_s for start_s, end_s in spans)


def _lowered(trials: Sequence[TrialRecord], number: int, by: float) -> list[TrialRecord]:
    return [
        replace(t, accuracy=max(0.0, (t.accuracy or 0.0) - by)) if t.number == number else t
        for t in trials
    ]
