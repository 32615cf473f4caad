"""Rows that JSON can hold, and CSV that a spreadsheet reads as data."""

import csv
import io
import json
from typing import Any

import pytest

from mlgsearch.records import TrialRecord
from mlgsearch.results.analysis.front import front
from mlgsearch.results.analysis.uncertainty.expectation import Expectations
from mlgsearch.results.analysis.uncertainty.verification import verified_points
from mlgsearch.results.formats import (
    COLUMNS,
    VERIFIED_COLUMNS,
    front_rows,
    to_csv,
    verified_rows,
)
from tests.results.samples import a_complete, a_verification

PAIR = ("accuracy", "memory_ratio")


def rows_of(*trials: TrialRecord) -> list[dict[str, Any]]:
    return front_rows(front(trials, PAIR), Expectations.of_trials(trials, [], 269))


def test_rows_hold_the_front_smallest_first() -> None:
    rows = rows_of(a_complete(1, 0.9, 0.1), a_complete(0, 0.8, 0.04, reused_from=2))
    assert [row["trial"] for row in rows] == [0, 1]
    assert all(tuple(row) == COLUMNS for row in rows)
    row = json.loads(json.dumps(rows[0], allow_nan=False))
    assert row["compression"] == pytest.approx(25)
    assert row["settings"]["layer1.0"] == [2, 44, 3, 6, 3]
    assert (row["accuracy"], row["memory_ratio"], row["reused_from"]) == (0.8, 0.04, 2)
    assert row["hyperparameters"]["optimiser"] == "radam"
    assert row["expected_low"] < row["expected_accuracy"] < row["expected_high"]
    assert row["verified_seeds"] == 0


def test_a_lead_within_the_noise_names_the_smallest_student_that_it_is_over() -> None:
    known = [(0, 0.60, 0.01), (1, 0.900, 0.02), (2, 0.902, 0.03), (3, 0.903, 0.04)]
    rows = rows_of(*(a_complete(*trial) for trial in known))
    assert [(row["trial"], row["tied_with"]) for row in rows] == [
        (0, None),
        (1, None),
        (2, 1),
        (3, 1),
    ]


def test_csv_reads_back() -> None:
    rows = rows_of(a_complete(0, 0.8, 0.04), a_complete(1, 0.9, 0.1))
    read = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert [float(row["accuracy"]) for row in read] == [0.8, 0.9]
    assert json.loads(read[0]["settings"]) == rows[0]["settings"]
    assert read[0]["reused_from"] == ""


def test_verified_points_are_rows_too() -> None:
    runs = [a_verification(0, seed, accuracy) for seed, accuracy in ((1, 0.8), (2, 0.9))]
    rows = verified_rows(verified_points([a_complete(0, 0.95, 0.04)], runs, PAIR))
    (row,) = json.loads(json.dumps(rows, allow_nan=False))
    assert tuple(row) == VERIFIED_COLUMNS
    assert (row["trial"], row["n"], row["seeds"], row["epochs"]) == (0, 2, [1, 2], 10)
    assert (row["searched_accuracy"], row["test_accuracy"]) == (0.95, pytest.approx(0.85))
    (read,) = csv.DictReader(io.StringIO(to_csv(rows, VERIFIED_COLUMNS)))
    assert json.loads(read["seeds"]) == [1, 2]
    assert float(read["test_accuracy_std"]) == pytest.approx(0.1 / 2**0.5)


def test_an_empty_front_is_a_header() -> None:
    assert to_csv([]).split() == [",".join(COLUMNS)]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("@sum", "'@sum"),
        ("\t=1", "'\t=1"),
        ("-1.5e-3", "-1.5e-3"),
        ("+7", "+7"),
        (-0.25, "-0.25"),
        ("radam", "radam"),
        (None, ""),
    ],
)
def test_a_cell_is_never_a_formula(value: object, cell: str) -> None:
    row = dict.fromkeys(COLUMNS, 0) | {"loss": value}
    (read,) = csv.DictReader(io.StringIO(to_csv([row])))
    assert read["loss"] == cell
