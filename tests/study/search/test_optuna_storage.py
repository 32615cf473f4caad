import subprocess
import sys
import time
from pathlib import Path

import pytest
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError, OperationalError

from mlgsearch.results.database.connection import silence
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.connection.silence import limit_waits
from mlgsearch.study.search import optuna_storage
from mlgsearch.study.search.optuna_storage import (
    close_optuna_storage,
    directions,
    metric_names,
    open_optuna_storage,
)
from tests.black_hole import black_hole

OPEN = """
import sys
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.study.search.optuna_storage import open_optuna_storage
engine = open_engine(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(len(open_optuna_storage(engine).get_all_studies()))
"""


def test_processes_may_open_an_empty_database_at_once(database_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (out, process.returncode) == ("0\n", 0), err


def test_a_lost_race_is_tried_again_and_a_lasting_trouble_is_reported(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def losing(url: str, **options: object) -> RDBStorage:
        tries.append(url)
        if len(tries) in (1, 2) or len(tries) > 3:
            raise IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed"))
        return RDBStorage(url)

    monkeypatch.setattr(optuna_storage, "RDBStorage", losing)
    monkeypatch.setattr(optuna_storage, "_WAITS_S", (0.0, 0.0))
    storage = open_optuna_storage(engine)
    assert len(tries) == 3
    storage.remove_session()
    storage.engine.dispose()
    with pytest.raises(IntegrityError):
        open_optuna_storage(engine)
    assert len(tries) == 6


def test_a_brace_in_the_url_is_no_template(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/a{{b}}.db")
    storage = open_optuna_storage(engine)
    assert storage.get_all_studies() == []
    assert {path.name for path in tmp_path.iterdir()} == {"a{b}.db"}
    storage.remove_session()
    storage.engine.dispose()
    engine.dispose()


def test_objectives_have_directions_and_say_what_is_stored() -> None:
    assert directions(("accuracy", "memory_ratio")) == [
        StudyDirection.MAXIMIZE,
        StudyDirection.MINIMIZE,
    ]
    assert metric_names(("accuracy", "memory_ratio")) == ["accuracy", "log10_memory_ratio"]


def test_a_server_that_says_nothing_is_not_waited_for(
    postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "_DRIVER_SILENCE_S", 0.5)
    monkeypatch.setattr(silence, "_DRIVER_CONNECT_S", 2)
    monkeypatch.setattr(optuna_storage, "_WAITS_S", ())
    with black_hole(postgres_server) as hole:
        engine = open_engine(hole.url)
        limit_waits(engine, 0.1)
        storage = open_optuna_storage(engine)
        hole.swallow()
        began = time.monotonic()
        with pytest.raises(OperationalError):
            open_optuna_storage(engine)
        assert time.monotonic() - began < 10
        hole.release()
        assert storage.get_all_studies() == []
        close_optuna_storage(storage)
        engine.dispose()
