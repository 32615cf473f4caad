"""Reading a study again and again, on every database."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from mlgsearch.errors import StudyNotFoundError
from mlgsearch.records import TrialState
from mlgsearch.results.database.connection.engine import open_engine, writing
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.tables import trial_table
from mlgsearch.results.read.study_reader import OVERLAP, StudyReader, StudyReaders
from tests.results.samples import a_complete, a_study, a_trial, an_epoch


@pytest.fixture
def reader(store: ResultStore, engine: Engine) -> StudyReader:
    """Reader of a study with trial 0 COMPLETE and trial 1 RUNNING."""
    store.create_study(a_study())
    store.put_trial("digits", a_complete(0, 0.9, 0.1, packed_bytes=7, reused_from=None))
    store.put_trial("digits", a_trial(1))
    return StudyReader(engine, "digits")


def test_what_is_read_is_what_the_store_gives(reader: StudyReader, store: ResultStore) -> None:
    columns = reader.read()
    records = store.trials("digits")
    assert columns.number.tolist() == [0, 1]
    assert columns.counts() == store.state_counts("digits")
    for row, record in enumerate(records):
        assert record.created_at is not None
        assert columns.created_at[row].item() == record.created_at.replace(tzinfo=None)
        for name in ("memory_ratio", "execution_macs", "generation_macs", "parameter_ratio"):
            assert columns.objective(name)[row] == getattr(record.sizes, name)
        for name in ("epochs_done", "epochs_wanted", "attempts"):
            assert getattr(columns, name)[row] == getattr(record, name)
    assert (columns.accuracy[0], columns.packed_bytes[0]) == (0.9, 7)


def test_nothing_changed_gives_the_very_same_columns(reader: StudyReader) -> None:
    assert reader.read() is reader.read()


def test_changes_come_one_by_one(reader: StudyReader, store: ResultStore) -> None:
    before = reader.read()
    store.put_trial("digits", store.trial("digits", 1), [an_epoch(1)])
    after_epoch = reader.read()
    assert after_epoch.updated_at[1] > before.updated_at[1]
    store.put_trial("digits", a_trial(7, state=TrialState.WAITING))
    store.put_trial("digits", a_complete(1, 0.8, 0.05))
    columns = reader.read()
    assert columns.number.tolist() == [0, 1, 7]
    assert columns.counts()[TrialState.COMPLETE] == 2
    assert columns.accuracy[1] == 0.8
    assert len(before) == 2


def test_only_what_is_new_is_read_again(
    reader: StudyReader, store: ResultStore, engine: Engine
) -> None:
    reader.read()
    old = datetime.now(UTC) - timedelta(hours=1)
    with writing(engine) as connection:  # behind the reader's back: attempts without a new moment
        connection.execute(update(trial_table).values(updated_at=old))
    store.put_trial("digits", a_trial(2))
    reader.read()
    with writing(engine) as connection:
        connection.execute(update(trial_table).values(attempts=9))
    store.put_trial("digits", a_trial(2, attempts=2))
    assert reader.read().attempts.tolist() == [0, 0, 2]


def test_a_commit_that_becomes_visible_late_is_seen(
    reader: StudyReader, store: ResultStore, engine: Engine
) -> None:
    newest = reader.read().updated_at.max().item().replace(tzinfo=UTC)
    store.put_trial("digits", a_trial(2, attempts=1))
    with writing(engine) as connection:
        connection.execute(
            update(trial_table)
            .where(trial_table.c.number == 2)
            .values(updated_at=newest - OVERLAP / 2)
        )
    assert reader.read().number.tolist() == [0, 1, 2]


def test_a_study_made_anew_is_another_one(reader: StudyReader, store: ResultStore) -> None:
    reader.read()
    store.delete_study("digits")
    with pytest.raises(StudyNotFoundError):
        reader.read()
    store.create_study(a_study())
    assert len(reader.read()) == 0
    store.put_trial("digits", a_trial(0, attempts=3))
    assert reader.read().attempts.tolist() == [3]


def test_a_database_restored_in_place_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    store = ResultStore(engine)
    store.create_study(a_study())
    for number in range(3):
        store.put_trial("digits", a_complete(number, 0.11, 0.1))
    backup = path.read_bytes()
    reader = StudyReader(engine, "digits")
    time.sleep(0.01)
    for number in range(3, 6):
        store.put_trial("digits", a_complete(number, 0.5, 0.1))
    assert len(reader.read()) == 6
    path.write_bytes(backup)  # the same file
    assert reader.read().accuracy.tolist() == [0.11] * 3
    time.sleep(0.01)
    store.put_trial("digits", a_complete(0, 0.9, 0.1))
    assert reader.read().accuracy.tolist() == [0.9, 0.11, 0.11]
    path.write_bytes(backup)
    assert reader.read().accuracy.tolist() == [0.11] * 3
    engine.dispose()


def test_a_study_without_trials_is_empty(store: ResultStore, engine: Engine) -> None:
    store.create_study(a_study())
    reader = StudyReader(engine, "digits")
    assert len(reader.read()) == 0
    assert reader.read() is reader.read()


def test_everybody_shares_one_reader(reader: StudyReader, engine: Engine) -> None:
    readers = StudyReaders(engine)
    with pytest.raises(StudyNotFoundError, match="there is 'digits'"):
        readers.read("digts")
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(readers.read, ["digits"] * 16))
    assert len({id(columns) for columns in read}) == 1
    assert read[0].number.tolist() == [0, 1]
