"""Reading trials' hyperparameters again and again."""

import pytest
from sqlalchemy import Engine, event

from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.read.hyperparameter_reader import HyperparameterReader
from mlgsearch.results.read.study_reader import StudyReader
from tests.results.samples import a_study, a_trial


def test_each_trial_is_read_once(
    store: ResultStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlgsearch.results.read.hyperparameter_reader._PART", 2)
    store.create_study(a_study())
    for number in range(5):
        store.put_trial("digits", a_trial(number, hyperparameters={"rate": number / 10}))
    columns, reader = StudyReader(engine, "digits"), HyperparameterReader(engine, "digits")
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
