"""Students that are proposed again: trained once, and shared."""

import math

import pytest

from mlgsearch.records import MEASURES, TrialState
from tests.study.driverless import NARROW, Driverless, Make, a_summary, next_job
from tests.study.samples import an_epoch


def duplicates(study: Driverless) -> dict[int, list[int]]:
    """Return the trials that were made as duplicates, by the trial they are the same as."""
    by_fingerprint: dict[str, list[int]] = {}
    for trial in study.trials():
        by_fingerprint.setdefault(trial.fingerprint, []).append(trial.number)
    return {numbers[0]: numbers[1:] for numbers in by_fingerprint.values()}


def test_a_duplicate_of_a_complete_trial_shares_its_result_and_says_so(driverless: Make) -> None:
    study = driverless(space=NARROW, search={"sampler": "random"}, n_trials=8)
    jobs = []
    while (job := study.ledger.next_job()) is not None:
        jobs.append(job.number)
        study.ledger.add_epochs(job.number, [an_epoch(1)])
        study.ledger.complete(job.number, a_summary(0.5 + job.number / 100))
    same = duplicates(study)
    assert jobs == list(same)
    assert len(jobs) == 2
    assert study.ledger.is_finished
    assert study.states() == ["COMPLETE"] * 8
    trials = study.trials()
    for first, others in same.items():
        assert trials[first].reused_from is None
        for other in others:
            assert trials[other].reused_from == first
            for measure in (m for m in MEASURES if not m.is_predicted):
                shared = getattr(trials[other], measure.name)
                assert shared == getattr(trials[first], measure.name) is not None
            assert trials[other].epochs_done == 1
            assert trials[other].attempts == 0
            assert study.store.epochs("digits", other) == []
            seen = study.optuna_study().trials[other]
            assert seen.values == study.optuna_study().trials[first].values
            assert seen.user_attrs["mlgsearch:reused_from"] == first


def test_the_packed_files_size_may_be_searched(driverless: Make) -> None:
    objectives = ["accuracy", "packed_bytes"]
    study = driverless(search={"sampler": "random", "objectives": objectives}, n_trials=1)
    study.ledger.complete(next_job(study.ledger).number, a_summary(0.7))
    assert study.trials()[0].packed_bytes == a_summary().packed_bytes
    seen = study.optuna_study().trials[0].values
    assert seen == [0.7, pytest.approx(math.log10(1_234))]


def test_duplicates_of_a_running_trial_wait_and_share_its_result(driverless: Make) -> None:
    study = driverless(space=NARROW, search={"sampler": "random"}, n_trials=8)
    one, two = next_job(study.ledger), next_job(study.ledger)
    assert study.ledger.next_job() is None
    assert not study.ledger.has_no_more  # a worker may die
    assert not study.ledger.is_finished
    same = duplicates(study)
    assert [s for s in study.states() if s != "RUNNING"] == []
    study.ledger.complete(one.number, a_summary(0.7))
    trials = study.trials()
    assert all(trials[n].state == TrialState.COMPLETE for n in same[one.number])
    assert all(trials[n].reused_from == one.number for n in same[one.number])
    assert all(trials[n].state == TrialState.RUNNING for n in [two.number, *same[two.number]])
    study.ledger.complete(two.number, a_summary(0.8))
    assert study.ledger.is_finished
    assert study.states() == ["COMPLETE"] * 8


def test_duplicates_of_a_running_trial_fail_with_it(driverless: Make) -> None:
    study = driverless(space=NARROW, search={"sampler": "random"}, n_trials=8)
    one, two = next_job(study.ledger), next_job(study.ledger)
    assert study.ledger.next_job() is None
    same = duplicates(study)
    study.ledger.fail(one.number, "out of memory")
    study.ledger.complete(two.number, a_summary(math.nan))
    assert study.states() == ["FAIL"] * 8
    assert study.ledger.is_finished
    trials = study.trials()
    for number in same[one.number]:
        assert trials[number].error == (
            f"the same training failed as trial {one.number}: out of memory"
        )


def test_a_training_that_failed_is_tried_again_for_a_later_duplicate(driverless: Make) -> None:
    study = driverless(space=NARROW, search={"sampler": "random"}, n_trials=8)
    failed = next_job(study.ledger)
    study.ledger.fail(failed.number, "out of memory")
    numbers = []
    while (job := study.ledger.next_job()) is not None:
        numbers.append(job.number)
        study.ledger.complete(job.number, a_summary())
    assert len(numbers) == 2
    assert study.states().count("COMPLETE") == 7


def test_waiting_duplicates_survive_a_stop(driverless: Make) -> None:
    study = driverless(space=NARROW, search={"sampler": "random"}, n_trials=6)
    next_job(study.ledger)
    next_job(study.ledger)
    assert study.ledger.next_job() is None
    assert study.ledger.queue_unfinished() == [0, 1, 2, 3, 4, 5]
    assert study.states() == ["WAITING"] * 6
    study.restart()
    one, two = next_job(study.ledger), next_job(study.ledger)
    assert study.ledger.next_job() is None
    study.ledger.complete(one.number, a_summary())
    study.ledger.complete(two.number, a_summary())
    assert study.states() == ["COMPLETE"] * 6


def test_duplicates_wait_on_for_a_trial_whose_worker_died(driverless: Make) -> None:
    study = driverless(space=NARROW, search={"sampler": "random"}, n_trials=8)
    one, two = next_job(study.ledger), next_job(study.ledger)
    assert study.ledger.next_job() is None
    study.ledger.lose(two.number)
    study.ledger.lose(one.number)
    again = [next_job(study.ledger) for _ in range(2)]
    assert sorted((job.number, job.attempt) for job in again) == [(one.number, 2), (two.number, 2)]
    assert study.ledger.next_job() is None
    for job in again:
        study.ledger.complete(job.number, a_summary())
    assert study.states() == ["COMPLETE"] * 8
    own = [trial.number for trial in study.trials() if trial.reused_from is None]
    assert own == sorted(job.number for job in again)
