"""Trials a few at a time."""

import pytest
from sqlalchemy import Engine

from mlgsearch.errors import StudyNotFoundError
from mlgsearch.records import TrialState
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.read.trial_page import some_trials, trial_page
from tests.results.samples import a_complete, a_study, a_trial


def test_pages_and_choices(store: ResultStore, engine: Engine) -> None:
    store.create_study(a_study("one"))
    store.create_study(a_study("two"))
    for number in (0, 1, 2, 5, 6):
        store.put_trial("one", a_complete(number, 0.9, 0.1) if number % 2 else a_trial(number))
    store.put_trial("two", a_trial(3))
    first = trial_page(engine, "one", limit=3)
    assert [trial.number for trial in first.trials] == [0, 1, 2]
    assert (first.total, first.following) == (5, 2)
    last = trial_page(engine, "one", after=2, limit=2)
    assert [trial.number for trial in last.trials] == [5, 6]
    assert (last.total, last.following) == (5, None)
    done = trial_page(engine, "one", states=[TrialState.COMPLETE])
    complete = [t for t in store.trials("one") if t.state is TrialState.COMPLETE]
    assert list(done.trials) == complete
    assert [t.number for t in some_trials(engine, "one", [6, 3, 1, 1])] == [1, 6]
    assert some_trials(engine, "one", []) == []
    with pytest.raises(StudyNotFoundError):
        trial_page(engine, "none")
    with pytest.raises(StudyNotFoundError):
        some_trials(engine, "none", [1])
