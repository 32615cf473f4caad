"""A study's trials as they are stored: each in a row of ours and in a row of Optuna's.

A trial's end is written to our own row before Optuna's, and that it is taken up again to Optuna's
before ours; so where a crash came between the two, ours is what holds. Both are written again where
the database was away in between: each write may be repeated.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import TrialState as OptunaState

from mlgsearch.errors import StudyConflictError
from mlgsearch.records import MEASURES, OBJECTIVES, EpochRecord, TrialRecord, TrialState
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.search.new_trial import NewTrials
from mlgsearch.study.search.optuna_trials import OptunaTrials
from mlgsearch.study.writing.pending import PendingTrial
from mlgsearch.study.writing.retry_queue import RetryQueue
from mlgsearch.study.writing.spool import Spool

logger = logging.getLogger(__name__)

_OPTUNA_STATES = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAIL: OptunaState.FAIL,
}

#: Called at every change of a trial: its record as it is now stored, and epochs new with it.
OnChange = Callable[[TrialRecord, Sequence[EpochRecord]], None]


class TrialRows:
    """Writes both rows of every trial; ``by_number`` holds the records as the driver knows them.

    Of a trial that has ended for good it holds only what is read again.

    What an earlier driver left in the spool is delivered first.

    Raises:
        StudyConflictError: Optuna's tables have lost trials.
    """

    def __init__(
        self,
        spec: StudySpec,
        optuna_trials: OptunaTrials,
        store: ResultStore,
        spool: Spool[PendingTrial],
        on_change: OnChange,
    ):
        self._name = spec.name
        self._objectives = spec.search.objectives
        self._optuna_trials = optuna_trials
        self._store = store
        self._on_change = on_change
        self.retry_queue = RetryQueue(self._write, spool)
        self.by_number: dict[int, TrialRecord] = {}
        for record in store.each_trial(spec.name):
            self._hold(record)
        #: States as our own rows have them.
        self._stored = {number: record.state for number, record in self.by_number.items()}
        if len(self.by_number) > len(optuna_trials):
            raise StudyConflictError(
                f"study {spec.name!r}: the database holds {len(self.by_number)} trials, but "
                f"Optuna's tables only {len(optuna_trials)}: part of it was deleted; delete the "
                "study, or bring the database back from a copy"
            )
        for kept in spool.kept():
            if self._take_over(kept):
                spool.drop(kept.key)

    def _take_over(self, kept: PendingTrial) -> bool:
        """Deliver what an earlier driver could not, unless the study has gone on without it.

        Returns:
            Whether the spool need keep it no longer.
        """
        late, now = kept.record, self.by_number.get(kept.record.number)
        if now is None and late.number >= len(self._optuna_trials):
            is_newer = False  # another driver has given the number to another trial, or will
        elif now is None:
            is_newer = True
        else:
            is_newer = (
                now.state not in (TrialState.COMPLETE, TrialState.FAIL)
                and (now.attempts, now.fingerprint) == (late.attempts, late.fingerprint)
                and now.epochs_done <= late.epochs_done
            )
        if not is_newer:
            logger.warning("trial %d: what an earlier driver kept is outdated", late.number)
            return True
        is_delivered = self.put(late, kept.epochs)
        if is_delivered:
            logger.info("trial %d: delivered what an earlier driver could not", late.number)
        return is_delivered

    def reconcile(self, new_trials: NewTrials) -> list[int]:
        """Repair rows that a crash left inconsistent; return the numbers of orphaned trials."""
        orphans = []
        for trial in self._optuna_trials.trials():
            record = self.by_number.get(trial.number)
            if record is None:
                record = new_trials.record(trial)
                self.put(record)
            if trial.state.is_finished() and not record.state.is_finished:
                # Not by us: our row is finished first. So COMPLETE comes without a result of ours.
                is_complete = trial.state == OptunaState.COMPLETE
                state = TrialState.FAIL if is_complete else TrialState(trial.state.name)
                error = f"finished outside mlgsearch as {trial.state.name}"
                self.put(replace(record, state=state, error=error))
            elif record.state.is_finished and not trial.state.is_finished():
                self.put(self._whole(record))
            elif not record.state.is_finished:
                self._renew(record, new_trials.record(trial))
                orphans.append(trial.number)
        return orphans

    def _renew(self, record: TrialRecord, anew: TrialRecord) -> None:
        """Update an unfinished trial to a change of the study that its user accepted."""
        if record.fingerprint != anew.fingerprint:
            changed = replace(
                anew,
                state=record.state,
                attempts=record.attempts,
                created_at=record.created_at,
            )
        else:
            changed = replace(record, teacher_hash=anew.teacher_hash, versions=anew.versions)
        if changed != record:
            self.put(changed)

    def put(self, record: TrialRecord, epochs: Sequence[EpochRecord] = ()) -> bool:
        """Write a trial, with epochs of it; return whether the database has it now, or later.

        Raises:
            LeaseLostError: another driver took the study.
        """
        assert record.settings or not record.fingerprint, "only a part of it is held"
        self.by_number[record.number] = record
        return self.retry_queue.put(PendingTrial(record, tuple(epochs)))

    def _hold(self, record: TrialRecord) -> None:
        """Hold a stored record; of a trial that has ended for good, only what is read again.

        That is a quarter of it: what it is per layer is not. A PRUNED trial may be written again.
        """
        if record.state in (TrialState.COMPLETE, TrialState.FAIL):
            record = replace(
                record,
                settings={},
                layer_bits={},
                layer_damage={},
                versions={},
                projection_error={sys.intern(k): v for k, v in record.projection_error.items()},
                stage_seconds={sys.intern(k): v for k, v in record.stage_seconds.items()},
            )
        self.by_number[record.number] = record

    def _whole(self, record: TrialRecord) -> TrialRecord:
        """Return a record in full, from the database where `_hold` has kept a part of it.

        One that still waits to be written is whole, and the database has an older one.
        """
        is_part = record.fingerprint and not record.settings
        return self._store.trial(self._name, record.number) if is_part else record

    def finish(self, record: TrialRecord, epochs: Sequence[EpochRecord] = ()) -> None:
        """Write that a trial ended as its record says.

        Raises:
            ValueError: it is COMPLETE, and a value that the sampler needs is not usable.
        """
        assert record.state.is_finished, record.state
        if record.state == TrialState.COMPLETE:
            self.values(record)
        self.put(record, epochs)

    def start(self, number: int) -> None:
        """Make a trial that waits RUNNING; both rows are written when it is given out."""
        self.by_number[number] = replace(self.by_number[number], state=TrialState.RUNNING)

    def reopen(self, number: int) -> None:
        """Make a PRUNED trial RUNNING; both rows are written when it is given out, or ends."""
        unknown: dict[str, Any] = {m.name: None for m in MEASURES if not m.is_predicted}
        self.by_number[number] = replace(
            self.by_number[number], state=TrialState.RUNNING, finished_at=None, **unknown
        )

    def withdraw(self, record: TrialRecord) -> None:
        """Take a trial's change back that the database has not taken; ``record`` is as before."""
        self.by_number[record.number] = record
        self.retry_queue.withdraw(PendingTrial(record).key)

    def queue(self, record: TrialRecord) -> None:
        """Put an unfinished trial back to WAITING."""
        self.put(replace(record, state=TrialState.WAITING))

    def is_reachable(self) -> bool:
        """Whether nothing waits to be delivered, and the database takes writes under our lease."""
        return self.retry_queue.flush() and self.retry_queue.reach(
            lambda: self._store.check_lease(self._name)
        )

    def values(self, record: TrialRecord) -> list[float]:
        """Return a COMPLETE trial's objectives as the sampler sees them.

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

    def _write(self, entry: PendingTrial) -> None:
        """Write both rows of a trial, in the order that a crash may cut anywhere."""
        record, epochs = entry.record, entry.epochs
        number = record.number
        theirs = self._optuna_trials.trial(number).state
        if theirs == OptunaState.PRUNED and record.state != TrialState.PRUNED:
            self._optuna_trials.reopen(number)
        if self._stored.get(number) == TrialState.WAITING != record.state:
            self._optuna_trials.start(number)
        if record.state.is_finished:
            self._leave_notes(record)
        record = self._store.put_trial(self._name, record, epochs)
        self._hold(record)
        self._stored[number] = record.state
        if record.state.is_finished:
            self._tell(record)
        elif record.state == TrialState.WAITING:
            self._optuna_trials.queue(number)
        self._on_change(record, epochs)

    def _leave_notes(self, record: TrialRecord) -> None:
        if record.reused_from is not None:
            self._optuna_trials.set_note(record.number, "reused_from", record.reused_from)
        if record.error is not None:
            self._optuna_trials.set_note(record.number, "error", record.error[:2000])

    def _tell(self, record: TrialRecord) -> None:
        values = self.values(record) if record.state == TrialState.COMPLETE else None
        self._optuna_trials.tell(record.number, _OPTUNA_STATES[record.state], values)
