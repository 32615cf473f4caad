"""What a study decides: which trial comes next, and what becomes of each. No Ray in here.

A trial's life::

    ask -> RUNNING -> COMPLETE | PRUNED | FAIL
             ^  |                  |
             |  |   <--------------+  stopped early; reopened where it ranks high enough
             |  v   a driver stopped in order leaves WAITING, a killed one leaves RUNNING;
           WAITING  the next driver adopts both, with the same number and parameters
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from mlgsearch.errors import StudyFailedError
from mlgsearch.records import MEASURES, EpochRecord, TrialRecord, TrialState
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.search.early_stopping import EarlyStopping, is_stopped
from mlgsearch.study.search.limited_sampler import LimitedSampler
from mlgsearch.study.search.new_trial import NewTrials
from mlgsearch.study.search.optuna_trials import OptunaTrials
from mlgsearch.study.search.sampler import make_sampler
from mlgsearch.study.search.trial_rows import OnChange, TrialRows
from mlgsearch.study.space.space import Proposal, Space
from mlgsearch.study.writing.pending import PendingTrial
from mlgsearch.study.writing.spool import Spool
from mlgsearch.train.student.trial import TrialSummary
from mlgsearch.words import counted

#: A study stops where so many trainings failed before any came to something.
_ALL_FAILED = 5
#: Different reasons of failed trials that are named, the most frequent first.
_MOST_REASONS = 3


@dataclass(frozen=True)
class Job:
    """A trial for a worker.

    ``attempt`` counts from 1 how often the trial was given to a worker. It is stored before any
    worker hears of it, so of two workers with one trial the later one has the larger number.
    """

    number: int
    attempt: int
    proposal: Proposal
    fingerprint: str


class Ledger:
    """The trials of one study, while this driver holds its lease.

    Raises:
        UserError: the sampler cannot be made.
        StudyConflictError: Optuna's tables have lost trials.
    """

    def __init__(
        self,
        *,
        spec: StudySpec,
        space: Space,
        new_trials: NewTrials,
        optuna_trials: OptunaTrials,
        store: ResultStore,
        spool: Spool[PendingTrial],
        n_trials: int,
        on_change: OnChange = lambda record, epochs: None,
        ends: Callable[[Sequence[TrialRecord]], str | None] | None = None,
    ):
        self._spec = spec
        self._space = space
        self._new_trials = new_trials
        self._optuna_trials = optuna_trials
        self._n_trials = n_trials
        self._ends = ends
        self._ended: str | None = None
        self._spool = spool
        self._rows = TrialRows(spec, optuna_trials, store, spool, on_change)
        self._records = self._rows.by_number
        self._make_sampler()  # one that cannot be made raises before any work is done
        self._orphans = deque(self._rows.reconcile(new_trials))
        self._complete = {
            r.fingerprint: r.number
            for r in reversed(self.records)
            if r.state == TrialState.COMPLETE and r.teacher_hash == new_trials.teacher_hash
        }
        self._stopped = {
            r.fingerprint: r.number
            for r in self.records
            if is_stopped(r) and r.teacher_hash == new_trials.teacher_hash
        }
        self._running: dict[str, int] = {}
        self._deaths: Counter[int] = Counter()
        self._failures = 0
        self._followers: dict[int, list[int]] = {}
        #: Trials that share the result of one that was stopped early, by that one's number.
        self._sharers: defaultdict[int, set[int]] = defaultdict(set)
        for record in self.records:
            if record.state == TrialState.PRUNED and record.reused_from is not None:
                self._sharers[record.reused_from].add(record.number)
        for number in list(self._sharers):
            self._pass_on(number)
        self._early_stopping = EarlyStopping(spec, self._records, store)

    @property
    def records(self) -> list[TrialRecord]:
        """Every trial's record by number; of COMPLETE and FAIL ones only what is read again."""
        return [self._records[number] for number in sorted(self._records)]

    @property
    def is_finished(self) -> bool:
        """Whether the wanted number of trials has finished, or all where the search ended."""
        finished = sum(r.state.is_finished for r in self._records.values())
        wanted = len(self._records) if self._ended is not None else self._n_trials
        return finished >= wanted and self.has_no_more

    @property
    def ended(self) -> str | None:
        """Why no trial was proposed any more before the wanted number; None where that was not."""
        return self._ended

    @property
    def has_no_more(self) -> bool:
        """Whether no further job will come."""
        if self._running:
            return False  # a worker may die, and what they reach may let a stopped trial go on
        is_ready = self._early_stopping.next_ready is not None
        return not (self._orphans or self._wants_another or is_ready)

    def next_job(self) -> Job | None:
        """Return the next trial to train, or None where there is none now.

        Orphans come first, by number, then stopped trials that are to go on, then a new proposal.
        A proposal whose training was done before, or stopped early, shares its result at once; one
        that is being trained now waits for it. Neither reaches a worker. While the database is
        away there is none.
        """
        while self._may_hand_out():
            ready = self._early_stopping.next_ready
            if self._orphans:
                trial = self._adopt()
            elif ready is not None:
                trial = self._take_up(ready)
            else:
                asked = self._ask()
                if asked is None:
                    return None
                trial = asked
            record = self._records[trial.number]
            twin = self._complete.get(record.fingerprint, self._stopped.get(record.fingerprint))
            if twin is not None:
                self._share(twin, trial.number)
                continue
            leader = self._running.get(record.fingerprint)
            if leader is not None:
                self._followers.setdefault(leader, []).append(trial.number)
                continue
            begun = replace(record, attempts=record.attempts + 1)
            if not self._rows.put(begun):
                # An attempt that is not stored might be given out twice.
                self._rows.withdraw(record)
                self._orphans.appendleft(trial.number)
                return None
            self._running[record.fingerprint] = trial.number
            proposal = self._space.decode(trial.params)
            return Job(trial.number, begun.attempts, proposal, record.fingerprint)
        return None

    def deliver(self) -> bool:
        """Write what the database could not take before; return whether nothing is left."""
        return self._rows.retry_queue.flush()

    @property
    def away(self) -> str | None:
        """Why the database cannot be written; None while it can."""
        return self._rows.retry_queue.away

    @property
    def undelivered(self) -> int:
        """How many trials have results that the database could not take yet."""
        return len(self._rows.retry_queue.waiting)

    @property
    def spool(self) -> Path:
        """Where they wait."""
        return self._spool.folder

    def attempt(self, number: int) -> int:
        """Return the attempt that a trial is in, or had last."""
        return self._records[number].attempts

    def add_epochs(self, number: int, epochs: Sequence[EpochRecord]) -> bool:
        """Record finished epochs of a running trial; epochs known already are left as they are.

        Returns:
            Whether the trial goes on; where it does not, it is PRUNED now.
        """
        record = self._records[number]
        new = [epoch for epoch in epochs if epoch.epoch > record.epochs_done]
        if not new:
            return True
        record = replace(record, epochs_done=new[-1].epoch)
        goes_on = self._early_stopping.goes_on(record, new)
        if goes_on:
            self._rows.put(record, new)
        else:
            self._stop(record, new)
        return goes_on

    def lose(self, number: int, reason: str | None = None) -> None:
        """Note that a running trial's worker died: another takes it over, a few times."""
        self._deaths[number] += 1
        if self._deaths[number] > self._spec.resources.worker_retries:
            error = f"its worker died {counted(self._deaths[number], 'time')}"
            self.fail(number, error if reason is None else f"{error}: {reason}")
            return
        self.hand_over(number)

    def hand_over(self, number: int) -> None:
        """Note that a running trial's worker ended by no fault of the trial's: another takes over.

        That is the next trial handed out.
        """
        del self._running[self._records[number].fingerprint]
        self._orphans.appendleft(number)

    def complete(self, number: int, summary: TrialSummary) -> None:
        """Finish a trial that was trained at full length.

        Args:
            number: the trial.
            summary: of its training. A value that an objective cannot use makes the trial FAIL.
        """
        record = replace(
            self._records[number],
            **{m.name: getattr(summary, m.name) for m in MEASURES if not m.is_predicted},
            projection_error=summary.projection_error,
            stage_seconds=summary.stage_seconds,
        )
        try:
            self._rows.values(record)
        except ValueError as error:
            self.fail(number, f"the training gave no usable result: {error}")
            return
        self._rows.finish(replace(record, state=TrialState.COMPLETE))
        self._complete.setdefault(record.fingerprint, number)
        self._pass_on(number)

    def fail(self, number: int, error: str) -> None:
        """Finish a trial that could not be trained; ``error`` is kept for its readers.

        Raises:
            StudyFailedError: no trial of the study came to anything, and it failed some now.
        """
        record = self._records[number]
        self._rows.finish(replace(record, state=TrialState.FAIL, error=error))
        self._early_stopping.drop(number)
        self._pass_on(number)
        self._failures += 1
        if self._failures >= _ALL_FAILED and not self._is_any_good:
            raise StudyFailedError(
                f"study {self._spec.name!r}: the first {self._failures} trainings all failed, the "
                f"last one with: {error}; nothing more is trained: fix what it says and resume "
                "the study, or delete it"
            )

    def check_end(self) -> None:
        """See that a finished study came to something.

        Raises:
            StudyFailedError: every trial of it failed; the message has the reasons.
        """
        if not self.is_finished or self._is_any_good or not self._records:
            return
        counts = Counter(record.error or "no reason is known" for record in self.records)
        reasons = "; ".join(
            f"{count} with: {error}" for error, count in counts.most_common(_MOST_REASONS)
        )
        raise StudyFailedError(
            f"study {self._spec.name!r}: all {len(self._records)} trials failed, {reasons}; "
            "fix that, then delete the study and launch it again, or `resume` it with a larger "
            "--trials"
        )

    def queue_unfinished(self) -> list[int]:
        """Put every unfinished trial back to WAITING, for the next driver; return their numbers."""
        unfinished = [r for r in self.records if not r.state.is_finished]
        for record in unfinished:
            self._rows.queue(record)
        self._running.clear()
        self._followers.clear()
        self._orphans = deque(record.number for record in unfinished)
        return list(self._orphans)

    @property
    def _is_any_good(self) -> bool:
        good = (TrialState.COMPLETE, TrialState.PRUNED)
        return any(record.state in good for record in self._records.values())

    @property
    def _wants_another(self) -> bool:
        if self._ended is None and self._ends and len(self._optuna_trials) < self._n_trials:
            self._ended = self._ends(self.records)
        return self._ended is None and len(self._optuna_trials) < self._n_trials

    def _may_hand_out(self) -> bool:
        """Whether there is something to hand out, and the database to write it to."""
        is_ready = self._early_stopping.next_ready is not None
        is_any = bool(self._orphans) or is_ready or self._wants_another
        return is_any and self._rows.is_reachable()

    def _ask(self) -> FrozenTrial | None:
        number = len(self._optuna_trials)
        first = self._space.first
        fixed = first[number] if number < len(first) else None
        asked: list[FrozenTrial] = []
        if not self._rows.retry_queue.reach(
            lambda: asked.append(
                self._optuna_trials.ask(self._make_sampler(), self._space.distributions, fixed)
            )
        ):
            return None
        (trial,) = asked
        self._rows.put(self._new_trials.record(trial))
        return trial

    def _make_sampler(self) -> BaseSampler:
        """Make the sampler of the next proposal."""
        space = self._space.distributions
        sampler = make_sampler(
            self._spec.search.sampler,
            study_seed=self._spec.search.seed,
            number=len(self._optuna_trials),
            space=space,
            better=self._optuna_trials.better,
        )
        return LimitedSampler(sampler, space, self._space.allowed) if self._spec.limits else sampler

    def _adopt(self) -> FrozenTrial:
        number = self._orphans.popleft()
        self._rows.start(number)
        return self._optuna_trials.trial(number)

    def _take_up(self, number: int) -> FrozenTrial:
        """Reopen a stopped trial."""
        self._early_stopping.take_up(number)
        del self._stopped[self._records[number].fingerprint]
        self._rows.reopen(number)
        return self._optuna_trials.trial(number)

    def _stop(self, record: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """End a trial early, in one write with the epochs that decided it."""
        last = epochs[-1]
        record = replace(
            record,
            state=TrialState.PRUNED,
            accuracy=last.validation_accuracy,
            loss=last.validation_loss,
        )
        self._rows.finish(record, epochs)
        self._early_stopping.stop(record)
        self._stopped[record.fingerprint] = record.number
        self._pass_on(record.number)

    def _pass_on(self, number: int) -> None:
        """Hand a trial's end to its duplicates: those that waited, or have that of an earlier stop.

        A trial that is not finished has nothing to give.
        """
        ended = self._records[number]
        if not ended.state.is_finished:
            return
        outdated = [
            r.number
            for r in (self._records[other] for other in sorted(self._sharers.get(number, ())))
            if (r.state, r.epochs_done) != (ended.state, ended.epochs_done)
        ]
        for other in outdated:
            self._sharers[number].discard(other)
            self._rows.reopen(other)
        for other in [*self._leave(number), *outdated]:
            if ended.state == TrialState.FAIL:
                error = f"the same training failed as trial {number}: {ended.error}"
                same = replace(self._records[other], state=TrialState.FAIL, error=error)
                self._rows.finish(same)
            else:
                self._share(number, other)

    def _share(self, source: int, number: int) -> None:
        """Copy to a trial the result of another that trained the very same student."""
        twin = self._records[source]
        record = replace(
            self._records[number],
            state=twin.state,
            epochs_done=twin.epochs_done,
            **{m.name: getattr(twin, m.name) for m in MEASURES if not m.is_predicted},
            projection_error=twin.projection_error,
            reused_from=twin.number,
        )
        if twin.state == TrialState.PRUNED:
            self._sharers[source].add(number)
        self._rows.finish(record)

    def _leave(self, number: int) -> list[int]:
        """Take a trial off the running ones; return those that waited for it."""
        self._running.pop(self._records[number].fingerprint, None)
        return self._followers.pop(number, [])
