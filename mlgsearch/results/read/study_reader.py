"""Reading a study again and again, as a page does: only what changed comes from the database."""

import threading
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import Connection, Engine, func, select, type_coerce

from mlgsearch.errors import StudyNotFoundError
from mlgsearch.results.analysis.trial_columns import TrialColumns
from mlgsearch.results.database.column_types import MOMENT, UtcMoment
from mlgsearch.results.database.lookup import no_study
from mlgsearch.results.database.tables import study_table, trial_table
from mlgsearch.results.read.read_lock import ReadLock

#: A write gets its moment before it is committed: what is so much older than the newest moment
#: seen may still turn up.
OVERLAP = timedelta(seconds=10)

#: Moments as the database has them, UTC without a zone: 30,000 conversions less at 10,000 trials.
_COLUMNS = tuple(
    type_coerce(trial_table.c[name], MOMENT).label(name)
    if isinstance(trial_table.c[name].type, UtcMoment)
    else trial_table.c[name]
    for name in TrialColumns.__dataclass_fields__
)


class StudyReader:
    """Keeps the columns of one study's trials up to date; any thread may use it.

    A study that is deleted and made again under the same name is another one: all is read anew.
    """

    def __init__(self, engine: Engine, study: str) -> None:
        self._engine = engine
        self._study = study
        self._lock = ReadLock()
        self._identity: tuple[int, datetime] | None = None
        self._columns = TrialColumns.empty()

    def read(self) -> TrialColumns:
        """Return the trials as they now are; the very same object where none changed since.

        Raises:
            StudyNotFoundError: there is no such study.
            sqlalchemy.exc.DBAPIError: the database is away; a later call goes on from here.
        """
        with self._lock, self._engine.connect() as connection:
            identity = self._find(connection)
            known = self._columns if identity == self._identity else TrialColumns.empty()
            found = known.merged(_changes(connection, identity[0], known))
            if not _is_whole(connection, identity[0], found):
                found = TrialColumns.empty().merged(
                    _changes(connection, identity[0], TrialColumns.empty())
                )
            self._identity, self._columns = identity, found
            return found

    def _find(self, connection: Connection) -> tuple[int, datetime]:
        found = connection.execute(
            select(study_table.c.id, study_table.c.created_at).where(
                study_table.c.name == self._study
            )
        ).first()
        if found is None:
            raise no_study(connection, self._study)
        return found.id, found.created_at


class StudyReaders:
    """One reader a study, shared by everybody in the process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._readers: dict[str, StudyReader] = {}

    def read(self, study: str) -> TrialColumns:
        """Return a study's trials as they now are; see ``StudyReader.read``."""
        with self._lock:
            reader = self._readers.setdefault(study, StudyReader(self._engine, study))
        try:
            return reader.read()
        except StudyNotFoundError:
            with self._lock:
                self._readers.pop(study, None)
            raise


def _is_whole(connection: Connection, study_id: int, known: TrialColumns) -> bool:
    """Return whether these are the trials that are there, and not more, or later ones.

    They are others where the database was restored to what it was before.
    """
    count, newest = connection.execute(
        select(func.count(), func.max(type_coerce(trial_table.c.updated_at, MOMENT))).where(
            trial_table.c.study_id == study_id
        )
    ).one()
    return count == len(known) and (not count or known.updated_at.max().item() <= newest)


def _changes(connection: Connection, study_id: int, known: TrialColumns) -> TrialColumns:
    """Read what is not known: new trials, and those that moved on."""
    query = select(*_COLUMNS).where(trial_table.c.study_id == study_id)
    if len(known):
        newest: datetime = known.updated_at.max().item()
        query = query.where(type_coerce(trial_table.c.updated_at, MOMENT) >= newest - OVERLAP)
    found = connection.execute(query).all()
    if not found:
        return TrialColumns.empty()
    names = [column.name for column in _COLUMNS]
    read = TrialColumns.of(dict(zip(names, zip(*found, strict=True), strict=True)))
    both = known.at(np.isin(known.number, read.number))
    moments = read.updated_at[read.rows_of(both.number)]
    same = both.number[both.updated_at == moments]
    return read.at(~np.isin(read.number, same))
