"""A study's trials as they are stored: each in a row of ours and in a row of Optuna's.

A trial's end is written to our own row before Optuna's, and that it is taken up again to Optuna's
before ours; so where a crash came between the two, ours is what holds.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from optuna.trial import TrialState as OptunaState

from mlgsearch.errors import StudyConflictError
from mlgsearch.records import OBJECTIVES, EpochRecord, TrialRecord, TrialState
from mlgsearch.results.store import ResultStore
from mlgsearch.study.draft import Drafts
from mlgsearch.study.history import History
from mlgsearch.study.spec import StudySpec

_OPTUNA_STATES = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAIL: OptunaState.FAIL,
}

#: Told of every change of a trial: its record as it is now stored, and epochs new with it.
Watcher = Callable[[TrialRecord, Sequence[EpochRecord]], None]


class TrialRows:
    """Writes both rows of every trial; ``by_number`` holds the records as they are stored.

    Raises:
        StudyConflictError: Optuna's tables have lost trials.
    """

    def __init__(self, spec: StudySpec, history: History, store: ResultStore, watch: Watcher):
        self._name = spec.name
        self._objectives = spec.search.objectives
        self._history = history
        self._store = store
        self._watch = watch
        self.by_number = {r.number: r for r in store.trials(spec.name)}
        if len(self.by_number) > len(history):
            raise StudyConflictError(
                f"study {spec.name!r}: the database holds {len(self.by_number)} trials, but "
                f"Optuna's tables only {len(history)}: part of it was deleted; delete the study, "
                "or bring the database back from a copy"
            )

    def reconcile(self, drafts: Drafts) -> list[int]:
        """Mend what a crash cut in two; give the numbers of the trials that nobody holds."""
        orphans = []
        for trial in self._history.trials():
            record = self.by_number.get(trial.number)
            if record is None:
                record = drafts.record(trial)
                self.put(record)
            if trial.state.is_finished() and not record.state.is_finished:
                # Not by us: our row is finished first. So COMPLETE comes without a result of ours.
                is_complete = trial.state == OptunaState.COMPLETE
                state = TrialState.FAIL if is_complete else TrialState(trial.state.name)
                error = f"finished outside mlgsearch as {trial.state.name}"
                self.put(replace(record, state=state, error=error))
            elif record.state.is_finished and not trial.state.is_finished():
                self._tell(record)
            elif not record.state.is_finished:
                orphans.append(trial.number)
        return orphans

    def put(self, record: TrialRecord, epochs: Sequence[EpochRecord] = ()) -> None:
        """Write our own row of a trial, with epochs of it, in one transaction."""
        self._store.put_trial_with_epochs(self._name, record, epochs)
        self.by_number[record.number] = record
        self._watch(record, epochs)

    def finish(self, record: TrialRecord, epochs: Sequence[EpochRecord] = ()) -> None:
        """Write that a trial ended as its record says.

        Raises:
            ValueError: it is COMPLETE, and a value that the sampler needs is not usable.
        """
        assert record.state.is_finished, record.state
        if record.state == TrialState.COMPLETE:
            self.values(record)
        record = replace(record, finished_at=datetime.now(UTC))
        if record.reused_from is not None:
            self._history.set_note(record.number, "reused_from", record.reused_from)
        if record.error is not None:
            self._history.set_note(record.number, "error", record.error[:2000])
        self.put(record, epochs)
        self._tell(record)

    def start(self, number: int) -> None:
        """Make a trial that waits RUNNING; our own row is written when it is given out."""
        if self.by_number[number].state == TrialState.WAITING:
            self._history.start(number)
            self.by_number[number] = replace(self.by_number[number], state=TrialState.RUNNING)

    def reopen(self, number: int) -> None:
        """Make a PRUNED trial RUNNING; our own row is written when it is given out, or ends."""
        self._history.reopen(number)
        self.by_number[number] = replace(
            self.by_number[number],
            state=TrialState.RUNNING,
            accuracy=None,
            loss=None,
            finished_at=None,
        )

    def queue(self, record: TrialRecord) -> None:
        """Put an unfinished trial back to WAITING."""
        self.put(replace(record, state=TrialState.WAITING))
        self._history.queue(record.number)

    def values(self, record: TrialRecord) -> list[float]:
        """Give a COMPLETE trial's objectives as the sampler sees them.

        Raises:
            ValueError: one of them, or the accuracy or loss of any trial, is missing or not finite.
        """
        searched = {}
        for name in ("accuracy", "loss", *self._objectives):
            value = record.objective_value(name)
            if value is None:
                raise ValueError(f"{name} is missing")
            searched[name] = OBJECTIVES[name].to_search(value)
        return [searched[name] for name in self._objectives]

    def _tell(self, record: TrialRecord) -> None:
        values = self.values(record) if record.state == TrialState.COMPLETE else None
        self._history.tell(record.number, _OPTUNA_STATES[record.state], values)
