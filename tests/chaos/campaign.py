"""A seeded campaign of kills against real drivers and workers, and what must hold after each."""

import json
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import psutil

from mlgsearch.records import TrialState
from mlgsearch.results.engine import open_engine
from mlgsearch.results.store import ResultStore
from tests.study.driver import Driver, Study

#: What is done to a study in a round; the driver and all its processes are killed at its end.
ACTIONS = ("driver", "worker", "database")
#: Longer than any study of the campaign gets in its rounds.
_ENDLESS = "1000"
_PATIENCE_S = 180.0


@dataclass(frozen=True)
class Round:
    """What a round did, and what it found."""

    action: str
    alive_s: float
    acknowledged: int
    violations: tuple[str, ...]


@dataclass
class Campaign:
    """Rounds of kills over one study in ``folder``, each resumed from its database alone.

    ``rounds`` are those done; ``repeated`` counts epochs that were trained twice, ``kills`` the
    workers and drivers killed.
    """

    folder: Path
    cache: Path
    seed: int
    rounds: list[Round] = field(default_factory=list)
    kills: int = 0
    repeated: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._study = Study(self.folder, self.cache)
        self._epochs: dict[tuple[int, int], float] = {}
        self._ends: dict[int, tuple[str, float | None]] = {}

    def run(self, rounds: int) -> Iterator[Round]:
        """Do the rounds, then finish the study undisturbed; the last round is that end."""
        command = ["launch", str(self._study.file)]
        for number in range(rounds):
            action = ACTIONS[number % len(ACTIONS)]
            driver = self._study.start(*command, "--trials", _ENDLESS, "--max-parallel", "2")
            began = time.monotonic()
            reader = _Reader(driver)
            self._disturb(action, driver, reader)
            alive_s = time.monotonic() - began
            self._acknowledge(reader)
            if self._is_known():
                command = ["resume", "tiny"]
            yield self._done(Round(action, alive_s, len(self._epochs), self._check()))
        began = time.monotonic()
        total = str(max(len(self._numbers()), 2))
        events = self._study.run("resume", "tiny", "--trials", total, "--max-parallel", "2")
        self._take(events)
        violations = (*self._check(), *self._check_end())
        alive_s = time.monotonic() - began
        yield self._done(Round("finish", alive_s, len(self._epochs), violations))

    def _done(self, round_: Round) -> Round:
        self.rounds.append(round_)
        return round_

    def _disturb(self, action: str, driver: Driver, reader: "_Reader") -> None:
        """Let a driver work for a while, do it harm, and kill it with all its processes."""
        if self._chance.random() < 0.2 and self.rounds:  # anywhere in its beginning
            driver.linger(self._chance.uniform(0.5, 12))
        else:
            reader.wait_for_epochs(self._chance.randint(1, 6))
            driver.linger(self._chance.uniform(0, 1))
        if action == "worker":
            workers = [process for process in driver.family() if _is_trainer(process)]
            if workers:
                self._chance.choice(workers).kill()
                self.kills += 1
                reader.wait_for_epochs(self._chance.randint(1, 4))
        if action == "database":
            with locked(self.folder / "a.db"):
                driver.linger(self._chance.uniform(2, 6))
                if self._chance.random() < 0.5:  # it never sees the database again
                    driver.kill_with_workers()
                    self.kills += 1
                    return
        driver.kill_with_workers()
        self.kills += 1

    def _acknowledge(self, reader: "_Reader") -> None:
        self._take(reader.all())

    def _take(self, events: list[dict[str, Any]]) -> None:
        """Note what a driver told: from then on it may not be lost."""
        for event in events:
            if event["event"] == "epoch":
                self._epochs[event["trial"], event["epoch"]] = event["validation_accuracy"]
            elif event["event"] == "trial" and event["state"] in ("COMPLETE", "FAIL"):
                self._ends[event["trial"]] = event["state"], event["accuracy"]

    def _is_known(self) -> bool:
        with self._store() as store:
            return bool(store.studies())

    def _numbers(self) -> list[int]:
        with self._store() as store:
            return [trial.number for trial in store.trials("tiny")] if store.studies() else []

    def _check(self) -> tuple[str, ...]:
        """Look for acknowledged results that are lost, and epochs repeated more than allowed."""
        found = []
        numbers = self._numbers()
        if numbers != list(range(len(numbers))):
            found.append(f"trial numbers {numbers}")
        with self._store() as store:
            for (number, epoch), accuracy in self._epochs.items():
                stored = {e.epoch: e.validation_accuracy for e in store.epochs("tiny", number)}
                if stored.get(epoch) != accuracy:
                    found.append(f"epoch {epoch} of trial {number} is lost")
            for number, end in self._ends.items():
                trial = store.trial("tiny", number)
                if (trial.state.value, trial.accuracy) != end:
                    found.append(f"the end of trial {number} is lost: {end}")
        self.repeated = 0
        for number, events in self._study.logged().items():
            last = 0
            for event in events:
                if event["event"] == "began":
                    again = last - event["epochs_done"]
                    self.repeated += max(again, 0)
                    if again > 1:
                        found.append(f"{again} epochs of trial {number} are repeated")
                elif event["event"] == "epoch":
                    last = event["epoch"]
        return tuple(found)

    def _check_end(self) -> list[str]:
        """Look for trials that are not at their end, or not the same in Optuna's tables."""
        with self._store() as store:
            trials = store.trials("tiny")
        ours = [trial.state.value for trial in trials]
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        stored = optuna.load_study(study_name="tiny", storage=self._study.url)
        theirs = [trial.state.name for trial in stored.trials]
        found = [f"trial {t.number} is {t.state}" for t in trials if not t.state.is_finished]
        if ours != theirs:
            found.append(f"our states are {ours}, Optuna's {theirs}")
        if TrialState.FAIL.value in ours:
            found.append("a trial failed")
        return found

    @contextmanager
    def _store(self) -> Iterator[ResultStore]:
        engine = open_engine(self._study.url)
        try:
            yield ResultStore(engine)
        finally:
            engine.dispose()


class _Reader:
    """Reads a driver's events in a thread of its own."""

    def __init__(self, driver: Driver):
        self._driver = driver
        self._events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._is_over = False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for line in self._driver.lines():
            with self._changed:
                with suppress(json.JSONDecodeError):  # cut by the kill
                    self._events.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def wait_for_epochs(self, more: int) -> None:
        """Wait until that many epochs more are told."""
        with self._changed:
            wanted = self._count() + more
            self._changed.wait_for(
                lambda: self._is_over or self._count() >= wanted, timeout=_PATIENCE_S
            )

    def all(self) -> list[dict[str, Any]]:
        """Give all events, when the driver has ended."""
        self._thread.join()
        return self._events

    def _count(self) -> int:
        return sum(event["event"] == "epoch" for event in self._events)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an SQLite file, as another process does; where it is held already, do nothing."""
    other = sqlite3.connect(path, isolation_level=None, timeout=0.2)
    with suppress(sqlite3.OperationalError):
        other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.close()


def _is_trainer(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return "Trainable" in " ".join(process.cmdline())
    return False
