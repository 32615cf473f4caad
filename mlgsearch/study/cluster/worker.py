"""The Ray actor that trains trials, one after another, and what every such actor needs."""

import faulthandler
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import torch
from ray import tune

from mlgsearch.errors import ArtifactsAwayError, MlgsearchError
from mlgsearch.records import EpochRecord
from mlgsearch.study.artifacts.store import Artifacts, Work, open_artifacts
from mlgsearch.study.cluster.capacity import Capacity
from mlgsearch.study.cluster.exceptions import take_failure
from mlgsearch.study.cluster.messages import Assignment, Report
from mlgsearch.study.cluster.notice import Notice
from mlgsearch.study.cluster.object_store import Shipped
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.train.device import best_device, release_memory, set_up_device
from mlgsearch.train.own_code import add_code_folder
from mlgsearch.train.spec import TrainSpec
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.student.trial import TrialJob
from mlgsearch.train.teacher.prepared import Prepared

#: In the log's folder: where a trial's threads were when it took too long.
HUNG = "hung.txt"


@dataclass(frozen=True)
class WorkerContext:
    """What all trials of a study share, as text that a worker can be sent."""

    train: dict[str, Any]
    cache: str
    artifacts: str
    threads: int
    uses_gpu: bool = False
    trial_timeout_s: float | None = None
    code_folder: str | None = None

    @classmethod
    def of(
        cls,
        spec: StudySpec,
        cache: Path,
        artifacts: str,
        capacity: Capacity,
        code_folder: str | None,
        trial_timeout_s: float | None = None,
    ) -> "WorkerContext":
        """Put it together on the driver."""
        return cls(
            train=spec.train_spec().model_dump(mode="json"),
            cache=str(cache),
            artifacts=artifacts,
            threads=capacity.threads,
            uses_gpu=capacity.gpu > 0,
            trial_timeout_s=trial_timeout_s,
            code_folder=code_folder,
        )

    def to_text(self) -> str:
        """Write it down; `from_text` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "WorkerContext":
        """Read what `to_text` wrote."""
        return cls(**json.loads(text))

    def open(self, shipped: Shipped | None, device: torch.device) -> Prepared:
        """Open what all trials share, from what was shipped, or else from the driver's cache.

        Code that the study names is looked for in ``code_folder`` as well.

        Raises:
            DataError: it is not there, or does not fit what is installed here.
        """
        # Blocked in all processes of Ray's, but a program that a user's code starts inherits it.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        if self.code_folder is not None:
            add_code_folder(self.code_folder)
        train = TrainSpec.model_validate(self.train)
        if shipped is not None:
            return shipped.open(train, device)
        return Prepared.open(train, Path(self.cache), device)


class StudentActor:
    """What the actors that train students have in common; `set_up` comes before all else.

    Where its node is taken away with a notice it finishes the epoch in flight, and ends its own
    process when it is asked for the next one.
    """

    def set_up(self, context: str, shipped: Shipped | None) -> None:
        """Note where to find what the study's trials share: in the cache, or shipped."""
        self._context = WorkerContext.from_text(context)
        self._notice = Notice(is_far=shipped is not None)
        self._shipped = shipped
        self._device = best_device() if self._context.uses_gpu else torch.device("cpu")
        set_up_device(self._device, self._context.threads)
        self._training: StudentTraining | None = None
        self._work: Work | None = None

    @cached_property
    def _prepared(self) -> Prepared:
        return self._context.open(self._shipped, self._device)

    @property
    def _artifacts(self) -> Artifacts:
        return open_artifacts(self._context.artifacts)

    def _leave_if_noticed(self) -> None:
        if self._notice.is_given:
            self._close()
            self._notice.leave()

    def _begin_training(self, job: TrialJob) -> StudentTraining:
        """Begin, or go on from its last checkpoint."""
        assert self._work is not None
        threads = self._context.threads
        training = StudentTraining(
            self._prepared, job, self._work.path, threads=threads, resumes=True
        )
        self._log("began", epochs_done=training.epochs_done)
        return training

    def _epoch(self, training: StudentTraining) -> EpochRecord:
        epoch = training.run_epoch()
        self._log("epoch", epoch=epoch.epoch, accuracy=epoch.validation_accuracy)
        self._publish()  # before it is reported, so that what is reported can be resumed
        return epoch

    def _publish(self) -> None:
        assert self._work is not None
        self._work.publish()

    def _close(self) -> None:
        training, self._training = self._training, None
        if training is not None:
            training.close()
        work, self._work = self._work, None
        if work is not None:
            work.close()
        release_memory(self._device)

    def _log(self, event: str, **values: Any) -> None:
        """Add a line to the training's own log, the place to look when one asks what happened."""
        line = {"time": time.time(), "event": event, "pid": os.getpid(), **values}
        assert self._work is not None
        with (self._work.log_folder / "events.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")


class TrialWorker(StudentActor, tune.Trainable):
    """Trains the trial it is given, one epoch per step, and is then given another.

    A step's result carries a `Report`. An error is a report, not an exception: the actor lives on,
    and another try stays for workers that died. One that takes longer than ``trial_timeout_s`` ends
    its own process.

    The first result of a trial that was begun before holds what its checkpoint knows and nothing
    new, so that a driver which missed some of it catches up, and may stop it there.
    """

    def setup(self, config: dict[str, Any], shipped: Shipped | None = None) -> None:
        """Note where to find what the study's trials share: in the cache, or shipped."""
        self.set_up(config["context"], shipped)
        self._hung_file: TextIO | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial; True lets Ray know that this actor can be used again."""
        self._close()
        self._assignment = Assignment.from_config(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch, or report those trained before."""
        self._leave_if_noticed()
        attempt = self._assignment.attempt
        try:
            report = self._advance()
        except ArtifactsAwayError as error:
            report = Report(attempt, disk_full=str(error))
        except MlgsearchError as error:
            report = Report(attempt, error=str(error))
        except Exception as error:  # noqa: BLE001 - a model or a loader may raise anything
            failure = take_failure(f"trial {self._assignment.number}", error)
            if failure.is_disk_full:
                report = Report(attempt, disk_full=failure.text)
            else:
                report = Report(attempt, error=failure.text)
        if report.is_last:
            self._close()
        return report.to_result()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: an epoch's checkpoint is written by the training itself."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing: see `save_checkpoint`."""

    def cleanup(self) -> None:
        """Release memory before the actor ends."""
        self._close()

    def _advance(self) -> Report:
        if self._training is None:
            training = self._begin()
            self._training = training
            epochs = list(training.history) or [self._epoch(training)]
        else:
            training = self._training
            epochs = [self._epoch(training)]
        summary = training.summary() if training.is_done else None
        if summary is not None:
            self._log("finished")
            self._publish()
        return Report(self._assignment.attempt, tuple(epochs), summary)

    def _begin(self) -> StudentTraining:
        self._work = self._artifacts.begin(self._assignment.number, self._assignment.attempt)
        self._set_watchdog(self._work.log_folder / HUNG)
        proposal = self._assignment.proposal
        return self._begin_training(
            TrialJob(proposal.settings, proposal.train_spec(self._prepared.spec))
        )

    def _set_watchdog(self, path: Path) -> None:
        """End this process where the trial takes too long; Python may hang, so C watches."""
        if self._context.trial_timeout_s is not None:
            self._hung_file = path.open("w")
            faulthandler.dump_traceback_later(
                self._context.trial_timeout_s, file=self._hung_file, exit=True
            )

    def _close(self) -> None:
        super()._close()
        if self._hung_file is not None:
            faulthandler.cancel_dump_traceback_later()
            self._hung_file.close()
            Path(self._hung_file.name).unlink(missing_ok=True)
            self._hung_file = None

    def _log(self, event: str, **values: Any) -> None:
        super()._log(event, **values, attempt=self._assignment.attempt)
