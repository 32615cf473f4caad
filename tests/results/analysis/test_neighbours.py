"""What a trial's neighbours on the front trade."""

import pytest

from mlgsearch.results.analysis.neighbours import Trade, neighbours
from tests.dashboard.columns import some_columns

COLUMNS = some_columns(
    ("COMPLETE", 0.8, 0.02), ("COMPLETE", 0.9, 0.1), ("COMPLETE", 0.85, 0.05),
    ("COMPLETE", 0.84, 0.06), ("PRUNED", 0.4, 0.03), ("COMPLETE", 0.7, 0.02),
)  # fmt: skip


def _is(trade: Trade | None, number: int, points: float, factor: float) -> bool:
    assert trade is not None
    assert trade.points == pytest.approx(points)
    assert trade.factor == pytest.approx(factor)
    return trade.number == number


def test_a_trial_of_the_front_has_one_on_each_side_but_at_the_ends() -> None:
    middle = neighbours(COLUMNS, 2)
    assert middle is not None
    assert _is(middle.smaller, 0, -5, 0.4)
    assert _is(middle.larger, 1, 5, 2)
    assert middle.better is None
    smallest, largest = neighbours(COLUMNS, 0), neighbours(COLUMNS, 1)
    assert smallest is not None
    assert largest is not None
    assert (smallest.smaller, largest.larger) == (None, None)


@pytest.mark.parametrize(
    ("number", "better", "points", "factor"), [(3, 2, 1, 5 / 6), (5, 0, 10, 1)]
)
def test_another_is_beaten_by_one_no_larger(
    number: int, better: int, points: float, factor: float
) -> None:
    found = neighbours(COLUMNS, number)
    assert found is not None
    assert _is(found.better, better, points, factor)
    assert found.labelled == [("Better, and no larger", found.better)]


def test_only_complete_trials_have_neighbours() -> None:
    assert neighbours(COLUMNS, 4) is None
    assert neighbours(COLUMNS, 99) is None


def test_a_trade_says_what_one_gets_and_what_one_pays() -> None:
    times = "\N{MULTIPLICATION SIGN}"
    assert Trade(1, -0.5, 0.5).sentence == f"{times}2.00 smaller, 0.50 points less accuracy"
    assert Trade(1, 1.25, 1.5).sentence == f"1.25 points more accuracy, {times}1.50 the memory"
