import json
import pickle
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from mlgsearch.records import EpochRecord, TrialState
from mlgsearch.study.scheduler import StudyScheduler
from mlgsearch.study.searcher import AttemptCounter, StudySearcher
from tests.study.driverless import Driverless, a_summary, empty_database
from tests.study.samples import an_epoch

SPACE = {"hyperparameters": {"training.batch_size": {"choices": [32]}}}


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Driverless]:
    (tmp_path / "a.db").write_bytes(empty_database())
    study = Driverless(f"sqlite:///{tmp_path}/a.db", n_trials=3, space=SPACE)
    yield study
    study.close()


@pytest.fixture
def searcher(study: Driverless) -> StudySearcher:
    return StudySearcher(study.ledger)


def a_result(*epochs: EpochRecord, **payload: Any) -> dict[str, Any]:
    content = {"epochs": [asdict(epoch) for epoch in epochs], **payload}
    return {"payload": json.dumps(content), "training_iteration": 1}


def suggested(searcher: StudySearcher, trial_id: str) -> object:
    return searcher.suggest(trial_id)


def test_a_suggestion_is_a_job_as_text(searcher: StudySearcher, study: Driverless) -> None:
    config = searcher.suggest("a")
    assert config is not None
    (record,) = study.trials()
    assert config["number"] == 0
    settings = {name: tuple(five) for name, five in json.loads(config["settings"]).items()}
    assert settings == record.settings
    assert json.loads(config["hyperparameters"]) == {"training.batch_size": 32}
    assert searcher.number("a") == 0
    assert searcher.number("b") is None


def test_there_is_nothing_more_to_suggest_after_the_last(searcher: StudySearcher) -> None:
    numbers = [searcher.suggest(name) for name in "abc"]
    assert [config["number"] for config in numbers if config] == [0, 1, 2]
    assert suggested(searcher, "d") == Searcher.FINISHED


def test_results_reach_the_ledger(searcher: StudySearcher, study: Driverless) -> None:
    searcher.suggest("a")
    searcher.on_trial_result("a", a_result(an_epoch(1)))
    assert (study.trials()[0].epochs_done, study.trials()[0].state) == (1, TrialState.RUNNING)
    # The last result comes with the end, and may bring epochs that no other brought.
    searcher.on_trial_complete(
        "a", a_result(an_epoch(1), an_epoch(2), an_epoch(3), summary=a_summary(0.8))
    )
    record = study.trials()[0]
    assert (record.state, record.epochs_done, record.accuracy) == (TrialState.COMPLETE, 3, 0.8)
    assert [epoch.epoch for epoch in study.store.epochs("digits", 0)] == [1, 2, 3]
    assert searcher.number("a") is None


def test_an_error_of_the_training_fails_the_trial_with_its_words(
    searcher: StudySearcher, study: Driverless
) -> None:
    searcher.suggest("a")
    searcher.on_trial_complete("a", a_result(an_epoch(1), error="loss is NaN in epoch 2"))
    record = study.trials()[0]
    assert (record.state, record.error) == (TrialState.FAIL, "loss is NaN in epoch 2")
    assert record.epochs_done == 1


@pytest.mark.parametrize(
    ("result", "error"), [(None, True), (a_result(an_epoch(1)), True), (None, False), ({}, False)]
)
def test_a_worker_that_died_for_good_fails_the_trial(
    searcher: StudySearcher, study: Driverless, result: dict[str, Any] | None, error: bool
) -> None:
    searcher.suggest("a")
    searcher.on_trial_complete("a", result, error=error)
    record = study.trials()[0]
    assert record.state == TrialState.FAIL
    assert "worker died" in str(record.error)


def test_a_trial_that_ray_ended_early_is_not_complete(
    searcher: StudySearcher, study: Driverless
) -> None:
    searcher.suggest("a")
    searcher.on_trial_complete("a", a_result(an_epoch(1)))
    record = study.trials()[0]
    assert (record.state, record.epochs_done) == (TrialState.FAIL, 1)
    assert "before its end" in str(record.error)


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Driverless]:
    """A study of one size, in which whoever is not the best so far is stopped after epoch 1."""
    (tmp_path / "strict.db").write_bytes(empty_database())
    one_size = {key: [8, 8] for key in ("B_out", "q_basis", "q_coeff_in", "q_coeff_out")}
    study = Driverless(
        f"sqlite:///{tmp_path}/strict.db",
        n_trials=4,
        space={
            "kind": "uniform",
            "B_in": [1, 1],
            **one_size,
            "hyperparameters": {"training.learning_rate": {"low": 1e-4, "high": 1e-2}},
        },
        search={"early_stopping": {"factor": 3, "min_trials": 2}},
        training={"epochs": 3},
    )
    yield study
    study.close()


def test_a_trial_is_stopped_through_rays_scheduler_and_taken_up_later(strict: Driverless) -> None:
    searcher = StudySearcher(strict.ledger)
    scheduler = StudyScheduler(searcher)

    def word(trial_id: str, accuracy: float) -> str:
        result = a_result(an_epoch(1, accuracy))
        said = scheduler.on_trial_result(None, SimpleNamespace(trial_id=trial_id), result)
        if said == TrialScheduler.CONTINUE:
            searcher.on_trial_result(trial_id, result)
        else:
            searcher.on_trial_complete(trial_id, result)  # what Ray does where it stops a trial
        return said

    for trial_id in "abc":
        searcher.suggest(trial_id)
    assert word("a", 0.9) == TrialScheduler.CONTINUE
    assert word("b", 0.8) == TrialScheduler.STOP
    assert word("c", 0.1) == TrialScheduler.STOP
    assert [t.state.value for t in strict.trials()] == ["RUNNING", "PRUNED", "PRUNED"]
    assert [searcher.number(trial_id) for trial_id in "abc"] == [0, None, None]
    searcher.suggest("d")
    assert suggested(searcher, "e") is None  # not now, but perhaps later
    assert word("d", 0.1) == TrialScheduler.STOP
    config = searcher.suggest("f")
    assert config is not None
    assert (config["number"], searcher.number("f")) == (1, 1)
    # What Ray tells late of the trial that was stopped does not touch the one that goes on.
    searcher.on_trial_complete("b", None, error=True)
    assert strict.trials()[1].state == TrialState.RUNNING
    for trial_id in "af":
        searcher.on_trial_complete(
            trial_id, a_result(an_epoch(2), an_epoch(3), summary=a_summary(0.9))
        )
    assert suggested(searcher, "g") == Searcher.FINISHED
    assert strict.states() == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]


def test_a_scheduler_stops_nobody_while_the_study_is_stopping(strict: Driverless) -> None:
    searcher = StudySearcher(strict.ledger)
    searcher.suggest("a")
    searcher.is_stopping = True
    said = StudyScheduler(searcher).on_trial_result(
        None, SimpleNamespace(trial_id="a"), a_result(an_epoch(1))
    )
    assert said == TrialScheduler.CONTINUE
    assert strict.trials()[0].epochs_done == 0


def test_nothing_is_recorded_while_the_study_is_stopping(
    searcher: StudySearcher, study: Driverless
) -> None:
    searcher.suggest("a")
    searcher.is_stopping = True
    searcher.on_trial_result("a", a_result(an_epoch(1)))
    searcher.on_trial_complete("a", a_result(an_epoch(1)), error=True)
    assert suggested(searcher, "b") == Searcher.FINISHED
    (record,) = study.trials()
    assert (record.state, record.epochs_done) == (TrialState.RUNNING, 0)
    assert study.ledger.queue_unfinished() == [0]


def test_what_ray_tells_of_trials_it_does_not_run_is_ignored(
    searcher: StudySearcher, study: Driverless
) -> None:
    searcher.suggest("a")
    searcher.on_trial_complete("a", a_result(summary=a_summary(0.8)))
    searcher.on_trial_complete("a", None, error=True)
    searcher.on_trial_result("b", a_result(an_epoch(1)))
    assert study.states() == ["COMPLETE"]


def test_each_worker_that_takes_over_counts_as_an_attempt(
    searcher: StudySearcher, study: Driverless
) -> None:
    searcher.suggest("a")
    counter = AttemptCounter(searcher, study.ledger)
    counter.on_trial_recover(1, [], SimpleNamespace(trial_id="a"))
    counter.on_trial_recover(2, [], SimpleNamespace(trial_id="unknown"))
    assert study.trials()[0].attempts == 2


def test_ray_may_save_it_and_gets_nothing_of_the_drivers(
    searcher: StudySearcher, tmp_path: Path
) -> None:
    searcher.save(str(tmp_path / "state"))
    searcher.restore(str(tmp_path / "state"))
    assert (tmp_path / "state").stat().st_size > 0
    # The ledger holds a database's engine, which cannot be pickled.
    assert pickle.loads(pickle.dumps(searcher)).__dict__ == {}
