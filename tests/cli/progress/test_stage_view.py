import io

from rich.console import Console

from mlgsearch.cli.progress.stage_view import StageView


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
