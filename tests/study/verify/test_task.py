"""Which trainings are wanted, and what each of them is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from mlgsearch.errors import TrialNotFoundError, UserError
from mlgsearch.records import TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.verify.task import VerifyRequest, VerifyTask, wanted_tasks
from mlgsearch.train.student.trial import TrialJob
from tests.results.samples import a_complete, a_study, a_trial
from tests.study.driverless import empty_database
from tests.study.samples import a_spec

SPEC = a_spec(seed=7, training={"epochs": 12})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    (tmp_path / "a.db").write_bytes(empty_database())
    engine: Engine = open_engine(f"sqlite:///{tmp_path}/a.db")
    store = ResultStore(engine)
    store.create_study(a_study())
    yield store
    engine.dispose()


@pytest.fixture
def filled(store: ResultStore) -> ResultStore:
    for trial in (
        a_complete(0, 0.9, 0.05),
        a_complete(1, 0.8, 0.01),
        a_complete(2, 0.7, 0.03),
        a_complete(3, 0.9, 0.05, reused_from=0),
        a_trial(4, state=TrialState.PRUNED, accuracy=0.5),
    ):
        store.put_trial("digits", trial)
    return store


def wanted(store: ResultStore, *trials: int, **changes: int) -> list[VerifyTask]:
    request = VerifyRequest(trials=trials or None, **changes)
    return wanted_tasks(store, store.study("digits"), SPEC, request)


def test_the_front_under_three_seeds_after_the_studys_own(filled: ResultStore) -> None:
    tasks = wanted(filled)
    assert [task.key for task in tasks] == [
        (number, seed, 12) for seed in (8, 9, 10) for number in (1, 0)
    ]
    assert tasks[0].settings == filled.trial("digits", 1).settings


def test_trials_epochs_and_seeds_as_they_are_asked_for(filled: ResultStore) -> None:
    tasks = wanted(filled, 2, 0, epochs=40, seeds=1)
    assert [task.key for task in tasks] == [(2, 8, 40), (0, 8, 40)]


def test_a_shared_result_is_verified_once(filled: ResultStore) -> None:
    assert [task.trial for task in wanted(filled, 3, 0, 3, seeds=1)] == [0]


def test_the_job_has_the_trials_hyperparameters_and_its_own_seed_and_length() -> None:
    settings = {"stem": (0, 0, 8, 0, 0), "layer": (2, 44, 3, 6, 3)}
    task = VerifyTask(0, 8, 40, settings, {"training.learning_rate": 0.125})
    job: TrialJob = task.job(SPEC.train_spec())
    assert {name: setting.five for name, setting in job.settings.items()} == settings
    assert (job.spec.seed, job.spec.training.epochs) == (8, 40)
    assert job.spec.training.learning_rate == 0.125
    same = job.spec.model_copy(update={"seed": 7, "training": SPEC.training})
    assert same == SPEC.train_spec()


def test_every_seed_and_length_has_a_folder_of_its_own(filled: ResultStore) -> None:
    tasks = [*wanted(filled), *wanted(filled, epochs=40)]
    assert len({(task.trial, task.folder) for task in tasks}) == len(tasks)


@pytest.mark.parametrize(
    ("number", "said"),
    [(4, "trial 4 of 'digits' is PRUNED: only a COMPLETE one"), (9, "has no trial 9")],
)
def test_a_trial_that_cannot_be_verified_is_reported(
    filled: ResultStore, number: int, said: str
) -> None:
    with pytest.raises((UserError, TrialNotFoundError), match=said):
        wanted(filled, 0, number)


def test_an_empty_study_has_nothing_to_verify(store: ResultStore) -> None:
    with pytest.raises(UserError, match="no COMPLETE trial yet"):
        wanted(store)
