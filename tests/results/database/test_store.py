"""The contract of ResultStore, on every database."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import StatementError

from mlgsearch.errors import (
    StudyConflictError,
    StudyNotFoundError,
    TrialNotFoundError,
    UserError,
)
from mlgsearch.records import LayerRecord, PlannedStudent, TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.tables import metadata
from mlgsearch.results.database.verification_store import VerificationStore
from tests.results.samples import a_complete, a_study, a_trial, a_verification, an_epoch, begin_run

#: What a run begins with, none of it as `a_study` has it.
FACTS: dict[str, Any] = {
    "content": {"zeta": 7},
    "n_trials": 99,
    "data_hash": "da7a",
    "validation_samples": 269,
    "teacher_hash": "abc",
    "teacher_accuracy": 0.9,
}


def test_a_study_reads_back_as_written(store: ResultStore) -> None:
    store.create_study(a_study())
    read = store.study("digits")
    assert replace(read, created_at=None) == a_study()
    assert list(read.content) == ["zeta", "alpha"]
    assert read.created_at is not None
    assert read.created_at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - read.created_at) < timedelta(minutes=1)


def test_studies_come_oldest_first(store: ResultStore) -> None:
    for name in ("b", "a", "c"):
        store.create_study(a_study(name))
    assert [study.name for study in store.studies()] == ["b", "a", "c"]


def test_creating_again_with_the_same_content_changes_nothing(store: ResultStore) -> None:
    store.create_study(a_study())
    begin_run(store, n_trials=20)
    store.create_study(a_study())
    assert store.study("digits").n_trials == 20


def test_resources_may_change_and_are_recorded(store: ResultStore) -> None:
    store.create_study(a_study())
    before = store.study("digits")
    begin_run(store, content={**before.content, "resources": {"cpu": 2}})
    after = store.study("digits")
    assert after.content["resources"] == {"cpu": 2}
    assert after.content_hash == before.content_hash


def test_creating_again_with_other_content_is_refused(store: ResultStore) -> None:
    store.create_study(a_study())
    with pytest.raises(StudyConflictError, match="'digits' with different content exists"):
        store.create_study(a_study(content_hash="other"))


@pytest.mark.parametrize("name", ["x", "x" * 128, "Ω ü 研究", "a/b", "%(x)s {y}", "'; --"])
def test_names_that_are_good(store: ResultStore, name: str) -> None:
    store.create_study(a_study(name))
    assert store.study(name).name == name
    assert store.state_counts(name)[TrialState.WAITING] == 0


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb", "a\x00b", " a", "a ", "\ud800"])
def test_names_that_are_refused(store: ResultStore, name: str) -> None:
    with pytest.raises(UserError, match="1 to 128 printable characters"):
        store.create_study(a_study(name))


def test_names_differ_by_case(store: ResultStore) -> None:
    store.create_study(a_study("digits"))
    store.create_study(a_study("Digits", n_trials=3))
    assert store.study("Digits").n_trials == 3


def test_an_unknown_study_is_told_with_the_nearest(store: ResultStore) -> None:
    with pytest.raises(StudyNotFoundError, match="holds none yet"):
        store.study("digits")
    store.create_study(a_study("digits"))
    store.create_study(a_study("zebra"))
    with pytest.raises(StudyNotFoundError, match=r"no study 'digts'; there is 'digits'$"):
        store.study("digts")
    with pytest.raises(StudyNotFoundError, match=r"there is 'digits', 'zebra'$"):
        store.study("mmmm")


@pytest.mark.parametrize("name", ["", "x" * 100_000, "a\x00b", "\ud800", "'; --", "\x1b[2J"])
def test_a_name_that_no_study_can_have_is_not_found(store: ResultStore, name: str) -> None:
    store.create_study(a_study("digits"))
    for call in (store.study, store.trials, store.delete_study):
        with pytest.raises(StudyNotFoundError) as caught:
            call(name)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300
    with pytest.raises(StudyNotFoundError):
        store.trial(name, 0)


def test_every_method_refuses_an_unknown_study(store: ResultStore) -> None:
    for call in (
        lambda: store.begin_run("no", **FACTS),
        lambda: store.delete_study("no"),
        lambda: store.put_trial("no", a_trial()),
        lambda: store.trials("no"),
        lambda: store.trial("no", 0),
        lambda: store.epochs("no", 0),
        lambda: store.state_counts("no"),
        lambda: store.last_activity("no"),
    ):
        with pytest.raises(StudyNotFoundError):
            call()


def test_what_a_run_begins_with_is_written_together(store: ResultStore) -> None:
    store.create_study(a_study(teacher_hash="", teacher_accuracy=None))
    store.set_ended("digits", 5, "enough")
    before = store.study("digits")
    store.begin_run("digits", **FACTS)
    assert store.study("digits") == replace(before, **FACTS, ended=None)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"n_trials": 0}, UserError), ({"content": {"a": object()}}, StatementError)],
    ids=["refused", "failed"],
)
def test_a_run_that_cannot_begin_leaves_nothing_of_it(
    store: ResultStore, wrong: dict[str, Any], error: type[Exception]
) -> None:
    store.create_study(a_study(teacher_hash="", teacher_accuracy=None))
    store.set_ended("digits", 5, "enough")
    before = (store.study("digits"), store.last_activity("digits"))
    with pytest.raises(error):
        store.begin_run("digits", **(FACTS | wrong))
    assert (store.study("digits"), store.last_activity("digits")) == before


def test_a_trial_reads_back_as_written(store: ResultStore) -> None:
    store.create_study(a_study())
    zone = timezone(timedelta(hours=5, minutes=30))
    trial = a_complete(
        3,
        0.1 + 0.2,
        1 / 3,
        projection_error={"stem": 0.5},
        stage_seconds={"train": 12.25},
        versions={"torch": "2.14.1"},
        teacher_hash="beef",
        reused_from=1,
        attempts=2,
        created_at=datetime(2026, 11, 22, 1, 2, 3, 456789, zone),
        finished_at=datetime(2026, 11, 22, 2, 0, 0, 1, UTC),
    )
    store.put_trial("digits", trial)
    read = store.trial("digits", 3)
    assert read == trial
    assert list(read.settings) == ["stem", "layer1.0"]
    assert read.created_at is not None
    assert read.created_at.tzinfo is UTC


def test_a_network_reads_back_as_written(store: ResultStore) -> None:
    reference = {"accuracy": 0.0, "memory_ratio": -0.5}
    store.create_study(a_study(hypervolume_reference=reference))
    assert store.study("digits").hypervolume_reference == reference
    layers = (
        LayerRecord("stem", "conv", "16\N{MULTIPLICATION SIGN}3", 48, 1536, is_searched=False),
        LayerRecord("head", "linear", "10\N{MULTIPLICATION SIGN}16", 160, 5120, is_searched=True),
    )
    planned = (PlannedStudent(4_321, 1 / 3, 0.1), PlannedStudent(2**40, 0.5, 0.0))
    store.set_network("digits", layers, planned, "25.0% of it are not compressed")
    study = store.study("digits")
    assert study.uncompressed == "25.0% of it are not compressed"
    assert (study.layers, study.planned) == (layers, planned)
    store.put_trial("digits", a_trial(0, layer_bits={"b": 2**40, "a": 1}, layer_damage={"a": 0.1}))
    trial = store.trial("digits", 0)
    assert list(trial.layer_bits.items()) == [("b", 2**40), ("a", 1)]
    assert trial.layer_damage == {"a": 0.1}


def test_an_error_keeps_every_character_a_database_can_hold(store: ResultStore) -> None:
    store.create_study(a_study())
    error = "x" * 100_000 + "Ω\x00\ud800"
    store.put_trial("digits", a_trial(0, state=TrialState.FAIL, error=error))
    assert store.trial("digits", 0).error == "x" * 100_000 + "Ω\\x00\\ud800"


def test_a_second_put_replaces_the_first(store: ResultStore) -> None:
    store.create_study(a_study())
    store.put_trial("digits", a_trial(0, state=TrialState.WAITING))
    waiting = store.trial("digits", 0)
    store.put_trial("digits", a_complete(0, 0.9, 0.1, attempts=1))
    first = store.trial("digits", 0)
    store.put_trial("digits", a_complete(0, 0.9, 0.1, attempts=1))
    again = store.trial("digits", 0)
    assert len(store.trials("digits")) == 1
    assert again == first
    assert again.created_at == waiting.created_at
    assert waiting.finished_at is None
    assert again.finished_at is not None
    assert (again.state, again.accuracy, again.attempts) == (TrialState.COMPLETE, 0.9, 1)


def test_a_trial_sent_back_to_the_queue_has_no_end(store: ResultStore) -> None:
    store.create_study(a_study())
    store.put_trial("digits", a_trial(0, state=TrialState.FAIL, error="killed"))
    store.put_trial("digits", a_trial(0, state=TrialState.WAITING))
    trial = store.trial("digits", 0)
    assert (trial.error, trial.finished_at) == (None, None)


def test_epochs_are_upserted(store: ResultStore) -> None:
    store.create_study(a_study())
    store.put_trial("digits", a_trial(0))
    store.put_trial("digits", a_trial(0), [an_epoch(2), an_epoch(1)])
    store.put_trial("digits", a_trial(0), [an_epoch(2, epoch_s=9.0), an_epoch(3)])
    store.put_trial("digits", a_trial(0), [])
    assert store.epochs("digits", 0) == [an_epoch(1), an_epoch(2, epoch_s=9.0), an_epoch(3)]


def test_accuracies_after_some_epochs_of_all_trials(store: ResultStore) -> None:
    for name in ("digits", "other"):
        store.create_study(a_study(name))
        store.put_trial(name, a_trial(0))
        store.put_trial(name, a_trial(2))
        store.put_trial(name, a_trial(1))
    epochs = [an_epoch(i, validation_accuracy=i / 10) for i in (1, 2, 3)]
    store.put_trial("digits", a_trial(2), epochs)
    store.put_trial("digits", a_trial(1), [an_epoch(1, validation_accuracy=math.nan)])
    store.put_trial("other", a_trial(0), [an_epoch(1)])
    found = store.accuracies("digits", (1, 3, 9))
    assert found[2] == {1: 0.1, 3: 0.3}
    assert list(found) == [1, 2]
    assert math.isnan(found[1][1])
    assert store.accuracies("digits", ()) == {}


def test_an_epoch_that_blew_up_reads_as_nan(store: ResultStore) -> None:
    store.create_study(a_study())
    blown_up = an_epoch(1, train_loss=math.nan, validation_loss=math.inf)
    store.put_trial("digits", a_trial(0), [blown_up])
    (epoch,) = store.epochs("digits", 0)
    assert math.isnan(epoch.train_loss)
    assert math.isnan(epoch.validation_loss)
    assert epoch.train_accuracy == 0.9


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_complete_needs_finite_results(store: ResultStore, value: float | None) -> None:
    store.create_study(a_study())
    with pytest.raises(ValueError, match=r"trial 4 is COMPLETE with accuracy (nan|inf|None)"):
        store.put_trial("digits", replace(a_complete(4, 0.5, 0.1), accuracy=value))
    assert store.trials("digits") == []


def test_a_failed_trial_may_carry_anything(store: ResultStore) -> None:
    store.create_study(a_study())
    bad = a_trial(
        0, state=TrialState.FAIL, loss=math.inf, accuracy=math.nan, projection_error={"a": math.nan}
    )
    store.put_trial("digits", bad)
    trial = store.trial("digits", 0)
    assert (trial.loss, trial.accuracy) == (None, None)
    assert math.isnan(trial.projection_error["a"])


def test_a_time_without_a_zone_is_refused(store: ResultStore) -> None:
    store.create_study(a_study())
    naive = datetime(2026, 1, 1)
    with pytest.raises(ValueError, match="has no time zone"):
        store.put_trial("digits", a_trial(0, created_at=naive))


def test_a_number_that_json_has_not_is_refused(store: ResultStore) -> None:
    with pytest.raises(ValueError, match=r"nan.* holds what JSON does not have"):
        store.create_study(a_study(content={"x": math.nan}))
    store.create_study(a_study())
    with pytest.raises(ValueError, match=r"inf.* holds what JSON does not have"):
        store.put_trial("digits", a_trial(0, hyperparameters={"learning_rate": math.inf}))


def test_trial_and_epochs_are_written_together_or_not_at_all(store: ResultStore) -> None:
    store.create_study(a_study())
    epochs = [an_epoch(n) for n in range(1, 11)]
    store.put_trial("digits", a_complete(0, 0.9, 0.1), epochs)
    assert store.epochs("digits", 0) == epochs
    with pytest.raises(Exception, match=r"epoch"):
        store.put_trial(
            "digits",
            a_complete(1, 0.9, 0.1),
            [
                an_epoch(1),
                replace(an_epoch(2), epoch=None),  # type: ignore[arg-type]
            ],
        )
    assert [trial.number for trial in store.trials("digits")] == [0]


def test_trials_come_by_number(store: ResultStore) -> None:
    store.create_study(a_study("other"))
    store.put_trial("other", a_trial(0))
    store.create_study(a_study())
    for number, state in ((2, TrialState.FAIL), (0, TrialState.WAITING), (1, TrialState.RUNNING)):
        store.put_trial("digits", a_trial(number, state=state))
    assert [trial.number for trial in store.trials("digits")] == [0, 1, 2]
    assert store.state_counts("digits") == {
        TrialState.WAITING: 1,
        TrialState.RUNNING: 1,
        TrialState.COMPLETE: 0,
        TrialState.PRUNED: 0,
        TrialState.FAIL: 1,
    }


def test_an_unknown_trial_is_told_with_those_that_exist(store: ResultStore) -> None:
    store.create_study(a_study())
    with pytest.raises(TrialNotFoundError, match="has no trial 0; it has no trials yet"):
        store.trial("digits", 0)
    for number in (3, 7):
        store.put_trial("digits", a_trial(number))
    for call in (store.trial, store.epochs):
        with pytest.raises(
            TrialNotFoundError, match="no trial 5; it has 2 trials, numbered 3 to 7"
        ):
            call("digits", 5)


def test_deleting_a_study_leaves_nothing_of_it(store: ResultStore, engine: Engine) -> None:
    for name in ("kept", "digits"):
        store.create_study(a_study(name))
        store.put_trial(name, a_complete(0, 0.9, 0.1), [an_epoch(1)])
        VerificationStore(engine).put(name, a_verification(0))
    store.delete_study("digits")
    assert [study.name for study in store.studies()] == ["kept"]
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 1


def test_a_reader_sees_what_is_written_and_cannot_write(
    store: ResultStore, database_url: str
) -> None:
    store.create_study(a_study())
    engine = open_engine(database_url, read_only=True)
    reader = ResultStore(engine)
    assert reader.trials("digits") == []
    store.put_trial("digits", a_trial(0))
    assert [trial.number for trial in reader.trials("digits")] == [0]
    with pytest.raises(Exception, match=r"(?i)read[- ]?only"):
        reader.put_trial("digits", a_trial(1))
    engine.dispose()
