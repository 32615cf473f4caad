import math
from dataclasses import replace
from typing import Any

import pytest

from mlgsearch.errors import StudyFailedError
from mlgsearch.mlg.network import network_sizes
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import TrialState
from mlgsearch.train.own_code import OwnCodeError
from tests.study.driverless import Driverless, Make, a_summary, next_job
from tests.study.samples import MIXED, an_epoch

PAPERS = [2, 44, 3, 6, 3]


def test_the_whole_life_of_a_study_on_every_database(database_url: str) -> None:
    study = Driverless(database_url, n_trials=4, search={"first": [PAPERS]})
    first, second, third = (next_job(study.ledger) for _ in range(3))
    study.ledger.add_epochs(first.number, [an_epoch(1), an_epoch(2)])
    study.ledger.complete(first.number, a_summary(0.91))
    study.ledger.fail(second.number, "NaN \x00 in epoch 1")
    assert study.ledger.queue_unfinished() == [third.number]
    assert study.states() == ["COMPLETE", "FAIL", "WAITING"]

    study.restart()
    adopted = next_job(study.ledger)
    assert adopted.number == 2
    assert adopted.proposal == third.proposal
    last = next_job(study.ledger)
    assert last.number == 3
    assert study.ledger.next_job() is None
    assert not study.ledger.is_finished
    study.restart()
    while (job := study.ledger.next_job()) is not None:
        study.ledger.complete(job.number, a_summary())
    assert study.ledger.is_finished
    assert study.states() == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert [trial.attempts for trial in study.trials()] == [1, 1, 3, 2]
    assert [epoch.epoch for epoch in study.store.epochs("digits", 0)] == [1, 2]
    # Optuna's own tools see the same values.
    assert study.optuna_study().trials[0].values == [
        0.91,
        math.log10(study.trials()[0].sizes.memory_ratio),
    ]
    assert study.optuna_study().trials[1].user_attrs["mlgsearch:error"].startswith("NaN")
    study.close()


def test_a_new_trial_is_recorded_with_all_that_is_known_of_it(driverless: Make) -> None:
    study = driverless(
        search={"first": [PAPERS]},
        seed=7,
        training={"epochs": 3},
        space={"hyperparameters": {"training.batch_size": {"choices": [32]}}},
    )
    job = next_job(study.ledger)
    (record,) = study.trials()
    settings_wanted = uniform_settings(MIXED, (2, 44, 3, 6, 3))
    assert job.proposal.settings == settings_wanted
    assert record.settings == {name: s.five for name, s in settings_wanted.items()}
    assert record.sizes == network_sizes(MIXED, settings_wanted)
    assert record.state == TrialState.RUNNING
    assert record.hyperparameters == {"training.batch_size": 32}
    assert record.fingerprint == job.fingerprint
    assert (record.seed, record.epochs_wanted, record.attempts) == (7, 3, 1)
    assert (record.teacher_hash, record.versions) == ("beef", {"torch": "2"})
    assert record.created_at is not None


def test_first_trials_come_first_and_in_order(driverless: Make) -> None:
    study = driverless(
        space={"kind": "uniform"}, search={"first": [PAPERS, [1, 8, 3, 6, 3], [4, 16, 8, 8, 8]]}
    )
    jobs = [next_job(study.ledger) for _ in range(4)]
    asked = [trial.params["B_out"] for trial in study.optuna_study().trials]
    assert asked[:3] == [44, 8, 16]
    assert [job.number for job in jobs] == [0, 1, 2, 3]


def test_a_complete_trial_has_its_results_and_is_reported(driverless: Make) -> None:
    study = driverless()
    job = next_job(study.ledger)
    study.ledger.add_epochs(job.number, [an_epoch(1)])
    study.ledger.complete(job.number, a_summary(0.75, 0.5))
    (record,) = study.trials()
    assert record.state == TrialState.COMPLETE
    assert (record.accuracy, record.loss, record.epochs_done) == (0.75, 0.5, 1)
    assert record.projection_error == {"stem": 0.1}
    assert record.stage_seconds == {"train": 1.5}
    assert record.finished_at is not None
    assert record.reused_from is None
    assert record.error is None
    assert [r.state.value for r, _ in study.seen] == ["RUNNING", "RUNNING", "RUNNING", "COMPLETE"]
    assert [len(epochs) for _, epochs in study.seen] == [0, 0, 1, 0]
    # The driver holds no more of it than it reads again.
    assert study.ledger.records == [replace(record, settings={}, layer_bits={}, versions={})]
    assert record.settings
    study.restart()
    assert study.ledger.records == [replace(record, settings={}, layer_bits={}, versions={})]


def test_epochs_told_again_are_left_as_they_are(driverless: Make) -> None:
    study = driverless()
    job = next_job(study.ledger)
    study.ledger.add_epochs(job.number, [an_epoch(1, 0.1), an_epoch(2, 0.2)])
    study.ledger.add_epochs(job.number, [an_epoch(1, 0.9), an_epoch(2, 0.9), an_epoch(3, 0.3)])
    study.ledger.add_epochs(job.number, [an_epoch(3, 0.9)])
    study.ledger.add_epochs(job.number, [])
    epochs = study.store.epochs("digits", job.number)
    assert [e.validation_accuracy for e in epochs] == [0.1, 0.2, 0.3]
    assert study.trials()[0].epochs_done == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"accuracy": math.nan}, "accuracy: nan is not a usable value"),
        ({"accuracy": math.inf}, "accuracy: inf is not a usable value"),
        ({"accuracy": None}, "accuracy is missing"),
        ({"loss": math.nan}, "loss: nan is not a usable value"),
        ({"loss": None}, "loss is missing"),
    ],
)
def test_a_result_that_is_not_finite_fails_the_trial(
    driverless: Make, changes: dict[str, Any], said: str
) -> None:
    study = driverless()
    job = next_job(study.ledger)
    study.ledger.complete(job.number, replace(a_summary(), **changes))
    assert study.states() == ["FAIL"]
    assert study.trials()[0].error == f"the training gave no usable result: {said}"
    assert study.trials()[0].accuracy is None


def test_a_third_objective_reaches_optuna(driverless: Make) -> None:
    study = driverless(search={"objectives": ["accuracy", "memory_ratio", "generation_macs"]})
    job = next_job(study.ledger)
    study.ledger.complete(job.number, a_summary())
    sizes = study.trials()[0].sizes
    values = study.optuna_study().trials[0].values
    assert values[1:] == [math.log10(sizes.memory_ratio), math.log10(sizes.generation_macs)]


def test_n_trials_is_a_total_and_a_larger_one_extends(driverless: Make) -> None:
    study = driverless(n_trials=2)
    for _ in range(2):
        study.ledger.complete(next_job(study.ledger).number, a_summary())
    assert study.ledger.next_job() is None
    assert study.ledger.is_finished
    study.restart(3)
    assert not study.ledger.is_finished
    job = next_job(study.ledger)
    assert job.number == 2
    study.ledger.fail(job.number, "no")
    assert study.ledger.is_finished
    study.restart(1)
    assert study.ledger.is_finished
    assert study.ledger.next_job() is None
    assert len(study.trials()) == 3


def test_an_unfinished_trial_above_the_target_is_finished_all_the_same(driverless: Make) -> None:
    study = driverless(n_trials=3)
    for _ in range(3):
        next_job(study.ledger)
    study.restart(1)
    assert not study.ledger.has_no_more
    for _ in range(3):
        study.ledger.complete(next_job(study.ledger).number, a_summary())
    assert study.ledger.next_job() is None
    assert study.ledger.is_finished


def test_a_stop_with_nothing_unfinished_queues_nothing(driverless: Make) -> None:
    study = driverless(n_trials=1)
    assert study.ledger.queue_unfinished() == []
    study.ledger.complete(next_job(study.ledger).number, a_summary())
    assert study.ledger.queue_unfinished() == []
    assert study.states() == ["COMPLETE"]


def test_a_sampler_that_cannot_be_made_is_told_before_any_work(driverless: Make) -> None:
    with pytest.raises(OwnCodeError, match=r"^search\.sampler: no_such_module:f: cannot import"):
        driverless(search={"sampler": "no_such_module:f"})


def test_a_study_whose_every_trial_failed_is_told_with_its_reasons(driverless: Make) -> None:
    study = driverless(n_trials=2)
    first, second = next_job(study.ledger), next_job(study.ledger)
    study.ledger.fail(first.number, "no such layer")
    study.ledger.check_end()  # it goes on
    study.ledger.fail(second.number, "loss is NaN in epoch 1")
    with pytest.raises(StudyFailedError, match="all 2 trials failed, 1 with: no such layer; 1 wi"):
        study.ledger.check_end()


def test_a_study_of_which_any_trial_came_to_something_is_not(driverless: Make) -> None:
    study = driverless(n_trials=2)
    first, second = next_job(study.ledger), next_job(study.ledger)
    study.ledger.fail(first.number, "no such layer")
    study.ledger.complete(second.number, a_summary())
    study.ledger.check_end()
