from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from mlgsearch.errors import StudyFileError
from mlgsearch.records import OBJECTIVES, TrialRecord, TrialState
from mlgsearch.study.file.search_spec import StopSpec
from mlgsearch.study.search.stop_rule import StopRule
from tests.results.samples import a_complete, a_trial
from tests.study.driverless import Make, a_summary
from tests.study.samples import a_spec

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
AXES = ("accuracy", "memory_ratio")


def a_rule(given: int = 0, samples: int | None = 1000, **stop: Any) -> StopRule:
    reference = {name: OBJECTIVES[name].reference for name in AXES}
    return StopRule(StopSpec.model_validate(stop), AXES, reference, samples, given)


def ended(
    number: int, accuracy: float, ratio: float, at_s: float = 0.0, **more: Any
) -> TrialRecord:
    end = BEGAN + timedelta(seconds=at_s)
    times = {"created_at": end, "finished_at": end}
    return a_complete(number, accuracy, ratio, **(times | more))


def a_search(accuracies: Sequence[float], ratios: Sequence[float]) -> list[TrialRecord]:
    pairs = zip(accuracies, ratios, strict=True)
    return [ended(i, accuracy, ratio, at_s=i) for i, (accuracy, ratio) in enumerate(pairs)]


def reason(rule: StopRule, trials: Sequence[TrialRecord], now_s: float = 0.0) -> str | None:
    return rule.reason(trials, BEGAN, BEGAN + timedelta(seconds=now_s))


def test_it_ends_once_so_many_trials_brought_nothing() -> None:
    front = [0.5, 0.7, 0.8, 0.85, 0.88]
    ratios = [0.01, 0.02, 0.03, 0.05, 0.09]
    dominated = [0.4, 0.6, 0.7, 0.8, 0.86, 0.5]
    larger = [0.02, 0.03, 0.04, 0.06, 0.1, 0.09]
    search = a_search(front + dominated, ratios + larger)
    assert all(reason(a_rule(no_gain=6), search[:k]) is None for k in range(11))
    said = reason(a_rule(no_gain=6), search)
    assert said is not None
    assert "in 6 trials (search.stop.no_gain)" in said
    # What was in flight at a look and ended after it changes no answer, nor does a resume.
    ten = a_search([0.5] * 22, [0.01] * 22)
    assert all(reason(a_rule(no_gain=10), ten[:k]) is not None for k in (20, 21, 22))
    # What is planned is no proof that the search has nothing more to find.
    assert reason(a_rule(given=6, no_gain=6), search) is None
    assert reason(a_rule(given=5, no_gain=6), search) is not None


def test_a_gain_within_the_noise_of_a_training_is_none() -> None:
    rng = np.random.default_rng(0)
    ratios = np.geomspace(0.01, 0.1, 12)
    seen = 0.5 + 0.4 * (np.log10(ratios) + 2) + rng.normal(0, 0.01, 12)
    search = a_search(seen.tolist(), ratios.tolist())
    luck = [ended(12 + i, float(seen[3]) + 0.003, float(ratios[3]), at_s=12 + i) for i in range(4)]
    found = [ended(12 + i, float(seen[3]) + 0.15, float(ratios[3]), at_s=12 + i) for i in range(4)]
    few = a_rule(samples=200, no_gain=4)
    assert reason(few, search + luck) is not None
    assert reason(a_rule(samples=200, no_gain=4), search + found) is None


def test_a_goal_is_reached_by_one_student_on_the_front() -> None:
    goal = {"accuracy": 0.9, "memory_ratio": 0.05}
    apart = a_search([0.95, 0.8], [0.09, 0.01])
    assert reason(a_rule(front_reaches=goal), apart) is None
    said = reason(a_rule(front_reaches=goal), [*apart, ended(2, 0.91, 0.04, at_s=2)])
    assert said == ("trial 2 reaches search.stop.front_reaches: accuracy 0.91, memory_ratio 0.04")


def test_hours_count_what_was_trained_by_all_drivers_and_no_pause() -> None:
    minutes = {"stage_seconds": {"train": 1500.0, "build": 300.0}}  # 30 in all
    # Two at once, then a pause of a day in the midst of the third.
    search = [
        ended(0, 0.5, 0.01, at_s=1800, created_at=BEGAN, **minutes),
        ended(1, 0.5, 0.02, at_s=1800, created_at=BEGAN, **minutes),
        ended(2, 0.5, 0.03, at_s=90_000, created_at=BEGAN + timedelta(seconds=1800), **minutes),
    ]
    later = BEGAN + timedelta(days=2)
    now = later + timedelta(seconds=60)

    def counts(trials: list[TrialRecord], seconds: int, at: datetime) -> bool:
        """Whether so many seconds were trained, give or take one."""
        rules = [a_rule(hours=limit / 3600) for limit in (seconds - 1, seconds + 1)]
        return [rule.reason(trials, later, at) is not None for rule in rules] == [True, False]

    assert counts(search, 3600, later)
    running = a_trial(3, state=TrialState.RUNNING, created_at=BEGAN)
    assert counts([*search, running], 3660, now)
    waiting = replace(running, state=TrialState.WAITING)
    assert counts([*search, waiting], 3600, now)


def test_a_study_ends_early_and_finishes_what_is_in_flight(driverless: Make) -> None:
    study = driverless(n_trials=9, space={"kind": "uniform"})
    rule = a_rule(front_reaches={"accuracy": 0.9})
    study.ends = lambda records: reason(rule, records)
    study.restart()
    first, second = study.ledger.next_job(), study.ledger.next_job()
    assert first is not None
    assert second is not None
    study.ledger.complete(first.number, a_summary(0.95))
    assert study.ledger.next_job() is None
    assert not study.ledger.is_finished
    study.ledger.complete(second.number, a_summary(0.5))
    assert study.ledger.is_finished
    assert study.ledger.ended is not None
    assert study.ledger.ended.startswith("trial 0 reaches")
    # The next driver comes to the same.
    study.restart()
    assert study.ledger.next_job() is None
    assert study.ledger.is_finished
    study.ends = lambda records: None
    study.restart()
    assert study.ledger.next_job() is not None


def test_a_trial_that_waits_is_finished_after_the_end(driverless: Make) -> None:
    study = driverless(n_trials=9, space={"kind": "uniform"})
    first, second = study.ledger.next_job(), study.ledger.next_job()
    assert first is not None
    assert second is not None
    study.ledger.complete(first.number, a_summary(0.95))
    study.ledger.queue_unfinished()
    study.ends = lambda records: "enough"
    study.restart()
    adopted = study.ledger.next_job()
    assert adopted is not None
    assert adopted.number == second.number
    assert study.ledger.next_job() is None


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        ({}, "name at least one of no_gain, hours, front_reaches"),
        ({"no_gain": 1}, "search.stop.no_gain"),
        ({"hours": 0}, "search.stop.hours"),
        ({"front_reaches": {"acuracy": 0.9}}, "'acuracy' is not known; known are accuracy"),
        ({"no_gian": 4}, "no_gain"),
    ],
)
def test_mistakes_in_a_study_file(stop: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyFileError, match=said):
        a_spec(search={"stop": stop})


def test_when_to_stop_is_no_part_of_what_a_study_is() -> None:
    assert a_spec().content_hash() == a_spec(search={"stop": {"no_gain": 5}}).content_hash()
