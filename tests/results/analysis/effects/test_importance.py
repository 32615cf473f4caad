from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgsearch.results.analysis.effects.importance import (
    Importance,
    chosen_trials,
    layer_importance,
)
from mlgsearch.results.analysis.effects.trial_sensitivity import LEAST_TRIALS

LAYERS = [f"layer{i}" for i in range(12)]

#: Accuracy that a doubling of a layer's bits brings; all other layers do nothing.
PLANTED = {2: 0.02, 7: 0.01}


class Trials:
    """Random settings of trials, and accuracies in which two layers have a part."""

    def __init__(self, count: int, *, noise: float = 0.005, seed: int = 0, planted: bool = True):
        draw = np.random.default_rng(seed)
        shape = (count, len(LAYERS))
        bases = np.stack([draw.integers(1, 7, shape), draw.integers(0, 49, shape)], axis=2)
        widths = draw.integers(2, 9, (*shape, 3))
        self.settings = np.concatenate([bases, widths], axis=2)
        self.settings[..., 4] *= bases[..., 1] > 0
        rows = np.where(bases[..., 1] > 0, bases[..., 1], 64)
        self.bits = rows * bases[..., 0] * (9 * widths[..., 0] + 64 * widths[..., 1])
        self.accuracy = 0.8 + noise * draw.normal(size=count)
        if planted:
            for layer, gain in PLANTED.items():
                self.accuracy += gain * (np.log2(self.bits[:, layer]) - 11)

    def importance(self, order: npt.NDArray[np.int64] | None = None) -> Importance:
        rows = np.arange(len(self.accuracy)) if order is None else order
        found = layer_importance(LAYERS, self.settings[rows], self.bits[rows], self.accuracy[rows])
        assert found is not None
        return found


def test_planted_layers_are_found_and_measured() -> None:
    trials = Trials(80)
    found = trials.importance()
    assert found.trials == 80
    assert found.explained > 0.8
    ranked = sorted(range(12), key=lambda i: -found.layers[i].moved)
    assert ranked[:2] == [2, 7]
    for place, gain in PLANTED.items():
        layer = found.layers[place]
        truth = gain * float(np.log2(trials.bits[:, place]).std())
        assert layer.is_clear
        assert layer.moved == pytest.approx(truth, rel=0.2)
        assert layer.low < truth < layer.high
        assert layer.gain == pytest.approx(gain, rel=0.15)


def test_numbers_alone_find_them_too() -> None:
    trials = Trials(200)
    found = layer_importance(LAYERS, trials.settings, None, trials.accuracy)
    assert found is not None
    assert {2, 7} == set(sorted(range(12), key=lambda i: -found.layers[i].moved)[:2])
    assert all(layer.gain is None for layer in found.layers)


def test_numbers_tell_what_bits_do_not() -> None:
    trials = Trials(200)
    # One more bit of the basis, one less of the coefficient: nearly the same size.
    accuracy = 0.8 + 0.02 * (trials.settings[:, 4, 2] - trials.settings[:, 4, 3])
    found = layer_importance(LAYERS, trials.settings, trials.bits, accuracy.astype(float))
    assert found is not None
    assert max(range(12), key=lambda i: found.layers[i].moved) == 4
    assert found.explained > 0.8


def test_where_nothing_is_to_be_found_little_is_claimed() -> None:
    """At most one in ten layers looks clear by chance, whatever is drawn."""
    found = [Trials(60, seed=seed, planted=False).importance() for seed in range(20)]
    assert sum(layer.is_clear for each in found for layer in each.layers) <= 0.1 * 20 * 12
    assert np.mean([layer.moved for each in found for layer in each.layers]) < 0.0005
    assert np.mean([each.explained for each in found]) < 0.05


def test_what_a_hyperparameter_did_is_no_layers() -> None:
    trials = Trials(200)
    rate = np.random.default_rng(3).normal(size=200)
    accuracy = trials.accuracy + 0.05 * rate
    features = {"rate": np.column_stack([rate, rate**2])}
    found = layer_importance(LAYERS, trials.settings, trials.bits, accuracy, features)
    alone = layer_importance(LAYERS, trials.settings, trials.bits, accuracy)
    assert found is not None
    assert alone is not None
    assert [layer.layer for layer in found.layers] == [*LAYERS, "rate"]
    assert [layer.is_layer for layer in found.layers] == [True] * 12 + [False]
    assert found.clear[0].layer == "rate"
    assert found.clear[0].moved == pytest.approx(0.05, rel=0.15)
    assert found.clear[0].gain is None
    assert found.explained > alone.explained + 0.2


def test_without_two_trials_per_number_of_the_fit_nothing_is_named() -> None:
    few, enough = Trials(22).importance(), Trials(24).importance()
    assert enough.features == 12
    assert (few.is_enough, enough.is_enough) == (False, True)
    assert few.clear == ()


def test_intervals_shrink_with_more_trials() -> None:
    few, many = (Trials(count, noise=0.02).importance().layers[2] for count in (40, 400))
    assert many.high - many.low < 0.6 * (few.high - few.low)


@given(st.permutations(range(30)))
def test_the_order_of_trials_does_not_matter(order: list[int]) -> None:
    trials = Trials(30)
    as_is, shuffled = trials.importance(), trials.importance(np.array(order))
    for a, b in zip(as_is.layers, shuffled.layers, strict=True):
        assert (a.moved, a.low, a.high) == pytest.approx((b.moved, b.low, b.high), abs=1e-9)


def test_the_order_of_layers_does_not_matter() -> None:
    trials = Trials(60)
    order = np.random.default_rng(1).permutation(12)
    moved = layer_importance(
        [LAYERS[i] for i in order],
        trials.settings[:, order],
        trials.bits[:, order],
        trials.accuracy,
    )
    assert moved is not None
    by_name = {layer.layer: layer.moved for layer in moved.layers}
    for layer in trials.importance().layers:
        assert by_name[layer.layer] == pytest.approx(layer.moved, abs=1e-9)


def test_layers_that_always_go_together_share_what_they_did() -> None:
    trials = Trials(80)
    trials.settings[:, 3] = trials.settings[:, 2]
    trials.bits[:, 3] = trials.bits[:, 2]
    layers = trials.importance().layers
    assert layers[2].moved == pytest.approx(layers[3].moved)
    assert layers[2].gain == pytest.approx(PLANTED[2] / 2, rel=0.25)


def test_a_layer_that_never_differed_has_no_part() -> None:
    trials = Trials(40)
    trials.settings[:, 5] = (0, 0, 8, 0, 0)
    trials.bits[:, 5] = 5120
    layer = trials.importance().layers[5]
    assert (layer.moved, layer.low, layer.high, layer.gain) == (0, 0, 0, None)
    assert not layer.is_clear


def test_nothing_is_told_of_too_few_or_equal_trials() -> None:
    trials = Trials(LEAST_TRIALS)
    short = slice(LEAST_TRIALS - 1)
    arguments = trials.settings[short], trials.bits[short], trials.accuracy[short]
    assert layer_importance(LAYERS, *arguments) is None
    assert layer_importance(LAYERS, trials.settings, trials.bits, np.full(8, 0.5)) is None
    same = np.repeat(trials.settings[:1], 8, axis=0)
    bits = np.repeat(trials.bits[:1], 8, axis=0)
    assert layer_importance(LAYERS, same, bits, trials.accuracy) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"settings": np.ones((9, 12, 4), dtype=np.int64)}, "expected"),
        ({"bits": np.zeros((9, 12), dtype=np.int64)}, "all positive"),
        ({"accuracy": np.full(9, np.nan)}, "not finite"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, npt.NDArray[np.int64]], said: str) -> None:
    trials = Trials(9)
    arguments: dict[str, Any] = {
        "settings": trials.settings,
        "bits": trials.bits,
        "accuracy": trials.accuracy,
    }
    with pytest.raises(ValueError, match=said):
        layer_importance(LAYERS, **(arguments | change))


def test_a_sample_of_many_trials_is_fixed() -> None:
    assert chosen_trials([3, 1, 2]) == [1, 2, 3]
    drawn = chosen_trials(range(5000), most=100)
    assert drawn == chosen_trials(range(4999, -1, -1), most=100) == sorted(set(drawn))
    assert len(drawn) == 100
    assert drawn != chosen_trials(range(5000), most=100, seed=1)
