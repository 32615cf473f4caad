"""Databases as every released schema left them, brought forward.

``stored/NNNN.sql`` is the dump of an SQLite file that the version with that schema wrote.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from mlgsearch.errors import StorageError
from mlgsearch.records import TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.schema import check, head
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from tests.results.samples import a_complete, a_study, a_trial, a_verification, an_epoch

STORED = sorted((Path(__file__).parent / "stored").glob("*.sql"))
VERSIONS = (
    Path(__file__).parents[3] / "mlgsearch" / "results" / "database" / "migrations" / "versions"
)


@pytest.fixture
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    file = sqlite3.connect(tmp_path / "old.db")
    file.executescript(request.param.read_text())
    file.close()
    engine = open_engine(f"sqlite:///{tmp_path}/old.db")
    yield engine
    engine.dispose()


def test_a_database_of_every_schema_is_stored() -> None:
    schemas = [path.name[1:5] for path in sorted(VERSIONS.glob("v*.py"))]
    assert [path.stem for path in STORED] == schemas
    assert schemas[-1] == head()


@pytest.mark.parametrize("old", STORED, ids=lambda path: path.stem, indirect=True)
def test_it_is_brought_forward_and_loses_nothing(
    old: Engine, request: pytest.FixtureRequest
) -> None:
    schema = request.node.callspec.id
    if schema != head():
        with pytest.raises(StorageError, match=f"the schema is {schema}"):
            check(old)
    upgrade(old)
    check(old)
    store = ResultStore(old)
    study, (done, running) = store.study("digits"), store.trials("digits")
    assert (study.content, study.source) == (a_study().content, a_study().source)
    assert (study.teacher_hash, study.versions) == ("beef", a_study().versions)
    expected = a_complete(0, 0.9, 0.05)
    assert (done.state, done.accuracy, done.loss) == (TrialState.COMPLETE, 0.9, 0.1)
    assert (done.settings, done.sizes) == (expected.settings, expected.sizes)
    assert done.packed_bytes == (None if schema < "0002" else 4321)
    assert done.latency_ms == (None if schema < "0010" else 1.5)
    assert done.peak_activation_bytes == (None if schema < "0011" else 12_288)
    assert done.layer_bits == ({} if schema < "0004" else {"stem": 8})
    assert (running.state, running.seed) == (TrialState.RUNNING, a_trial(1).seed)
    assert store.epochs("digits", 0) == [an_epoch(1), an_epoch(2)]
    verified = VerificationStore(old).verifications("digits")
    assert [run.test_accuracy for run in verified] == ([] if schema < "0003" else [0.9])
    assert study.data_hash == ("" if schema < "0005" else "da7a")
    assert len(study.lineage) == (0 if schema < "0005" else 1)
    assert study.validation_samples == (None if schema < "0006" else 269)
    reached = "trial 0 reaches search.stop.front_reaches: accuracy 0.9"
    assert study.ended == (None if schema < "0008" else reached)
    assert study.uncompressed == (None if schema < "0009" else "25.0% are not compressed")
    # And it is written to as any other.
    store.put_trial("digits", a_complete(1, 0.8, 0.04))
    VerificationStore(old).put("digits", a_verification(1, 2))
    assert store.trial("digits", 1).accuracy == 0.8
