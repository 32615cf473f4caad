"""A study: launched from its file, or opened from its database, and read as tables."""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from sqlalchemy import Engine

from mlgsearch.api.callback import Callback
from mlgsearch.api.exported import card_file
from mlgsearch.api.frames import frame
from mlgsearch.errors import UserError
from mlgsearch.paths import cache_directory, runs_directory
from mlgsearch.records import EpochRecord, ExportFormat, StudyRecord, TrialRecord
from mlgsearch.results.analysis.choice import Limit, LimitKind
from mlgsearch.results.database import schema
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.connection.storage_url import DEFAULT_STORAGE
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.formats import COLUMNS, front_rows
from mlgsearch.results.model_card import read_model_card
from mlgsearch.results.read.study_choice import StudyChoice
from mlgsearch.results.read.study_results import front_trials, read_results
from mlgsearch.results.read.trial_page import all_trials
from mlgsearch.results.trial_fields import TRIAL_FIELDS, trial_fields

if TYPE_CHECKING:
    from pandas import DataFrame

    from mlgsearch.api.student import Student
    from mlgsearch.study.file.spec import StudySpec


class Study:
    """A study by its file, or by its name in a database (`load`).

    Reading loads no PyTorch; each method opens the database anew.

    Args:
        file: of the study (docs/study-file.md), or its keys and values as a mapping, whose relative
            paths begin in the working folder.
        storage: the database, as an SQLAlchemy URL, or ``@FILE`` that holds it.

    Raises:
        StudyFileError: the file cannot be read or says something wrong.
    """

    def __init__(
        self, file: str | Path | Mapping[str, Any], storage: str = DEFAULT_STORAGE
    ) -> None:
        from mlgsearch.study.file.study_file import load_study_file, study_in  # loads torch

        if isinstance(file, Mapping):
            import yaml

            spec = study_in(Path.cwd(), dict(file), "study")
            source = yaml.safe_dump(dict(file), sort_keys=False)
        else:
            spec, source = load_study_file(Path(file))
        self._file: tuple[StudySpec, str] | None = (spec, source)
        self._allowed_code: tuple[str, ...] = ()
        #: The study's name.
        self.name: str = spec.name
        #: The database.
        self.storage: str = storage

    @classmethod
    def load(cls, storage: str, name: str, *, allowed_code: Collection[str] = ()) -> Self:
        """Open a stored study.

        Args:
            storage: the database, as for the class.
            name: of the study.
            allowed_code: every ``module:callable`` that its content may have imported, by `launch`
                and `student`.

        Raises:
            StorageError: the database is not there, or not ours.
            StudyNotFoundError: no study has that name.
        """
        study = cls.__new__(cls)
        study._file, study._allowed_code = None, tuple(allowed_code)
        study.name, study.storage = name, storage
        with study._opened() as (_, store):
            store.study(name)
        return study

    def plan(self, count: int = 16, *, callbacks: Sequence[Callback] = ()) -> "DataFrame":
        """Return the front that is predicted before any student is trained, smallest first.

        The teacher is trained where it is not in the cache. A row per student: ``packed_bytes``,
        ``memory_ratio``, ``compression``, ``damage``, ``norm_bits``, ``settings``,
        ``layer_damage``, ``latency_ms``, ``peak_activation_bytes``, ``in_bits``, as
        `python search.py plan --json` prints them.

        Args:
            count: how many students, spread evenly by ratio.
            callbacks: notified of the progress.

        Raises:
            UserError: the data or the teacher cannot be used.
            BudgetError: no network in range is as small as the budget or the limits.
        """
        from mlgsearch.study.space.plan_report import Plan, point_fields  # loads torch

        found = Plan.open(self._spec(), cache_directory(), _CallbackView(callbacks).preparing)
        rows = [point_fields(point) for point in found.front(count)]
        return frame([{"student": at, **row} for at, row in enumerate(rows)], index="student")

    def launch(
        self,
        *,
        n_trials: int | None = None,
        max_parallel: int | None = None,
        address: str | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> bool:
        """Run the search until it is finished; what is stored already is not trained again.

        Ctrl-C stops it cleanly: trials return to the queue with their checkpoints, and another
        `launch` continues.

        Args:
            n_trials: total of trials wanted, instead of the file's or the stored one.
            max_parallel: most trials at once.
            address: of a running Ray cluster; without it this machine is one.
            callbacks: notified of every trial and epoch.

        Returns:
            Whether it is finished; False where a signal stopped it.

        Raises:
            StudyConflictError: a study of that name has other content, or another driver holds it.
            StudyFailedError: its first trials all failed.
            UserError: the data, the teacher or a first trial cannot be used, or this is not the
                main thread, which alone can be stopped by signals.
        """
        from mlgsearch.study.drive import Options  # loads torch and Ray
        from mlgsearch.study.launch import launch, resume

        if threading.current_thread() is not threading.main_thread():
            raise UserError("launch: call it in the main thread: it stops on signals")
        options = Options(address=address, max_parallel=max_parallel)
        engine = open_engine(self.storage, must_exist=self._file is None)
        view = _CallbackView(callbacks)
        try:
            if self._file is not None:
                spec, source = self._file
                found = launch(spec, source, engine, view, n_trials=n_trials, options=options)
            else:
                found = resume(
                    self.name,
                    engine,
                    view,
                    n_trials=n_trials,
                    allowed_code=self._allowed_code,
                    options=options,
                )
        finally:
            engine.dispose()
        return found.is_finished

    def trials(self) -> "DataFrame":
        """Return a row per trial, with the columns of docs/json.md under "A trial"."""
        with self._opened() as (engine, _):
            rows = [trial_fields(record) for record in all_trials(engine, self.name)]
        return frame(rows, [field.name for field in TRIAL_FIELDS], index="trial")

    def front(self) -> "DataFrame":
        """Return the trials that no other beats in every objective, smallest first.

        The columns are those of docs/json.md under the front: what to expect of each trial, beside
        what was measured.
        """
        with self._opened() as (engine, _):
            results = read_results(engine, self.name)
            rows = front_rows(front_trials(engine, results), results.expectations)
        return frame(rows, COLUMNS, index="trial")

    def epochs(self, trial: int) -> "DataFrame":
        """Return a row per finished epoch of a trial.

        Raises:
            TrialNotFoundError: there is no such trial.
        """
        with self._opened() as (_, store):
            rows = [asdict(epoch) for epoch in store.epochs(self.name, trial)]
        return frame(rows, [field.name for field in fields(EpochRecord)], index="epoch")

    def choose(
        self,
        *,
        max_kb: float | None = None,
        max_ratio: float | None = None,
        max_ms: float | None = None,
        within: float | None = None,
        at_least: float | None = None,
    ) -> int:
        """Return the number of the trial to export, as the command `choose` picks it.

        Args:
            max_kb: most 1,000 bytes of the packed file; the best student within it.
            max_ratio: the largest memory ratio, likewise.
            max_ms: the longest predicted latency in milliseconds, likewise.
            within: most percentage points expected below the teacher; the smallest such student.
            at_least: minimum expected accuracy, in percent; the smallest such student.

        Raises:
            UserError: not exactly one limit is given, or no trial is within it.
        """
        given: dict[LimitKind, float | None] = {
            "max_kb": max_kb,
            "max_ratio": max_ratio,
            "max_ms": max_ms,
            "within": within,
            "at_least": at_least,
        }
        limits = [Limit(kind, value) for kind, value in given.items() if value is not None]
        if len(limits) != 1:
            raise UserError(f"choose: pass one of {', '.join(given)}, got {len(limits)} of them")
        with self._opened() as (engine, _):
            return StudyChoice.of(read_results(engine, self.name), limits[0]).choice.trial

    def student(self, trial: int) -> "Student":
        """Return the trained student of a COMPLETE trial, from its last checkpoint.

        Raises:
            TrialNotFoundError: there is no such trial.
            UserError: it is not COMPLETE, or its network's code is not allowed.
            DataError: its checkpoint is missing or damaged.
        """
        from mlgsearch.api.student import Student  # loads torch
        from mlgsearch.study.artifacts.export import open_trial
        from mlgsearch.train.own_code import add_code_folder

        allowed = self._allowed_code
        if self._file is not None:  # the user's own file may name code
            allowed = (self._file[0].model.name,)
        if any(":" in name for name in allowed):
            add_code_folder(Path.cwd())
        with self._opened() as (_, store):
            runs = runs_directory(self.storage)
            found = open_trial(store, runs, self.name, trial, allowed)
        return Student(found.network, found.card)

    def export(
        self,
        trial: int,
        path: str | Path,
        format: ExportFormat = "packed",
        *,
        replace: bool = False,
        norm_bits: Literal[8] | None = None,
    ) -> int:
        """Write a trial's student to a file, and return its size in bytes.

        The arguments after ``trial`` are those of `Student.export`.

        Raises:
            UserError: as `student`, or the path is taken or cannot be written.
        """
        student = self.student(trial)
        return student.export(path, format, replace=replace, norm_bits=norm_bits)

    def card(self, trial: int, file: str | Path, *, data_license: str | None = None) -> str:
        """Return the model card of an exported file: Markdown with Hugging Face's metadata.

        Args:
            trial: whose student the file is.
            file: as `export` wrote it, in any format; for ``c`` the folder.
            data_license: the licence of the data, where it is to be stated.

        Raises:
            TrialNotFoundError: there is no such trial.
            UserError: there is no such file, or `export` did not write it.
        """
        described = card_file(Path(file))
        with self._opened() as (engine, _):
            return read_model_card(engine, self.name, trial, described, data_license)

    def _spec(self) -> "StudySpec":
        if self._file is not None:
            return self._file[0]

        from mlgsearch.study.file.allowed_code import stored_spec  # loads torch

        with self._opened() as (_, store):
            return stored_spec(store.study(self.name), self._allowed_code)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Engine, ResultStore]]:
        engine = open_engine(self.storage, read_only=True)
        try:
            schema.check(engine)
            yield engine, ResultStore(engine)
        finally:
            engine.dispose()


class _CallbackView:
    """Passes on what a driver reports; implements `ProgressView`."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._callbacks = callbacks

    def preparing(self, stage: str, done: int, total: int, note: str) -> None:
        for callback in self._callbacks:
            callback.on_progress(stage, done, total, note)

    def notice(self, text: str) -> None:
        for callback in self._callbacks:
            callback.on_notice(text)

    def started(self, study: StudyRecord, trials: Sequence[TrialRecord], at_once: int) -> None:
        del study, trials, at_once

    def trial(self, record: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        for callback in self._callbacks:
            for epoch in epochs:
                callback.on_epoch(record.number, asdict(epoch))
            if not epochs or record.state.is_finished:
                callback.on_trial(trial_fields(record))
