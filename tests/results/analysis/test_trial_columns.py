"""Columns of trials, against the records they stand for."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgsearch.records import OBJECTIVES, TrialRecord, TrialState
from mlgsearch.results.analysis.front import front, front_hypervolume
from mlgsearch.results.analysis.trial_columns import NO_TRIAL, STATES, TrialColumns
from tests.results.samples import a_complete, a_trial

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)
#: A coarse grid, so that trials tie in one objective and in both.
TRIALS = st.lists(
    st.builds(
        lambda state, accuracy, ratio, ended: (state, accuracy / 4, ratio / 4, ended),
        st.sampled_from(TrialState),
        st.integers(0, 4),
        st.integers(1, 5),
        st.integers(0, 50),
    ),
    max_size=20,
).map(
    lambda trials: [
        a_complete(
            2 * number,
            accuracy,
            ratio,
            state=state,
            packed_bytes=1 + round(1000 * ratio),
            finished_at=BEGIN + timedelta(seconds=ended),
        )
        for number, (state, accuracy, ratio, ended) in enumerate(trials)
    ]
)


def columns_of(trials: Sequence[TrialRecord]) -> TrialColumns:
    def value(trial: TrialRecord, name: str) -> Any:
        if name in ("created_at", "finished_at", "updated_at"):
            moment = getattr(trial, name, BEGIN) or (None if name == "finished_at" else BEGIN)
            return moment and moment.replace(tzinfo=None)
        if name == "state":
            return trial.state.value
        return getattr(trial, name) if hasattr(trial, name) else getattr(trial.sizes, name)

    names = [field.name for field in fields(TrialColumns)]
    return TrialColumns.of({name: [value(trial, name) for trial in trials] for name in names})


@given(
    trials=TRIALS,
    objectives=st.sampled_from(
        [("accuracy", "memory_ratio"), ("accuracy", "memory_ratio", "packed_bytes")]
    ),
    reference=st.sampled_from([{}, {"accuracy": 0.4, "memory_ratio": -0.5}]),
)
def test_the_front_and_its_hypervolume_are_those_of_the_records(
    trials: list[TrialRecord], objectives: tuple[str, ...], reference: dict[str, float]
) -> None:
    columns = columns_of(trials)
    expected = front(trials, objectives)
    assert columns.number[columns.front_rows(objectives)].tolist() == [t.number for t in expected]
    rows, course = columns.hypervolume_over_trials(objectives, reference)
    ended = [t for t in trials if t.state is TrialState.COMPLETE]
    ended.sort(key=lambda trial: (trial.finished_at, trial.number))
    assert columns.number[rows].tolist() == [trial.number for trial in ended]
    assert course == pytest.approx(
        [front_hypervolume(ended[: end + 1], objectives, reference) for end in range(len(ended))]
    )


@given(trials=TRIALS, changed=st.sets(st.integers(0, 30)))
def test_merging_replaces_and_adds(trials: list[TrialRecord], changed: set[int]) -> None:
    columns = columns_of(trials)
    new = [a_trial(number, attempts=7) for number in sorted(changed, reverse=True)]
    merged = columns.merged(columns_of(new))
    expected = {trial.number: trial.attempts for trial in [*trials, *new]}
    assert dict(zip(merged.number.tolist(), merged.attempts.tolist(), strict=True)) == expected
    assert merged.number.tolist() == sorted(expected)
    assert (merged is columns) == (not changed)


def test_what_is_not_known_is_told_so() -> None:
    columns = columns_of([a_trial(0), a_complete(1, 0.5, 0.1, reused_from=0, packed_bytes=7)])
    assert np.isnan(columns.accuracy).tolist() == [True, False]
    assert np.isnan(columns.packed_bytes).tolist() == [True, False]
    assert columns.reused_from.tolist() == [NO_TRIAL, 0]
    assert np.isnat(columns.finished_at).all()
    assert columns.packed_bytes[1] == 7


def test_a_trial_without_a_usable_value_is_left_out() -> None:
    columns = columns_of(
        [
            a_complete(0, 0.9, 0.1),  # of a version without packed_bytes
            a_complete(1, 0.8, 0.1, packed_bytes=0),
            a_complete(2, 0.7, 0.1, packed_bytes=9),
        ]
    )
    assert columns.front_rows(("accuracy", "packed_bytes")).tolist() == [2]
    assert columns.usable_rows(("accuracy", "memory_ratio")).tolist() == [0, 1, 2]


def test_a_reference_of_ones_own_moves_the_hypervolume() -> None:
    columns = columns_of([a_complete(0, 0.5, 0.1)])
    objectives = ("accuracy", "memory_ratio")
    (ours,) = columns.hypervolume_over_trials(objectives)[1]
    (theirs,) = columns.hypervolume_over_trials(objectives, {"memory_ratio": 1.0})[1]
    assert (ours, theirs) == pytest.approx((0.5, 1.0))


def test_states_are_counted_and_told_apart() -> None:
    trials = [a_trial(n, state=state) for n, state in enumerate((*STATES, TrialState.FAIL))]
    columns = columns_of(trials)
    assert columns.counts() == dict.fromkeys(TrialState, 1) | {TrialState.FAIL: 2}
    assert columns.number[columns.is_in(TrialState.FAIL)].tolist() == [4, 5]
    assert TrialColumns.empty().counts() == dict.fromkeys(TrialState, 0)


def test_rows_of_numbers_that_are_there_come_in_their_order() -> None:
    columns = columns_of([a_trial(number) for number in (1, 4, 9)])
    assert columns.rows_of([9, 2, 1, 99]).tolist() == [2, 0]
    assert TrialColumns.empty().rows_of([3]).tolist() == []


def test_every_objective_has_a_column_and_no_other_name_has() -> None:
    trial = a_complete(0, 0.5, 0.1, packed_bytes=7, latency_ms=1.5, peak_activation_bytes=9)
    columns = columns_of([trial])
    for name in OBJECTIVES:
        assert columns.objective(name).tolist() == [trial.objective_value(name)]
    with pytest.raises(ValueError, match="unknown objective 'attempts'; there is accuracy"):
        columns.objective("attempts")


def test_nobody_can_change_what_others_read() -> None:
    with pytest.raises(ValueError, match="read-only"):
        columns_of([a_trial(0)]).accuracy[0] = 1.0
