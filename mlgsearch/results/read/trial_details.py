"""What a page shows of some trials only: their layers, their curves, why they failed."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, Select, select

from mlgsearch.records import EpochRecord, FiveNumbers, TrialState
from mlgsearch.results.database.lookup import find_study, in_parts
from mlgsearch.results.database.rows import epoch_record
from mlgsearch.results.database.tables import epoch_table, trial_table

_PASSED_ON = re.compile(r"^the same training failed as trial \d+: ")
#: Where in its training a trial failed, which is no other reason.
_MOMENT = re.compile(r"\b(epoch|step) \d+")


@dataclass(frozen=True)
class FailureReason:
    """Why trials failed: the first line of their errors, how many, and their numbers.

    A trial that failed because its training is another's counts under that one's reason. Of errors
    that differ in the epoch or step alone, ``reason`` leaves those numbers out.
    """

    reason: str
    count: int
    numbers: tuple[int, ...]


def settings_of(
    engine: Engine, study: str, numbers: Sequence[int]
) -> dict[int, dict[str, FiveNumbers]]:
    """Return the canonical settings of some trials: number to layer to its five numbers.

    A number that the study does not have is left out.

    Raises:
        StudyNotFoundError: there is no such study.
    """
    query = select(trial_table.c.number, trial_table.c.settings)
    return {
        row.number: {layer: _five(five) for layer, five in row.settings.items()}
        for row in _of_trials(engine, study, numbers, query)
    }


def curves_of(engine: Engine, study: str, numbers: Sequence[int]) -> dict[int, list[EpochRecord]]:
    """Return the epochs of some trials, first to last; one without epochs is left out.

    Raises:
        StudyNotFoundError: there is no such study.
    """
    query = (
        select(trial_table.c.number, epoch_table)
        .join_from(epoch_table, trial_table)
        .order_by(trial_table.c.number, epoch_table.c.epoch)
    )
    curves: dict[int, list[EpochRecord]] = {}
    for row in _of_trials(engine, study, numbers, query):
        curves.setdefault(row.number, []).append(epoch_record(row._mapping))
    return curves


def failure_reasons(engine: Engine, study: str) -> list[FailureReason]:
    """Return why the study's FAIL trials failed, the most frequent reason first.

    Raises:
        StudyNotFoundError: there is no such study.
    """
    found: dict[str, dict[int, str]] = {}
    with engine.connect() as connection:
        rows = connection.execute(
            select(trial_table.c.number, trial_table.c.error)
            .where(trial_table.c.study_id == find_study(connection, study))
            .where(trial_table.c.state == TrialState.FAIL.value)
            .order_by(trial_table.c.number)
        )
        for number, error in rows:
            reason = _reason(error)
            found.setdefault(_MOMENT.sub(r"\1 ...", reason), {})[number] = reason
    reasons = [
        FailureReason(_common(common, them.values()), len(them), tuple(them))
        for common, them in found.items()
    ]
    return sorted(reasons, key=lambda reason: -reason.count)


def _of_trials(
    engine: Engine, study: str, numbers: Iterable[int], query: Select[Any]
) -> Iterator[Row[Any]]:
    wanted = sorted(set(numbers))
    with engine.connect() as connection:
        query = query.where(trial_table.c.study_id == find_study(connection, study))
        for part in in_parts(wanted):
            yield from connection.execute(query.where(trial_table.c.number.in_(part)))


def _five(numbers: Sequence[int]) -> FiveNumbers:
    base_in, base_out, q_basis, q_coeff_in, q_coeff_out = numbers
    return base_in, base_out, q_basis, q_coeff_in, q_coeff_out


def _common(common: str, reasons: Iterable[str]) -> str:
    """Return what reasons say that are equal, else what they have in common."""
    several = set(reasons)
    return several.pop() if len(several) == 1 else common


def _reason(error: str | None) -> str:
    lines = (error or "").strip().splitlines()
    return _PASSED_ON.sub("", lines[0]) if lines else "no error was recorded"
