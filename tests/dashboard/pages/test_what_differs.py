"""In what trials differ, without a browser."""

from dataclasses import replace
from typing import Any

from dashboard.pages.study.inspector.what_differs import what_differs
from mlgsearch.records import TrialRecord
from mlgsearch.results.analysis.uncertainty.expectation import Expectation
from tests.results.samples import a_complete, a_trial


def _texts(part: Any) -> str:
    if isinstance(part, list | tuple):
        return " ".join(_texts(one) for one in part)
    return _texts(part.children) if hasattr(part, "children") else str(part)


def _rows(part: Any) -> list[str]:
    table = part.children
    return [_texts(row) for row in table.children[-1].children]


def _two(**changes: Any) -> list[TrialRecord]:
    knobs = {"lr": 0.1, "decay": 1e-4, "optimiser": "sgd", "momentum": 0.9}
    return [
        a_complete(3, 0.9, 0.05, hyperparameters=knobs, layer_bits={"stem": 800, "layer1.0": 16}),
        a_complete(
            7,
            0.8,
            0.05,
            hyperparameters=knobs | {"lr": 0.2, "decay": 1e-2, "optimiser": "adam"},
            settings={"stem": (0, 0, 4, 0, 0), "layer1.0": (2, 44, 3, 6, 4)},
            layer_bits={"stem": 400, "layer1.0": 16_016},
            **changes,
        ),
    ]


def test_hyperparameters_come_first_and_the_largest_difference_of_each_kind() -> None:
    table, *folded = what_differs(_two(), {})
    assert _rows(table) == [
        "Result",
        "accuracy 90.00 % 80.00 %",
        "Hyperparameters",
        "optimiser sgd adam",
        "decay 0.0001 0.01",
        "lr 0.1 0.2",
        "Layers: bytes, (B_in, B_out, q_basis, q_coeff_in, q_coeff_out), "
        "and the damage that the plan predicts",
        "layer1.0 2 B (2, 44, 3, 6, 3) 2.00 KB (2, 44, 3, 6, 4)",
        "stem 100 B (0, 0, 8, 0, 0) 50 B (0, 0, 4, 0, 0)",
    ]
    assert [_texts(part) for part in folded] == [
        "3 are equal memory ratio 0.0500, epochs trained 10 of 10, momentum 0.9"
    ]


def test_a_trial_without_a_result_is_compared_all_the_same() -> None:
    failed = a_trial(4, hyperparameters={}, settings={"stem": (0, 0, 8, 0, 0)})
    rows = _rows(what_differs([*_two(), failed], {})[0])
    assert rows[1] == "accuracy 90.00 % 80.00 % \N{EN DASH}"
    assert "lr 0.1 0.2 \N{EN DASH}" in rows
    assert rows[-2].endswith("\N{EN DASH}")


def test_what_to_expect_is_beside_what_was_seen() -> None:
    found = {7: Expectation(accuracy=0.79, low=0.75, high=0.82, seeds=0)}
    rows = _rows(what_differs(_two(), found)[0])
    assert rows[1:3] == [
        "accuracy 90.00 % 80.00 %",
        "expected \N{EN DASH} 79.0 % (75.0 to 82.0)",
    ]


def test_further_measures_are_compared_as_on_a_trials_page() -> None:
    one, other = _two(latency_ms=2.5)
    rows = _rows(what_differs([replace(one, latency_ms=1.25), other], {})[0])
    assert "predicted latency 1.25 ms 2.5 ms" in rows


def test_a_layers_damage_is_beside_its_bytes_where_it_is_known() -> None:
    one, other = _two(layer_damage={"stem": 0.125, "layer1.0": 0.5})
    stem = "stem 100 B (0, 0, 8, 0, 0) 50 B (0, 0, 4, 0, 0) damage 12.5 %"
    assert _rows(what_differs([one, other], {})[0])[-1] == stem
    # Of one setting it makes no difference that only one trial has it.
    twins = [one, replace(one, number=4, layer_damage={"stem": 0.25})]
    assert len(_rows(what_differs(twins, {})[0])) == 0


def test_one_that_is_equal_is_one_and_what_nobody_has_is_none() -> None:
    one, other = _two(epochs_done=9)
    other = replace(other, sizes=replace(other.sizes, memory_ratio=0.1))
    assert _texts(what_differs([one, other], {})[-1]) == "1 is equal momentum 0.9"
    bare = [replace(trial, hyperparameters={}) for trial in (one, other)]
    assert len(what_differs(bare, {})) == 1


def test_many_layers_stand_folded() -> None:
    fives = [{f"layer{i}": (1, 2 + n, 3, 4, 5) for i in range(30)} for n in (0, 1)]
    trials = [a_complete(n, 0.9, 0.05, settings=five) for n, five in enumerate(fives)]
    table, more, equal = what_differs(trials, {})
    assert len(_rows(table)) == 1 + 8
    assert _texts(more).startswith("22 more layers differ")
    assert _texts(equal).startswith("6 are equal accuracy 90.00 %, memory")
