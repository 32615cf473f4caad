"""Importance in a study whose layers share their numbers, without a browser."""

import numpy as np
import pytest

from dashboard.database import Database
from dashboard.pages.importance.data import StudyImportance
from mlgsearch.records import LayerRecord
from mlgsearch.results.database.store import ResultStore
from tests.results.samples import a_complete, a_study

_LAYERS = tuple(
    LayerRecord(name=name, kind=kind, shape="1", weights=1, plain_bits=32, is_searched=is_searched)
    for name, kind, is_searched in (("conv", "conv", True), ("fc", "linear", False))
)


def write(store: ResultStore) -> None:
    content = {"space": {"kind": "uniform"}}
    store.create_study(a_study("tuned", content=content, layers=_LAYERS, n_trials=80))
    store.create_study(a_study("early", content=content, layers=_LAYERS))
    draw = np.random.default_rng(0)
    for number in range(80):
        rate, bases = float(draw.uniform(-4, -2)), int(draw.integers(1, 9))
        bits = int(draw.integers(3, 9))
        accuracy = 0.9 - 0.05 * (rate + 3) ** 2 + 0.004 * bases + draw.normal(0, 0.002)
        trial = a_complete(
            number,
            float(accuracy),
            0.05,
            # The head has bits of its own, which are no one's choice.
            settings={"conv": (bases, 8, bits, 4, 4), "fc": (0, 0, 8, 0, 0)},
            hyperparameters={"rate": 10**rate, "decay": float(draw.uniform(0, 1))},
        )
        store.put_trial("tuned", trial)


fill = pytest.fixture(scope="module")(lambda: write)


def test_hyperparameters_and_the_shared_numbers_are_ranked(database: Database) -> None:
    found = StudyImportance.read(database, "tuned")
    assert found.importance is not None
    assert [row.layer for row in found.importance.layers] == [
        "B_in of all layers",
        "q_basis of all layers",
        "rate",
        "decay",
    ]
    assert [row.layer for row in found.importance.clear] == ["rate", "B_in of all layers"]
    assert found.certainty().startswith(
        "From 80 trials: the shared numbers and the hyperparameters predict 9"
    )
    assert found.agreement is None
    assert [row["predicted"] for row in found.rows()] == [None] * 4


def test_too_few_trials_rank_nothing(database: Database) -> None:
    assert StudyImportance.read(database, "early").importance is None
