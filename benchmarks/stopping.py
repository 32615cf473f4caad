"""What `search.stop: {no_gain: N}` would have saved of stored studies, and lost.

    python benchmarks/stopping.py --storage URL NAME [NAME ...]

Each study's finished trials are replayed in the order in which they finished. Prints for each N
after how many the search would have ended, and the hypervolume then as a share of the whole one.
"""

import argparse
import sys
from datetime import UTC, datetime

from mlgsearch.results.analysis.front import front_hypervolume
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.file.spec import StopSpec, parse_study
from mlgsearch.study.search.stop_rule import StopRule

PATIENCES = (5, 8, 10, 12, 15, 20)


def main() -> int:
    """Replay."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--storage", required=True)
    parser.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    store = ResultStore(open_engine(arguments.storage, read_only=True))
    now = datetime.now(UTC)
    for name in arguments.names:
        study = store.study(name)
        spec = parse_study(study.content, name)
        finished = [trial for trial in store.trials(name) if trial.state.is_finished]
        finished.sort(key=lambda trial: (trial.finished_at or now, trial.number))
        whole = front_hypervolume(finished, study.objectives, study.hypervolume_reference)
        for patience in PATIENCES:
            rule = StopRule(
                StopSpec(no_gain=patience),
                study.objectives,
                study.hypervolume_reference,
                study.validation_samples,
                len(spec.search.first) + spec.planned_trials,
            )
            counts = range(1, len(finished) + 1)
            ended = next((k for k in counts if rule.reason(finished[:k], now, now)), len(finished))
            reached = front_hypervolume(
                finished[:ended], study.objectives, study.hypervolume_reference
            )
            print(
                f"{name}: no_gain {patience}: {ended} of {len(finished)} trials, "
                f"{reached / whole:.2%} of the hypervolume"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
