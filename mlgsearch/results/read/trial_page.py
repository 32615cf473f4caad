"""Whole trial records, a few at a time: a study may have ten thousand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.results.database.lookup import find_study, in_parts
from mlgsearch.results.database.rows import trial_record
from mlgsearch.results.database.tables import trial_table

#: Trials of a page where all are read.
_AT_ONCE = 1_000


@dataclass(frozen=True)
class TrialPage:
    """Some of a study's trials.

    ``total`` counts all that were asked about; ``following`` is what to give as ``after`` for the
    next page, None where this is the last.
    """

    trials: tuple[TrialRecord, ...]
    total: int
    following: int | None


def trial_page(
    engine: Engine,
    study: str,
    *,
    after: int = -1,
    limit: int = 100,
    states: Sequence[TrialState] = (),
) -> TrialPage:
    """Return trials by number, from the first past ``after``; in some states only, where named.

    Trials never go away and keep their numbers, so pages of a running study fit together.

    Raises:
        StudyNotFoundError: there is no such study.
    """
    with engine.connect() as connection:
        wanted = [trial_table.c.study_id == find_study(connection, study)]
        if states:
            wanted.append(trial_table.c.state.in_([state.value for state in states]))
        total = connection.execute(
            select(func.count()).select_from(trial_table).where(*wanted)
        ).scalar_one()
        rows = connection.execute(
            select(trial_table)
            .where(*wanted, trial_table.c.number > after)
            .order_by(trial_table.c.number)
            .limit(limit + 1)
        )
        trials = tuple(trial_record(row) for row in rows.mappings())
    is_last = len(trials) <= limit
    trials = trials[:limit]
    return TrialPage(trials, total, None if is_last else trials[-1].number)


def all_trials(engine: Engine, study: str) -> Iterator[TrialRecord]:
    """Yield all trials by number; at most a thousand are held at once.

    Raises:
        StudyNotFoundError: there is no such study.
    """
    after: int | None = -1
    while after is not None:
        page = trial_page(engine, study, after=after, limit=_AT_ONCE)
        yield from page.trials
        after = page.following


def some_trials(engine: Engine, study: str, numbers: Sequence[int]) -> list[TrialRecord]:
    """Return the trials of some numbers, by number; those that are not there are left out.

    Raises:
        StudyNotFoundError: there is no such study.
    """
    found: list[TrialRecord] = []
    with engine.connect() as connection:
        study_id = find_study(connection, study)
        for part in in_parts(numbers):
            rows = connection.execute(
                select(trial_table)
                .where(trial_table.c.study_id == study_id)
                .where(trial_table.c.number.in_(part))
            )
            found += [trial_record(row) for row in rows.mappings()]
    return sorted(found, key=lambda trial: trial.number)
