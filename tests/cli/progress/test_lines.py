import io

from mlgsearch.cli.progress.lines import PlainLines, describe_end
from mlgsearch.records import TrialState
from tests.results.samples import a_complete, a_study, a_trial, an_epoch


def test_a_study_as_plain_lines() -> None:
    out = io.StringIO()
    lines = PlainLines(out)
    for done in range(4):
        lines.preparing("teacher", done, 3, f"epoch {done}" if done else "")
    lines.preparing("logits", 1, 1, "")
    lines.notice("training.optimiser: too short")
    lines.started(a_study(n_trials=3), [a_complete(0, 0.9, 0.1)], 2)
    lines.trial(a_trial(1), [])
    lines.trial(a_trial(1, epochs_done=1), [an_epoch(1)])
    lines.trial(a_complete(1, 0.95, 0.05), [])
    lines.trial(a_complete(1, 0.95, 0.05), [])
    lines.trial(a_trial(2, state=TrialState.FAIL, error="out of memory"), [])
    assert out.getvalue().splitlines() == [
        "teacher: 0/3",
        "teacher: 3/3 epoch 3",
        "logits: 1/1",
        "warning: training.optimiser: too short",
        "study digits: 1 of 3 trials finished, 2 at once, teacher 97.50%",
        "[2/3] trial 1 COMPLETE accuracy 95.00% memory 0.0500 (20.0x smaller)",
        "[3/3] trial 2 FAIL memory 0.0500 (20.0x smaller): out of memory",
    ]


def test_a_reused_result_says_so() -> None:
    said = describe_end(a_complete(3, 0.9, 0.1, reused_from=0))
    assert said.endswith("(10.0x smaller), the same student as trial 0")


def test_a_trial_that_was_stopped_early_may_end_again() -> None:
    out = io.StringIO()
    lines = PlainLines(out)
    lines.started(a_study(n_trials=2), [], 1)
    stopped = a_trial(0, state=TrialState.PRUNED, accuracy=0.5, epochs_done=3, attempts=1)
    lines.trial(stopped, [an_epoch(3)])
    lines.trial(a_complete(1, 0.9, 0.1), [])
    lines.trial(a_trial(0, epochs_done=3, attempts=2), [])
    lines.trial(a_complete(0, 0.95, 0.05, attempts=2), [])
    assert out.getvalue().splitlines()[1:] == [
        "[1/2] trial 0 PRUNED after 3 of 10 epochs memory 0.0500 (20.0x smaller)",
        "[2/2] trial 1 COMPLETE accuracy 90.00% memory 0.1000 (10.0x smaller)",
        "trial 0 goes on from epoch 4 (attempt 2)",
        "[2/2] trial 0 COMPLETE accuracy 95.00% memory 0.0500 (20.0x smaller)",
    ]


def test_a_long_stage_is_reported_once_a_minute() -> None:
    out, now = io.StringIO(), [0.0]
    lines = PlainLines(out, clock=lambda: now[0])
    for done, seconds in ((0, 0.0), (1, 59.0), (2, 61.0), (3, 100.0), (4, 122.0), (5, 123.0)):
        now[0] = seconds
        lines.preparing("teacher", done, 5, "")
    assert out.getvalue().split("\n")[:-1] == [f"teacher: {done}/5" for done in (0, 2, 4, 5)]
