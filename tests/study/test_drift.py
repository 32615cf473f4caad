import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import update

from mlgsearch.errors import StudyConflictError
from mlgsearch.results.database.tables import study_table
from mlgsearch.study import drive as driving
from mlgsearch.study.drift import file_changes, other_changes, refuse
from mlgsearch.study.drive import Options, drive
from mlgsearch.study.preparation import Preparation
from tests.results.samples import a_study
from tests.study.driverless import Driverless, Make, a_summary
from tests.study.samples import a_spec, an_epoch

NOW: dict[str, Any] = {
    "versions": {"torch": "2.14.1", "ray": "2.60"},
    "data_hash": "da7a",
    "teacher_hash": "beef",
}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"versions": {"torch": "2.15.0"}}, ["library torch: 2.14.1 -> 2.15.0"]),
        ({"versions": {}}, ["library torch: 2.14.1 -> none"]),
        ({"data_hash": "f00d"}, ["data: da7a -> f00d"]),
        ({"teacher_hash": "cafe"}, ["teacher: beef -> cafe"]),
    ],
)
def test_each_change_is_found_and_named(changes: dict[str, Any], found: list[str]) -> None:
    known = a_study(data_hash="da7a")
    assert other_changes(known, **(NOW | changes)) == found


def test_what_a_study_does_not_know_yet_is_no_change() -> None:
    known = a_study(teacher_hash="", versions={})
    assert other_changes(known, **NOW) == []


def test_a_change_is_refused_by_name_unless_it_is_accepted_and_can_be() -> None:
    lines = ["library torch: 2.14.1 -> 2.15.0", "data: da7a -> f00d"]
    with pytest.raises(StudyConflictError, match=re.escape("\n  ".join(lines))):
        refuse("digits", lines, accepts=False)
    refuse("digits", lines, accepts=True)
    refuse("digits", [], accepts=False)
    with pytest.raises(StudyConflictError, match=r"cannot be joined .*\n  space.B_in: 1 -> 2\n"):
        refuse("digits", [*lines, "space.B_in: 1 -> 2"], accepts=True)


def test_another_table_of_latency_is_named_by_its_hash_and_cannot_be_joined() -> None:
    first, second = (
        a_spec(latency={"file": file, "sha256": sha256, "table": table})
        for file, sha256, table in (("a.csv", "aa", "x" * 999), ("b.csv", "bb", "y" * 999))
    )
    known = a_study(content=first.content(), content_hash=first.content_hash())
    assert file_changes(known, first) == []
    moved = a_spec(latency={"file": "b.csv", "sha256": "aa", "table": "x" * 999})
    assert file_changes(known, moved) == []
    changes = file_changes(known, second)
    assert changes == ['latency.sha256: "aa" -> "bb"']
    with pytest.raises(StudyConflictError, match="cannot be joined"):
        refuse("digits", changes, accepts=True)


@pytest.fixture
def study(driverless: Make) -> Driverless:
    return driverless(n_trials=3, training={"epochs": 3})


def test_an_accepted_change_is_in_the_studys_lineage(study: Driverless) -> None:
    study.ledger.next_job()
    for number in range(2):
        study.store.accept_change(
            "digits",
            [f"change {number}"],
            content={"name": "digits"},
            content_hash="c0de",
            source="mended",
            versions={"torch": "3"},
        )
    record = study.store.study("digits")
    assert [(c["trials"], c["changes"]) for c in record.lineage] == [
        (1, ["change 0"]),
        (1, ["change 1"]),
    ]
    # In one write: a hash of other content than is stored would hide the next change.
    assert (record.content, record.content_hash, record.source, record.versions) == (
        {"name": "digits"},
        "c0de",
        "mended",
        {"torch": "3"},
    )


def test_unfinished_trials_follow_an_accepted_change_and_finished_ones_stay(
    study: Driverless,
) -> None:
    study.ledger.next_job()
    study.ledger.next_job()
    study.ledger.complete(0, a_summary())
    study.ledger.add_epochs(1, [an_epoch(1)])
    before = study.trials()
    longer = study.spec.training.model_copy(update={"epochs": 5})
    study.spec = study.spec.model_copy(update={"training": longer})
    study.restart()
    after = study.trials()
    assert after[0] == before[0]
    assert (after[1].epochs_wanted, after[1].epochs_done, after[1].attempts) == (5, 0, 1)
    assert after[1].fingerprint != before[1].fingerprint
    assert after[1].settings == before[1].settings


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"versions": {"torch": "1.0"}}, "library torch: 1.0 -> "),
        ({"data_hash": "f00d"}, "data: f00d -> da7a"),
        ({"teacher_hash": "cafe"}, "teacher: cafe -> beef"),
        (  # as an early version recorded it
            {"teacher_hash": "1ec1be", "teacher_accuracy": 0.89},
            "teacher: accuracy 0.89 -> 0.9",
        ),
    ],
)
def test_a_driver_refuses_a_changed_study_and_records_what_it_accepts(
    study: Driverless, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr(driving, "run_trials", lambda *_: None)
    with study.engine.begin() as connection:
        connection.execute(update(study_table).values(**changes))

    def resume(accepts: bool) -> None:
        options = Options(
            prepare_study=lambda *_: Preparation(
                replace(study.shape, others={"position": 10**6}),
                "beef",
                0.9,
                data_hash="da7a",
                validation_samples=269,
                teacher_recipe="1ec1be",
            ),
            accepts_change=accepts,
        )
        silent = dict.fromkeys(("trial", "started", "notice"), lambda *_: None)
        view: Any = SimpleNamespace(**silent)
        drive(study.spec, study.store.study("digits"), study.engine, view, options)

    with pytest.raises(StudyConflictError, match=re.escape(said)):
        resume(accepts=False)
    assert study.store.study("digits").lineage == ()
    resume(accepts=True)
    record = study.store.study("digits")
    (change,) = record.lineage
    assert said in str(change["changes"])
    assert (record.data_hash, record.teacher_hash) == ("da7a", "beef")
    assert record.validation_samples == 269
    assert "are not compressed" in (record.uncompressed or "")
    resume(accepts=False)  # what was accepted is no change any more
    assert len(study.store.study("digits").lineage) == 1


def test_a_teacher_recorded_by_its_recipe_is_known_again() -> None:
    known = replace(a_study(), versions={}, teacher_hash="cafe")
    assert other_changes(known, {}, "", "beef", "cafe") == []
    assert other_changes(known, {}, "", "beef", "f00d") == ["teacher: cafe -> beef"]
    assert other_changes(known, {}, "", "cafe", "f00d") == []


def test_another_teacher_of_the_recorded_recipe_is_known_by_its_accuracy() -> None:
    known = replace(a_study(), versions={}, teacher_hash="cafe", teacher_accuracy=0.9341)
    assert other_changes(known, {}, "", "beef", "cafe", 0.9341) == []
    assert other_changes(known, {}, "", "beef", "cafe", 0.9451) == [
        "teacher: accuracy 0.9341 -> 0.9451"
    ]
    unknown = replace(known, teacher_accuracy=None)
    assert other_changes(unknown, {}, "", "beef", "cafe", 0.9451) == []
