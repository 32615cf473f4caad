"""What is done before the first visitor asks."""

from pathlib import Path

import pytest

from dashboard.database import Database
from dashboard.server.warm_up import warm_up
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from tests.results.samples import begin_run


def test_the_study_that_was_active_last_is_read(
    database_file: Path, writer: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_run(writer, "failing", teacher_hash="0" * 64, teacher_accuracy=0.9)
    database = Database(f"sqlite:///{database_file}")
    read: list[str] = []
    trials = Database.trials

    def noting(self: Database, study: str) -> object:
        read.append(study)
        return trials(self, study)

    monkeypatch.setattr(Database, "trials", noting)
    warm_up(database)
    assert set(read) == {"failing"}
    database.close()


def test_without_a_study_or_a_database_nothing_happens(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    database = Database(f"sqlite:///{path}")
    warm_up(database)
    path.unlink()
    warm_up(database)
    database.close()
