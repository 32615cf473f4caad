"""What to expect of trials: between trend and seen, and right about simulated searches."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgsearch.records import TrialRecord, TrialState, VerificationRecord
from mlgsearch.results.analysis.uncertainty import shrinkage
from mlgsearch.results.analysis.uncertainty.expectation import Expectations
from mlgsearch.results.analysis.uncertainty.shrinkage import Runs, estimate, logits
from tests.dashboard.columns import some_columns
from tests.results.samples import a_complete, a_trial, a_verification
from tests.results.simulated_searches import SEARCHES, simulate

SIZES = np.geomspace(0.01, 0.1, 20)
#: Accuracies that rise with size, alternately below and above a smooth curve.
CURVE = 1 / (1 + np.exp(-np.linspace(1, 3.5, 20)))
SEEN = 1 / (1 + np.exp(-np.linspace(1, 3.5, 20) - 0.3 * np.resize([-1, 1, 1, -1], 20)))
ENDLESS = 1e15


def expect(
    accuracies: Sequence[float] | np.ndarray = SEEN,
    samples: float | None = 269,
    runs: Mapping[int, Runs] | None = None,
) -> Expectations:
    n = len(accuracies)
    return Expectations(range(n), SIZES[:n], np.asarray(accuracies), samples, runs)


def some_runs(*accuracies: float, test: Sequence[float] | None = None, images: int = 269) -> Runs:
    return Runs(np.array(accuracies), np.array(test or accuracies), images)


def means(found: Expectations) -> list[float]:
    return [found[number].accuracy for number in range(len(SEEN))]


def test_without_noise_and_with_endless_images_what_was_seen_is_expected() -> None:
    still = {row: some_runs(*[SEEN[row]] * 3, images=10**15) for row in range(0, 20, 4)}
    found = expect(samples=ENDLESS, runs=still)
    assert means(found) == pytest.approx(SEEN.tolist(), abs=1e-6)
    for number in range(20):
        assert found[number].high - found[number].low < 1e-5


def test_what_lies_on_the_trend_is_expected_as_seen() -> None:
    assert means(expect(CURVE, ENDLESS)) == pytest.approx(CURVE.tolist(), abs=0.003)


def test_it_lies_between_trend_and_seen() -> None:
    z = logits(SEEN, 269)
    trend = np.linspace(1, 3.5, 20)  # as the deviations even out
    found = estimate(SIZES, SEEN, 269, {}).mean
    assert (np.sign(z - found) == np.sign(z - trend)).all()
    assert (np.abs(found - trend) < np.abs(z - trend)).all()


def test_more_images_leave_more_of_what_was_seen() -> None:
    moved = [
        np.abs(estimate(SIZES, SEEN, samples, {}).mean - logits(SEEN, samples)).mean()
        for samples in (100, 300, 1_000, 10_000)
    ]
    assert moved == sorted(moved, reverse=True)
    widths = [expect(samples=m)[12].high - expect(samples=m)[12].low for m in (100, 300, 10_000)]
    assert widths == sorted(widths, reverse=True)


def test_seeds_that_differ_move_it_to_the_trend_and_those_that_agree_do_not() -> None:
    def moved(spread: float) -> float:
        runs = {
            row: some_runs(*1 / (1 + np.exp(-logits(SEEN, None)[row] - spread * np.arange(-2, 3))))
            for row in range(0, 20, 2)
        }
        found = estimate(SIZES, SEEN, ENDLESS, runs).mean
        return float(np.abs(found - logits(SEEN, ENDLESS))[1::2].mean())

    assert moved(0.0) < moved(0.05) < moved(0.2)


def test_what_few_images_change_is_not_taken_for_the_seeds() -> None:
    # One image more or less of 269 near the top is much on the logit scale.
    counts = [[266, 267, 265], [264, 266, 265], [267, 267, 266], [265, 266, 264]]
    for samples in (None, 269):
        runs = {row: some_runs(*[count / 269 for count in them]) for row, them in enumerate(counts)}
        assert estimate(SIZES, SEEN, samples, runs).seed[10] < 0.25**2


@given(better=st.integers(1, 120))
@settings(max_examples=30, deadline=None)
def test_who_is_seen_better_is_not_expected_worse(better: int) -> None:
    images = 269
    low = round(0.5 * images)
    accuracies = [np.array(SEEN), np.array(SEEN)]
    accuracies[0][10], accuracies[1][10] = low / images, (low + better) / images
    worse, same = (expect(values)[10].accuracy for values in accuracies)
    assert same >= worse


@given(
    accuracies=st.lists(st.integers(0, 50).map(lambda k: k / 50), min_size=1, max_size=20),
    samples=st.sampled_from([None, 50, 50_000]),
)
@settings(max_examples=60, deadline=None)
def test_nothing_is_expected_outside_of_0_and_1(
    accuracies: list[float], samples: float | None
) -> None:
    found = expect(accuracies, samples)
    for number in range(len(accuracies)):
        one = found[number]
        assert 0 <= one.low <= one.high <= 1
        assert one.low <= one.accuracy <= one.high
        assert (one.seeds, one.std) == (0, None)


def test_a_trial_that_collapsed_is_expected_to_again_and_bends_nothing() -> None:
    accuracies = np.array(SEEN)
    accuracies[5] = 0.2
    found = expect(accuracies)
    assert found[5].accuracy < 0.3
    assert means(found)[6:] == pytest.approx(means(expect())[6:], abs=0.02)


def test_a_verified_trial_has_its_mean_on_the_test_part() -> None:
    found = expect(runs={3: some_runs(0.9, 0.92, 0.91, test=[0.80, 0.84, 0.85], images=269)})
    one = found[3]
    assert one.accuracy == pytest.approx(0.83)
    assert one.seeds == 3
    assert one.std == pytest.approx(float(np.std([0.80, 0.84, 0.85], ddof=1)))
    assert one.low < 0.80
    assert one.high > 0.85
    assert found[4].seeds == 0


def test_a_test_part_that_is_harder_is_harder_for_all() -> None:
    def shifted(by: float) -> list[float]:
        runs = {
            row: some_runs(*[SEEN[row]] * 3, test=[SEEN[row] - by] * 3) for row in (1, 4, 9, 12)
        }
        return means(expect(runs=runs))

    assert shifted(0.04)[15] < shifted(0.0)[15] - 0.01


def test_leads_within_the_noise_are_ties_and_others_are_not() -> None:
    found = expect()
    assert found.is_tie(10, 11)
    assert found.is_tie(11, 10)
    assert not found.is_tie(0, 19)
    # With many seeds a small lead is known.
    near = {row: some_runs(*[a] * 3) for row, a in ((10, 0.90), (11, 0.93))}
    many = {row: some_runs(*[a] * 300) for row, a in ((10, 0.90), (11, 0.93))}
    assert expect(runs=near).is_tie(10, 10)
    assert not expect(runs=many).is_tie(10, 11)


def test_trials_of_a_study() -> None:
    trials: list[TrialRecord] = [
        a_complete(number, float(SEEN[number]), float(SIZES[number])) for number in range(12)
    ]
    trials[3] = a_complete(3, float(SEEN[2]), float(SIZES[2]), reused_from=2)
    trials.append(a_trial(12))
    trials.append(a_trial(13, state=TrialState.PRUNED, accuracy=0.1))
    runs: list[VerificationRecord] = [
        a_verification(2, 1, 0.8),
        a_verification(2, 2, 0.9),
        a_verification(5, 1, 0.9, epochs=30),  # longer than in the search
        a_verification(6, 1, None, state=TrialState.RUNNING),
    ]
    found = Expectations.of_trials(trials, runs, 269)
    assert [number for number in range(14) if number in found] == list(range(12))
    assert found.find(12) is None
    assert found[2].accuracy == pytest.approx(0.85)
    assert found[2].seeds == 2
    assert found[3] == found[2]
    assert (found[5].seeds, found[6].seeds) == (0, 0)
    assert found.is_of_test_part
    assert not Expectations.of_trials(trials, [], 269).is_of_test_part


def test_columns_of_a_study_give_the_same() -> None:
    states = ["COMPLETE"] * 10 + ["RUNNING", "PRUNED"]
    columns = some_columns(
        *zip(states, [*SEEN[:10], None, 0.5], SIZES[:12], strict=True),
        reused_from=[None] * 4 + [3] + [None] * 7,
    )
    trials = [a_complete(n, float(SEEN[n]), float(SIZES[n])) for n in range(10)]
    trials[4] = a_complete(4, float(SEEN[4]), float(SIZES[4]), reused_from=3)
    runs = [a_verification(3, 1, 0.8), a_verification(3, 2, 0.9)]
    one, other = (
        Expectations.of_columns(columns, runs, 269),
        Expectations.of_trials(trials, runs, 269),
    )
    assert [one[n] for n in range(10)] == [other[n] for n in range(10)]
    assert 10 not in one


def test_a_study_without_results_expects_nothing() -> None:
    assert Expectations.of_trials([a_trial(0)], [], None).find(0) is None
    alone = Expectations.of_trials([a_complete(0, 0.9, 0.1)], [], 269)[0]
    assert alone.accuracy == pytest.approx(0.9, abs=0.02)
    assert alone.low < 0.88 < 0.92 < alone.high


@pytest.mark.parametrize(
    "name", ["settings and seeds alike", "seeds alone", "200 trials", "a tenth collapsed"]
)
def test_the_best_of_a_search_are_as_good_as_expected(name: str) -> None:
    found = simulate(SEARCHES[name], 40)
    assert found.seen_bias > 0.7
    assert abs(found.bias) < found.seen_bias / 2.5
    assert found.error < found.seen_error
    assert 0.85 < found.inside < 0.97


def test_many_accuracies_at_once_are_those_one_by_one() -> None:
    found = expect(runs={3: some_runs(0.8, 0.9, test=(0.7, 0.75))})
    assert found.accuracies([3, 0, 19]).tolist() == [found[n].accuracy for n in (3, 0, 19)]
    assert found.accuracies([3])[0] == pytest.approx(0.725)
    assert found.accuracies([]).shape == (0,)
    with pytest.raises(KeyError):
        found.accuracies([99])


def test_of_many_trials_those_of_nearly_one_size_count_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    sizes = np.exp(random.uniform(-5, -2, 3_000))
    truth = 1.2 + 0.9 * (np.log(sizes) + 3.5) + random.normal(0, 0.25, len(sizes))
    seen = random.binomial(5_000, 1 / (1 + np.exp(-truth))) / 5_000
    grouped = estimate(sizes, seen, 5_000, {})
    monkeypatch.setattr(shrinkage, "_MOST_GROUPS", len(sizes))
    single = estimate(sizes, seen, 5_000, {})
    apart = np.abs(1 / (1 + np.exp(-grouped.mean)) - 1 / (1 + np.exp(-single.mean)))
    assert 0 < apart.mean() < 2e-4
    assert apart.max() < 3e-3
    assert grouped.new_variance == pytest.approx(single.new_variance, rel=0.02)
