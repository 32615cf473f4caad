"""Runs become points: means, spreads, and who competes with whom."""

import pytest

from mlgsearch.records import TrialState
from mlgsearch.results.analysis.uncertainty.verification import verified_points
from mlgsearch.results.charts.verified import verified_chart
from tests.results.samples import a_complete, a_verification, some_sizes

PAIR = ("accuracy", "memory_ratio")
TRIALS = [a_complete(0, 0.9, 0.05), a_complete(1, 0.8, 0.01), a_complete(2, 0.99, 0.2)]


def test_runs_of_a_trial_become_a_point() -> None:
    runs = [
        a_verification(0, 3, 0.8, packed_accuracy=0.79, validation_accuracy=0.7),
        a_verification(0, 1, 0.9, packed_accuracy=0.89, validation_accuracy=0.8),
        a_verification(0, 2, state=TrialState.FAIL, test_accuracy=None),
        a_verification(0, 4, state=TrialState.RUNNING, test_accuracy=None),
    ]
    (point,) = verified_points(TRIALS, runs, PAIR)
    assert (point.trial, point.epochs, point.seeds) == (TRIALS[0], 10, (1, 3))
    assert point.test_accuracy == pytest.approx(0.85)
    assert point.test_std == pytest.approx(0.1 / 2**0.5)
    assert point.packed_accuracy == pytest.approx(0.84)
    assert point.validation_accuracy == pytest.approx(0.75)
    assert (point.test_samples, point.packed_bytes) == (270, 7_000)
    assert point.front_probability == 1


def test_smallest_first_and_lengths_of_training_do_not_compete() -> None:
    runs = [
        a_verification(trial, seed, accuracy + seed / 1000, epochs=epochs)
        for trial, accuracy, epochs in [(0, 0.3, 10), (1, 0.5, 10), (2, 0.7, 10), (0, 0.9, 20)]
        for seed in (1, 2)
    ]
    points = verified_points(TRIALS, runs, PAIR)
    assert [(p.epochs, p.trial.number) for p in points] == [(10, 1), (10, 0), (10, 2), (20, 0)]
    probabilities = [point.front_probability for point in points]
    assert probabilities == pytest.approx([1, 0, 1, 1], abs=0.01)


def test_one_seed_each_has_no_spread_and_no_probability() -> None:
    points = verified_points(TRIALS, [a_verification(0), a_verification(1)], PAIR)
    assert [(p.test_std, p.front_probability) for p in points] == [(None, None)] * 2


def test_other_objectives_count_and_validation_loss_does_not() -> None:
    quick = a_complete(0, 0.9, 0.1, loss=9.0, sizes=some_sizes(0.1, execution_macs=1))
    slow = a_complete(1, 0.9, 0.1, loss=0.1, sizes=some_sizes(0.1, execution_macs=2))
    runs = [a_verification(t, seed, 0.9 - t / 10 + seed / 1000) for t in (0, 1) for seed in (1, 2)]
    both = verified_points([quick, slow], runs, ("accuracy", "memory_ratio", "loss"))
    assert [p.front_probability for p in both] == pytest.approx([1, 0], abs=0.01)
    swapped = [a_verification(r.trial, r.seed, 1.6 - (r.test_accuracy or 0)) for r in runs]
    macs = verified_points([quick, slow], swapped, ("execution_macs", "loss"))
    assert [p.front_probability for p in macs] == pytest.approx([1, 1], abs=0.01)


def test_a_trial_without_packed_bytes_has_those_of_its_verification() -> None:
    objectives = ("accuracy", "packed_bytes")
    trials = [a_complete(0, 0.9, 0.1), a_complete(1, 0.8, 0.05, packed_bytes=5_000)]
    runs = [a_verification(n, seed, 0.9 - n / 10 + seed / 100) for n in (0, 1) for seed in (1, 2)]
    points = verified_points(trials, runs, objectives)
    assert [(p.trial.number, p.objective_value("packed_bytes")) for p in points] == [
        (1, 5_000),
        (0, 7_000),
    ]
    assert [p.front_probability for p in points] == pytest.approx([1, 1], abs=0.01)
    (drawn,) = verified_chart(points, objectives, title="").data
    assert list(drawn.x) == [5_000, 7_000]


def test_nothing_verified_is_no_point() -> None:
    assert verified_points(TRIALS, [], PAIR) == []
