"""A seeded campaign of kills against real drivers and workers, and what must hold after each."""

import json
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict

from mlgsearch.records import TrialState
from tests.chaos.reader import PATIENCE_S, Reader
from tests.chaos.victim import Kills, Round, Victim
from tests.study.driver import Driver

#: What is done to a study in a round; the driver and all its processes are killed at its end.
ACTIONS = ("driver", "worker", "database", "verify", "sigterm", "stdout", "limits")
#: In a campaign's folder: its rounds, and what was reported in them.
_DIARY = "campaign.json"


class Campaign:
    """Rounds of kills over one study, each resumed from its database alone.

    What a round does is settled by ``seed`` and the round's number. A campaign that was cut off
    goes on behind its last round: the study's folder has a diary. ``rounds`` are those done.
    """

    def __init__(self, victim: Victim, seed: int, actions: tuple[str, ...] = ACTIONS):
        self.rounds: list[Round] = []
        self._victim = victim
        self._seed = seed
        self._actions = actions
        self._diary = victim.study.folder / _DIARY
        if self._diary.exists():
            self._restore()

    def run(self, rounds: int) -> Iterator[Round]:
        """Do the rounds that are not done, then finish the study undisturbed; gives each."""
        for number in range(len(self.rounds), rounds):
            action = self._actions[number % len(self._actions)]
            if action == "verify" and not self._victim.complete():
                action = "driver"
            began = time.monotonic()
            did, found = self._round(action, random.Random(f"{self._seed} {number}"))
            yield self._done(did, began, found)
        if len(self.rounds) == rounds:
            began = time.monotonic()
            is_verified = any(done.action == "verify" for done in self.rounds)
            yield self._done("finish", began, self._victim.finish(verified=is_verified))

    def _round(self, action: str, chance: random.Random) -> tuple[str, list[str]]:
        """Do a round; return what was done, which is less where no worker could be hurt."""
        if action == "sigterm":
            return action, self._stop(chance)
        if action == "stdout":
            return action, self._silence(chance)
        if action == "verify":
            # Some more each time that they might all be at their end.
            driver, reader = self._victim.verify(seeds=2 + len(self.rounds) // 8)
            harm, event = chance.choice(("driver", "worker", "database")), "run"
        else:
            driver, reader = self._victim.search()
            harm, event = action, "epoch"
        try:
            did, found = self._harm(harm, event, driver, reader, chance)
        finally:
            lost = self._victim.kill(driver, reader)
        return "verify" if action == "verify" else did, [*found, *lost]

    def _stop(self, chance: random.Random) -> list[str]:
        """Stop a search by one SIGTERM or two; it must end in order, with 143."""
        driver, reader = self._victim.search()
        try:
            found = reader.waited("epoch", chance.randint(1, 4))
            if not found:
                for _ in range(chance.randint(1, 2)):
                    driver.send(signal.SIGTERM)
                    driver.linger(chance.uniform(0.1, 1))
                code = driver.wait()
                if code != 128 + signal.SIGTERM:
                    found.append(f"stopped by SIGTERM it ended with {code}")
                if "Traceback" in driver.errors():
                    found.append("a traceback is on stderr")
                running = [
                    t.number for t in self._victim.account.trials() if t.state is TrialState.RUNNING
                ]
                found += [f"trial {number} is RUNNING" for number in running]
        finally:
            lost = self._victim.kill(driver, reader)
        return [*found, *lost]

    def _silence(self, chance: random.Random) -> list[str]:
        """Close a search's stdout after some lines; it must go on."""
        driver, reader = self._victim.search(most_lines=chance.randint(1, 12))
        try:
            found = [] if reader.wait_until_over() else ["the driver reported nothing"]
            before = self._victim.trained()
            driver.linger(chance.uniform(2, 5))
            over_s = time.monotonic() + PATIENCE_S
            while driver.is_running() and self._victim.trained() <= before:
                if time.monotonic() > over_s:
                    found.append("without stdout no epoch was trained")
                    break
                driver.linger(1)
            if not driver.is_running():
                found.append(f"without stdout it ended: {driver.errors()[-500:]}")
            if "Traceback" in driver.errors():
                found.append("a traceback is on stderr")
        finally:
            lost = self._victim.kill(driver, reader)
        return [*found, *lost]

    def _harm(
        self, harm: str, event: str, driver: Driver, reader: Reader, chance: random.Random
    ) -> tuple[str, list[str]]:
        """Let a driver work for a while, and do it harm; gives which, and what it did not outlive.

        ``driver`` where it was to lose a worker and had none, or none could be given a limit: all
        that is done then is to kill it.
        """
        found: list[str] = []
        if chance.random() < 0.2 and self.rounds:  # anywhere in its beginning
            driver.linger(chance.uniform(0.5, 12))
        else:
            found += reader.waited(event, chance.randint(1, 6))
            driver.linger(chance.uniform(0, 1))
        if found:
            return harm, found
        hurts = {"worker": self._victim.kill_worker, "limits": self._victim.starve_worker}
        if harm in hurts:
            if not hurts[harm](driver, chance):
                return "driver", found
            found += reader.waited(event, chance.randint(1, 4))
        if harm == "database":
            self._victim.kills.outages += 1
            sees_it_again = chance.random() < 0.5
            with self._victim.database.away():
                driver.linger(chance.uniform(2, 6))
                if not sees_it_again:
                    self._victim.kill_driver(driver)
            if sees_it_again:
                found += reader.waited(event, chance.randint(1, 4))
        return harm, found

    def _done(self, action: str, began: float, found: list[str]) -> Round:
        done = Round(action, time.monotonic() - began, self._victim.account.reported, tuple(found))
        self.rounds.append(done)
        diary = {
            "seed": self._seed,
            "url": self._victim.database.url,
            "rounds": [asdict(done) for done in self.rounds],
            "kills": asdict(self._victim.kills),
            "account": self._victim.account.to_json(),
        }
        self._diary.write_text(json.dumps(diary))
        return done

    def _restore(self) -> None:
        diary = json.loads(self._diary.read_text())
        assert diary["seed"] == self._seed, f"{self._diary} is of seed {diary['seed']}"
        self.rounds = [
            Round(**(content | {"violations": tuple(content["violations"])}))
            for content in diary["rounds"]
        ]
        self._victim.kills = Kills(**diary["kills"])
        self._victim.account.restore(diary["account"])
