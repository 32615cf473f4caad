"""What prices left of a budget is spent by changes of one layer, and of two at once."""

from itertools import product

import numpy as np
import pytest

from mlgsearch.planning.budget.exchange import Options, exchanged


def some(costs: list[float], *uses: list[float]) -> Options:
    return Options(np.array(costs), np.array(uses, dtype=float).T)


def test_one_layer_takes_what_is_left() -> None:
    options = {"a": some([9, 5, 1], [0, 1, 2]), "b": some([4, 2], [0, 1])}
    assert exchanged({"a": 0, "b": 0}, options, np.array([1.0])) == {"a": 1, "b": 0}
    assert exchanged({"a": 0, "b": 0}, options, np.array([3.0])) == {"a": 2, "b": 1}
    assert exchanged({"a": 2, "b": 1}, options, np.array([0.0])) == {"a": 2, "b": 1}


def test_one_layer_takes_what_another_gives() -> None:
    options = {"a": some([9, 1], [0, 2], [0, 1]), "b": some([4, 2], [0, 2], [0, 1])}
    assert exchanged({"a": 0, "b": 1}, options, np.zeros(2)) == {"a": 1, "b": 0}
    options["a"] = some([9, 1], [0, 2], [0, 1.5])  # the second of them would run out
    assert exchanged({"a": 0, "b": 1}, options, np.zeros(2)) == {"a": 0, "b": 1}


@pytest.mark.parametrize("seed", range(8))
def test_room_is_kept_and_two_changes_save_no_more(seed: int) -> None:
    draw = np.random.default_rng(seed)
    options = {}
    for name in "abcd":
        costs = np.sort(draw.random(5))[::-1]
        options[name] = Options(costs, draw.random((5, 3)) * (1 - costs[:, None]))
    picks = dict.fromkeys(options, 0)

    def total(chosen: dict[str, int]) -> tuple[float, np.ndarray]:
        parts = [options[name] for name in chosen]
        at = chosen.values()
        return (
            sum(float(part.costs[pick]) for part, pick in zip(parts, at, strict=True)),
            np.sum([part.uses[pick] for part, pick in zip(parts, at, strict=True)], axis=0),
        )

    most = total(picks)[1] + draw.random(3)
    found = exchanged(picks, options, most - total(picks)[1])
    cost, used = total(found)
    assert (used <= most + 1e-12).all()
    for one, other in product(options, options):
        for first, second in product(range(5), range(5)):
            changed = {**found, one: first, other: second}
            less, takes = total(changed)
            assert less >= cost - 1e-9 or (takes > most - 1e-12).any()
