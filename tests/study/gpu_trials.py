"""A driver whose trials take a share of a GPU each, and report what Ray gave them.

Run as ``python -m tests.study.gpu_trials ADDRESS FOLDER SHARE``. There need be no GPU: Ray counts
what a node says it has.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune

from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.study.drive import Options
from mlgsearch.study.launch import launch
from mlgsearch.study.preparation import Preparation
from tests.study.samples import a_spec, an_epoch, resnet8

TRIALS = 2
#: Each trial waits this long for the other, which must run at the same time.
PATIENCE_S = 100.0
#: As plain data, so that a worker imports nothing for it.
EPOCH = vars(an_epoch(1))


class GpuTrial(tune.Trainable):
    """Writes down what it was given, and ends once all have."""

    def setup(self, config: dict[str, Any]) -> None:
        self._number, self._attempt = config["number"], config["attempt"]
        given = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
        gpus = os.environ["CUDA_VISIBLE_DEVICES"]
        note = {"gpu": given.get("GPU"), "devices": gpus, "pid": os.getpid()}
        folder = Path(json.loads(config["context"])["artifacts"]).parents[1] / "notes"
        folder.mkdir(exist_ok=True)
        (folder / f"{self._number}.json").write_text(json.dumps(note))
        self._folder = folder

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take a trial whose own worker, which has noted what it was given, came too late."""
        self._number, self._attempt = new_config["number"], new_config["attempt"]
        return True

    def step(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE_S
        while len(list(self._folder.glob("*.json"))) < TRIALS:
            assert time.monotonic() < end, "the other trial does not run beside this one"
            time.sleep(0.05)
        summary = {
            "epochs_done": 1,
            "accuracy": 0.5,
            "loss": 1.0,
            "packed_bytes": 1_000,
            "projection_error": {},
            "stage_seconds": {"train": 0.0},
            "versions": {},
            "teacher_hash": "",
        }
        payload = {"epochs": [EPOCH], "summary": summary, "attempt": self._attempt}
        return {"payload": json.dumps(payload), "done": True}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        pass

    def load_checkpoint(self, checkpoint: Any) -> None:
        pass


class ProgressView:
    def preparing(self, *reported: Any) -> None:
        pass

    def notice(self, text: str) -> None:
        pass

    def started(self, study: Any, trials: Any, at_once: int) -> None:
        print(at_once, flush=True)  # noqa: T201 - the test reads it

    def trial(self, *reported: Any) -> None:
        pass


def main(address: str, folder: Path, share: float) -> None:
    spec = a_spec(
        resources={"gpu": share},
        training={"epochs": 1},
        search={"n_trials": TRIALS, "sampler": "random"},
    )
    options = Options(
        address=address,
        worker=GpuTrial,
        prepare_study=lambda *_: Preparation(resnet8(), "none", 1.0),
    )
    launch(spec, "", open_engine(f"sqlite:///{folder}/a.db"), ProgressView(), options=options)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
