from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from mlgsearch.errors import StudyConflictError, StudyNotFoundError
from mlgsearch.records import ReferencePoint, StudyRecord
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study import launch as module
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.launch import launch, register, resume, with_target
from tests.results.samples import a_trial, begin_run
from tests.study.driverless import empty_database
from tests.study.samples import a_spec


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "a.db").write_bytes(empty_database())
    engine = open_engine(f"sqlite:///{tmp_path}/a.db")
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> ResultStore:
    return ResultStore(engine)


@pytest.fixture
def driven(monkeypatch: pytest.MonkeyPatch) -> list[tuple[StudySpec, StudyRecord]]:
    """What would have been driven."""
    driven: list[tuple[StudySpec, StudyRecord]] = []
    monkeypatch.setattr(module, "drive", lambda spec, study, *_: driven.append((spec, study)))
    return driven


WATCH: Any = None


def test_a_new_study_is_recorded_whole(store: ResultStore) -> None:
    spec = a_spec(search={"n_trials": 8})
    record = register(spec, "name: digits  # mine\n", store)
    assert record == store.study("digits")
    assert record.content == spec.content()
    assert record.content_hash == spec.content_hash()
    assert record.source == "name: digits  # mine\n"
    assert record.objectives == ("accuracy", "memory_ratio")
    assert record.n_trials == 8
    assert "torch" in record.versions
    assert record.hypervolume_reference == {"accuracy": 0.0, "memory_ratio": 0.0}
    assert record.created_at is not None


def test_the_same_content_is_the_same_study(store: ResultStore) -> None:
    first = register(a_spec(search={"n_trials": 8}), "", store)
    again = register(a_spec(search={"n_trials": 8}, resources={"cpu": 2}), "", store)
    assert again.created_at == first.created_at
    assert len(store.studies()) == 1


def test_a_study_stored_before_a_key_was_known_is_the_same_study(store: ResultStore) -> None:
    spec = a_spec(search={"n_trials": 8})
    content = spec.content()
    del content["search"]["early_stopping"]
    record = StudyRecord(
        name="digits",
        content=content,
        content_hash="of another version",
        source="",
        objectives=spec.search.objectives,
        n_trials=8,
    )
    store.create_study(record)
    assert register(spec, "", store).content_hash == "of another version"
    with pytest.raises(StudyConflictError, match="early_stopping: null -> "):
        register(a_spec(search={"early_stopping": "on"}), "", store)


def test_reference_points_may_change_and_nothing_else_is_said_of_them(store: ResultStore) -> None:
    point = ReferencePoint("DSConv", 0.1287, 0.921, source="a paper", protocol="test part")
    first = register(a_spec(references=[asdict(point)]), "", store)
    assert first.references == (point,)
    assert register(a_spec(), "", store) == first
    with pytest.raises(StudyConflictError, match=r"now\):\n  seed: 0 -> 1\nits"):
        register(a_spec(seed=1), "", store)


def test_registering_changes_nothing_for_whoever_drives_the_study(store: ResultStore) -> None:
    first = register(a_spec(search={"n_trials": 8}), "", store)
    assert register(a_spec(search={"n_trials": 20}), "", store) == first


def test_different_content_is_refused_with_the_keys_that_differ(store: ResultStore) -> None:
    register(a_spec(training={"epochs": 3}, search={"n_trials": 8}), "", store)
    changed = a_spec(
        training={"epochs": 4},
        search={"n_trials": 9, "sampler": "nsga2"},
        resources={"cpu": 2},
    )
    with pytest.raises(StudyConflictError) as caught:
        register(changed, "", store)
    assert str(caught.value).splitlines()[:3] == [
        "study 'digits' differs from what it began with (stored -> now):",
        '  search.sampler: "tpe" -> "nsga2"',
        "  training.epochs: 3 -> 4",
    ]
    assert "--accept-change" in str(caught.value)
    known = register(changed, "changed", store, accepts_change=True)
    assert known.source == "changed"
    assert store.study("digits").source == ""  # the driver writes it, under its lease
    elsewhere = a_spec(training={"epochs": 3}, space={"B_in": [1, 2]})
    with pytest.raises(StudyConflictError, match=r"cannot be joined .*\n  space\.B_in"):
        register(elsewhere, "", store, accepts_change=True)
    assert store.study("digits").n_trials == 8


def test_a_target_changes_nothing_else() -> None:
    spec = a_spec(search={"n_trials": 8, "seed": 3})
    larger = with_target(spec, 20)
    assert (larger.search.n_trials, larger.search.seed) == (20, 3)
    assert larger.content_hash() == spec.content_hash()
    assert spec.search.n_trials == 8


def test_launch_drives_the_study_with_the_target_asked_for(
    engine: Engine, store: ResultStore, driven: list[tuple[StudySpec, StudyRecord]]
) -> None:
    launch(a_spec(search={"n_trials": 8}), "", engine, WATCH, n_trials=5)
    launch(a_spec(search={"n_trials": 8}), "", engine, WATCH)
    begin_run(store, n_trials=12)
    launch(a_spec(search={"n_trials": 8}), "", engine, WATCH)
    launch(a_spec(search={"n_trials": 8}), "", engine, WATCH, n_trials=9)
    assert [spec.search.n_trials for spec, _ in driven] == [5, 8, 12, 9]


def test_a_file_mended_before_the_first_trial_replaces_its_study(
    engine: Engine, store: ResultStore, driven: list[tuple[StudySpec, StudyRecord]]
) -> None:
    launch(a_spec(training={"epochs": 3}), "", engine, WATCH)
    launch(a_spec(training={"epochs": 4}), "mended", engine, WATCH)
    assert store.study("digits").source == "mended"
    store.put_trial("digits", a_trial(0))
    with pytest.raises(StudyConflictError, match=r"training\.epochs: 4 -> 5"):
        launch(a_spec(training={"epochs": 5}), "", engine, WATCH)
    assert store.study("digits").source == "mended"


def test_launch_makes_the_schema(
    tmp_path: Path, driven: list[tuple[StudySpec, StudyRecord]]
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/new.db")
    launch(a_spec(), "", engine, WATCH)
    assert [study.name for study in ResultStore(engine).studies()] == ["digits"]
    engine.dispose()


def test_resume_takes_the_content_from_the_database(
    engine: Engine, store: ResultStore, driven: list[tuple[StudySpec, StudyRecord]]
) -> None:
    spec = a_spec(
        search={"n_trials": 8, "first": [[2, 44, 3, 6, 3]]},
        space={"hyperparameters": {"training.batch_size": {"choices": [16, 32]}}},
    )
    register(spec, "", store)
    begin_run(store, n_trials=12)
    resume("digits", engine, WATCH)
    resume("digits", engine, WATCH, n_trials=30)
    assert [spec.search.n_trials for spec, _ in driven] == [12, 30]
    assert driven[0][0] == with_target(spec, 12)
    assert driven[1][0] == with_target(spec, 30)
    assert driven[1][0].content_hash() == store.study("digits").content_hash


def test_a_search_that_ended_early_goes_on_to_the_total_that_was_asked_for(
    engine: Engine, store: ResultStore, driven: list[tuple[StudySpec, StudyRecord]]
) -> None:
    spec = a_spec(search={"n_trials": 20, "stop": {"no_gain": 5}})
    register(spec, "", store)
    store.set_ended("digits", 9, "enough")
    resume("digits", engine, WATCH)
    resume("digits", engine, WATCH, n_trials=30, ignores_stop=True)
    launch(spec, "", engine, WATCH, ignores_stop=True)
    assert [spec.search.n_trials for spec, _ in driven] == [20, 30, 20]
    assert [spec.search.stop is None for spec, _ in driven] == [False, True, True]


def test_resume_of_an_unknown_study_names_the_near_ones(engine: Engine, store: ResultStore) -> None:
    register(a_spec(), "", store)
    with pytest.raises(StudyNotFoundError, match="no study 'digit'; there is 'digits'"):
        resume("digit", engine, WATCH)
