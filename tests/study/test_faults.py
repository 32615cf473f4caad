"""Real drivers, real workers, real signals."""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from typer.testing import CliRunner

from mlgsearch.cli.app import app
from mlgsearch.errors import UserError
from mlgsearch.records import TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from tests.study.driver import Study

EPOCHS = 4
TRIALS = 6


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Study:
    """A study that one worker finished in peace."""
    study = Study(tmp_path_factory.mktemp("undisturbed"), cache)
    study.run("launch", str(study.file), "--max-parallel", "1")
    return study


@pytest.fixture
def store(study: Study) -> Iterator[ResultStore]:
    engine = open_engine(study.url)
    yield ResultStore(engine)
    engine.dispose()


@pytest.fixture
def study(tmp_path: Path, cache: Path) -> Study:
    return Study(tmp_path, cache)


def outcome(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["trial"], row["accuracy"], row["memory_ratio"], row["settings"]) for row in rows]


def test_a_search_through_ray_is_whole(undisturbed: Study) -> None:
    front = undisturbed.front()
    fields = {"trial", "accuracy", "memory_ratio", "compression", "settings"}
    assert front
    assert all(fields <= row.keys() for row in front)
    points = [(row["accuracy"], -row["memory_ratio"]) for row in front]
    for a in points:
        assert not any(b != a and b[0] >= a[0] and b[1] >= a[1] for b in points)
    engine = open_engine(undisturbed.url)
    trials = ResultStore(engine).trials("tiny")
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert all(trial.projection_error and trial.stage_seconds["train"] > 0 for trial in trials)
    assert all(trial.packed_bytes for trial in trials)
    trained = [trial for trial in trials if trial.reused_from is None]
    for trial in trained:
        curve = ResultStore(engine).epochs("tiny", trial.number)
        assert [epoch.epoch for epoch in curve] == list(range(1, EPOCHS + 1))
        assert curve[-1].validation_accuracy == trial.accuracy
    engine.dispose()


def test_launching_a_finished_study_again_trains_nothing(undisturbed: Study) -> None:
    events = undisturbed.run("launch", str(undisturbed.file), "--max-parallel", "1")
    assert [event["event"] for event in events if event["event"] == "trial"] == []
    assert events[-1]["event"] == "finished"


def test_optuna_shows_the_same_trials(undisturbed: Study) -> None:
    optuna_study = optuna.load_study(study_name="tiny", storage=undisturbed.url)
    assert [trial.state.name for trial in optuna_study.trials] == ["COMPLETE"] * TRIALS
    assert {trial.number for trial in optuna_study.best_trials} == {
        row["trial"] for row in undisturbed.front()
    }


@pytest.mark.parametrize("seed", [1])
def test_killed_twice_it_ends_as_if_undisturbed(
    study: Study, store: ResultStore, undisturbed: Study, seed: int
) -> None:
    chance = random.Random(seed)
    command = ["launch", str(study.file), "--max-parallel", "1"]
    for _ in range(2):
        driver = study.start(*command)
        epochs = chance.randint(1, 8)
        for _ in range(epochs):
            driver.read_until(lambda event: event["event"] == "epoch")
        driver.linger(chance.uniform(0, 0.3))
        driver.kill_with_workers()
        command = ["resume", "tiny", "--max-parallel", "1"]
    study.run(*command)
    trials = store.trials("tiny")
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert all(trial.state == TrialState.COMPLETE for trial in trials)
    assert study.repeated_epochs() == []
    assert max(trial.attempts for trial in trials) > 1
    assert outcome(study.front()) == outcome(undisturbed.front())


def test_a_killed_worker_loses_no_epoch_and_disturbs_no_one(
    study: Study, store: ResultStore
) -> None:
    driver = study.start("launch", str(study.file), "--max-parallel", "2")
    event = driver.read_until(lambda event: event["event"] == "epoch" and event["epoch"] == 2)
    victim = event["trial"]
    worker = study.logged()[victim][-1]["pid"]
    os.kill(worker, signal.SIGKILL)
    driver.read_to_end()
    assert driver.wait() == 0, driver.errors()
    trials = store.trials("tiny")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * TRIALS
    assert study.repeated_epochs() == []
    began_again = [n for n, log in study.logged().items() if len({e["pid"] for e in log}) > 1]
    assert len(began_again) == 1
    assert trials[began_again[0]].attempts == 2
    assert all(trial.attempts <= 1 for trial in trials if trial.number != began_again[0])


def test_ctrl_c_queues_what_runs_twice_stops_now_and_a_second_driver_is_refused(
    study: Study, store: ResultStore
) -> None:
    # More trials than it can finish before the signals come.
    driver = study.start("launch", str(study.file), "--trials", "1000")
    driver.read_until(lambda event: event["event"] == "epoch")
    second = CliRunner().invoke(app, ["resume", "tiny", "--storage", study.url])
    driver.interrupt()
    driver.read_to_end()
    assert driver.wait() == 130
    assert isinstance(second.exception, UserError)
    assert "is driven by" in str(second.exception)
    assert "Traceback" not in driver.errors()
    last = driver.seen[-1]
    assert last["event"] == "stopped"
    states = store.state_counts("tiny")
    assert TrialState.RUNNING not in states or states[TrialState.RUNNING] == 0
    assert states[TrialState.WAITING] == len(last["queued"]) >= 1
    driver = study.start("resume", "tiny", "--max-parallel", "1")
    driver.read_until(lambda event: event["event"] == "epoch")
    started = driver.family()
    driver.interrupt()
    driver.interrupt()
    assert driver.wait() == 130
    assert "Traceback" not in driver.errors()
    _, alive = psutil.wait_procs(started, timeout=30)
    assert not alive
    total = sum(store.state_counts("tiny").values())
    events = study.run("resume", "tiny", "--trials", str(total), "--max-parallel", "1")
    assert events[-1]["event"] == "finished"
    assert events[-1]["states"]["COMPLETE"] == total
    assert study.repeated_epochs() == []
