"""Workers killed one after another under one driver, which must go on."""

import random
import time
from collections.abc import Iterator

from tests.chaos.victim import Round, Victim


def kill_workers(victim: Victim, seed: int, wanted: int) -> Iterator[Round]:
    """Kill that many workers of one search, each a moment after an epoch; then finish it."""
    chance = random.Random(seed)
    driver, reader = victim.search()
    try:
        while victim.kills.workers < wanted:
            began = time.monotonic()
            found = reader.waited("epoch", chance.randint(1, 2))
            driver.linger(chance.uniform(0, 0.5))
            victim.kill_worker(driver, chance)
            yield Round("worker", time.monotonic() - began, reader.count("epoch"), tuple(found))
            if found:
                return
        driver.interrupt()
        driver.wait()
    finally:
        driver.kill_with_workers()
    victim.account.take(reader.all())
    began = time.monotonic()
    found = [*victim.account.check(), *victim.finish()]
    yield Round("finish", time.monotonic() - began, victim.account.reported, tuple(found))
