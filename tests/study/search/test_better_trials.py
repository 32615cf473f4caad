from collections.abc import Iterator
from random import Random

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import IntDistribution
from optuna.samplers._tpe.sampler import _split_trials
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mlgsearch.study.search import better_trials
from mlgsearch.study.search.better_trials import BetterTrials

MOST = 4  # of the better ones, so that few trials are many


@pytest.fixture(autouse=True, scope="module")
def few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(better_trials, "MOST_BETTER", MOST)
        yield


def a_trial(number: int, state: TrialState, values: list[int]) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=None,
        values=[float(v) for v in values] if state == TrialState.COMPLETE else None,
        datetime_start=None,
        datetime_complete=None,
        params={"x": number},
        distributions={"x": IntDistribution(0, 10_000)},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


STATES = st.sampled_from(
    [TrialState.COMPLETE] * 4 + [TrialState.PRUNED, TrialState.RUNNING, TrialState.FAIL]
)


DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE, StudyDirection.MINIMIZE)


def a_study(objectives: int) -> Study:
    return optuna.create_study(directions=DIRECTIONS[:objectives])


@settings(max_examples=150, deadline=None)
@given(
    objectives=st.integers(1, 3),
    drawn=st.lists(st.tuples(STATES, st.lists(st.integers(0, 6), min_size=3, max_size=3))),
    n_better=st.integers(1, MOST),
    order=st.randoms(use_true_random=False),
)
def test_the_better_ones_are_optunas_in_whatever_order_trials_end(
    objectives: int,
    drawn: list[tuple[TrialState, list[int]]],
    n_better: int,
    order: Random,
) -> None:
    study = a_study(objectives)
    trials = [a_trial(n, state, values[:objectives]) for n, (state, values) in enumerate(drawn)]
    known = BetterTrials(study.directions)
    for trial in trials:
        known.put(a_trial(trial.number, TrialState.RUNNING, []))
    for trial in order.sample(trials, len(trials)):
        known.put(trial)
    seen = [trial for trial in trials if trial.state != TrialState.FAIL]
    expected = _split_trials(study, seen, n_better)
    assert known.split(trials, study, n_better, len(trials) + 1, but=len(trials)) == expected
    assert known.ended == sum(trial.state != TrialState.RUNNING for trial in seen)


def test_a_stopped_trial_that_goes_on_has_not_ended() -> None:
    study = a_study(2)
    known = BetterTrials(study.directions)
    pruned = a_trial(0, TrialState.PRUNED, [])
    known.put(pruned)
    assert (known.ended, known.split([pruned], study, 1, 9, but=1)) == (1, ([pruned], []))
    running = a_trial(0, TrialState.RUNNING, [])
    known.put(running)
    assert (known.ended, known.split([running], study, 1, 9, but=1)) == (0, ([], [running]))


@pytest.mark.parametrize("most", [1, 7, 19, 20, 50])
def test_the_others_are_spread_evenly_over_the_course(most: int) -> None:
    study = a_study(2)
    trials = [a_trial(n, TrialState.COMPLETE, [n % 5, n % 7]) for n in range(25)]
    known = BetterTrials(study.directions)
    for trial in trials:
        known.put(trial)
    better, others = known.split(trials, study, MOST, most, but=24)
    left = [n for n in range(24) if n not in {trial.number for trial in better}]
    step = max(1.0, len(left) / most)
    expected = [left[int(place * step)] for place in range(min(most, len(left)))]
    assert [trial.number for trial in others] == expected


def test_few_trials_are_compared_with_each_other_however_many_there_are() -> None:
    study = a_study(2)
    known = BetterTrials(study.directions)
    random = Random(0)
    for number in range(2_000):
        values = [random.randrange(1_000), random.randrange(1_000)]
        known.put(a_trial(number, TrialState.COMPLETE, values))
        if number == 199:
            at_200 = len(known._numbers)
    assert len(known._numbers) < 2 * at_200 < 100
