from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import Engine

from mlgsearch.errors import StudyNotFoundError
from mlgsearch.records import LayerRecord
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.read.layer_grid import read_layer_grid
from mlgsearch.words import TIMES
from tests.results.samples import a_complete, a_study

LAYERS = (
    LayerRecord("stem", "conv", TIMES.join("4133"), 36, 1152, True),
    LayerRecord("fc", "linear", TIMES.join(["10", "4"]), 40, 1280, False),
)


def test_trials_come_in_the_order_asked_for(engine: Engine, store: ResultStore) -> None:
    store.create_study(a_study(layers=LAYERS))
    first = a_complete(
        0,
        0.8,
        0.1,
        settings={"fc": (0, 0, 8, 0, 0), "stem": (0, 2, 4, 0, 4)},
        layer_bits={"stem": 72, "fc": 320},
        layer_damage={"stem": 0.5},
        projection_error={"stem": 0.7, "fc": float("nan")},
    )
    store.put_trial("digits", first)
    store.put_trial("digits", replace(first, number=1, layer_bits={"stem": 144, "fc": 320}))
    store.put_trial("digits", replace(first, number=2, layer_bits={}, layer_damage={}))
    grid = read_layer_grid(engine, "digits", [1, 0, 9, 2], LAYERS)
    assert grid.layers == ("stem", "fc")
    assert grid.numbers == (1, 0, 2)
    assert grid.settings[0].tolist() == [[0, 2, 4, 0, 4], [0, 0, 8, 0, 0]]
    np.testing.assert_array_equal(grid.bits, [[144, 320], [72, 320], [np.nan, np.nan]])
    np.testing.assert_array_equal(grid.damage[:, 0], [0.5, 0.5, np.nan])
    np.testing.assert_array_equal(grid.errors[0], [0.7, np.nan])
    np.testing.assert_array_equal(grid.bits_a_weight()[0], [4, 8])
    np.testing.assert_allclose(grid.share()[1], [72 / 392, 320 / 392])
    np.testing.assert_array_equal(grid.change()[:2], [[np.nan, np.nan], [0.5, 1]])
    assert grid.at([1]).numbers == (0,)


def test_without_records_the_layers_are_those_of_the_settings(
    engine: Engine, store: ResultStore
) -> None:
    store.create_study(a_study())
    store.put_trial("digits", a_complete(0, 0.8, 0.1))
    grid = read_layer_grid(engine, "digits", [0], ())
    assert grid.layers == ("stem", "layer1.0")
    assert np.isnan(grid.bits_a_weight()).all()
    assert read_layer_grid(engine, "digits", [], LAYERS).settings.shape == (0, 2, 5)
    with pytest.raises(StudyNotFoundError):
        read_layer_grid(engine, "else", [0], ())
