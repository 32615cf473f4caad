"""A trial that Ray gives up without telling its searcher: the study goes on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ray import tune

from mlgsearch.records import TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.study.drive import Options
from mlgsearch.study.launch import launch
from mlgsearch.study.preparation import Preparation
from tests.results.leases import trials_of
from tests.study.driver import ROOT
from tests.study.driverless import a_summary
from tests.study.gpu_trials import ProgressView
from tests.study.samples import a_spec, an_epoch, resnet8

TRIALS = 3
#: As plain data, so that a worker imports nothing for it.
EPOCH, SUMMARY = vars(an_epoch(1)), vars(a_summary())


class OneTrial(tune.Trainable):
    """A worker that is good for one trial only."""

    def setup(self, config: dict[str, Any]) -> None:
        self._attempt = config["attempt"]

    def step(self) -> dict[str, Any]:
        payload = {"epochs": [EPOCH], "summary": SUMMARY, "attempt": self._attempt}
        return {"payload": json.dumps(payload), "done": True}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return False

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        pass


def test_its_trial_goes_to_another_worker(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", __name__, str(tmp_path)], cwd=ROOT, check=True)
    trials = trials_of(f"sqlite:///{tmp_path}/a.db", "digits")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * TRIALS
    assert trials[0].attempts == 1
    assert max(trial.attempts for trial in trials) > 1


def main(folder: Path) -> None:
    """Drive a study of such workers, one at a time."""
    spec = a_spec(training={"epochs": 1}, search={"n_trials": TRIALS, "sampler": "random"})
    options = Options(
        max_parallel=1,
        worker=OneTrial,
        prepare_study=lambda *_: Preparation(resnet8(), "none", 1.0),
    )
    launch(spec, "", open_engine(f"sqlite:///{folder}/a.db"), ProgressView(), options=options)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
