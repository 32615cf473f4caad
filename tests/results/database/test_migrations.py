"""Databases that earlier versions wrote, with rows in them."""

from collections.abc import Iterator

import pytest
from alembic import command
from sqlalchemy import Engine, text

from mlgsearch.errors import StorageError
from mlgsearch.results.database.connection.engine import open_engine, writing
from mlgsearch.results.database.migrate import alembic_config, upgrade
from mlgsearch.results.database.schema import check
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.results.read.study_reader import StudyReader
from tests.results.samples import a_complete, a_study, a_trial, a_verification, an_epoch


def downgrade(engine: Engine, revision: str) -> None:
    config = alembic_config()
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


@pytest.fixture
def old(database_url: str) -> Iterator[Engine]:
    """A database as version 0.1.0 left it: one study, a COMPLETE trial with its curve."""
    engine = open_engine(database_url)
    upgrade(engine)
    store = ResultStore(engine)
    store.create_study(a_study())
    store.put_trial("digits", a_complete(0, 0.9, 0.05), [an_epoch(1), an_epoch(2)])
    store.put_trial("digits", a_trial(1))
    downgrade(engine, "0001")
    with engine.connect() as connection:
        columns = connection.execute(text("SELECT * FROM mlg_trial")).keys()
        assert "packed_bytes" not in columns
    yield engine
    engine.dispose()


def test_trials_from_before_have_no_packed_bytes_and_lose_nothing(old: Engine) -> None:
    with pytest.raises(StorageError, match="the schema is 0001"):
        check(old)
    upgrade(old)
    check(old)
    store = ResultStore(old)
    before, running = store.trials("digits")
    assert (before.packed_bytes, running.packed_bytes) == (None, None)
    assert (before.accuracy, before.settings) == (0.9, a_complete(0, 0.9, 0.05).settings)
    assert store.epochs("digits", 0) == [an_epoch(1), an_epoch(2)]
    store.put_trial("digits", a_complete(1, 0.8, 0.04, packed_bytes=2**40))
    assert store.trial("digits", 1).packed_bytes == 2**40


def test_what_was_never_verified_is_verified_after_an_upgrade(engine: Engine) -> None:
    store = ResultStore(engine)
    store.create_study(a_study(teacher_test_accuracy=0.9))
    store.put_trial("digits", a_complete(0, 0.9, 0.05, packed_bytes=7))
    downgrade(engine, "0002")
    with pytest.raises(StorageError, match="the schema is 0002"):
        check(engine)
    upgrade(engine)
    check(engine)
    assert store.study("digits").teacher_test_accuracy is None
    assert store.trial("digits", 0).packed_bytes == 7
    verifications = VerificationStore(engine)
    assert verifications.verifications("digits") == []
    verifications.put("digits", a_verification())
    assert [record.seed for record in verifications.verifications("digits")] == [1]


def test_studies_and_trials_from_before_have_no_layers_and_lose_nothing(engine: Engine) -> None:
    store = ResultStore(engine)
    store.create_study(a_study(hypervolume_reference={"accuracy": 0.0}))
    store.put_trial("digits", a_complete(0, 0.9, 0.05, layer_bits={"stem": 8}))
    downgrade(engine, "0003")
    with pytest.raises(StorageError, match="the schema is 0003"):
        check(engine)
    upgrade(engine)
    check(engine)
    study, trial = store.study("digits"), store.trial("digits", 0)
    assert (study.hypervolume_reference, study.layers, study.planned) == ({}, (), ())
    assert (study.references, study.teacher_accuracy) == ((), a_study().teacher_accuracy)
    assert (trial.layer_bits, trial.layer_damage, trial.accuracy) == ({}, {}, 0.9)
    assert StudyReader(engine, "digits").read().accuracy.tolist() == [0.9]
    store.put_trial("digits", a_complete(0, 0.9, 0.05, layer_bits={"stem": 8}))
    assert store.trial("digits", 0).layer_bits == {"stem": 8}


def test_studies_from_before_have_no_lineage_and_lose_nothing(engine: Engine) -> None:
    store = ResultStore(engine)
    store.create_study(a_study(data_hash="da7a", planned=()))
    downgrade(engine, "0004")
    with pytest.raises(StorageError, match="the schema is 0004"):
        check(engine)
    upgrade(engine)
    check(engine)
    study = store.study("digits")
    assert (study.data_hash, study.lineage, study.teacher_hash) == ("", (), "beef")
    store.set_data("digits", "f00d", 269)
    assert store.study("digits").data_hash == "f00d"


def test_studies_from_before_do_not_know_their_validation_samples(engine: Engine) -> None:
    store = ResultStore(engine)
    store.create_study(a_study(data_hash="da7a", validation_samples=269))
    assert store.study("digits").validation_samples == 269
    downgrade(engine, "0005")
    with pytest.raises(StorageError, match="the schema is 0005"):
        check(engine)
    upgrade(engine)
    check(engine)
    study = store.study("digits")
    assert (study.validation_samples, study.data_hash) == (None, "da7a")
    store.set_data("digits", "da7a", 269)
    assert store.study("digits").validation_samples == 269
