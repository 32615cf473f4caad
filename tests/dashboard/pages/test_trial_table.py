"""The table of a study's trials without a browser: what is in it, in which order."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.database import Database
from dashboard.pages.study.trial_table import TRIALS_TABLE
from dashboard.query import Query


@pytest.fixture(scope="module")
def database(database_file: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{database_file}")
    yield database
    database.close()


def _numbers(database: Database, search: str = "") -> list[int]:
    rows = TRIALS_TABLE.data(database, Query.parse(f"name=digits&{search}"))
    return [row["trial"] for row in rows]


def test_the_best_come_first_and_those_without_an_accuracy_last(database: Database) -> None:
    numbers = _numbers(database)
    assert numbers[:4] == [28, 34, 27, 33]
    assert sorted(numbers) == list(range(40))
    assert numbers[-5:] == [6, 14, 22, 30, 38]


@pytest.mark.parametrize(
    ("sort", "first", "last"),
    [
        ("trial", [0, 1, 2], 39),
        ("-finished_at", [39, 38, 37], 0),
        ("state", [0, 1, 2], 38),
        ("-state", [6, 14, 22], 39),
        ("-compression", [0, 23, 29], 17),
        ("memory_ratio", [0, 23, 29], 17),
        ("-expected_accuracy", [28, 34, 11], 38),
    ],
)
def test_it_is_sorted_by_every_kind_of_column(
    database: Database, sort: str, first: list[int], last: int
) -> None:
    numbers = _numbers(database, f"study-trials-sort={sort}")
    assert numbers[:3] == first
    assert numbers[-1] == last


def test_it_has_what_the_filters_and_the_replay_leave(database: Database) -> None:
    assert _numbers(database, "accuracy-from=90&until=30&only=front") == [28, 27, 4]
    assert max(_numbers(database, "until=5")) == 4
    hidden = [f"hide={state}" for state in ("COMPLETE", "PRUNED")]
    assert _numbers(database, "&".join(hidden)) == [6, 14, 22, 30, 38]
