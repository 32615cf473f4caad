"""Run a campaign and print its table; see docs/reliability.md."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.campaign import Campaign


def main() -> int:
    """Give 0 where no promise was broken."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mlgsearch-chaos-") as folder:
        study = Path(folder) / "study"
        study.mkdir()
        campaign = Campaign(study, Path(folder) / "cache", options.seed)
        out = sys.stdout
        out.write(f"{'round':>5}  {'action':<9} {'alive':>7}  {'epochs told':>11}  violations\n")
        for number, done in enumerate(campaign.run(options.rounds), 1):
            found = "; ".join(done.violations) or "none"
            out.write(
                f"{number:>5}  {done.action:<9} {done.alive_s:>5.1f} s  {done.acknowledged:>11}  "
                f"{found}\n"
            )
            out.flush()
    violations = sum(len(done.violations) for done in campaign.rounds)
    out.write(
        f"{options.rounds} rounds, seed {options.seed}: {campaign.kills} kills, {violations} "
        f"violations, {campaign.repeated} epochs trained twice, "
        f"{time.monotonic() - began:.0f} s\n"
    )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
