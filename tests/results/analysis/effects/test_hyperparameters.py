"""What trials were trained with, name by name."""

import numpy as np
import pytest

from mlgsearch.results.analysis.effects.hyperparameters import Hyperparameters, is_wide

TRIALS: list[dict[str, object]] = [
    {"rate": 1e-4, "optimiser": "sgd", "epochs": 10, "nesterov": True},
    {"rate": 1e-2, "optimiser": "adam", "epochs": 10, "nesterov": False},
    {"optimiser": "sgd", "epochs": 10, "nesterov": True},
    {"rate": 1e-1, "optimiser": "radam", "epochs": 10, "nesterov": True},
]


def test_those_that_differ_are_told_from_those_that_do_not() -> None:
    found = Hyperparameters.of(TRIALS)
    assert list(found.values) == ["rate", "optimiser", "epochs", "nesterov"]
    assert found.varied == ("rate", "optimiser", "nesterov")
    assert found.numeric == ("rate",)
    rates = found.numbers("rate")
    assert rates[[0, 1, 3]].tolist() == [1e-4, 1e-2, 1e-1]
    assert np.isnan(rates[2])
    assert is_wide(rates)
    assert not is_wide(np.array([0.0, 1.0, 1000.0]))


def test_features_are_curves_of_numbers_and_marks_of_words() -> None:
    features = Hyperparameters.of(TRIALS).features(np.array([0, 1, 3]))
    assert {name: own.shape for name, own in features.items()} == {
        "rate": (3, 2), "optimiser": (3, 2), "nesterov": (3, 1),
    }  # fmt: skip
    assert features["rate"][:, 0].mean() == pytest.approx(0.0)
    assert features["rate"][:, 1].mean() == pytest.approx(1.0)
    assert features["optimiser"].sum(0).tolist() == [1, 1]
    # Of trials that are alike in it, it is no part.
    assert "nesterov" not in Hyperparameters.of(TRIALS).features(np.array([0, 2, 3]))
