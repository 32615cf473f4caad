import io

import pytest
from rich.console import Console

from mlgsearch.cli.progress.stage_view import Pace, StageView


def test_stages_are_drawn_where_they_stand_now() -> None:
    out = io.StringIO()
    with StageView(Console(file=out, width=100, force_terminal=False)) as view:
        view.preparing("teacher", 3, 20, "accuracy 91.0%")
        view.preparing("teacher", 4, 20, "accuracy 92.0%")
        view.notice("[x] is too short")
        view.preparing("plan", 1, 4, "[x] calibration")
    warning, first, second = (line for line in out.getvalue().splitlines() if line.strip())
    assert warning.strip() == "warning: [x] is too short"
    assert "teacher" in first
    assert "4/20" in first
    assert "accuracy 92.0%" in first
    assert "1/4" in second
    assert "[x] calibration" in second


def test_the_time_left_goes_by_what_was_done_since(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("mlgsearch.cli.progress.stage_view.time.monotonic", lambda: clock[0])
    pace = Pace(4)
    clock[0] = 1030.0
    assert pace.left(4, 6) == ""
    assert pace.left(5, 5) == "about 2 min 30 s left"
    assert pace.left(10, 0) == ""
