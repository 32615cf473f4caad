from mlgsearch.results.analysis.pace import time_left_s


def test_what_is_left_goes_on_at_the_pace_so_far() -> None:
    assert time_left_s((2, 30.0), 4) == 60
    assert time_left_s((5, 0.0), 4) == 0


def test_without_anything_done_nothing_is_known() -> None:
    assert time_left_s((0, 30.0), 4) is None
    assert time_left_s((-1, 30.0), 4) is None


def test_nothing_is_left_where_nothing_remains() -> None:
    assert time_left_s((0, 0.0), 0) == 0
    assert time_left_s((3, 30.0), -1) == 0
