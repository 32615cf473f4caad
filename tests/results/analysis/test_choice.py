"""The rule that picks one trial, against looking at all of them."""

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlgsearch.errors import UserError
from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.results.analysis.choice import Choice, Limit, LimitError, LimitKind, choose
from mlgsearch.results.analysis.neighbours import Trade
from mlgsearch.results.analysis.trial_columns import Floats, TrialColumns
from mlgsearch.results.analysis.uncertainty.expectation import Expectation, Expectations
from tests.results.samples import a_complete, a_trial

TEACHER = 0.95


class AsSeen(Expectations):
    """Expects what was seen; ``ties`` are pairs of a smaller and a larger trial."""

    def __init__(
        self, found: Iterable[TrialRecord], ties: Collection[tuple[int, int]] = ()
    ) -> None:
        self._seen = {trial.number: trial.accuracy for trial in found}
        self._ties = ties

    def __getitem__(self, number: int) -> Expectation:
        seen = self._seen[number]
        assert seen is not None
        return Expectation(seen, seen, seen)

    def accuracies(self, numbers: Sequence[int]) -> Floats:
        return np.array([self[number].accuracy for number in numbers])

    def is_tie(self, number: int, other: int) -> bool:
        return (number, other) in self._ties


def pick_of(
    found: Iterable[TrialRecord],
    limit: Limit,
    expectations: Expectations,
    *,
    teacher_accuracy: float | None = None,
) -> Choice:
    columns = TrialColumns.of_records(found)
    return choose(columns, limit, expectations, teacher_accuracy=teacher_accuracy)


def number_of(trade: Trade | None) -> int | None:
    return None if trade is None else trade.number


@st.composite
def trials(draw: st.DrawFn) -> list[TrialRecord]:
    """Few accuracies and sizes, so that many are equal; some trials are not there to choose."""
    found = []
    for number in range(draw(st.integers(1, 12))):
        trial = a_complete(
            number,
            draw(st.integers(0, 10)) / 10,
            draw(st.integers(1, 8)) / 64,
            packed_bytes=draw(st.none() | st.integers(1, 8).map(lambda n: 512 * n)),
        )
        if draw(st.integers(0, 5)) == 0:
            trial = replace(
                trial, state=draw(st.sampled_from([TrialState.FAIL, TrialState.PRUNED]))
            )
        found.append(trial)
    return found


limits = st.one_of(
    st.builds(Limit, st.just("max_kb"), st.sampled_from([0.1, 0.512, 1.024, 1.5, 3.072, 9.0])),
    st.builds(Limit, st.just("max_ratio"), st.sampled_from([0.001, 1 / 64, 0.04, 5 / 64, 0.5])),
    st.builds(Limit, st.just("within"), st.sampled_from([0.0, 5.0, 10.0, 15.0, 44.9, 100.0])),
    st.builds(Limit, st.just("at_least"), st.sampled_from([0.0, 30.0, 50.0, 70.1, 100.0])),
)


def size(trial: TrialRecord, limit: Limit) -> float:
    value = trial.packed_bytes if limit.kind == "max_kb" else trial.sizes.memory_ratio
    assert value is not None
    return value


def accuracy(trial: TrialRecord) -> float:
    assert trial.accuracy is not None
    return trial.accuracy


def fits(trial: TrialRecord, limit: Limit) -> bool:
    if limit.kind == "max_kb":
        return size(trial, limit) <= round(1000 * limit.value)
    if limit.kind == "max_ratio":
        return size(trial, limit) <= limit.value
    if limit.kind == "at_least":
        return round(100 * accuracy(trial)) >= limit.value
    return round(100 * TEACHER) - round(100 * accuracy(trial)) <= limit.value


def brute_force(known: list[TrialRecord], limit: Limit) -> TrialRecord | None:
    fitting = [trial for trial in known if fits(trial, limit)]
    if not fitting:
        return None
    if limit.kind in ("within", "at_least"):
        return min(fitting, key=lambda t: (size(t, limit), -accuracy(t), t.number))
    return max(fitting, key=lambda t: (accuracy(t), -size(t, limit), -t.number))


@given(found=trials(), limit=limits)
def test_the_choice_is_the_best_of_all_that_fit(found: list[TrialRecord], limit: Limit) -> None:
    known = [
        trial
        for trial in found
        if trial.state is TrialState.COMPLETE
        and (limit.kind != "max_kb" or trial.packed_bytes is not None)
    ]
    expected = brute_force(known, limit)
    if expected is None:
        with pytest.raises(UserError):
            pick_of(found, limit, AsSeen(found), teacher_accuracy=TEACHER)
        return
    choice = pick_of(found, limit, AsSeen(found), teacher_accuracy=TEACHER)
    assert choice.trial == expected.number
    assert 1 <= choice.fitting <= choice.total
    for neighbour, side in ((choice.smaller, -1), (choice.larger, 1)):
        beyond = [t for t in known if side * (size(t, limit) - size(expected, limit)) > 0]
        if side > 0:  # a larger one that is no more accurate is no trade
            beyond = [t for t in beyond if accuracy(t) > accuracy(expected)]
        if neighbour is None:
            assert not beyond
        else:
            # Nothing on the front lies between the two.
            nearest = min(
                beyond,
                key=lambda t: (
                    (-accuracy(t), size(t, limit), t.number)
                    if side < 0
                    else (size(t, limit), -accuracy(t), t.number)
                ),
            )
            assert neighbour.number == nearest.number


@given(found=trials(), limit=limits)
def test_the_limit_that_a_refusal_names_is_kept_to(found: list[TrialRecord], limit: Limit) -> None:
    far = 1e6 if limit.kind == "at_least" else 1e-6
    impossible = replace(limit, value=limit.value * far)
    try:
        pick_of(found, impossible, AsSeen(found), teacher_accuracy=TEACHER)
    except UserError as error:
        said = str(error)
    else:
        assume(False)
    assume("no trial is COMPLETE yet" not in said)
    named = re.search(r"the (?:least|most) possible is --([a-z-]+) ([\d.]+)$", said)
    assert named is not None, said
    assert named[1].replace("-", "_") == limit.kind
    nearest = replace(limit, value=float(named[2]))
    assert pick_of(found, nearest, AsSeen(found), teacher_accuracy=TEACHER).fitting == 1


def pick(kind: LimitKind, value: float, *found: TrialRecord) -> Choice:
    return pick_of(found, Limit(kind, value), AsSeen(found), teacher_accuracy=TEACHER)


def test_the_tables_kilobyte_has_1000_bytes() -> None:
    small, large = a_complete(0, 0.8, 0.1, packed_bytes=8_029), a_complete(1, 0.9, 0.2)
    large = replace(large, packed_bytes=8_030)
    assert pick("max_kb", 8.029, small, large).trial == small.number
    assert pick("max_kb", 8.03, small, large).trial == large.number


def test_a_file_of_unknown_size_cannot_be_promised() -> None:
    old, new = a_complete(0, 0.99, 0.1), a_complete(1, 0.5, 0.2, packed_bytes=1_000)
    assert pick("max_kb", 5, old, new).trial == new.number
    assert pick("max_ratio", 0.5, old, new).trial == old.number
    with pytest.raises(UserError, match="nothing to choose from"):
        pick("max_kb", 5, old)


def test_exactly_so_many_points_are_within_them() -> None:
    # 0.95 - 0.93 is a little more than 0.02.
    assert pick("within", 2, a_complete(0, 0.93, 0.1), a_complete(1, 0.97, 0.2)).trial == 0
    assert pick("within", 1.99, a_complete(0, 0.93, 0.1), a_complete(1, 0.97, 0.2)).trial == 1


def test_the_ends_of_the_front_have_one_neighbour() -> None:
    found = [a_complete(n, 0.5 + n / 10, (n + 1) / 10) for n in range(3)]
    first, middle, last = (pick("max_ratio", r, *found) for r in (0.1, 0.2, 1.0))
    assert (first.smaller, number_of(first.larger)) == (None, 1)
    assert (number_of(middle.smaller), number_of(middle.larger)) == (0, 2)
    assert (number_of(last.smaller), last.larger, last.fitting, last.total) == (1, None, 3, 3)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (
            "max_kb",
            7,
            "--max-kb 7: the smallest file, of trial 0, has 7.412 KB (of 1,000 bytes); "
            "the least possible is --max-kb 7.412",
        ),
        (
            "max_ratio",
            0.01,
            "--max-ratio 0.01: the smallest student, trial 0, has memory ratio 0.0123; "
            "the least possible is --max-ratio 0.0123",
        ),
        (
            "max_ms",
            2,
            "--max-ms 2: the fastest student, trial 0, takes 2.5 ms; "
            "the least possible is --max-ms 2.500",
        ),
        (
            "within",
            1,
            "--within 1: the best student, trial 1, is expected 4.43 points below the teacher's "
            "95.00%; the least possible is --within 4.43",
        ),
        (
            "at_least",
            95,
            "--at-least 95: of the best student, trial 1, 90.57% is expected; the most possible is "
            "--at-least 90.57",
        ),
        ("max_kb", math.nan, "--max-kb: expected a finite number, got nan"),
    ],
)
def test_what_does_not_fit_is_told_with_what_would(
    kind: LimitKind, value: float, said: str
) -> None:
    found = [
        a_complete(0, 0.8, 0.0123, packed_bytes=7_412, latency_ms=2.5),
        a_complete(1, 0.9057, 0.2, packed_bytes=80_000, latency_ms=9.0),
    ]
    with pytest.raises(LimitError) as error:
        pick(kind, value, *found)
    assert str(error.value) == said
    # The same without an option, for who has none.
    assert "--" not in error.value.why
    assert error.value.why.split("; ")[0] in said


def test_nothing_to_choose_from_is_reported() -> None:
    good = a_complete(0, 0.9, 0.1)
    with pytest.raises(UserError, match="no trial is COMPLETE yet"):
        pick("max_kb", 7, a_trial(0))
    with pytest.raises(UserError, match="the teacher's accuracy is not known yet"):
        pick_of([good], Limit("within", 1), AsSeen([good]))


def test_a_lead_within_the_noise_is_a_tie_and_goes_to_the_smaller() -> None:
    found = [a_complete(n, 0.8 + n / 100, (n + 1) / 10) for n in range(5)]

    def tied(*ties: tuple[int, int]) -> Choice:
        return pick_of(found, Limit("max_ratio", 0.4), AsSeen(found, ties))

    choice = tied((2, 3), (1, 3))
    assert (choice.trial, number_of(choice.tied_with)) == (1, 3)
    assert (number_of(choice.smaller), number_of(choice.larger)) == (0, 2)
    assert (choice.fitting, choice.total) == (4, 5)
    # It must tie with the best that fits, not with another or with one that does not fit.
    untied = tied((1, 2), (0, 1), (2, 4))
    assert (untied.trial, untied.tied_with) == (3, None)
    within = pick_of(found, Limit("within", 13), AsSeen(found, [(1, 2)]), teacher_accuracy=TEACHER)
    assert (within.trial, within.tied_with) == (2, None)


def test_what_is_expected_decides_and_not_what_was_seen() -> None:
    found = [a_complete(0, 0.80, 0.1), a_complete(1, 0.99, 0.2), a_complete(2, 0.90, 0.3)]
    expected = [a_complete(0, 0.80, 0.1), a_complete(1, 0.85, 0.2), a_complete(2, 0.90, 0.3)]
    choice = pick_of(found, Limit("max_ratio", 1), AsSeen(expected))
    assert (choice.trial, number_of(choice.smaller)) == (2, 1)
    choice = pick_of(found, Limit("within", 5), AsSeen(expected), teacher_accuracy=TEACHER)
    assert (choice.trial, choice.fitting) == (2, 1)
