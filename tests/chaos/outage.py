"""A database that is away for a minute, while workers train."""

import time
from collections.abc import Iterator
from contextlib import suppress

from tests.chaos.victim import Round, Victim
from tests.study.driver import STUDY

#: Trainings that last longer than the outage: while the database is away no other begins.
LONG_STUDY = STUDY.replace("one_cycle, epochs: 4", "one_cycle, epochs: 2000")


def outlast(victim: Victim, seconds: float) -> Iterator[Round]:
    """Take the database away for so long; then all that was trained meanwhile must be reported.

    The last round's ``reported`` counts the epochs that were trained while it was away.
    """
    driver, reader = victim.search()
    try:
        began = time.monotonic()
        found = reader.waited("epoch", 4)
        yield Round("search", time.monotonic() - began, reader.count("epoch"), tuple(found))
        began = time.monotonic()
        with victim.database.away():
            victim.kills.outages += 1
            before = _trained(victim)
            driver.linger(seconds)
            meanwhile = _trained(victim) - before
        if not meanwhile:
            found.append("no epoch was trained meanwhile")

        def reported() -> set[tuple[int, int]]:
            events = reader.so_far()
            return {(e["trial"], e["epoch"]) for e in events if e["event"] == "epoch"}

        if not reader.wait_until(lambda: reported() >= meanwhile):
            found.append(f"{len(meanwhile - reported())} epochs were not reported")
        found += reader.waited("epoch", 2)
        driver.interrupt()
        driver.wait()
    finally:
        driver.kill_with_workers()
    victim.account.take(reader.all())
    found += victim.account.check()
    if victim.account.reported_twice:
        found.append(f"{victim.account.reported_twice} results were reported twice")
    with suppress(StopIteration):
        found.append(f"{next(victim.study.folder.glob('*runs/*/outbox/*.json'))} is left")
    yield Round("outage", time.monotonic() - began, len(meanwhile), tuple(found))


def _trained(victim: Victim) -> set[tuple[int, int]]:
    """Return the epochs that workers finished, by their own logs."""
    return {
        (number, event["epoch"])
        for number, events in victim.study.logged().items()
        for event in events
        if event["event"] == "epoch"
    }
