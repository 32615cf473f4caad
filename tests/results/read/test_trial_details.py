"""What is read of some trials only, on every database."""

import pytest
from sqlalchemy import Engine

from mlgsearch.errors import StudyNotFoundError
from mlgsearch.records import TrialState
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.read.trial_details import (
    FailureReason,
    curves_of,
    failure_reasons,
    settings_of,
)
from tests.results.samples import a_complete, a_study, a_trial, an_epoch


def test_settings_and_curves_of_some_trials(
    store: ResultStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlgsearch.results.database.lookup._PART", 2)
    epochs = {
        ("digits", 3): [an_epoch(2), an_epoch(1)],
        ("digits", 0): [an_epoch(1)],
        ("other", 1): [an_epoch(1)],
    }
    for name in ("digits", "other"):
        store.create_study(a_study(name))
        for number in range(4):
            trial = a_complete(number, 0.9, 0.1, settings={"stem": (2, 40 + number, 3, 6, 3)})
            store.put_trial(name, trial, epochs.get((name, number), ()))
    assert settings_of(engine, "digits", [3, 0, 99, 1, 3]) == {
        0: {"stem": (2, 40, 3, 6, 3)},
        1: {"stem": (2, 41, 3, 6, 3)},
        3: {"stem": (2, 43, 3, 6, 3)},
    }
    assert curves_of(engine, "digits", [3, 1]) == {3: [an_epoch(1), an_epoch(2)]}
    assert settings_of(engine, "digits", []) == {}


def test_failures_are_counted_by_reason(store: ResultStore, engine: Engine) -> None:
    store.create_study(a_study())
    errors = ["loss is nan\nat step 3", "no worker", "loss is nan", None]
    errors += ["the same training failed as trial 1: no worker"] * 2
    for number, error in enumerate(errors):
        store.put_trial("digits", a_trial(number, state=TrialState.FAIL, error=error))
    store.put_trial("digits", a_trial(9, error="not failed yet"))
    assert failure_reasons(engine, "digits") == [
        FailureReason("no worker", 3, (1, 4, 5)),
        FailureReason("loss is nan", 2, (0, 2)),
        FailureReason("no error was recorded", 1, (3,)),
    ]


def test_failures_are_grouped_whatever_their_epoch(store: ResultStore, engine: Engine) -> None:
    store.create_study(a_study())
    errors = ["loss is nan in epoch 2, step 7", "loss is nan in epoch 31, step 1"]
    errors += ["no room after epoch 4"] * 2
    for number, error in enumerate(errors):
        store.put_trial("digits", a_trial(number, state=TrialState.FAIL, error=error))
    assert failure_reasons(engine, "digits") == [
        FailureReason("loss is nan in epoch ..., step ...", 2, (0, 1)),
        FailureReason("no room after epoch 4", 2, (2, 3)),
    ]


def test_an_unknown_study_is_refused(engine: Engine) -> None:
    for call in (
        lambda: settings_of(engine, "no", [1]),
        lambda: curves_of(engine, "no", [1]),
        lambda: failure_reasons(engine, "no"),
    ):
        with pytest.raises(StudyNotFoundError):
            call()
