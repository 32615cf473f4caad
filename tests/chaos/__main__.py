"""Do harm to a real study and print what it did not outlive; see docs/reliability.md."""

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.campaign import Campaign
from tests.chaos.database import open_database
from tests.chaos.outage import LONG_STUDY, outlast
from tests.chaos.victim import Victim
from tests.chaos.worker_kills import kill_workers
from tests.study.driver import STUDY


def main() -> int:
    """Return 0 where no promise was broken."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="Kill the driver so many times.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--storage", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--folder", type=Path, help="Keep the study; a second call goes on.")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--kill-workers", type=int, metavar="N", help="Instead: N workers.")
    kind.add_argument("--outage", type=float, metavar="SECONDS", help="Instead: no database.")
    options = parser.parse_args()
    began = time.monotonic()
    with ExitStack() as stack:
        folder = options.folder or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="mlgsearch-chaos-"))
        )
        study = folder.absolute() / "study"
        study.mkdir(parents=True, exist_ok=True)
        database = stack.enter_context(open_database(options.storage, study))
        text = LONG_STUDY if options.outage else STUDY
        victim = Victim(study, folder.absolute() / "cache", database, text)
        if options.outage:
            rounds = outlast(victim, options.outage)
        elif options.kill_workers:
            rounds = kill_workers(victim, options.seed, options.kill_workers)
        else:
            rounds = Campaign(victim, options.seed).run(options.rounds)
        out = sys.stdout
        out.write(f"{'round':>5}  {'action':<9} {'alive':>7}  {'reported':>8}  violations\n")
        violations = 0
        for number, done in enumerate(rounds, 1):
            violations += len(done.violations)
            found = "; ".join(done.violations) or "none"
            out.write(
                f"{number:>5}  {done.action:<9} {done.alive_s:>5.1f} s  "
                f"{done.reported:>8}  {found}\n"
            )
            out.flush()
        kills, account = victim.kills, victim.account
        out.write(
            f"{options.storage}, seed {options.seed}: {kills.drivers} drivers and {kills.workers} "
            f"workers killed, {kills.starved} by a limit of memory, {kills.outages} outages; "
            f"{account.reported} results reported, {violations} "
            f"violations, {account.reported_twice} reported twice, "
            f"{account.repeated} epochs trained twice; {time.monotonic() - began:.0f} s\n"
        )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
