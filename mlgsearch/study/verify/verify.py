"""Verify trials: train them again at full length under other seeds, then read the test part."""

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Protocol

from mlgsearch.study.cluster.ray_session import joined, local_ray, nodes  # isort: skip  # sets Ray's environment first
from sqlalchemy import Engine

from mlgsearch.errors import DatabaseAwayError, LeaseLostError, StudyConflictError
from mlgsearch.paths import cache_directory, check_places, runs_directory, study_directory
from mlgsearch.records import StudyRecord, VerificationRecord
from mlgsearch.results.database.connection.silence import limit_waits
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.study.artifacts.store import artifacts_of
from mlgsearch.study.cluster.capacity import capacity_on
from mlgsearch.study.cluster.object_store import Shipped, ship
from mlgsearch.study.cluster.ray_folder import session_place
from mlgsearch.study.cluster.room import Room
from mlgsearch.study.cluster.signals import Stop
from mlgsearch.study.cluster.worker import WorkerContext
from mlgsearch.study.drift import teacher_changes
from mlgsearch.study.file.allowed_code import offer_code, stored_spec
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.verify.pool import VerifyPool
from mlgsearch.study.verify.rows import VerifyRows
from mlgsearch.study.verify.task import VerifyRequest, wanted_tasks
from mlgsearch.study.writing.lease_keeper import LeaseKeeper
from mlgsearch.study.writing.pending import PendingVerification
from mlgsearch.study.writing.retry_queue import LOCK_WAIT_S, POLL_S
from mlgsearch.study.writing.spool import Spool
from mlgsearch.train.data.images import effective_samples
from mlgsearch.train.device import best_device, memory_format
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.progress import Progress
from mlgsearch.train.teacher.prepared import Prepared, prepare

#: A task is not given out more often under one lease: `worker_retries` is at most 1000, and a
#: node taken away with a notice takes minutes.
_ATTEMPTS_A_LEASE = 10_000


class VerifyView(Protocol):
    """Notified of the progress; called from the driver's thread, must be quick."""

    def preparing(self, stage: str, done: int, total: int, note: str) -> None:
        """Data are loaded, the teacher opened, its logits under the new seeds computed."""

    def notice(self, text: str) -> None:
        """Something about the cluster is likely not what its user wants; one sentence."""

    def started(self, study: StudyRecord, runs: Sequence[VerificationRecord], at_once: int) -> None:
        """Trainings begin; all that are wanted are listed, finished ones among them."""

    def run(self, record: VerificationRecord) -> None:
        """A training changed: it began, finished an epoch, or ended."""

    def stopping(self, running: int) -> None:
        """A stop was requested, and it waits for the epochs in flight of this many trainings."""


@dataclass(frozen=True)
class Verified:
    """How it ended: every training that was wanted, in the order of its beginning."""

    study: StudyRecord
    runs: tuple[VerificationRecord, ...]
    #: The signal that stopped it.
    stopped_by: int | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return all(run.state.is_finished for run in self.runs)


def verify(
    name: str,
    engine: Engine,
    request: VerifyRequest,
    view: VerifyView,
    *,
    address: str | None = None,
    max_parallel: int | None = None,
    allowed_code: Collection[str] = (),
) -> Verified:
    """Train trials of a study again, and record each on the test part.

    What an earlier call finished is not trained again, what it failed at is tried again, and what
    it left goes on from its checkpoints.

    Args:
        name: of the study.
        engine: its database; the schema is brought up to date.
        request: what to verify.
        view: notified of the progress.
        address: of a running Ray cluster; without it this machine is one.
        max_parallel: most trainings at once, beside the study file's limit.
        allowed_code: every ``module:callable`` that the stored content may have imported.

    Raises:
        CodeNotAllowedError: the stored content names other code.
        StudyNotFoundError: there is no such study.
        TrialNotFoundError: it has no such trial.
        StudyConflictError: a driver holds the study, or took it; or the teacher is another.
        DiskFullError: there is no room for its files.
        ArtifactsAwayError: what ``resources.artifact_path`` names cannot be written.
        DatabaseAwayError: it was stopped while the database was away; results wait in the spool.
        UserError: a trial is not COMPLETE, or the data cannot be used.
    """
    upgrade(engine)
    limit_waits(engine, LOCK_WAIT_S)
    study = ResultStore(engine).study(name)
    spec = stored_spec(study, allowed_code)
    code_folder = offer_code(spec)
    with (
        Stop().listening() as stop,
        ExitStack() as ray,  # ends last: neither the rows nor the lease wait for it
        LeaseKeeper(engine, name) as keeper,
    ):
        stop.last_write = keeper.release
        session = _Session(engine, study, spec, request, view, keeper, code_folder)
        try:
            session.run(address, max_parallel, stop, ray)
        except LeaseLostError as error:
            keeper.lost = keeper.lost or str(error)
        finally:
            stop.close()
            if keeper.lost is None:
                session.rows.queue_unfinished()
        if keeper.lost is not None:
            raise LeaseLostError(keeper.lost)
        return Verified(session.study, tuple(session.rows.wanted.values()), stop.number)


class _Session:
    """One call of `verify`, under the study's lease."""

    def __init__(
        self,
        engine: Engine,
        study: StudyRecord,
        spec: StudySpec,
        request: VerifyRequest,
        view: VerifyView,
        keeper: LeaseKeeper,
        code_folder: str | None,
    ):
        self.study = study
        self._store = ResultStore(engine, keeper.lease)
        self._spec = spec
        self._code_folder = code_folder
        self._runs = runs = runs_directory(str(engine.url))
        self._artifacts = artifacts_of(study, runs)
        self._cache = cache_directory()
        self._view = view
        self._keeper = keeper
        self._spool = Spool(study_directory(runs, study) / "verify-outbox", PendingVerification)
        verifications = VerificationStore(engine, keeper.lease)
        self.rows = VerifyRows(study.name, verifications, self._spool, view.run)
        # Larger than any attempt under an earlier lease.
        attempt = keeper.lease.token * _ATTEMPTS_A_LEASE
        tasks = wanted_tasks(self._store, study, self._spec, request)
        self._todo = [replace(task, attempt=attempt) for task in self.rows.want(tasks)]

    def run(
        self, address: str | None, max_parallel: int | None, stop: Stop, ray: ExitStack
    ) -> None:
        """Prepare, train what is not finished, and see that the database has it."""
        if not self._todo:
            return
        check_places(self._cache, self._runs)
        if address is None:
            session_place()  # raises now where there is none
        ray.enter_context(joined(address))
        if address is not None:
            capacity_on(nodes(), self._spec.resources)  # raises now if nothing fits
        self._prepare()
        stop.wait_for_order()
        if address is None:
            ray.enter_context(local_ray(stop.break_off))
        self._train(address is not None, max_parallel, stop)
        self._deliver_rest(stop)

    def _train(self, is_far: bool, max_parallel: int | None, stop: Stop) -> None:
        """Train what is not finished, on nodes of which some may not see this disk."""
        capacity = capacity_on(nodes(), self._spec.resources, max_parallel)
        context = WorkerContext.of(
            self._spec, self._cache, self._artifacts.place, capacity, self._code_folder
        )
        self._view.started(self.study, list(self.rows.wanted.values()), capacity.count)
        shipped = self._ship() if is_far else None
        room = Room(capacity, self._view.notice, self._keeper)
        pool = VerifyPool(context, capacity, room, self._spec.resources.worker_retries, shipped)
        pool.run(self._todo, self.rows.report, self._stopping(stop.is_set))

    def _ship(self) -> Shipped:
        """Send what the trainings share to where this disk is not."""
        seeds = [task.seed for task in self._todo]
        epochs = max(task.epochs for task in self._todo)
        return ship(self._spec.train_spec(), self._cache, seeds, epochs, self._view.notice)

    def _deliver_rest(self, stop: Stop) -> None:
        """Wait until the database took everything, but not once a stop was requested.

        Raises:
            DatabaseAwayError: results stay in the spool.
            LeaseLostError: another driver took the study.
        """
        retry_queue = self.rows.retry_queue
        while not retry_queue.flush():
            if stop.wait(POLL_S) or self._keeper.lost is not None:
                raise DatabaseAwayError(
                    f"the database cannot be written: {retry_queue.away}; results of "
                    f"{len(retry_queue.waiting)} trainings wait in {self._spool.folder}, and are "
                    "delivered when `verify` is called again"
                )

    def _prepare(self) -> None:
        """Open what the trainings share, the teacher's logits under each seed among it."""
        train, device = self._spec.train_spec(), best_device()
        prepared = prepare(
            train, self._cache, epochs=0, device=device, progress=self._view.preparing
        )
        teacher = prepared.teacher
        changes = teacher_changes(self.study, teacher.hash, teacher.recipe, teacher.accuracy)
        if changes:
            raise StudyConflictError(
                f"study {self.study.name!r} differs from what it began with (stored -> now): "
                f"{changes[0]}, by the data, the checkpoint, the libraries or another machine; "
                "what it verified would not compare"
            )
        if self.study.validation_samples is None:  # an earlier version did not keep it
            count = effective_samples(prepared.images, prepared.images.validation)
            self._store.set_data(self.study.name, prepared.data_hash, count)
            self.study = self._store.study(self.study.name)
        if self.study.teacher_test_accuracy is None:
            accuracy = _teacher_on_test(prepared)
            self._store.set_teacher_test_accuracy(self.study.name, accuracy)
            self.study = self._store.study(self.study.name)
        seeds = list(dict.fromkeys(task.seed for task in self._todo))
        epochs = max(task.epochs for task in self._todo)
        for place, seed in enumerate(seeds):
            note = f"seed {seed}, {place + 1} of {len(seeds)}"
            prepared.logits(seed).ensure(range(1, epochs + 1), _noted(self._view, note))

    def _stopping(self, is_asked: Callable[[], bool]) -> Callable[[int], bool]:
        """Return what stops the pool: a signal, or a lease that is lost.

        It is asked several times a second, so what waits for the database is tried then.
        """
        was_reported = False

        def is_stopping(running: int) -> bool:
            nonlocal was_reported
            self.rows.retry_queue.flush()
            is_it = is_asked() or self._keeper.lost is not None
            if is_it and not was_reported:
                was_reported = True
                self._view.stopping(running)
            return is_it

        return is_stopping


def _teacher_on_test(prepared: Prepared) -> float:
    images = prepared.images
    part = HeldOutPart(images, images.test, prepared.device)
    _, accuracy = part.evaluate(prepared.teacher.network, memory_format(images.input_shape))
    return accuracy


def _noted(view: VerifyView, fixed: str) -> Progress:
    """Return what notifies a view of the progress, always with the same note."""

    def progress(stage: str, done: int, total: int, note: str) -> None:
        view.preparing(stage, done, total, fixed)

    return progress
