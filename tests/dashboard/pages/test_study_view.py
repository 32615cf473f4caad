"""How an address asks for a study to be shown."""

import math

import numpy as np

from dashboard.charts.axes.size_axis import SIZE_AXES
from dashboard.pages.study.view import MOST_SELECTED, StudyView, last_moment
from dashboard.query import Query
from mlgsearch.records import TrialState
from tests.dashboard.columns import some_columns

COLUMNS = some_columns(
    ("COMPLETE", 0.8, 0.02), ("PRUNED", 0.4, 0.03), ("FAIL", None, 0.04), ("RUNNING", None, 0.06),
    ("COMPLETE", 0.9, 0.1), ("WAITING", None, 0.1),
)  # fmt: skip


def _view(search: str) -> StudyView:
    return StudyView.of(Query.parse(search))


def _kept(search: str) -> list[int]:
    return np.flatnonzero(_view(search).kept(COLUMNS)).tolist()


def test_the_address_says_it_all() -> None:
    view = _view(
        "size=packed_kb&hide=FAIL&hide=PRUNED&only=front&accuracy-from=50&ratio-to=0.1&until=7"
        "&trials=3&trials=12&trials=3&zoom=packed_kb_0_1_50_60"
    )
    assert view == StudyView(
        axis=SIZE_AXES["packed_kb"],
        hidden=frozenset({TrialState.FAIL, TrialState.PRUNED}),
        is_front_only=True,
        accuracy=(50, math.inf),
        ratio=(-math.inf, 0.1),
        until=7,
        selected=(3, 12),
        zoom="packed_kb_0_1_50_60",
    )


def test_what_it_says_by_a_wrong_word_is_as_if_it_were_not_there() -> None:
    assert StudyView() == _view(
        "size=weight&hide=all&only=me&accuracy-from=x&ratio-to=nan&until=-1&trials=a&trials=-3"
    )


def test_of_too_many_trials_the_last_are_selected() -> None:
    view = _view("&".join(f"trials={number}" for number in range(20)))
    assert view.selected == tuple(range(20 - MOST_SELECTED, 20))


def test_filters_leave_what_they_name_both_ends_included() -> None:
    assert _kept("") == [0, 1, 2, 3, 4, 5]
    assert _kept("hide=FAIL&hide=RUNNING&hide=WAITING") == [0, 1, 4]
    assert _kept("ratio-from=0.03&ratio-to=0.06") == [1, 2, 3]
    assert _kept("accuracy-from=80") == [0, 4]
    assert _kept("accuracy-to=80") == [0, 1]  # one without an accuracy has none to bound


def test_a_replay_goes_by_the_order_in_which_trials_finished() -> None:
    moments = COLUMNS.finished_at.copy()
    moments[4] = moments[0] - np.timedelta64(1, "s")
    columns = some_columns(
        ("COMPLETE", 0.8, 0.02), ("PRUNED", 0.4, 0.03), ("FAIL", None, 0.04),
        ("RUNNING", None, 0.06), ("COMPLETE", 0.9, 0.1), finished_at=moments[:5].tolist(),
    )  # fmt: skip
    assert columns.finished_rows.tolist() == [4, 0, 1, 2]
    assert last_moment(columns) == 4
    assert _view("until=0").seen(columns).tolist() == []
    assert _view("until=3").seen(columns).tolist() == [0, 1, 4]
    for search in ("", "until=4", "until=99"):  # the present, with what runs
        assert _view(search).seen(columns).tolist() == [0, 1, 2, 3, 4]
