"""Who drives a study now, and how fast."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, select

from mlgsearch.records import LeaseRecord
from mlgsearch.results.database.lease import held
from mlgsearch.results.database.tables import study_table, trial_table

#: How many of the last trials' ends a driver's pace is taken from.
_PACE_OF = 64


@dataclass(frozen=True)
class Driving:
    """The driver that holds a study, and the pace of the last trials that ended under it.

    ``pace`` is how many ended after the first of these ends, and in how many seconds: what ran side
    by side is in it.
    """

    lease: LeaseRecord
    pace: tuple[int, float]

    @property
    def seconds_per_trial(self) -> float | None:
        """How often a trial ends; None where fewer than two have ended under this driver."""
        done, seconds = self.pace
        return seconds / done if done else None

    def time_left_s(self, remaining: int) -> float | None:
        """Return how long so many trials still take; None where no pace is known."""
        return time_left_s(self.pace, remaining)


def time_left_s(pace: tuple[int, float], remaining: int) -> float | None:
    """Extrapolate in seconds; None where nothing was done yet, and a pace is not known.

    Args:
        pace: how many were done, and in how many seconds. What is done side by side is in it.
        remaining: how many are to be done.
    """
    done, seconds = pace
    if remaining <= 0:
        return 0.0
    return None if done < 1 else seconds / done * remaining


def read_driving(engine: Engine, study: str) -> Driving | None:
    """Return who drives a study now; None if no driver does, or there is no such study."""
    with engine.connect() as connection:
        return drivers(connection, study).get(study)


def drivers(connection: Connection, study: str | None = None) -> dict[str, Driving]:
    """Return who drives now, by study: all that are driven, or one of them."""
    return {
        name: Driving(lease, _pace(_ends(connection, lease)))
        for name, lease in held(connection).items()
        if study in (None, name)
    }


def _pace(ends: Sequence[datetime]) -> tuple[int, float]:
    if not ends:
        return 0, 0.0
    return len(ends) - 1, (max(ends) - min(ends)).total_seconds()


def _ends(connection: Connection, lease: LeaseRecord) -> list[datetime]:
    """Return when the last trials ended under this driver."""
    rows = connection.execute(
        select(trial_table.c.finished_at)
        .join(study_table)
        .where(study_table.c.name == lease.study)
        # Indexed, and never before the end.
        .where(trial_table.c.updated_at >= lease.acquired_at)
        .where(trial_table.c.finished_at >= lease.acquired_at)
        .order_by(trial_table.c.updated_at.desc())
        .limit(_PACE_OF)
    )
    return list(rows.scalars())
