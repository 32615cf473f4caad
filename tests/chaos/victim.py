"""The study that a campaign does harm to: started, hurt, and brought to its end."""

import random
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from mlgsearch.records import TrialState
from tests.chaos.account import Account
from tests.chaos.database import ChaosDatabase
from tests.chaos.limits import memory_group
from tests.chaos.reader import Reader
from tests.study.driver import STUDY, Driver, Study

#: Longer than any study of a campaign gets in its rounds.
_ENDLESS = "1000"
#: The length of a verification.
_VERIFY_EPOCHS = "30"
#: Where no trial may fail, however often its worker is killed.
_PATIENT = "resources: {worker_retries: 1000}\n"


@dataclass(frozen=True)
class Round:
    """What a round did, how long it took, what was reported up to its end, and what it found."""

    action: str
    alive_s: float
    reported: int
    violations: tuple[str, ...]


@dataclass
class Kills:
    """What was done to a study."""

    drivers: int = 0
    workers: int = 0
    outages: int = 0
    starved: int = 0


class Victim:
    """A study in ``folder``, and the account of what its drivers reported."""

    def __init__(self, folder: Path, cache: Path, database: ChaosDatabase, text: str = STUDY):
        self.database = database
        self.study = Study(folder, cache, text + _PATIENT, database.url)
        self.account = Account(self.study)
        self.kills = Kills()

    def search(self, most_lines: int | None = None) -> tuple[Driver, Reader]:
        """Start a driver that searches without end; its stdout is closed after so many lines."""
        command = ["launch", str(self.study.file)]
        if self.account.is_known():
            command = ["resume", "tiny"]
        driver = self.study.start(*command, "--trials", _ENDLESS, "--max-parallel", "2")
        return driver, Reader(driver, most_lines)

    def trained(self) -> int:
        """Count the epochs that workers finished, by their own logs."""
        return sum(event["event"] == "epoch" for _, events in self.study.logs() for event in events)

    def verify(self, seeds: int) -> tuple[Driver, Reader]:
        """Start one that verifies two trials under so many seeds."""
        trials = ",".join(map(str, self.complete()[:2]))
        wanted = ["--trials", trials, "--seeds", str(seeds), "--epochs", _VERIFY_EPOCHS]
        driver = self.study.start("verify", "tiny", *wanted, "--max-parallel", "2")
        return driver, Reader(driver)

    def kill(self, driver: Driver, reader: Reader) -> list[str]:
        """End a driver's round: kill it where it runs; gives what is found wrong then."""
        self.kill_driver(driver)
        self.account.take(reader.all())
        return self.account.check()

    def kill_driver(self, driver: Driver) -> None:
        """Kill a driver with all its processes; one that has ended already is not counted."""
        self.kills.drivers += driver.is_running()
        driver.kill_with_workers()

    def kill_worker(self, driver: Driver, chance: random.Random) -> bool:
        """Kill one of a driver's workers; return whether it had any."""
        workers = [process for process in driver.family() if _is_worker(process)]
        if workers:
            chance.choice(workers).kill()
            self.kills.workers += 1
        return bool(workers)

    def starve_worker(self, driver: Driver, chance: random.Random) -> bool:
        """Let a container's limit of memory end one of a driver's workers; return whether it did.

        The worker is put into a control group of its own, in which it may take no more.
        """
        workers = [process for process in driver.family() if _is_worker(process)]
        if not workers:
            return False
        worker = chance.choice(workers)
        with memory_group(f"mlgsearch-chaos-{worker.pid}") as group:
            if group is None:
                return False
            group.join(worker.pid)
            with suppress(psutil.TimeoutExpired):
                worker.wait(60)
            has_ended = not worker.is_running()
            if not has_ended:  # the kernel found what it could drop
                worker.kill()
        self.kills.workers += 1
        self.kills.starved += has_ended
        return True

    def finish(self, *, verified: bool = False) -> list[str]:
        """Let it come to its end in peace, and one of its verifications; gives what is wrong."""
        total = str(max(len(self.account.trials()), 2))
        wanted = ["--trials", total, "--max-parallel", "1"]
        self.account.take(self.study.run("resume", "tiny", *wanted))
        if verified:
            wanted = ["--trials", str(self.complete()[0]), "--seeds", "1"]
            events = self.study.run("verify", "tiny", *wanted, "--epochs", _VERIFY_EPOCHS)
            self.account.take(events)
        return [*self.account.check(), *self.account.check_end()]

    def complete(self) -> list[int]:
        """Return the numbers of the trials that can be verified, each trained by itself."""
        trials = self.account.trials()
        return [
            t.number for t in trials if t.state is TrialState.COMPLETE and t.reused_from is None
        ]


def _is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        title = " ".join(process.cmdline())
        return "Trainable" in title or "VerifyWorker" in title
    return False
