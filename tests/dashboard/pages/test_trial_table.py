"""The table of a study's trials without a browser: what is in it, in which order."""

import re

import pytest
from sqlalchemy import Engine

from dashboard.database import Database
from dashboard.pages.study.chips import left_out
from dashboard.pages.study.data import read_study
from dashboard.pages.study.inspector.cards import cards
from dashboard.pages.study.trials.columns import columns_offered
from dashboard.pages.study.trials.table import TRIALS_TABLE
from dashboard.pages.study.view import StudyView
from dashboard.parts.markup import nodes_of
from dashboard.parts.values.student import written_bytes
from dashboard.query import Query
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from tests.dashboard.layered import layered_study
from tests.results.samples import a_verification


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


def test_verified_results_are_columns_once_there_are_some(
    database: Database, file_engine: Engine
) -> None:
    query = Query.parse("name=digits&study-trials-sort=-test_accuracy")
    assert "test accuracy" not in str(TRIALS_TABLE.drawn(database, query))
    store = VerificationStore(file_engine)
    for trial, seed, accuracy in ((12, 1, 0.7), (12, 2, 0.74), (28, 1, 0.9), (28, 2, 0.91)):
        store.put("digits", a_verification(trial, seed, accuracy))
    shown = str(TRIALS_TABLE.drawn(database, query))
    assert "test accuracy" in shown
    assert "90.50 \N{PLUS-MINUS SIGN} 0.71 %" in shown
    rows = TRIALS_TABLE.data(database, query)
    assert [row["trial"] for row in rows[:2]] == [28, 12]
    assert rows[0]["test_accuracy"] == pytest.approx(0.905)
    assert rows[0]["front_probability"] > 0.99
    assert rows[2]["test_accuracy"] is None
    card = str(cards(read_study(database, "digits"), StudyView(selected=(12,)), "light"))
    assert "verified: 72.00 \N{PLUS-MINUS SIGN} 2.83 % on the test part, 2 seeds, on the" in card


@pytest.mark.parametrize(
    ("search", "said", "chips"),
    [
        ("find=6", "", []),
        ("find=99&hide=FAIL", "This study has no trial 99.", []),
        ("find=6&hide=FAIL&hide=PRUNED", "left out by a filter; remove it:", ["hide"]),
        ("find=39&hide=FAIL&until=20", "left out by a filter; remove it:", ["until"]),
        (
            "find=6&only=front&accuracy-from=90&ratio-from=0",
            "left out by filters; remove them:",
            ["accuracy-from accuracy-to", "only"],
        ),
    ],
)
def test_a_trial_that_filters_leave_out_is_said_with_what_they_are(
    database: Database, search: str, said: str, chips: list[str]
) -> None:
    query = Query.parse(f"name=digits&{search}")
    shown = str(nodes_of(left_out(read_study(database, "digits"), StudyView.of(query))))
    assert said in shown
    assert re.findall(r"'data-clear': '(.*?)'", shown) == chips


def test_bytes_of_groups_of_layers_are_columns_to_choose(
    database: Database, file_engine: Engine
) -> None:
    trials = layered_study(ResultStore(file_engine), trials=6)
    query = Query.parse("name=resnet20&columns=l.layer1&columns=l.fc&study-trials-sort=-l.layer1")
    rows = TRIALS_TABLE.data(database, query)
    expected = {
        trial.number: sum(b for name, b in trial.layer_bits.items() if name[:6] == "layer1") / 8
        for trial in trials
    }
    assert {row["trial"]: row["l.layer1"] for row in rows} == expected
    assert [row["l.layer1"] for row in rows] == sorted(expected.values(), reverse=True)
    shown = str(TRIALS_TABLE.drawn(database, query))
    assert "bytes of layer1" in shown
    assert written_bytes(rows[0]["l.layer1"]) in shown
    assert "l.layer1,l.fc,expected_low" in TRIALS_TABLE.csv(database, query).splitlines()[0]
    assert "l.layer2" not in rows[0]
    offered = columns_offered(read_study(database, "resnet20"))
    assert [key for key in offered if key.startswith("l.")] == [
        "l.conv1", "l.layer1", "l.layer2", "l.layer3", "l.fc",
    ]  # fmt: skip
