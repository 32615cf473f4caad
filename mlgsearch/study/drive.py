"""Drive a study: from its specification and its database to a finished front."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlgsearch.study.cluster.ray_session import joined, local_ray, nodes  # isort: skip  # sets Ray's environment first
from ray import tune
from sqlalchemy import Engine

from mlgsearch.errors import DatabaseAwayError, LeaseLostError, StudyFileError
from mlgsearch.paths import cache_directory, check_places, runs_directory, study_directory
from mlgsearch.records import StudyRecord, TrialRecord
from mlgsearch.results.database.connection.silence import limit_waits
from mlgsearch.results.database.fence import Fence
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.artifacts.disk_limit import DiskBound
from mlgsearch.study.artifacts.export import export_trial
from mlgsearch.study.artifacts.store import Artifacts, artifacts_of
from mlgsearch.study.cluster.capacity import capacity_on
from mlgsearch.study.cluster.object_store import ship
from mlgsearch.study.cluster.ray_folder import owned_folder, session_place
from mlgsearch.study.cluster.room import Room
from mlgsearch.study.cluster.signals import Stop
from mlgsearch.study.cluster.tune_adapter import StudySearcher
from mlgsearch.study.cluster.tune_run import run_trials
from mlgsearch.study.cluster.worker import TrialWorker, WorkerContext
from mlgsearch.study.drift import file_changes, other_changes, refuse
from mlgsearch.study.file.allowed_code import named_code, offer_code
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.listeners.reporting import Reporting, open_listeners
from mlgsearch.study.preparation import Preparation, prepare_study
from mlgsearch.study.progress_view import ProgressView
from mlgsearch.study.search.ledger import Ledger
from mlgsearch.study.search.new_trial import NewTrials
from mlgsearch.study.search.optuna_storage import (
    close_optuna_storage,
    directions,
    guard,
    metric_names,
    open_optuna_storage,
)
from mlgsearch.study.search.optuna_trials import OptunaTrials
from mlgsearch.study.search.stop_rule import StopRule
from mlgsearch.study.space.space import Space
from mlgsearch.study.writing.lease_keeper import LeaseKeeper
from mlgsearch.study.writing.pending import PendingTrial
from mlgsearch.study.writing.retry_queue import LOCK_WAIT_S, POLL_S
from mlgsearch.study.writing.spool import Spool
from mlgsearch.train.versions import library_versions

#: How long the end of a driver waits for what listeners have not taken yet; after a signal shorter.
_REPORTING_S = 30.0
_REPORTING_STOPPED_S = 2.0


@dataclass(frozen=True)
class Outcome:
    """How driving a study ended."""

    study: StudyRecord
    is_finished: bool
    queued: tuple[int, ...]
    #: The signal that stopped it.
    stopped_by: int | None = None


@dataclass(frozen=True)
class Options:
    """How a driver runs; nothing here changes a study's results.

    ``prepare_study`` and ``worker`` are the real ones unless a benchmark or a test replaces them.
    ``accepts_change`` lets a study go on that differs from what it began with, and records how.
    ``grace_s`` limits the time from the first signal to the end.
    """

    address: str | None = None
    max_parallel: int | None = None
    worker: type[tune.Trainable] = TrialWorker
    prepare_study: Callable[[StudySpec, Path, ProgressView], Preparation] | None = None
    accepts_change: bool = False
    grace_s: float | None = None


def drive(
    spec: StudySpec, study: StudyRecord, engine: Engine, view: ProgressView, options: Options
) -> Outcome:
    """Run a study's trials until ``spec.search.n_trials`` have finished, or a signal stops it.

    ``spec.search.stop`` may end the search before: no further trial is proposed then, and those in
    flight are finished.

    Args:
        spec: the study's specification; the total of trials and the resources may differ from
            those recorded, and are recorded then.
        study: the record, which must be in the database.
        engine: the database, with its schema.
        view: notified of the progress.
        options: how to run.

    Raises:
        StudyConflictError: another driver holds the study, or took it from this one; or the
            libraries, the data or the teacher are not those that the study began with.
        StudyFailedError: its first trials all failed, or all trials of a shorter study.
        DiskFullError: there is no room for its files, or not by ``resources.max_disk_gb``.
        ArtifactsAwayError: what ``resources.artifact_path`` names cannot be written.
        DatabaseAwayError: it was stopped while the database was away; results wait in the spool.
        UserError: the data, the teacher, a first trial or a listener cannot be used.
    """
    limit_waits(engine, LOCK_WAIT_S)
    listeners = open_listeners(spec.listeners)
    with (
        Stop(options.grace_s).listening() as stop,
        ExitStack() as at_end,  # ends last: neither the rows nor the lease wait for it
        LeaseKeeper(engine, study.name) as keeper,
    ):
        stop.last_write = keeper.release
        if not listeners:
            return _drive(spec, study, engine, view, options, stop, at_end, keeper)
        reporting = Reporting(view, listeners, _packer(spec, study, engine))
        try:
            return _drive(spec, study, engine, reporting, options, stop, at_end, keeper)
        finally:
            reporting.close(_REPORTING_S if stop.number is None else _REPORTING_STOPPED_S)


def _packer(spec: StudySpec, study: StudyRecord, engine: Engine) -> Callable[[int, Path], object]:
    """Return what writes the packed file of a COMPLETE trial of this study."""
    store, runs = ResultStore(engine), runs_directory(str(engine.url))
    code = named_code(spec).values()
    return lambda number, out: export_trial(store, runs, study.name, number, out, allowed_code=code)


def _drive(
    spec: StudySpec,
    study: StudyRecord,
    engine: Engine,
    view: ProgressView,
    options: Options,
    stop: Stop,
    at_end: ExitStack,
    keeper: LeaseKeeper,
) -> Outcome:
    """Drive a study whose lease is held; whoever calls it ends Ray."""
    code_folder = offer_code(spec)
    cache, runs = cache_directory(), runs_directory(str(engine.url))
    spool = Spool(study_directory(runs, study) / "outbox", PendingTrial)
    check_places(cache, runs)
    if options.address is None:
        session_place()  # raises now where there is none
    at_end.enter_context(joined(options.address))
    if options.address is not None:
        capacity_on(nodes(), spec.resources)  # raises now if nothing fits
    store = ResultStore(engine, keeper.lease)
    prepared = (options.prepare_study or prepare_study)(spec, cache, view)
    study = _written(spec, study, store, prepared, accepts_change=options.accepts_change)
    artifacts = artifacts_of(study, runs)
    artifacts.prepare()
    optuna_trials = at_end.enter_context(_optuna_trials(study, engine, keeper))
    ledger = _ledger(spec, study, store, prepared, optuna_trials, spool, view)
    stop.wait_for_order()
    searcher = _searcher(spec, ledger, artifacts, stop, keeper)
    queued: list[int] = []
    try:
        if not ledger.has_no_more:
            if options.address is None:
                at_end.enter_context(local_ray(stop.break_off))
            temporary = Path(tempfile.gettempdir())
            capacity = capacity_on(nodes(), spec.resources, options.max_parallel)
            searcher.room = Room(capacity, view.notice, keeper)
            view.started(study, ledger.records, capacity.count)
            run_trials(
                searcher,
                _worker(spec, cache, view, options),
                WorkerContext.of(
                    spec,
                    cache,
                    artifacts.place,
                    capacity,
                    code_folder,
                    spec.resources.trial_timeout_s,
                ),
                capacity,
                str(at_end.enter_context(owned_folder("mlgsearch-ray-", temporary))),
            )
    finally:
        stop.close()
        if isinstance(searcher.failure, LeaseLostError):
            keeper.lost = keeper.lost or str(searcher.failure)
        if keeper.lost is None:
            queued = ledger.queue_unfinished()
    if keeper.lost is not None:
        raise LeaseLostError(keeper.lost)
    _deliver_rest(ledger, searcher, stop)
    if searcher.failure is not None:
        raise searcher.failure
    ledger.check_end()
    return Outcome(_ended(study, store, ledger), ledger.is_finished, tuple(queued), stop.number)


def _written(
    spec: StudySpec,
    study: StudyRecord,
    store: ResultStore,
    prepared: Preparation,
    *,
    accepts_change: bool,
) -> StudyRecord:
    """Write what a study is driven with, and return its record as it is now.

    Raises:
        StudyConflictError: something changed since it began, and no change is accepted.
    """
    changes = [
        *file_changes(store.study(study.name), spec),
        *other_changes(
            study,
            library_versions(),
            prepared.data_hash,
            prepared.teacher_hash,
            prepared.teacher_recipe,
            prepared.teacher_accuracy,
        ),
    ]
    refuse(study.name, changes, accepts=accepts_change)
    if changes:
        store.accept_change(
            study.name,
            changes,
            content=spec.content(),
            content_hash=spec.content_hash(),
            source=study.source,
            versions=library_versions(),
        )
    store.begin_run(
        study.name,
        content=spec.content(),
        n_trials=spec.search.n_trials,
        data_hash=prepared.data_hash,
        validation_samples=prepared.validation_samples,
        teacher_hash=prepared.teacher_hash,
        teacher_accuracy=prepared.teacher_accuracy,
    )
    return store.study(study.name)


def _ledger(
    spec: StudySpec,
    study: StudyRecord,
    store: ResultStore,
    prepared: Preparation,
    optuna_trials: OptunaTrials,
    spool: Spool[PendingTrial],
    view: ProgressView,
) -> Ledger:
    """Open the search space, write the network's layers, and return the ledger of trials."""
    began = datetime.now(UTC)
    space = _space(spec, prepared)
    for text in space.left_out:
        view.notice(text)
    new_trials = NewTrials(
        spec,
        space,
        prepared.shape,
        prepared.teacher_hash,
        library_versions(),
        prepared.tables,
    )
    store.set_network(
        study.name, new_trials.layers(), prepared.planned, prepared.shape.uncompressed()
    )
    return Ledger(
        spec=spec,
        space=space,
        new_trials=new_trials,
        optuna_trials=optuna_trials,
        store=store,
        spool=spool,
        n_trials=study.n_trials,
        on_change=view.trial,
        ends=_ends(spec, study, len(space.first), began),
    )


def _ends(
    spec: StudySpec, study: StudyRecord, given: int, began: datetime
) -> Callable[[Sequence[TrialRecord]], str | None] | None:
    """Return what says why a search is to end before its total of trials; None: nothing ends it."""
    if spec.search.stop is None:
        return None
    rule = StopRule(
        spec.search.stop,
        study.objectives,
        study.hypervolume_reference,
        study.validation_samples,
        given,
    )
    return lambda records: rule.reason(records, began, datetime.now(UTC))


@contextmanager
def _optuna_trials(
    study: StudyRecord, engine: Engine, keeper: LeaseKeeper
) -> Iterator[OptunaTrials]:
    """Open Optuna's tables of a study, for this driver alone to write to."""
    storage = open_optuna_storage(engine)
    limit_waits(storage.engine, LOCK_WAIT_S)
    guard(storage, Fence(keeper.lease), study.name)
    try:
        yield OptunaTrials(
            storage, study.name, directions(study.objectives), metric_names(study.objectives)
        )
    finally:
        close_optuna_storage(storage)


def _searcher(
    spec: StudySpec, ledger: Ledger, artifacts: Artifacts, stop: Stop, keeper: LeaseKeeper
) -> StudySearcher:
    return StudySearcher(
        ledger,
        trial_timeout_s=spec.resources.trial_timeout_s,
        is_asked_to_stop=stop.is_set,
        is_lost=lambda: keeper.lost is not None,
        waits_for_epochs=stop.has_grace,
        disk=DiskBound(artifacts, spec.resources.max_disk_gb),
    )


def _deliver_rest(ledger: Ledger, searcher: StudySearcher, stop: Stop) -> None:
    """Wait until the database took everything, but not where the study was stopped.

    Raises:
        DatabaseAwayError: results stay in the spool.
        LeaseLostError: another driver took the study.
    """
    while not ledger.deliver():
        if searcher.is_stopping or stop.wait(POLL_S):
            raise DatabaseAwayError(
                f"the database cannot be written: {ledger.away}; results of {ledger.undelivered} "
                f"trials wait in {ledger.spool}, and are delivered when the study is resumed"
                + (f". Besides, {searcher.failure}" if searcher.failure else "")
            )


def _ended(study: StudyRecord, store: ResultStore, ledger: Ledger) -> StudyRecord:
    """Return a study's record, on which it is written where the study has ended."""
    if not ledger.is_finished or ledger.ended is None:
        return study
    store.set_ended(study.name, len(ledger.records), ledger.ended)
    return store.study(study.name)


def _worker(
    spec: StudySpec, cache: Path, view: ProgressView, options: Options
) -> type[tune.Trainable]:
    """Return what trains a trial; on a cluster it has what the driver prepared."""
    if options.address is None or options.prepare_study is not None:
        return options.worker
    train = spec.train_spec()
    shipped = ship(train, cache, [train.seed], train.training.epochs, view.notice)
    worker: type[tune.Trainable] = tune.with_parameters(options.worker, shipped=shipped)
    return worker


def _space(spec: StudySpec, prepared: Preparation) -> Space:
    try:
        return Space(spec, prepared.shape, prepared.tables, prepared.packed, prepared.activations)
    except StudyFileError as error:
        raise StudyFileError(f"study {spec.name!r}: {error}") from None
