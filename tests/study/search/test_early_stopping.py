"""Early stopping as the ledger carries it out, on a real database, without Ray."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import optuna
import pytest

from mlgsearch.mlg.network import network_sizes
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.study.search.early_stopping import EarlyStopping, is_stopped
from mlgsearch.study.search.ledger import Ledger
from tests.results.samples import a_trial
from tests.study.driverless import NARROW, Driverless, Make, a_summary, next_job
from tests.study.samples import MIXED, a_spec, an_epoch

#: Twelve settings of one size each, which differ in a hyperparameter that changes no size.
SPACE = NARROW | {
    "B_out": [8, 8],
    "hyperparameters": {"training.learning_rate": {"low": 1e-4, "high": 1e-2}},
}
SEARCH = {
    "sampler": "random",
    "early_stopping": {"factor": 3, "first_rung": 1, "min_trials": 2},
}
TRAINING = {"epochs": 9}  # judged after 1 and 3


@pytest.fixture
def driverless(driverless: Make) -> Make:
    """Make studies whose trials may be stopped."""
    content: dict[str, Any] = {"space": SPACE, "search": SEARCH, "training": TRAINING}
    return lambda **options: driverless(**(content | options))


def train(ledger: Ledger, number: int, accuracy: float, *, begin: int = 1, end: int = 9) -> int:
    """Train as a worker does, with the same accuracy after each epoch; give the last epoch."""
    for epoch in range(begin, end + 1):
        if not ledger.add_epochs(number, [an_epoch(epoch, accuracy)]):
            return epoch
    if end == 9:
        ledger.complete(number, a_summary(accuracy))
    return end


def train_next(ledger: Ledger, accuracy: float) -> int:
    return train(ledger, next_job(ledger).number, accuracy)


def test_a_trial_that_stands_low_at_a_rung_is_stopped_with_its_curve(driverless: Make) -> None:
    study = driverless()
    assert [train_next(study.ledger, accuracy) for accuracy in (0.9, 0.4)] == [9, 1]
    assert study.states() == ["COMPLETE", "PRUNED"]
    record = study.trials()[1]
    assert (record.epochs_done, record.accuracy, record.loss) == (1, 0.4, 0.5)
    assert record.finished_at is not None
    assert record.error is None
    assert [e.validation_accuracy for e in study.store.epochs("digits", 1)] == [0.4]
    # Its end came in one write with the epoch that decided it.
    ends = [(r.state, len(epochs)) for r, epochs in study.seen if r.number == 1][-1]
    assert ends == (TrialState.PRUNED, 1)
    stored = study.optuna_study().trials[1]
    assert (stored.values, stored.intermediate_values) == (None, {})


def test_what_is_switched_off_stops_nobody(driverless: Make) -> None:
    study = driverless(search={"sampler": "random"}, n_trials=8)
    assert {train_next(study.ledger, accuracy / 10) for accuracy in range(8, 0, -1)} == {9}
    assert study.ledger.is_finished


def test_a_stopped_trial_is_taken_up_before_anything_new_and_finished(driverless: Make) -> None:
    study = driverless(n_trials=5)
    for accuracy in (0.9, 0.8, 0.1):
        train_next(study.ledger, accuracy)
    before = study.trials()[1]
    assert study.states() == ["COMPLETE", "PRUNED", "PRUNED"]
    assert train_next(study.ledger, 0.05) == 1
    # One of four is better than the second: it stands in the top third.
    job = next_job(study.ledger)
    assert (job.number, job.fingerprint) == (1, before.fingerprint)
    assert study.states() == ["COMPLETE", "RUNNING", "PRUNED", "PRUNED"]
    record = study.trials()[1]
    assert (record.epochs_done, record.attempts, record.accuracy) == (1, 2, None)
    assert record.finished_at is None
    stored = study.optuna_study().trials[1]
    assert (stored.datetime_complete, stored.params) == (
        None,
        study.ledger._optuna_trials.trials()[1].params,
    )
    assert train(study.ledger, 1, 0.95, begin=2) == 9
    assert study.states() == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]
    assert study.optuna_study().trials[1].values[0] == 0.95
    assert [e.validation_accuracy for e in study.store.epochs("digits", 1)] == [0.8] + [0.95] * 8
    assert next_job(study.ledger).number == 4


def test_a_trial_taken_up_may_be_stopped_again_at_a_later_rung(driverless: Make) -> None:
    study = driverless(n_trials=4)
    for accuracy in (0.9, 0.8, 0.1, 0.1):
        train_next(study.ledger, accuracy)
    assert next_job(study.ledger).number == 1
    assert study.ledger.next_job() is None
    assert train(study.ledger, 1, 0.5, begin=2) == 3
    assert study.states() == ["COMPLETE", "PRUNED", "PRUNED", "PRUNED"]
    assert (study.trials()[1].epochs_done, study.trials()[1].accuracy) == (3, 0.5)
    assert study.ledger.is_finished


def test_a_trial_is_stopped_and_taken_up_on_every_database(database_url: str) -> None:
    study = Driverless(database_url, 4, space=SPACE, search=SEARCH, training=TRAINING)
    for accuracy in (0.9, 0.8, 0.1, 0.1):
        train_next(study.ledger, accuracy)
    assert study.states() == ["COMPLETE", "PRUNED", "PRUNED", "PRUNED"]
    study.restart()
    assert next_job(study.ledger).number == 1
    assert study.states()[1] == "RUNNING"
    assert train(study.ledger, 1, 0.95, begin=2) == 9
    assert study.states() == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]
    study.close()


def test_it_is_not_judged_again_where_it_was_let_go_on(driverless: Make) -> None:
    study = driverless(n_trials=7)
    for accuracy in (0.9, 0.8, 0.1, 0.1):
        train_next(study.ledger, accuracy)
    assert next_job(study.ledger).number == 1
    for accuracy in (0.95, 0.94, 0.93):  # meanwhile better ones come
        job = next_job(study.ledger)
        study.ledger.add_epochs(job.number, [an_epoch(1, accuracy)])
    assert study.ledger.add_epochs(1, [an_epoch(1, 0.8)])  # what its checkpoint knows
    assert study.ledger.add_epochs(1, [an_epoch(2, 0.8)])


def test_while_trials_run_the_end_is_open(driverless: Make) -> None:
    study = driverless(n_trials=4)
    for accuracy in (0.9, 0.8, 0.1):
        train_next(study.ledger, accuracy)
    last = next_job(study.ledger)
    assert study.ledger.next_job() is None
    assert not study.ledger.has_no_more
    assert not study.ledger.is_finished
    train(study.ledger, last.number, 0.1)
    assert not study.ledger.has_no_more  # the second is to go on
    assert not study.ledger.is_finished
    assert train_next(study.ledger, 0.8) == 3
    assert study.ledger.has_no_more
    assert study.ledger.next_job() is None
    assert study.ledger.is_finished


def test_the_next_driver_takes_up_what_this_one_stopped(driverless: Make) -> None:
    study = driverless(n_trials=4)
    for accuracy in (0.9, 0.8, 0.1, 0.1):
        train_next(study.ledger, accuracy)
    study.restart()
    assert not study.ledger.has_no_more
    assert next_job(study.ledger).number == 1
    study.restart()  # killed: the trial runs
    assert study.states()[1] == "RUNNING"
    job = next_job(study.ledger)
    assert job.number == 1
    assert study.ledger.queue_unfinished() == [1]
    assert study.states()[1] == "WAITING"
    study.restart()
    assert next_job(study.ledger).number == 1
    assert train(study.ledger, 1, 0.95, begin=2) == 9
    assert study.trials()[1].attempts == 4
    assert study.ledger.is_finished


def test_a_larger_total_takes_up_what_a_finished_study_stopped(driverless: Make) -> None:
    study = driverless(n_trials=3)
    for accuracy in (0.9, 0.8, 0.1):
        train_next(study.ledger, accuracy)
    assert study.ledger.is_finished
    study.restart(4)
    assert train_next(study.ledger, 0.1) == 1
    assert next_job(study.ledger).number == 1


def test_epochs_that_a_killed_driver_missed_are_judged_at_once(driverless: Make) -> None:
    study = driverless()
    train_next(study.ledger, 0.9)
    job = next_job(study.ledger)
    study.restart()
    assert next_job(study.ledger).number == job.number
    epochs = [an_epoch(1, 0.8), an_epoch(2, 0.8)]
    assert not study.ledger.add_epochs(job.number, epochs)
    assert (study.trials()[1].state, study.trials()[1].epochs_done) == (TrialState.PRUNED, 2)


def test_a_training_at_its_end_is_never_stopped(driverless: Make) -> None:
    study = driverless()
    train_next(study.ledger, 0.9)
    job = next_job(study.ledger)
    # As after a kill between the last epoch and its record.
    assert study.ledger.add_epochs(job.number, [an_epoch(i, 0.1) for i in range(1, 10)])
    study.ledger.complete(job.number, a_summary(0.1))
    assert study.states() == ["COMPLETE", "COMPLETE"]


def test_a_failed_trial_is_no_measure_and_others_may_go_on_then(driverless: Make) -> None:
    study = driverless(n_trials=3)
    first = next_job(study.ledger)
    study.ledger.add_epochs(first.number, [an_epoch(1, 0.9)])
    assert train_next(study.ledger, 0.8) == 1
    study.ledger.fail(first.number, "loss is NaN in epoch 2")
    job = next_job(study.ledger)
    assert job.number == 1
    study.restart()
    assert next_job(study.ledger).number == 1
    # After the restart, too, a stopped trial is not compared with it.
    assert train(study.ledger, 1, 0.7, begin=2) == 9


def same_again(study: Driverless, number: int) -> int:
    """Propose a trial's training once more; give the new trial's number."""
    parameters = study.ledger._optuna_trials.trials()[number].params
    space = study.ledger._space
    space.first[:] = [parameters] * (len(study.trials()) + 1)
    study.ledger.next_job()
    return len(study.trials()) - 1


def test_a_duplicate_of_a_stopped_trial_shares_its_ends(driverless: Make) -> None:
    study = driverless(n_trials=6)
    for accuracy in (0.9, 0.8, 0.1):
        train_next(study.ledger, accuracy)
    study.n_trials = 4
    study.restart()
    twin = same_again(study, 1)
    record = study.trials()[twin]
    assert (record.state, record.reused_from) == (TrialState.PRUNED, 1)
    assert (record.accuracy, record.epochs_done, record.attempts) == (0.8, 1, 0)
    assert study.store.epochs("digits", twin) == []
    study.restart(5)
    assert train_next(study.ledger, 0.05) == 1
    assert next_job(study.ledger).number == 1
    assert study.states()[twin] == "PRUNED"
    study.ledger.add_epochs(1, [an_epoch(i, 0.95) for i in range(2, 10)])
    study.ledger.complete(1, a_summary(0.95))
    assert study.states()[twin] == "COMPLETE"
    assert study.trials()[twin].accuracy == 0.95
    assert study.ledger.is_finished


@pytest.mark.parametrize("end", ["stop", "fail"])
def test_duplicates_follow_a_trial_that_is_stopped_again_or_fails(
    driverless: Make, end: str
) -> None:
    study = driverless(n_trials=4)
    for accuracy in (0.9, 0.8, 0.1):
        train_next(study.ledger, accuracy)
    twin = same_again(study, 1)
    study.restart(5)
    assert train_next(study.ledger, 0.05) == 1
    assert next_job(study.ledger).number == 1
    if end == "stop":
        assert train(study.ledger, 1, 0.3, begin=2) == 3
        record = study.trials()[twin]
        assert (record.state, record.accuracy, record.epochs_done) == (TrialState.PRUNED, 0.3, 3)
    else:
        study.ledger.fail(1, "out of memory")
        record = study.trials()[twin]
        assert (record.state, record.accuracy) == (TrialState.FAIL, None)
        assert record.error == "the same training failed as trial 1: out of memory"
    ours = study.states()
    study.restart()
    assert study.states() == ours
    assert study.ledger.is_finished


class Killed(BaseException):
    """What SIGKILL would be."""


@pytest.mark.parametrize("method", ["reopen", "tell"])
def test_a_kill_between_the_two_rows_of_a_trial_is_mended(
    driverless: Make, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = driverless(n_trials=4)
    for accuracy in (0.9, 0.8, 0.1):
        train_next(study.ledger, accuracy)
    last = next_job(study.ledger)

    def killed(*_: object) -> None:
        raise Killed

    if method == "tell":  # ours is PRUNED, Optuna's still RUNNING
        monkeypatch.setattr(study.ledger._optuna_trials, "tell", killed)
        with suppress(Killed):
            train(study.ledger, last.number, 0.1)
        assert study.trials()[3].state == TrialState.PRUNED
        assert study.optuna_states()[3] == "RUNNING"
    else:  # Optuna's is RUNNING again, ours still PRUNED
        train(study.ledger, last.number, 0.1)
        monkeypatch.setattr(study.store, "put_trial", killed)
        with suppress(Killed):
            study.ledger.next_job()
        assert study.trials()[1].state == TrialState.PRUNED
        assert study.optuna_states()[1] == "RUNNING"
    monkeypatch.undo()
    study.restart()
    assert study.states() == ["COMPLETE", "PRUNED", "PRUNED", "PRUNED"]
    assert next_job(study.ledger).number == 1


def test_a_trial_pruned_by_other_tools_is_left_alone(driverless: Make) -> None:
    study = driverless(n_trials=2)
    job = next_job(study.ledger)
    study.ledger.add_epochs(job.number, [an_epoch(1, 0.9)])
    study.optuna_study().tell(0, state=optuna.trial.TrialState.PRUNED)
    study.restart()
    assert next_job(study.ledger).number == 1
    assert study.trials()[0].state == TrialState.PRUNED
    assert not is_stopped(study.trials()[0])


def test_tpe_proposes_on_from_stopped_trials(driverless: Make) -> None:
    study = driverless(search=SEARCH | {"sampler": "tpe"}, n_trials=16)
    accuracies = iter([0.9, 0.8] + [0.1] * 30)
    while (job := study.ledger.next_job()) is not None:
        train(
            study.ledger,
            job.number,
            next(accuracies),
            begin=study.trials()[job.number].epochs_done + 1,
        )
    states = study.states()
    assert states.count("PRUNED") >= 12
    assert study.ledger.is_finished
    assert {t.number for t in study.optuna_study().best_trials} <= {0, 1}


def a_record(number: int, b_out: int, **changes: Any) -> TrialRecord:
    sizes = network_sizes(MIXED, uniform_settings(MIXED, (1, b_out, 8, 8, 8)))
    return a_trial(number, sizes=sizes, epochs_wanted=9, **changes)


@pytest.mark.parametrize(
    ("objectives", "goes_on"),
    [
        (["accuracy", "memory_ratio"], False),
        (["accuracy", "packed_bytes"], False),
        (["accuracy", "loss"], False),
        # Fewer operations are something that a larger student may have.
        (["accuracy", "memory_ratio", "execution_macs"], True),
    ],
)
def test_small_means_all_that_is_searched_and_known_before(
    driverless: Make, objectives: list[str], goes_on: bool
) -> None:
    spec = a_spec(search=SEARCH | {"objectives": objectives}, training=TRAINING)
    store = driverless().store
    early = EarlyStopping(spec, {}, store)
    small, large = a_record(0, 4), a_record(1, 30)
    large = replace(large, sizes=replace(large.sizes, execution_macs=1))
    assert early.goes_on(small, [an_epoch(1, 0.9)])
    assert early.goes_on(large, [an_epoch(1, 0.8)]) == goes_on
    # The smaller one is no worse off for any larger one.
    assert early.goes_on(a_record(2, 3), [an_epoch(1, 0.1)])
