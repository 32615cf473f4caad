"""Reading again and again what never changes of a trial."""

import math
import time
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from sqlalchemy import Engine, event

from mlgsearch.records import LayerRecord
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.read.fixed_values import (
    budget_reader,
    hyperparameter_reader,
    layer_group_reader,
)
from mlgsearch.results.read.study_reader import StudyReader
from mlgsearch.study.search.optuna_storage import open_optuna_storage
from tests.results.samples import a_study, a_trial


def test_each_trial_is_read_once(
    store: ResultStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlgsearch.results.database.lookup._PART", 2)
    store.create_study(study := a_study())
    for number in range(5):
        store.put_trial("digits", a_trial(number, hyperparameters={"rate": number / 10}))
    columns, reader = StudyReader(engine, "digits"), hyperparameter_reader(engine, study)
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _u, text, *_: asked.append(text))
    first = columns.read()
    found = reader.read(first)
    assert found.values == {"rate": [0.0, 0.1, 0.2, 0.3, 0.4]}
    assert reader.read(first) is found
    assert sum("hyperparameters" in text for text in asked) == 3
    asked.clear()
    store.put_trial("digits", a_trial(7, hyperparameters={"rate": 0.7, "optimiser": "sgd"}))
    found = reader.read(columns.read())
    assert found.values["rate"] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.7]
    assert found.values["optimiser"] == [None] * 5 + ["sgd"]
    read = [text for text in asked if text.startswith("SELECT") and "hyperparameters" in text]
    assert len(read) == 1


def test_the_bytes_of_groups_are_those_of_their_layers(store: ResultStore, engine: Engine) -> None:
    layers = tuple(
        LayerRecord(name, "conv", "8", 8, 256, is_searched=True)
        for name in ("stem", "layer1.0.conv1", "layer1.0.conv2", "fc")
    )
    store.create_study(study := a_study(layers=layers))
    bits = {"stem": 80, "layer1.0.conv1": 12, "layer1.0.conv2": 8, "fc": 40}
    store.put_trial("digits", a_trial(0, layer_bits=bits))
    store.put_trial("digits", a_trial(1, layer_bits={"stem": 16}))
    columns = StudyReader(engine, "digits").read()
    groups = layer_group_reader(engine, study).read(columns)
    assert groups.names == ("stem", "layer1", "fc")
    assert groups.of("layer1").tolist() == pytest.approx([2.5, math.nan], nan_ok=True)
    assert groups.bytes[:, 0].tolist() == [10, 2]
    without = layer_group_reader(engine, a_study()).read(columns)
    assert without.bytes.shape == (2, 0)


def test_budgets_are_those_of_optunas_tables(store: ResultStore, engine: Engine) -> None:
    store.create_study(study := a_study())
    for number in (0, 1):
        store.put_trial("digits", a_trial(number))
    columns = StudyReader(engine, "digits").read()
    assert np.isnan(budget_reader(engine, study).read(columns)).all()
    storage = open_optuna_storage(engine)
    for name in ("other", "digits"):
        trials = optuna.create_study(storage=storage, study_name=name)
        trials.add_trial(a_proposal(12.5 if name == "digits" else 99.0))
        trials.add_trial(optuna.trial.create_trial(value=1.0))
    storage.remove_session()
    storage.engine.dispose()
    assert budget_reader(engine, study).read(columns).tolist() == pytest.approx(
        [12.5, math.nan], nan_ok=True
    )


def test_other_trials_of_the_same_numbers_after_a_restore_have_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    storage = open_optuna_storage(engine)
    store = ResultStore(engine)
    layers = (LayerRecord("stem", "conv", "8", 8, 256, is_searched=True),)
    store.create_study(study := a_study(layers=layers))
    optuna.create_study(storage=storage, study_name="digits")

    def add(number: int, value: int) -> None:
        trial = a_trial(number, hyperparameters={"rate": value}, layer_bits={"stem": 8 * value})
        store.put_trial("digits", trial)
        trials = optuna.load_study(storage=storage, study_name="digits")
        trials.add_trial(a_proposal(value))
        storage.remove_session()

    def read() -> list[list[float]]:
        columns = reader.read()
        groups = fixed[1].read(columns)
        values = [fixed[0].read(columns).values["rate"], groups.of("stem"), fixed[2].read(columns)]
        return [list(map(float, numbers)) for numbers in values]

    reader = StudyReader(engine, "digits")
    fixed = (
        hyperparameter_reader(engine, study),
        layer_group_reader(engine, study),
        budget_reader(engine, study),
    )
    add(0, 2)
    storage.engine.dispose()
    backup = path.read_bytes()
    add(1, 3)
    add(2, 4)
    assert read() == [[2, 3, 4]] * 3
    storage.engine.dispose()
    path.write_bytes(backup)  # the same file
    time.sleep(0.01)  # or they could be created at the very same moment
    add(1, 5)
    add(2, 6)
    assert read() == [[2, 5, 6]] * 3
    storage.engine.dispose()
    engine.dispose()


def a_proposal(budget: float) -> optuna.trial.FrozenTrial:
    budgets = FloatDistribution(1, 100, log=True)
    return optuna.trial.create_trial(
        params={"budget_kb": budget}, distributions={"budget_kb": budgets}, value=1.0
    )
