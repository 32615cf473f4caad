"""`verify` as its users run it: real workers, real signals."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from mlgsearch.cli.app import app
from mlgsearch.errors import MlgsearchError
from mlgsearch.process_identity import process_identity
from mlgsearch.records import TrialState
from mlgsearch.results.database import lease as leases
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from tests.results.leases import current
from tests.results.samples import begin_run
from tests.study.driver import Study
from tests.study.verifiable import prepared, verifiable


@pytest.fixture
def study(tmp_path: Path, cache: Path) -> Study:
    return verifiable(tmp_path, cache)


@pytest.fixture
def engine(study: Study) -> Iterator[Engine]:
    engine = open_engine(study.url)
    yield engine
    engine.dispose()


@pytest.fixture
def verifications(engine: Engine) -> VerificationStore:
    return VerificationStore(engine)


def of(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == name]


def run(study: Study, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--storage", study.url])


def test_the_front_is_verified_once_and_shown(
    study: Study, engine: Engine, verifications: VerificationStore, cache: Path
) -> None:
    events = study.run("verify", "tiny", "--seeds", "2", "--max-parallel", "1")
    (started,), last = of(events, "started"), events[-1]
    assert (started["trials"], started["seeds"], started["finished"]) == ([0, 1], [6, 7], 0)
    assert last["event"] == "finished"
    assert last["states"]["COMPLETE"] == 4
    images = len(prepared(cache).images.validation)
    assert ResultStore(engine).study("tiny").validation_samples == images
    records = verifications.verifications("tiny")
    assert [(r.trial, r.seed, r.epochs) for r in records] == [
        (trial, seed, 1) for trial in (0, 1) for seed in (6, 7)
    ]
    assert {record.state for record in records} == {TrialState.COMPLETE}
    # The packed file computes what the student does.
    assert all(record.packed_accuracy == record.test_accuracy for record in records)
    teacher = ResultStore(engine).study("tiny").teacher_test_accuracy
    assert teacher == started["teacher_test_accuracy"] == last["teacher_test_accuracy"]
    assert teacher is not None
    assert current(engine, "tiny") is None

    # What is there is not trained again; what is new, or failed, is.
    again = run(study, "verify", "tiny", "--seeds", "2", "--json")
    assert [json.loads(line) for line in again.stdout.splitlines()] == [last]
    failed = replace(records[0], state=TrialState.FAIL, error="no memory")
    verifications.put("tiny", failed)
    more = study.run("verify", "tiny", "--seeds", "3", "--trials", "2,0", "--max-parallel", "1")
    assert {(event["trial"], event["seed"]) for event in of(more, "run")} == {(0, 6), (0, 8)}
    assert [row["n"] for row in more[-1]["verified"]] == [3, 2]
    mended = verifications.verifications("tiny")[0]
    assert (mended.state, mended.error) == (TrialState.COMPLETE, None)
    assert mended.test_accuracy == records[0].test_accuracy

    shown = json.loads(run(study, "front", "tiny", "--verified", "--format", "json").stdout)
    assert shown == more[-1]["verified"]
    assert [row["trial"] for row in shown] == [0, 1]
    assert all(0 <= row["front_probability"] <= 1 for row in shown)
    choice = json.loads(run(study, "choose", "tiny", "--max-kb", "3.5", "--json").stdout)
    assert choice["verified"] == [shown[0]]


def test_stopped_or_killed_it_goes_on_from_its_checkpoints(
    study: Study, verifications: VerificationStore
) -> None:
    command = ["verify", "tiny", "--seeds", "1", "--trials", "1", "--epochs", "30"]
    folder = "a.db.runs/*/000001/verify-30-6/events.jsonl"

    def logged() -> list[dict[str, Any]]:
        (path,) = study.folder.glob(folder)
        return [json.loads(line) for line in path.read_text().splitlines()]

    # A worker that dies is replaced; Ctrl-C waits for the epoch in flight.
    driver = study.start(*command)
    driver.read_until(lambda event: event["event"] == "run" and event["epochs_done"] == 2)
    os.kill(logged()[-1]["pid"], signal.SIGKILL)
    driver.read_until(lambda event: len({line["pid"] for line in logged()}) == 2)
    driver.interrupt()
    driver.read_to_end()
    assert driver.wait() == 130, driver.errors()
    assert [event["event"] for event in driver.seen[-2:]] in (
        ["run", "stopped"],
        ["stopping", "stopped"],
    )
    assert driver.seen[-1]["states"]["WAITING"] == 1
    (record,) = verifications.verifications("tiny")
    assert record.state is TrialState.WAITING

    # A driver that is killed leaves a row that says it runs; the next one takes it up.
    driver = study.start(*command)
    # It reports first how far it had come, then what is new.
    before = record.epochs_done
    driver.read_until(lambda event: event["event"] == "run" and event["epochs_done"] > before)
    driver.kill_with_workers()
    (record,) = verifications.verifications("tiny")
    assert record.state is TrialState.RUNNING
    events = study.run(*command)
    assert events[-1]["states"]["COMPLETE"] == 1
    (record,) = verifications.verifications("tiny")
    assert (record.state, record.epochs_done) == (TrialState.COMPLETE, 30)
    epochs = [line["epoch"] for line in logged() if line["event"] == "epoch"]
    assert epochs == list(range(1, 31))
    assert len([line for line in logged() if line["event"] == "began"]) == 4


def test_one_sigterm_stops_it_in_order_and_its_progress_is_kept(
    study: Study, engine: Engine, verifications: VerificationStore
) -> None:
    command = ["verify", "tiny", "--seeds", "1", "--trials", "1", "--epochs", "40"]
    driver = study.start(*command)
    driver.read_until(lambda event: event["event"] == "run" and event["epochs_done"] == 2)
    driver.send(signal.SIGTERM)
    driver.read_to_end()
    assert driver.wait() == 143, driver.errors()
    assert driver.seen[-1]["event"] == "stopped"
    assert driver.seen[-1]["states"]["WAITING"] == 1
    # Ray's dump of addresses comes with the second of these.
    assert "Traceback" not in driver.errors()
    assert "received at time" not in driver.errors()
    assert current(engine, "tiny") is None
    (stopped,) = verifications.verifications("tiny")
    assert stopped.state is TrialState.WAITING
    assert 2 <= stopped.epochs_done < 40
    study.run(*command)
    (record,) = verifications.verifications("tiny")
    assert (record.state, record.epochs_done) == (TrialState.COMPLETE, 40)
    (log,) = study.folder.glob("a.db.runs/*/000001/verify-40-6/events.jsonl")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    epochs = [event["epoch"] for event in events if event["event"] == "epoch"]
    assert epochs == list(range(1, 41))  # none twice


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("verify", "tiny", "--trials", "3"), "trial 3 of 'tiny' is FAIL: only a COMPLETE one"),
        (("verify", "tiny", "--trials", "0,9"), "has no trial 9"),
        (("verify", "tiny", "--trials", "0;1"), "--trials 0;1: write numbers of trials with"),
        (("verify", "tony"), "no study 'tony'; there is 'tiny'"),
        (("verify", "tiny", "--address", "127.0.0.1"), "--address 127.0.0.1: no Ray cluster"),
        (("front", "tiny", "--verified"), "no trial of 'tiny' is verified yet; `"),
    ],
)
def test_a_mistake_is_told_in_a_line(study: Study, arguments: tuple[str, ...], said: str) -> None:
    done = run(study, *arguments)
    assert isinstance(done.exception, MlgsearchError), done.output
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)


def test_it_is_refused_while_another_drives_the_study(study: Study, engine: Engine) -> None:
    lease = leases.acquire(
        engine,
        "tiny",
        holder="ann",
        host=socket.gethostname(),
        pid=os.getpid(),
        process=process_identity(),
    )
    done = run(study, "verify", "tiny")
    assert f"is driven by ann (process {os.getpid()}" in str(done.exception)
    assert leases.renew(engine, lease).token == lease.token


def test_another_teacher_is_refused(
    study: Study, engine: Engine, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLGSEARCH_CACHE", str(cache))
    begin_run(ResultStore(engine), "tiny", teacher_hash="another", teacher_accuracy=0.9)
    done = run(study, "verify", "tiny")
    assert "differs from what it began with (stored -> now): teacher: another -> " in str(
        done.exception
    )


def test_another_teacher_of_an_early_versions_recipe_is_refused_by_its_accuracy(
    study: Study, engine: Engine, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLGSEARCH_CACHE", str(cache))
    teacher = prepared(cache).teacher
    store = ResultStore(engine)
    begin_run(store, "tiny", teacher_hash=teacher.recipe, teacher_accuracy=teacher.accuracy - 0.01)
    done = run(study, "verify", "tiny")
    said = f"teacher: accuracy {teacher.accuracy - 0.01:.6g} -> {teacher.accuracy:.6g}, by the data"
    assert said in str(done.exception)
