import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from mlgsearch.cli.progress.live import LiveView
from mlgsearch.records import TrialState
from tests.results.samples import a_complete, a_study, a_trial, an_epoch


@pytest.fixture
def view() -> Iterator[LiveView]:
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    with LiveView(console) as view:
        yield view


def drawn(view: LiveView) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(view._draw())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_running_trials_the_front_and_failures_are_drawn(view: LiveView) -> None:
    view.started(a_study("digits [x]", n_trials=9), [a_complete(0, 0.9, 0.1)], 2)
    view.trial(a_trial(1), [])
    view.trial(a_trial(2, epochs_done=3), [an_epoch(3, validation_accuracy=0.87)])
    view.trial(a_complete(3, 0.95, 0.05), [])
    view.trial(a_trial(4, state=TrialState.FAIL, error="[/] no"), [])
    text = drawn(view)
    assert "digits [x]  3 of 9 trials  front 1 students, hypervolume 1.2360" in text
    assert "1 failed" in text
    assert "trial 1  epoch 0/10  20.0x smaller" in text
    assert "trial 2  epoch 3/10  20.0x smaller  accuracy 87.00%" in text
    assert "trial 3" not in text


def test_the_hypervolume_counts_from_the_studys_reference(view: LiveView) -> None:
    study = a_study(hypervolume_reference={"accuracy": 0.5, "memory_ratio": -0.5})
    view.started(study, [a_complete(0, 0.9, 0.01)], 1)
    assert "hypervolume 0.6000" in drawn(view)


def test_a_trial_that_was_stopped_early_runs_again(view: LiveView) -> None:
    view.started(a_study(n_trials=9), [], 2)
    view.trial(a_trial(0, epochs_done=3), [an_epoch(3)])
    stopped = a_trial(0, state=TrialState.PRUNED, accuracy=0.5, epochs_done=3)
    view.trial(stopped, [an_epoch(3)])
    text = drawn(view)
    assert "1 of 9 trials" in text
    assert "1 stopped early" in text
    assert "epoch 3/10" not in text
    view.trial(a_trial(0, epochs_done=3, attempts=2), [])
    text = drawn(view)
    assert "0 of 9 trials" in text
    assert "stopped early" not in text
    assert "trial 0  epoch 3/10" in text


def test_a_trial_that_ended_is_told_once() -> None:
    out = io.StringIO()
    with LiveView(Console(file=out, width=100, force_terminal=False)) as view:
        view.started(a_study(), [], 1)
        for _ in range(2):
            view.trial(a_complete(0, 0.95, 0.05), [])
    assert out.getvalue().count("trial 0 COMPLETE accuracy 95.00%") == 1


def test_the_time_left_is_known_after_the_first_trial_of_this_driver(
    view: LiveView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlgsearch.cli.progress.stage_view.time.monotonic", lambda: 1000.0)
    view.started(a_study(n_trials=5), [a_complete(0, 0.9, 0.1)], 1)
    assert "left" not in drawn(view)
    monkeypatch.setattr("mlgsearch.cli.progress.stage_view.time.monotonic", lambda: 1030.0)
    view.trial(a_complete(1, 0.9, 0.2), [])
    assert "about 1 min 30 s left" in drawn(view)
    for number in range(2, 5):
        view.trial(a_complete(number, 0.9, 0.2), [])
    assert "left" not in drawn(view)
