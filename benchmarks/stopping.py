"""What `search.stop: {no_gain: N}` would have saved of stored studies, and lost.

    python benchmarks/stopping.py --storage URL NAME [NAME ...]

Each study's finished trials are replayed in the order in which they finished. Prints for each N
after how many the search would have ended, and the hypervolume then as a share of the whole one;
and the same for two other rules: hypervolumes of the accuracies that are expected of trials, in
place of those that were seen, and a growth of 0.5 % in place of the noise of a training. Last, the
fewest trials that have 99 %: what no rule can save more of.
"""

import argparse
import sys
from dataclasses import replace
from datetime import UTC, datetime

from mlgsearch.records import StudyRecord, TrialRecord
from mlgsearch.results.analysis.front import front_hypervolume
from mlgsearch.results.analysis.uncertainty.expectation import Expectations
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.file.search_spec import StopSpec
from mlgsearch.study.file.study_file import parse_study
from mlgsearch.study.search.stop_rule import StopRule

PATIENCES = (5, 8, 10, 12, 15, 20)


class Replay:
    """Asks of a study's finished trials whether its search would have ended after so many."""

    def __init__(self, study: StudyRecord, finished: list[TrialRecord], given: int) -> None:
        self._study, self._finished, self._given = study, finished, given
        self._volumes = [self._volume(finished[:k]) for k in range(len(finished) + 1)]

    def _volume(self, trials: list[TrialRecord]) -> float:
        return front_hypervolume(trials, self._study.objectives, self._study.hypervolume_reference)

    def share(self, count: int) -> float:
        """Return the hypervolume after so many trials, as a share of the whole one."""
        return self._volumes[count] / self._volumes[-1]

    def _rule(self, patience: int) -> StopRule:
        study = self._study
        return StopRule(
            StopSpec(no_gain=patience),
            study.objectives,
            study.hypervolume_reference,
            study.validation_samples,
            self._given,
        )

    def without_gain(self, count: int, patience: int) -> bool:
        """As `search.stop` says."""
        now = datetime.now(UTC)
        return self._rule(patience).reason(self._finished[:count], now, now) is not None

    def without_expected_gain(self, count: int, patience: int) -> bool:
        """The front of expected accuracies has grown by no more than the noise."""
        seen = self._finished[:count]
        expected = Expectations.of_trials(seen, [], self._study.validation_samples)
        trials = [
            replace(trial, accuracy=expected[trial.number].accuracy)
            if trial.number in expected
            else trial
            for trial in seen
        ]
        grown = self._volume(trials) - self._volume(trials[:-patience])
        return grown <= self._rule(patience)._noise(seen[:-patience])

    def without_growth(self, count: int, patience: int) -> bool:
        """The front has grown by no more than half a hundredth."""
        grown = self._volumes[count] - self._volumes[count - patience]
        return grown <= 0.005 * self._volumes[count]


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
        given_trials = len(spec.search.first) + spec.planned_trials
        replay = Replay(study, finished, given_trials)
        for patience in PATIENCES:
            for label, stops in (
                ("no_gain", replay.without_gain),
                ("expected accuracy", replay.without_expected_gain),
                ("0.5 %", replay.without_growth),
            ):
                counts = range(given_trials + patience, len(finished) + 1)
                ended = next((k for k in counts if stops(k, patience)), len(finished))
                print(
                    f"{name}: {label} {patience}: {ended} of {len(finished)} trials, "
                    f"{replay.share(ended):.2%} of the hypervolume"
                )
        least = next(k for k in range(1, len(finished) + 1) if replay.share(k) >= 0.99)
        print(f"{name}: 99 % of the hypervolume after {least} trials")
    return 0


if __name__ == "__main__":
    sys.exit(main())
