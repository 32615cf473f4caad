import pytest

from mlgsearch.cli.progress.pace import Pace


def test_the_time_left_goes_by_what_was_done_since(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("mlgsearch.cli.progress.pace.time.monotonic", lambda: clock[0])
    pace = Pace(4)
    clock[0] = 1030.0
    assert pace.left(4, 6) == ""
    assert pace.left(5, 5) == "about 2 min 30 s left"
    assert pace.left(10, 0) == ""
