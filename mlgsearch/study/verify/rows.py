"""The trainings of `verify` as they are stored, also while the database is away."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from mlgsearch.records import TrialState, VerificationRecord
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.study.verify.task import Key, VerifyTask
from mlgsearch.study.writing.pending import PendingVerification
from mlgsearch.study.writing.retry_queue import RetryQueue
from mlgsearch.study.writing.spool import Spool

logger = logging.getLogger(__name__)


class VerifyRows:
    """Writes the row of every training, by the lease that ``store`` has.

    What an earlier call left in the spool is delivered first; what it left RUNNING waits again,
    because under our lease no other process runs it.

    Args:
        study: its name.
        store: where the rows are.
        spool: where they wait while the database is away.
        on_change: notified of every change that is stored, but not that a training waits again.
    """

    def __init__(
        self,
        study: str,
        store: VerificationStore,
        spool: Spool[PendingVerification],
        on_change: Callable[[VerificationRecord], None],
    ):
        self._study = study
        self._store = store
        self._on_change = on_change
        self.retry_queue = RetryQueue(self._write, spool)
        self._known = {_key(run): run for run in store.verifications(study)}
        #: Those that are wanted, in the order of their beginning.
        self.wanted: dict[Key, VerificationRecord] = {}
        for kept in spool.kept():
            if self._take_over(kept):
                spool.drop(kept.key)
        self._queue(self._known)

    def want(self, tasks: Sequence[VerifyTask]) -> list[VerifyTask]:
        """Take note of what is wanted; return what is left to do of it."""
        self.wanted = {
            task.key: self._known.get(task.key, task.record(TrialState.WAITING)) for task in tasks
        }
        return [t for t in tasks if self.wanted[t.key].state is not TrialState.COMPLETE]

    def report(self, record: VerificationRecord) -> None:
        """Write that a wanted training changed, now or when the database takes it.

        Raises:
            LeaseLostError: another driver took the study.
        """
        if record.state is TrialState.RUNNING and not record.epochs_done:
            # It begins again, and will find its checkpoint.
            done = self.wanted[_key(record)].epochs_done
            record = replace(record, epochs_done=done)
        self.wanted[_key(record)] = record
        self.retry_queue.put(PendingVerification(record))

    def queue_unfinished(self) -> None:
        """Set everything that is wanted and runs back to waiting."""
        self._queue(self.wanted)

    def _queue(self, runs: dict[Key, VerificationRecord]) -> None:
        for key, run in runs.items():
            if run.state is TrialState.RUNNING:
                runs[key] = replace(run, state=TrialState.WAITING)
                self.retry_queue.put(PendingVerification(runs[key]))

    def _take_over(self, kept: PendingVerification) -> bool:
        """Deliver what an earlier call could not, unless a later one went on without it.

        Returns:
            Whether the spool need keep it no longer.
        """
        late, now = kept.record, self._known.get(_key(kept.record))
        if now is not None and (
            now.state is TrialState.COMPLETE or now.epochs_done > late.epochs_done
        ):
            logger.warning(
                "trial %d, seed %d: what an earlier call kept is outdated", late.trial, late.seed
            )
            return True
        self._known[_key(late)] = late
        return self.retry_queue.put(kept)

    def _write(self, entry: PendingVerification) -> None:
        self._store.put(self._study, entry.record)
        if entry.record.state is not TrialState.WAITING:
            self._on_change(entry.record)


def _key(run: VerificationRecord) -> Key:
    return run.trial, run.seed, run.epochs
