"""From the names of studies and the numbers of trials to their rows."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from sqlalchemy import Connection, func, select

from mlgsearch.errors import StudyNotFoundError, TrialNotFoundError
from mlgsearch.results.database.tables import study_table, trial_table

#: Numbers a statement may name: SQLite takes 32,766 at most.
_PART = 10_000

#: Characters of a name that is not there; those that are there have no more.
_SHOWN = 128


def find_study(connection: Connection, name: str) -> int:
    """Return the row id of a study.

    Raises:
        StudyNotFoundError: there is none; the message names the nearest that exist.
    """
    found: int | None = connection.execute(
        select(study_table.c.id).where(study_table.c.name == name)
    ).scalar()
    if found is None:
        raise no_study(connection, name)
    return found


def no_study(connection: Connection, name: str) -> StudyNotFoundError:
    """Make the error that says which studies there are instead."""
    names = list(connection.execute(select(study_table.c.name)).scalars())
    near = get_close_matches(name[: 2 * _SHOWN], names, n=3) or sorted(names)[:5]
    shown = repr(name) if len(name) <= _SHOWN else f"{name[:_SHOWN]!r}..."
    if not near:
        return StudyNotFoundError(f"no study {shown}: the database holds none yet")
    listed = ", ".join(repr(other) for other in near)
    return StudyNotFoundError(f"no study {shown}; there is {listed}")


def find_trial(connection: Connection, study: str, number: int) -> int:
    """Return the row id of a trial.

    Raises:
        StudyNotFoundError: there is no such study.
        TrialNotFoundError: it has no such trial; the message says which numbers exist.
    """
    found: int | None = connection.execute(
        select(trial_table.c.id)
        .join(study_table)
        .where(study_table.c.name == study, trial_table.c.number == number)
    ).scalar()
    if found is not None:
        return found
    study_id = find_study(connection, study)
    first, last, count = connection.execute(
        select(func.min(trial_table.c.number), func.max(trial_table.c.number), func.count()).where(
            trial_table.c.study_id == study_id
        )
    ).one()
    there = (
        f"it has {count} trials, numbered {first} to {last}" if count else "it has no trials yet"
    )
    raise TrialNotFoundError(f"study {study!r} has no trial {number}; {there}")


def in_parts(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Cut numbers into parts that one statement may name."""
    for start in range(0, len(numbers), _PART):
        yield numbers[start : start + _PART]
