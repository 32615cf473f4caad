import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mlgsearch.cli.printing.result_tables import age, front_table, study_cells, trials_table
from mlgsearch.records import StudyRecord, TrialRecord, TrialState
from mlgsearch.results.analysis.front import front
from mlgsearch.results.analysis.reached import Reached
from mlgsearch.results.analysis.trial_columns import TrialColumns
from mlgsearch.results.read.study_list import StudyRow
from mlgsearch.results.read.study_results import StudyResults
from tests.results.samples import a_complete, a_study, a_trial

NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (timedelta(seconds=-5), "0 s ago"),
        (timedelta(seconds=59.5), "59 s ago"),
        (timedelta(seconds=61), "1 min ago"),
        (timedelta(minutes=59.9), "59 min ago"),
        (timedelta(hours=23.9), "23 h ago"),
        (timedelta(days=2.5), "2 d ago"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(passed: timedelta, said: str) -> None:
    assert age(datetime.now(UTC) - passed) == said


def a_row(counts: dict[TrialState, int], **changes: Any) -> StudyRow:
    row = StudyRow(
        name="digits",
        model="resnet8",
        data="digits",
        space="allocation",
        objectives=("accuracy", "memory_ratio"),
        reached=Reached(dict.fromkeys(TrialState, 0) | counts, None, None, 0.0),
        n_trials=8,
        teacher_accuracy=None,
        created_at=NOW,
        last_activity=NOW,
        lease=None,
        time_left_s=None,
    )
    return replace(row, **changes)


def test_a_study_without_results_has_empty_cells() -> None:
    row = study_cells(a_row({TrialState.RUNNING: 1, TrialState.WAITING: 1}))
    assert (row["complete"], row["running"], row["queued"]) == ("0/8", "0", "2")
    assert (row["best accuracy"], row["smallest"], row["driver"]) == ("", "", "")
    assert row["hypervolume"] == "0.0000"


def test_the_best_accuracy_and_the_smallest_student_are_shown() -> None:
    reached = Reached(dict.fromkeys(TrialState, 0), 0.9, 0.1, 0.0)
    row = study_cells(a_row({}, reached=reached))
    assert (row["best accuracy"], row["smallest"]) == ("90.00%", "0.1000")


def results_of(
    study: StudyRecord, trials: Sequence[TrialRecord]
) -> tuple[StudyResults, list[TrialRecord]]:
    results = StudyResults(study, TrialColumns.of_records(trials), [])
    return results, front(trials, study.objectives)


def test_the_front_is_smallest_first() -> None:
    trials = [a_complete(0, 0.9, 0.5), a_complete(1, 0.5, 0.1), a_complete(2, 0.4, 0.2)]
    table = front_table(*results_of(a_study("a [b]"), trials))
    assert list(table.columns[0].cells) == ["1", "0"]
    assert str(table.title).startswith(r"Pareto front of a \[b]: 2 students")


def test_the_size_of_a_file_is_shown_once_it_is_known() -> None:
    trials = [a_complete(0, 0.9, 0.5, packed_bytes=12_345), a_complete(1, 0.5, 0.1)]
    for table in (front_table(*results_of(a_study(), trials)), trials_table(trials, set())):
        (column,) = (column for column in table.columns if column.header == "KB")
        assert set(column.cells) == {"", "12.3"}


@given(error=st.text())
def test_any_error_can_be_shown(error: str) -> None:
    table = trials_table([a_trial(0, state=TrialState.FAIL, error=error)], {0})
    console = Console(file=io.StringIO(), width=1000)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[3].split()[:3] == ["*", "0", "FAIL"]
