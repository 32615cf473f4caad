"""The Ray actor that trains a trial's student again, and looks at it with the test part."""

import json
import logging
import os
import time
from functools import partial
from typing import Any

import torch

from mlgsearch.errors import ArtifactsAwayError, DiskFullError, MlgsearchError
from mlgsearch.records import TrialState, VerificationRecord
from mlgsearch.study.artifacts.store import Work, open_artifacts
from mlgsearch.study.cluster.exceptions import take_failure
from mlgsearch.study.cluster.notice import Notice
from mlgsearch.study.cluster.object_store import Shipped
from mlgsearch.study.cluster.worker import WorkerContext
from mlgsearch.study.verify.task import VerifyTask
from mlgsearch.train.data.images import effective_samples
from mlgsearch.train.device import best_device, memory_format, release_memory, set_up_device
from mlgsearch.train.files.packed_file import load_packed, write_packed
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.networks.models import make_own
from mlgsearch.train.own_code import names_code
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.teacher.prepared import Prepared
from mlgsearch.train.versions import library_versions

logger = logging.getLogger(__name__)

#: The finished student's packed file, in the folder of its training.
PACKED = "packed.safetensors"


class VerifyWorker:
    """Trains the task it is given, an epoch a step, and is then given another.

    A training that stopped goes on from its last checkpoint. An error is a record, not an
    exception: the actor lives on, and retries stay for workers that died. Where its node is
    taken away with a notice it ends its own process before the next epoch.
    """

    def __init__(self, context: str, shipped: Shipped | None = None):
        self._context = WorkerContext.from_text(context)
        self._notice = Notice(is_far=shipped is not None)
        self._shipped = shipped
        self._device = best_device() if self._context.uses_gpu else torch.device("cpu")
        set_up_device(self._device, self._context.threads)
        self._prepared: Prepared | None = None
        self._task: VerifyTask | None = None
        self._training: StudentTraining | None = None
        self._work: Work | None = None

    def step(self, task: VerifyTask) -> VerificationRecord:
        """Train one epoch of the task; after the last one look at the test part.

        The record's state is RUNNING, COMPLETE or FAIL; another task before that drops this one.

        Raises:
            DiskFullError: there is no room for its files; it goes on where there is.
            ArtifactsAwayError: the store of its files does not answer.
        """
        if self._notice.is_given:
            self._close()
            self._notice.leave()
        try:
            return self._advance(task)
        except ArtifactsAwayError:
            self._close()
            raise
        except MlgsearchError as error:
            return self._give_up(task, str(error))
        except Exception as error:  # noqa: BLE001 - a model or a loader may raise anything
            failure = take_failure(f"trial {task.trial}, seed {task.seed}", error)
            if failure.is_disk_full:
                self._close()
                raise DiskFullError(failure.text) from None
            return self._give_up(task, failure.text)

    def _advance(self, task: VerifyTask) -> VerificationRecord:
        if self._training is None or self._task != task:
            self._training = self._begin(task)
        training = self._training
        assert self._work is not None
        if not training.is_done:
            epoch = training.run_epoch()
            self._log("epoch", epoch=epoch.epoch, accuracy=epoch.validation_accuracy)
            self._work.publish()
        accuracy = training.history[-1].validation_accuracy
        if not training.is_done:
            return task.record(
                TrialState.RUNNING, training.epochs_done, validation_accuracy=accuracy
            )
        found = self._look(training)
        self._log("finished", **found)
        self._work.publish()
        epochs_done = training.epochs_done
        self._close()
        return task.record(
            TrialState.COMPLETE,
            epochs_done,
            validation_accuracy=accuracy,
            versions=library_versions(),
            **found,
        )

    def _begin(self, task: VerifyTask) -> StudentTraining:
        self._close()
        if self._prepared is None:
            self._prepared = self._context.open(self._shipped, self._device)
        self._task = task
        self._work = open_artifacts(self._context.artifacts).beside(
            task.trial, task.folder, task.attempt
        )
        training = StudentTraining(
            self._prepared,
            task.job(self._prepared.spec),
            directory=self._work.path,
            threads=self._context.threads,
            resumes=True,
        )
        self._log("began", epochs_done=training.epochs_done)
        return training

    def _look(self, training: StudentTraining) -> dict[str, Any]:
        """Read the test part, once for the student and once for its packed file."""
        assert self._prepared is not None
        assert self._work is not None
        began = time.perf_counter()
        images = self._prepared.images
        layout = memory_format(images.input_shape)
        part = HeldOutPart(images, images.test, self._device)
        _, accuracy = part.evaluate(training.network, layout)
        card = training.card()
        path = self._work.path / PACKED
        packed_bytes = write_packed(path, training.network, card)
        own = None
        if names_code(card.model.name):
            own = partial(make_own, card.model.name, "model.name")
        on_cpu = HeldOutPart(images, images.test, torch.device("cpu"))
        _, packed_accuracy = on_cpu.evaluate(load_packed(path, build=own), layout)
        return {
            "test_accuracy": accuracy,
            "packed_accuracy": packed_accuracy,
            "test_samples": effective_samples(images, images.test),
            "packed_bytes": packed_bytes,
            "seconds": sum(training.stage_seconds.values()) + time.perf_counter() - began,
        }

    def _give_up(self, task: VerifyTask, error: str) -> VerificationRecord:
        done = 0 if self._training is None else self._training.epochs_done
        self._close()
        return task.record(TrialState.FAIL, done, error=error, versions=library_versions())

    def _close(self) -> None:
        training, self._training = self._training, None
        if training is not None:
            training.close()
            release_memory(self._device)
        work, self._work = self._work, None
        if work is not None:
            work.close()

    def _log(self, event: str, **values: Any) -> None:
        """Add a line to the training's own log, the place to look when one asks what happened."""
        line = {"time": time.time(), "event": event, "pid": os.getpid(), **values}
        assert self._work is not None
        with (self._work.log_folder / "events.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
