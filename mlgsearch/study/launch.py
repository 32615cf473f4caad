"""Launch a study from its file, or resume one from the database."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Engine

from mlgsearch.errors import StudyNotFoundError
from mlgsearch.records import OBJECTIVES, StudyRecord
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.drift import file_changes, refuse
from mlgsearch.study.drive import Options, Outcome, drive
from mlgsearch.study.file.allowed_code import stored_spec
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.progress_view import ProgressView
from mlgsearch.study.remove import remove
from mlgsearch.study.warm_start import origins, warm_started
from mlgsearch.train.versions import library_versions


def launch(
    spec: StudySpec,
    source: str,
    engine: Engine,
    view: ProgressView,
    *,
    n_trials: int | None = None,
    ignores_stop: bool = False,
    options: Options | None = None,
) -> Outcome:
    """Start the study of a file, or go on with it where it exists with the same content.

    One with other content that has no trial yet is replaced: nothing of it is lost.

    Args:
        spec: what `load_study_file` read.
        source: the file's text.
        engine: the database; its schema is made where it is missing.
        view: notified of the progress.
        n_trials: the total wanted, instead of the file's or, where it is larger, the stored one.
        ignores_stop: drop ``search.stop``, from here on.
        options: how to run.

    Raises:
        StudyConflictError: a study of that name has different content; the message lists the keys.
        UserError: see `drive`.
    """
    upgrade(engine)
    store = ResultStore(engine)
    spec = warm_started(spec, store)
    _forget_untried(spec, engine, store)
    options = options or Options()
    study = register(spec, source, store, accepts_change=options.accepts_change)
    # A file launched again does not take back what `resume --trials` added.
    total = n_trials or max(study.n_trials, spec.search.n_trials)
    target = with_target(spec, total, ignores_stop=ignores_stop)
    return drive(target, study, engine, view, options)


def resume(
    name: str,
    engine: Engine,
    view: ProgressView,
    *,
    n_trials: int | None = None,
    ignores_stop: bool = False,
    allowed_code: Collection[str] = (),
    options: Options | None = None,
) -> Outcome:
    """Go on with a stored study; a larger total extends one that is finished.

    Args:
        name: of the study, whose content is taken from the database.
        engine: the database; its schema is brought up to date.
        view: notified of the progress.
        n_trials: the total wanted, instead of the stored one.
        ignores_stop: drop ``search.stop``, from here on.
        allowed_code: every ``module:callable`` that the stored content may have imported.
        options: how to run.

    Raises:
        CodeNotAllowedError: the stored content names other code.
        StudyNotFoundError: no study has that name.
        UserError: see `drive`.
    """
    upgrade(engine)
    store = ResultStore(engine)
    study = store.study(name)
    stored = stored_spec(study, allowed_code)
    # Where the search ended early the stored total is what it had, and the file's what was wanted.
    total = n_trials or max(study.n_trials, stored.search.n_trials if study.ended else 0)
    spec = with_target(stored, total, ignores_stop=ignores_stop)
    return drive(spec, study, engine, view, options or Options())


def register(
    spec: StudySpec, source: str, store: ResultStore, *, accepts_change: bool = False
) -> StudyRecord:
    """Put a study into the database, or find it there with the same content.

    A study that is there stays as it is: only a driver that holds its lease may change it. Where
    a change of its content is accepted, what is given differs by the file's text alone.

    Raises:
        StudyConflictError: it is there with different content.
    """
    try:
        known = store.study(spec.name)
    except StudyNotFoundError:
        store.create_study(
            StudyRecord(
                name=spec.name,
                content=spec.content(),
                content_hash=spec.content_hash(),
                source=source,
                objectives=spec.search.objectives,
                n_trials=spec.search.n_trials,
                versions=library_versions(),
                hypervolume_reference={
                    name: OBJECTIVES[name].reference for name in spec.search.objectives
                },
                lineage=_ancestors(spec),
            )
        )
        return store.study(spec.name)
    changes = file_changes(known, spec)
    refuse(spec.name, changes, accepts=accepts_change)
    return replace(known, source=source) if changes else known


def _ancestors(spec: StudySpec) -> tuple[dict[str, object], ...]:
    """Return the lineage of a study that begins with settings of others."""
    found = origins(spec)
    if not found:
        return ()
    return ({"at": datetime.now(UTC).isoformat(), "trials": 0, "began_with": found},)


def _forget_untried(spec: StudySpec, engine: Engine, store: ResultStore) -> None:
    """Delete a study of other content that never got to a trial, as after a wrong ``data.root``."""
    try:
        known = store.study(spec.name)
    except StudyNotFoundError:
        return
    is_tried = any(store.state_counts(spec.name).values())
    if not is_tried and file_changes(known, spec):
        remove(known, engine)


def with_target(spec: StudySpec, n_trials: int, *, ignores_stop: bool = False) -> StudySpec:
    """Return the specification with another total of trials, without ``search.stop`` if asked."""
    changed = {"n_trials": n_trials} | ({"stop": None} if ignores_stop else {})
    search = spec.search.model_copy(update=changed)
    return spec.model_copy(update={"search": search})
