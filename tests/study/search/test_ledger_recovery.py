"""What a ledger makes of what earlier drivers and other tools left."""

import pytest
from optuna.trial import TrialState as OptunaState

from mlgsearch.errors import StudyConflictError
from mlgsearch.records import TrialState
from tests.study.driverless import NARROW, Driverless, Make, a_summary, next_job
from tests.study.samples import an_epoch

PAPERS = [2, 44, 3, 6, 3]


def test_orphans_are_adopted_by_number_before_anything_new(driverless: Make) -> None:
    study = driverless(search={"first": [PAPERS]})
    before = [next_job(study.ledger) for _ in range(4)]
    study.ledger.complete(1, a_summary())
    study.ledger.add_epochs(2, [an_epoch(1)])
    study.restart()
    after = [next_job(study.ledger) for _ in range(4)]
    assert [job.number for job in after] == [0, 2, 3, 4]
    for job in after[:3]:
        assert job.proposal == before[job.number].proposal
        assert job.fingerprint == before[job.number].fingerprint
    trials = study.trials()
    assert [trial.attempts for trial in trials] == [2, 1, 2, 2, 1]
    assert trials[2].epochs_done == 1
    study.ledger.lose(2)
    again = next_job(study.ledger)
    assert (again.number, again.attempt) == (2, 3)
    assert study.trials()[2].attempts == 3


# A crash between the two rows, in every order.


def test_optunas_row_without_ours_is_made_up_for(driverless: Make) -> None:
    study = driverless()
    job = next_job(study.ledger)
    other = Driverless(study.url, space=study.spec.space.model_dump(mode="json"))
    space = other.ledger._space
    other.ledger._optuna_trials.ask(other.ledger._make_sampler(), space.distributions)
    other.close()
    assert (len(study.trials()), len(study.optuna_states())) == (1, 2)
    study.restart()
    assert study.states() == ["RUNNING", "RUNNING"]
    assert [next_job(study.ledger).number for _ in range(2)] == [job.number, 1]


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.FAIL])
def test_our_finished_row_without_optunas_is_made_up_for(
    driverless: Make, state: TrialState, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = driverless()
    job = next_job(study.ledger)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(study.ledger._optuna_trials, "tell", killed)

    def finish() -> None:
        if state == TrialState.COMPLETE:
            study.ledger.complete(job.number, a_summary(0.6))
        else:
            study.ledger.fail(job.number, "no")

    with pytest.raises(KeyboardInterrupt):
        finish()
    assert (study.trials()[0].state, study.optuna_states()) == (state, ["RUNNING"])
    study.restart()
    assert study.states() == [state.value]
    if state == TrialState.COMPLETE:
        assert study.optuna_study().trials[0].values[0] == 0.6


@pytest.mark.parametrize(
    ("outside", "inside"), [("COMPLETE", "FAIL"), ("FAIL", "FAIL"), ("PRUNED", "PRUNED")]
)
def test_a_trial_finished_by_other_tools_is_not_trained_on(
    driverless: Make, outside: str, inside: str
) -> None:
    study = driverless(n_trials=2)
    next_job(study.ledger)
    values = [0.5, -1.0] if outside == "COMPLETE" else None
    study.optuna_study().tell(0, values, state=OptunaState[outside])
    study.restart()
    record = study.trials()[0]
    assert record.state.value == inside
    assert record.error == f"finished outside mlgsearch as {outside}"
    assert next_job(study.ledger).number == 1


def test_a_trial_enqueued_by_other_tools_is_failed_and_counted(driverless: Make) -> None:
    study = driverless(n_trials=3, space=NARROW)
    study.ledger.complete(next_job(study.ledger).number, a_summary())
    study.optuna_study().enqueue_trial({"B_in": 1})
    study.restart()
    assert study.states() == ["COMPLETE", "FAIL"]
    assert "outside mlgsearch" in str(study.trials()[1].error)
    while (job := study.ledger.next_job()) is not None:
        study.ledger.complete(job.number, a_summary())
    assert study.ledger.is_finished
    assert len(study.states()) == 3


def test_a_study_whose_optuna_rows_are_gone_is_refused(driverless: Make) -> None:
    study = driverless()
    study.ledger.complete(next_job(study.ledger).number, a_summary())
    study.storage.delete_study(study.storage.get_study_id_from_name("digits"))
    with pytest.raises(StudyConflictError, match="holds 1 trials, but Optuna's tables only 0"):
        study.restart()
    assert [trial.state for trial in study.trials()] == [TrialState.COMPLETE]
