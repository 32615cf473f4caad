"""Ray Tune's view of a study: it asks for trials, whether one goes on, and what came of it."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from mlgsearch.errors import DiskFullError, UserError
from mlgsearch.study.artifacts.disk_limit import DiskBound
from mlgsearch.study.cluster.exceptions import death_reason
from mlgsearch.study.cluster.messages import Assignment, Report
from mlgsearch.study.cluster.notice import was_announced
from mlgsearch.study.search.ledger import Ledger

logger = logging.getLogger(__name__)

#: How often Ray's own list of trials is looked through. Of a worker that cannot be used again it
#: notifies no searcher (2.60), and a study would wait for its trial forever.
GIVEN_UP_S = 5.0


class DriverOnly:
    """Something of the driver's that Ray writes into its experiment state, where it means nothing.

    Ray pickles a Tuner with all it was given, to be restored later; we never restore from Ray.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


@dataclass
class _Attempt:
    """A trial that Ray runs: its number, the attempt, when its worker began, why it died.

    ``leaves`` where it had notice, as its node is taken away.
    """

    number: int
    attempt: int
    began_s: float | None = None
    death: str | None = None
    leaves: bool = False


class StudySearcher(DriverOnly, Searcher):
    """Hands a ledger's jobs to Ray Tune and Ray's results to the ledger.

    Ray's own id of a trial is kept for the moment only: what lasts is the trial's number and the
    attempt. A worker that died is no matter of Ray's: its trial is handed out again, as another.

    Args:
        ledger: the study.
        trial_timeout_s: a worker that died after so long was stopped by its own watchdog.
        is_asked_to_stop: looked at whenever Ray wants a trial.
        is_lost: whether the study's lease is lost; then it stops without waiting for anything.
        waits_for_epochs: where it is asked to stop, each trial that a worker began ends with the
            epoch in flight; without it Ray waits for them, 10 s at most.
        disk: what the study's files may take.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        trial_timeout_s: float | None = None,
        is_asked_to_stop: Callable[[], bool] = lambda: False,
        is_lost: Callable[[], bool] = lambda: False,
        waits_for_epochs: bool = False,
        disk: DiskBound | None = None,
    ):
        super().__init__()
        self._ledger = ledger
        self._trial_timeout_s = trial_timeout_s
        self._is_asked_to_stop = is_asked_to_stop
        self._is_lost = is_lost
        self._waits_for_epochs = waits_for_epochs
        self._disk = disk
        self._attempts: dict[str, _Attempt] = {}
        self._looked_s = time.monotonic()
        #: Ray's own trials, once it runs.
        self.trials: Sequence[Any] = ()
        #: Tells how many trials may run at once just now; None where Ray alone sees to that.
        self.room: Callable[[], int] | None = None
        #: Set where no trial is handed out any more, and those in flight end with their epoch.
        self.is_draining = False
        #: Set where the study is being stopped: what Ray reports after that says nothing.
        self.is_stopping = False
        #: Why the study cannot go on; None where it was asked to stop, or is finished.
        self.failure: UserError | None = None

    def number(self, trial_id: str) -> int | None:
        """Return the number of the trial that Ray knows by this id, while it runs."""
        known = self._attempts.get(trial_id)
        return None if known is None else known.number

    def stop(self, failure: UserError) -> None:
        """Stop the study, for it cannot go on."""
        self.failure = self.failure or failure
        self.is_stopping = True

    def tick(self) -> None:
        """Do what is due now and then: look at the disk, deliver what the database can take."""
        if self._is_lost():
            self.is_stopping = True
        elif self._is_asked_to_stop():
            self.is_draining = True
            in_flight = any(known.began_s is not None for known in self._attempts.values())
            self.is_stopping |= not (self._waits_for_epochs and in_flight)
        if not self.is_stopping:
            self._find_given_up()
            self._guarded(self._ledger.deliver)
            if self._disk is not None:
                self._guarded(self._disk.check)

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return the next job's configuration, None for later, or Ray's word for no more."""
        self.tick()
        if self.is_draining and not self.is_stopping:
            return None
        if not self.is_stopping and self.room is not None and len(self._attempts) >= self.room():
            return None
        job = None if self.is_stopping else self._guarded(self._ledger.next_job)
        if job is None:
            if not self.is_stopping and not self._ledger.has_no_more:
                return None
            return Searcher.FINISHED  # type: ignore[return-value]  # a string, by Ray's contract
        self._attempts[trial_id] = _Attempt(job.number, job.attempt)
        return Assignment(job.number, job.attempt, job.proposal).to_config()

    def on_trial_start(self, trial_id: str) -> None:
        """Note that a worker begins."""
        if trial_id in self._attempts:
            self._attempts[trial_id].began_s = time.monotonic()

    def note_death(self, trial_id: str, said: str) -> None:
        """Note what Ray says of a worker that died, before its trial ends with an error."""
        known = self._attempts.get(trial_id)
        if known is None:
            return
        known.leaves = was_announced(said)
        if known.leaves:
            logger.info("trial %d: its node is taken away, and another takes over", known.number)
        else:
            known.death = death_reason(said)
            logger.warning("trial %d: its worker died: %s", known.number, known.death)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record the epochs that a running trial reports."""
        self.goes_on(trial_id, result)

    def goes_on(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Record the epochs that a running trial reports; return whether it goes on.

        Where it does not, it has ended: what Ray reports of it afterwards is ignored.
        """
        known = self._attempts.get(trial_id)
        if known is None or self.is_stopping:
            return True
        report = Report.from_result(result)
        assert report is not None, "only our own workers report of running trials"
        if self._is_late(known, report):
            return True
        goes_on = self._guarded(lambda: self._ledger.add_epochs(known.number, report.epochs))
        if goes_on is False or self.is_draining:
            del self._attempts[trial_id]
            return False
        return True

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Finish a trial by what it reported last."""
        if self.is_stopping:
            return
        known = self._attempts.pop(trial_id, None)
        if known is not None:
            self._guarded(lambda: self._end(known, result, error))

    def save(self, checkpoint_path: str) -> None:
        """Satisfy Ray, which insists on a file; the database is the only truth."""
        Path(checkpoint_path).write_text("the study's database holds its state\n")

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: see `save`."""

    def _find_given_up(self) -> None:
        """Hand out again what is waited for of trials that Ray ended without a word."""
        if time.monotonic() - self._looked_s < GIVEN_UP_S:
            return
        self._looked_s = time.monotonic()
        if self.room is not None and self._attempts:
            self.room()  # says where what is handed out waits for a node
        for trial in self.trials:
            if trial.trial_id in self._attempts and trial.is_finished():
                number = self._attempts[trial.trial_id].number
                logger.warning("trial %d: Ray gave its worker up", number)
                self.on_trial_complete(trial.trial_id, error=True)

    def _end(self, known: _Attempt, result: dict[str, Any] | None, error: bool) -> None:
        report = None if error else Report.from_result(result)
        if report is None:
            self._bury(known)
            return
        if self._is_late(known, report):
            return
        if report.disk_full is not None:
            raise DiskFullError(
                f"trial {known.number}: {report.disk_full}. The study stopped; no results were "
                "lost. Free disk space (or fix artifact_path), then run `resume`"
            )
        if not self._ledger.add_epochs(known.number, report.epochs):
            return
        if report.error is not None:
            self._ledger.fail(known.number, report.error)
        elif report.summary is None:
            self._ledger.fail(known.number, "it was stopped before its end")
        else:
            self._ledger.complete(known.number, report.summary)

    def _bury(self, known: _Attempt) -> None:
        """Hand the trial of a worker that died to another, unless its watchdog ended it."""
        if known.leaves:
            self._ledger.hand_over(known.number)
            return
        limit_s, began_s = self._trial_timeout_s, known.began_s
        if limit_s is not None and began_s is not None and time.monotonic() - began_s >= limit_s:
            self._ledger.fail(
                known.number,
                f"timed out after resources.trial_timeout_s = {limit_s:g} s; see hung.txt in the "
                "trial's folder for stack traces",
            )
        else:
            self._ledger.lose(known.number, known.death)

    def _is_late(self, known: _Attempt, report: Report) -> bool:
        """Whether a report is of a worker whose trial went to another meanwhile."""
        now = self._ledger.attempt(known.number)
        if report.attempt == known.attempt == now:
            return False
        logger.warning(
            "trial %d: a report of attempt %d is dropped, for attempt %d has begun",
            known.number,
            report.attempt,
            now,
        )
        return True

    def _guarded(self, act: Callable[[], Any]) -> Any:
        """Call ``act``; an error that ends the study stops it cleanly, not inside Ray's loop."""
        try:
            return act()
        except UserError as error:
            self.stop(error)
            return None


class Informer(DriverOnly, Callback):
    """Passes on to the searcher what only callbacks hear of: trials, and workers that begin."""

    def __init__(self, searcher: StudySearcher):
        self._searcher = searcher

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Hand over Ray's own list, which it goes on changing."""
        self._searcher.trials = trials

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note the moment."""
        self._searcher.on_trial_start(trial.trial_id)


class NoReporter(DriverOnly, TrialProgressCallback):
    """Takes the place of Ray's own reporter of results, which keeps every trial to the end (2.60).

    Ray adds that one, whatever ``verbose`` says, unless one of its kind is given.
    """

    def log_result(self, trial: Any, result: dict[str, Any], error: bool = False) -> None:
        """Print nothing of a result, and remember nothing."""

    def on_trial_complete(self, *args: Any, **info: Any) -> None:
        """Print nothing of a trial's end, and remember nothing."""


class StudyScheduler(DriverOnly, FIFOScheduler):
    """Stops a trial where the study's ledger says so.

    Ray passes a result to its scheduler before its searcher, and a result that stops a trial
    not to the searcher at all; so the scheduler hands every result on itself.
    """

    def __init__(self, searcher: StudySearcher):
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's
        self._searcher = searcher

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Make Ray drop the trials that ended before."""
        drop_ended(tune_controller._tune_controller, self._searcher)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Pass on why a worker died, which Ray does not report to its searcher."""
        # Not `get_error`, which looks where Ray copies this file later.
        written = Path(trial.error_file or os.devnull)
        said = written.read_text(errors="replace") if written.exists() else ""
        self._searcher.note_death(trial.trial_id, said)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return Ray's word for going on or for stopping."""
        goes_on = self._searcher.goes_on(trial.trial_id, result)
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)


def drop_ended(controller: Any, searcher: StudySearcher) -> None:
    """Drop trials that ended from the lists that Ray keeps of them until the study ends.

    It reads none of them again, and holds some 30 KiB of each (2.60): its configuration, its last
    result, and means of every number in it. One whose end the searcher has not heard of stays, for
    it is looked for in Ray's list.
    """
    ended = {
        trial
        for trial in controller._stopped_trials | controller._failed_trials
        if searcher.number(trial.trial_id) is None and trial not in controller._trial_to_actor
    }
    for trials in (
        controller._stopped_trials,
        controller._failed_trials,
        controller._trials_to_cache,
    ):
        trials.difference_update(ended)
    controller._trials[:] = [trial for trial in controller._trials if trial not in ended]
