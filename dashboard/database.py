"""The database behind the pages: read-only, and looked after while it comes and goes."""

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import g, has_request_context
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from mlgsearch.errors import StorageError
from mlgsearch.records import StudyRecord
from mlgsearch.results.analysis.effects.hyperparameters import Hyperparameters
from mlgsearch.results.analysis.layer_groups import LayerGroups
from mlgsearch.results.analysis.trial_columns import Floats, TrialColumns
from mlgsearch.results.analysis.uncertainty.verification import VerifiedPoint
from mlgsearch.results.database import schema
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.connection.file_identity import identity_of, path_of
from mlgsearch.results.database.connection.silence import limit_waits
from mlgsearch.results.database.connection.storage_url import command_line, safe_url
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.results.read.change_token import change_token
from mlgsearch.results.read.driving import Driving, read_driving
from mlgsearch.results.read.fixed_values import (
    FixedValues,
    Whole,
    budget_reader,
    hyperparameter_reader,
    layer_group_reader,
)
from mlgsearch.results.read.read_lock import ReadLock
from mlgsearch.results.read.study_list import StudyList, StudyRow
from mlgsearch.results.read.study_reader import StudyReaders
from mlgsearch.results.read.study_results import StudyResults, verified_students

#: How long a request waits for a lock on the database, and holds one of the server's threads.
_LOCK_WAIT_S = 0.5


class Database:
    """One database, opened read-only, for all threads of the server.

    An SQLite file that is removed, or replaced by another, is noticed at the next look: an open
    connection alone would go on reading the removed one. Everything that was remembered of the
    old file is then forgotten.

    Raises:
        StorageError: at the beginning, as ``open_engine`` and ``schema.check``; later by every
            property and method while the database is away. Its own troubles while it is read are
            SQLAlchemy's ``DBAPIError``; `trouble` words both.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = ReadLock()
        self._reading = ReadLock()
        self._engine = open_engine(url, read_only=True)
        limit_waits(self._engine, _LOCK_WAIT_S)
        schema.check(self._engine)
        self._file = path_of(self._engine)
        self._identity = self._look()
        self._readers = StudyReaders(self._engine)
        self._list = StudyList(self._engine)
        self._openings = 1
        self._results: dict[str, StudyResults] = {}
        #: The change token that each of them is as new as.
        self._read_since: dict[str, str] = {}
        self._verified: dict[str, tuple[StudyResults, list[VerifiedPoint]]] = {}
        self._fixed: dict[tuple[str, object], tuple[object, FixedValues[Any]]] = {}

    @property
    def safe_url(self) -> str:
        """The URL as it was given, without passwords, for reading."""
        return self.url if self.url.startswith("@") else safe_url(self.url)

    def command(self, *words: str | int) -> str:
        """Write a command on this database, to copy into a shell where the dashboard was started.

        A URL with a password is not written: it is in that shell's MLGSEARCH_STORAGE.
        """
        return command_line(shlex.quote(_program()), words, self.url, masks_password=False)

    @property
    def engine(self) -> Engine:
        """The engine, once it is sure that the database is still the same."""
        self._follow()
        return self._engine

    @property
    def store(self) -> ResultStore:
        """Studies, single trials and epochs."""
        return ResultStore(self.engine)

    @property
    def verifications(self) -> VerificationStore:
        """What `verify` found."""
        return VerificationStore(self.engine)

    def studies(self) -> list[StudyRow]:
        """Return all studies at a glance, oldest first; only what changed is read."""
        self._follow()
        return self._list.rows()

    def trials(self, study: str) -> TrialColumns:
        """Return the columns of a study's trials; only what changed is read.

        Raises:
            StudyNotFoundError: there is no such study.
        """
        self._follow()
        return self._readers.read(study)

    def results(self, study: str) -> StudyResults:
        """Return a study as it is now; the very same object where nothing changed since.

        One request sees one moment: within it the study is read once, or not at all where `trust`
        says that what is known is new enough.

        Raises:
            StudyNotFoundError: there is no such study.
        """
        moment: dict[str, StudyResults] = (
            g.setdefault("results", {}) if has_request_context() else {}
        )
        if study not in moment:
            moment[study] = self._read_results(study)
            if has_request_context() and (token := g.get("change_token")):
                self._read_since[study] = token
        return moment[study]

    def trust(self, study: str, change_token: str) -> None:
        """Answer the present request by what was read since a change token was given, if any was.

        A page's requests for one piece of news bring the same token, and so do the clicks after it.
        Whatever changes later is another token, which the page hears of within a second.

        Raises:
            StorageError: the database is away.
        """
        g.change_token = change_token
        self._follow()
        if change_token and self._read_since.get(study) == change_token:
            g.setdefault("results", {})[study] = self._results[study]

    def _read_results(self, study: str) -> StudyResults:
        # A page's requests come at once: what the first has worked out, the others need.
        with self._reading:
            found = StudyResults(
                self.store.study(study), self.trials(study), self.verifications.verifications(study)
            )
            known = self._results.get(study)
            if known is not None and known.is_as(found):
                return known
            self._results[study] = found
            return found

    def verified(self, results: StudyResults) -> list[VerifiedPoint]:
        """Return what `verify` found of a study's trials, worked out once for the same results."""
        known = self._verified.get(results.record.name)
        if known is None or known[0] is not results:
            known = results, verified_students(self.engine, results)
            self._verified[results.record.name] = known
        return known[1]

    def hyperparameters(self, results: StudyResults) -> Hyperparameters:
        """Return what a study's trials were trained with, in the order of its columns.

        Raises:
            StudyNotFoundError: the study was deleted meanwhile.
        """
        return self._reader(hyperparameter_reader, results.record).read(results.columns)

    def layer_groups(self, results: StudyResults) -> LayerGroups:
        """Return what groups of layers take in a study's trials, in the order of its columns.

        Raises:
            StudyNotFoundError: the study was deleted meanwhile.
        """
        return self._reader(layer_group_reader, results.record).read(results.columns)

    def budgets(self, results: StudyResults) -> Floats | None:
        """Return the budget in KB that each trial's network was planned within, shape (n,).

        NaN for a trial without one; None where the study's space has no budgets.
        """
        if results.record.section("space").get("kind") != "allocation":
            return None
        return self._reader(budget_reader, results.record).read(results.columns)

    def _reader(
        self, make: Callable[[Engine, StudyRecord], FixedValues[Whole]], record: StudyRecord
    ) -> FixedValues[Whole]:
        """Return what keeps values of a study's trials, made anew for another study of its name."""
        # One that was made again, or is in another file; layers are known from the first launch on.
        identity = (record.created_at, self._openings, record.layers)
        known = self._fixed.get((record.name, make))
        if known is None or known[0] != identity:
            known = identity, make(self.engine, record)
            self._fixed[record.name, make] = known
        return known[1]

    def driving(self, study: str) -> Driving | None:
        """Return who drives a study now, and how fast; None where no driver runs."""
        return read_driving(self.engine, study)

    def change_token(self, studies: tuple[str, ...]) -> str:
        """Return a text that differs when anything of these studies changed.

        With no study it is about all, and differs each minute: their ages are in the text.
        """
        seen = change_token(self.engine, studies)
        minute = "" if studies else int(time.time() // 60)
        return f"{self._openings}.{seen}.{minute}"

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    def _follow(self) -> None:
        if self._file is None:
            return
        with self._lock:
            identity = self._look()
            if identity == self._identity:
                return
            self._engine.dispose()  # the next connections open the file that is there now
            schema.check(self._engine)
            self._identity = identity
            self._readers = StudyReaders(self._engine)
            self._list = StudyList(self._engine)
            self._read_since = {}
            self._openings += 1

    def _look(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        if (identity := identity_of(self._file)) is None:
            raise StorageError(
                f"{self.safe_url}: the file {self._file} is gone; put it back, "
                "or start the dashboard with another database"
            )
        return identity


def trouble(error: StorageError | DBAPIError) -> str:
    """Return a sentence that says why the database cannot be read."""
    if isinstance(error, StorageError):
        return str(error)
    return f"the database cannot be read: {' '.join(str(error.orig).split())}"


def _program() -> str:
    """Return the installed command line beside this Python, from here where it lies below."""
    script = Path(sys.executable).with_name("mlgsearch")
    if not script.exists():
        return "mlgsearch"
    here = Path.cwd()
    return str(script.relative_to(here) if script.is_relative_to(here) else script)
