import gc
import json
import pickle
import time
import weakref
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.train._internal.storage import StorageContext
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher, SearchGenerator
from ray.tune.utils.callback import _create_default_callbacks

from mlgsearch.errors import DiskFullError, LeaseLostError, StudyFailedError
from mlgsearch.records import EpochRecord, TrialState
from mlgsearch.results.database.lease import acquire
from mlgsearch.study.cluster.tune_adapter import (
    GIVEN_UP_S,
    Informer,
    NoReporter,
    StudyScheduler,
    StudySearcher,
)
from tests.study.driverless import Driverless, Make, a_summary
from tests.study.samples import an_epoch

SPACE = {"hyperparameters": {"training.batch_size": {"choices": [32]}}}


@pytest.fixture
def study(driverless: Make) -> Driverless:
    return driverless(n_trials=3, space=SPACE)


@pytest.fixture
def searcher(study: Driverless) -> StudySearcher:
    return StudySearcher(study.ledger)


def a_result(*epochs: EpochRecord, **payload: Any) -> dict[str, Any]:
    content = {"attempt": 1, "epochs": [asdict(epoch) for epoch in epochs], **payload}
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
    assert suggested(searcher, "d") is None  # a worker may die, and its trial be given out again
    for name in "abc":
        searcher.on_trial_complete(name, a_result(summary=vars(a_summary())))
    assert suggested(searcher, "d") == Searcher.FINISHED


def test_no_more_are_suggested_than_there_is_room_for(searcher: StudySearcher) -> None:
    room = [1]
    searcher.room = lambda: room[0]
    assert searcher.suggest("a") is not None
    assert searcher.suggest("b") is None
    room[0] = 2  # a node joined
    assert searcher.suggest("b") is not None
    assert searcher.suggest("c") is None
    room[0] = 1  # and left
    searcher.on_trial_complete("b", None, error=True)
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("a", a_result(summary=vars(a_summary())))
    again = searcher.suggest("c")
    assert again is not None
    assert (again["number"], again["attempt"]) == (1, 2)


def test_results_reach_the_ledger(searcher: StudySearcher, study: Driverless) -> None:
    searcher.suggest("a")
    searcher.on_trial_result("a", a_result(an_epoch(1)))
    assert (study.trials()[0].epochs_done, study.trials()[0].state) == (1, TrialState.RUNNING)
    # The last result comes with the end, and may bring epochs that no other brought.
    searcher.on_trial_complete(
        "a", a_result(an_epoch(1), an_epoch(2), an_epoch(3), summary=vars(a_summary(0.8)))
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
def test_a_trial_whose_worker_died_is_handed_out_again_until_it_died_too_often(
    searcher: StudySearcher, study: Driverless, result: dict[str, Any] | None, error: bool
) -> None:
    for attempt in range(1, 5):  # resources.worker_retries is 3
        config = searcher.suggest(str(attempt))
        assert config is not None
        assert (config["number"], config["attempt"]) == (0, attempt)
        assert (study.trials()[0].state, study.trials()[0].attempts) == ("RUNNING", attempt)
        searcher.on_trial_complete(str(attempt), result, error=error)
    record = study.trials()[0]
    assert record.state == TrialState.FAIL
    assert "worker died" in str(record.error)


def test_a_worker_whose_node_is_taken_away_counts_nothing(
    searcher: StudySearcher, study: Driverless
) -> None:
    for attempt in range(1, 10):
        config = searcher.suggest(str(attempt))
        assert config is not None
        assert (config["number"], config["attempt"]) == (0, attempt)
        searcher.note_death(str(attempt), "the actor's node was preempted: it drains")
        searcher.on_trial_complete(str(attempt), None, error=True)
    assert study.trials()[0].state == TrialState.RUNNING


def test_a_report_of_an_earlier_attempt_is_dropped_and_logged(
    searcher: StudySearcher, study: Driverless, caplog: pytest.LogCaptureFixture
) -> None:
    searcher.suggest("a")
    searcher.on_trial_complete("a", None, error=True)
    searcher.suggest("b")
    late = a_result(an_epoch(1), attempt=1)
    # Ray would have to mix up its workers for this to happen; it costs nothing to be sure.
    assert searcher.goes_on("b", late)
    searcher.on_trial_result("a", late)
    searcher.on_trial_complete("a", a_result(summary=vars(a_summary()), attempt=1))
    record = study.trials()[0]
    assert (record.state, record.epochs_done, record.attempts) == (TrialState.RUNNING, 0, 2)
    assert study.store.epochs("digits", 0) == []
    assert "trial 0: a report of attempt 1 is dropped, for attempt 2 has begun" in caplog.text
    searcher.on_trial_complete("b", a_result(an_epoch(1), summary=vars(a_summary()), attempt=2))
    assert study.trials()[0].state == TrialState.COMPLETE


def test_a_worker_that_ended_itself_after_the_timeout_fails_its_trial(study: Driverless) -> None:
    searcher = StudySearcher(study.ledger, trial_timeout_s=1e-9)
    informer = Informer(searcher)
    searcher.suggest("a")
    informer.on_trial_start(1, [], SimpleNamespace(trial_id="a"))
    informer.on_trial_start(1, [], SimpleNamespace(trial_id="unknown"))
    searcher.on_trial_complete("a", None, error=True)
    record = study.trials()[0]
    assert record.state == TrialState.FAIL
    assert "timed out after resources.trial_timeout_s = 1e-09 s" in str(record.error)


def test_a_worker_that_died_before_the_timeout_is_replaced(study: Driverless) -> None:
    searcher = StudySearcher(study.ledger, trial_timeout_s=3600)
    searcher.suggest("a")
    Informer(searcher).on_trial_start(1, [], SimpleNamespace(trial_id="a"))
    searcher.on_trial_complete("a", None, error=True)
    config = searcher.suggest("b")
    assert config is not None
    assert (config["number"], config["attempt"]) == (0, 2)


def test_what_ray_gave_up_without_a_word_is_handed_out_again(
    searcher: StudySearcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    informer = Informer(searcher)
    numbers = [config["number"] for name in "ab" if (config := searcher.suggest(name))]
    trials = [
        SimpleNamespace(trial_id="a", is_finished=lambda: True),
        SimpleNamespace(trial_id="b", is_finished=lambda: False),
        SimpleNamespace(trial_id="before", is_finished=lambda: True),
    ]
    informer.on_step_begin(1, trials)
    searcher.tick()  # it looks now and then only
    assert searcher.number("a") == 0
    now = time.monotonic() + GIVEN_UP_S
    monkeypatch.setattr(time, "monotonic", lambda: now)
    searcher.tick()
    assert (searcher.number("a"), searcher.number("b")) == (None, 1)
    again = searcher.suggest("c")
    assert again is not None
    assert (numbers, again["number"], again["attempt"]) == ([0, 1], 0, 2)


def test_a_full_disk_stops_the_study_and_fails_no_trial(
    searcher: StudySearcher, study: Driverless
) -> None:
    searcher.suggest("a")
    searcher.suggest("b")
    searcher.on_trial_complete("a", a_result(disk_full="OSError: [Errno 28] No space left"))
    assert isinstance(searcher.failure, DiskFullError)
    assert "trial 0: OSError: [Errno 28] No space left. The study stopped; no results" in str(
        searcher.failure
    )
    assert suggested(searcher, "c") == Searcher.FINISHED
    assert study.ledger.queue_unfinished() == [0, 1]
    assert study.states() == ["WAITING", "WAITING"]


def test_a_study_whose_first_trials_all_fail_stops(driverless: Make) -> None:
    study = driverless(n_trials=9)
    searcher = StudySearcher(study.ledger)
    for trial in range(5):
        assert searcher.failure is None
        searcher.suggest(str(trial))
        searcher.on_trial_complete(str(trial), a_result(error="no such layer"))
    assert isinstance(searcher.failure, StudyFailedError)
    assert "the first 5 trainings all failed, the last one with: no such layer" in str(
        searcher.failure
    )
    assert suggested(searcher, "5") == Searcher.FINISHED
    # Its user mended what was wrong: those that failed do not count again.
    study.restart()
    searcher = StudySearcher(study.ledger)
    searcher.suggest("a")
    searcher.on_trial_complete("a", a_result(error="bad luck"))
    searcher.suggest("b")
    searcher.on_trial_complete("b", a_result(summary=vars(a_summary())))
    for trial in range(2):
        searcher.suggest(str(trial))
        searcher.on_trial_complete(str(trial), a_result(error="bad luck"))
    assert searcher.failure is None
    assert study.states() == ["FAIL"] * 6 + ["COMPLETE"] + ["FAIL"] * 2


def test_a_driver_that_lost_its_lease_stops(searcher: StudySearcher, study: Driverless) -> None:
    searcher.suggest("a")
    acquire(study.engine, "digits", holder="bert", host="elsewhere", pid=7)
    searcher.on_trial_result("a", a_result(an_epoch(1)))
    assert isinstance(searcher.failure, LeaseLostError)
    assert searcher.is_stopping
    assert study.trials()[0].epochs_done == 0


def test_one_that_is_asked_to_stop_hands_out_nothing_more(study: Driverless) -> None:
    asked: list[bool] = []
    searcher = StudySearcher(study.ledger, is_asked_to_stop=lambda: bool(asked))
    assert searcher.suggest("a") is not None
    asked.append(True)
    assert suggested(searcher, "b") == Searcher.FINISHED


def test_one_that_waits_for_epochs_stops_once_each_worker_has_reported(study: Driverless) -> None:
    asked: list[bool] = []
    searcher = StudySearcher(
        study.ledger, is_asked_to_stop=lambda: bool(asked), waits_for_epochs=True
    )
    for name in "abc":
        searcher.suggest(name)
    for name in "ab":  # there was no room for c yet
        searcher.on_trial_start(name)
    asked.append(True)
    assert suggested(searcher, "d") is None
    assert not searcher.goes_on("a", a_result(an_epoch(1)))
    searcher.tick()
    assert not searcher.is_stopping
    searcher.on_trial_complete("b", a_result(*map(an_epoch, (1, 2, 3)), summary=vars(a_summary())))
    searcher.tick()
    assert searcher.is_stopping
    assert [(trial.state, trial.epochs_done) for trial in study.trials()] == [
        (TrialState.RUNNING, 1),
        (TrialState.COMPLETE, 3),
        (TrialState.RUNNING, 0),
    ]
    assert study.ledger.queue_unfinished() == [0, 2]


def test_one_whose_lease_is_lost_waits_for_nothing(study: Driverless) -> None:
    searcher = StudySearcher(study.ledger, is_lost=lambda: True, waits_for_epochs=True)
    searcher.suggest("a")
    searcher.on_trial_start("a")
    searcher.tick()
    assert searcher.is_stopping


def test_a_trial_that_ray_ended_early_is_not_complete(
    searcher: StudySearcher, study: Driverless
) -> None:
    searcher.suggest("a")
    searcher.on_trial_complete("a", a_result(an_epoch(1)))
    record = study.trials()[0]
    assert (record.state, record.epochs_done) == (TrialState.FAIL, 1)
    assert "before its end" in str(record.error)


@pytest.fixture
def strict(driverless: Make) -> Driverless:
    """A study of one size, in which whoever is not the best so far is stopped after epoch 1."""
    one_size = {key: [8, 8] for key in ("B_out", "q_basis", "q_coeff_in", "q_coeff_out")}
    return driverless(
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
    # What Ray reports late of the trial that was stopped does not touch the one that goes on.
    searcher.on_trial_complete("b", None, error=True)
    assert strict.trials()[1].state == TrialState.RUNNING
    for trial_id, attempt in {"a": 1, "f": 2}.items():
        searcher.on_trial_complete(
            trial_id,
            a_result(an_epoch(2), an_epoch(3), summary=vars(a_summary(0.9)), attempt=attempt),
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


def test_what_ray_reports_of_trials_it_does_not_run_is_ignored(
    searcher: StudySearcher, study: Driverless
) -> None:
    searcher.suggest("a")
    searcher.on_trial_complete("a", a_result(summary=vars(a_summary(0.8))))
    searcher.on_trial_complete("a", None, error=True)
    searcher.on_trial_result("b", a_result(an_epoch(1)))
    assert study.states() == ["COMPLETE"]


def test_ray_may_save_it_and_gets_nothing_of_the_drivers(
    searcher: StudySearcher, tmp_path: Path
) -> None:
    searcher.save(str(tmp_path / "state"))
    searcher.restore(str(tmp_path / "state"))
    assert (tmp_path / "state").stat().st_size > 0
    # The ledger holds a database's engine, which cannot be pickled.
    assert pickle.loads(pickle.dumps(searcher)).__dict__ == {}


def test_ray_adds_no_reporter_of_its_own_which_would_keep_every_trial() -> None:
    callbacks: list[Any] = _create_default_callbacks([NoReporter()])
    (reporter,) = (each for each in callbacks if isinstance(each, TrialProgressCallback))
    before = {name: len(kept) for name, kept in vars(reporter).items() if kept is not None}
    trial = Trial("stub", stub=True)
    reporter.on_trial_result(1, [trial], trial, {"done": True})
    reporter.on_trial_complete(1, [trial], trial)
    reporter.on_trial_error(1, [trial], trial)
    assert before == {name: len(kept) for name, kept in vars(reporter).items() if kept is not None}


def test_ray_keeps_no_trial_that_ended(searcher: StudySearcher, tmp_path: Path) -> None:
    storage = StorageContext(str(tmp_path), "tune")
    controller: Any = TuneController(
        search_alg=SearchGenerator(searcher), scheduler=StudyScheduler(searcher), storage=storage
    )

    def begin(trial_id: str) -> Trial:
        searcher.suggest(trial_id)
        trial = Trial("stub", stub=True, storage=storage, trial_id=trial_id)
        controller.add_trial(trial)
        controller._set_trial_status(trial, Trial.RUNNING)
        controller._pending_trials_list.clear()  # as Ray does where it starts trials
        return trial

    ended, running = begin("a"), begin("b")
    controller.stop_trial(ended)
    known = weakref.ref(ended)
    del ended
    unheard = begin("c")
    assert controller.get_trials() == [running, unheard]
    gc.collect()
    assert known() is None
    controller._set_trial_status(unheard, Trial.ERROR)  # of this one no searcher hears
    assert controller.get_trials() == [running, unheard, begin("d")]
