"""The Ray actor that trains a trial's student again, and looks at it with the test part."""

import time
from functools import partial
from typing import Any

import torch

from mlgsearch.errors import ArtifactsAwayError, DiskFullError, MlgsearchError
from mlgsearch.records import TrialState, VerificationRecord
from mlgsearch.study.cluster.exceptions import take_failure
from mlgsearch.study.cluster.object_store import Shipped
from mlgsearch.study.cluster.worker import StudentActor
from mlgsearch.study.verify.task import VerifyTask
from mlgsearch.train.data.images import effective_samples
from mlgsearch.train.device import memory_format
from mlgsearch.train.files.packed_file import load_packed, write_packed
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.networks.models import make_own
from mlgsearch.train.own_code import names_code
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.versions import library_versions

#: The finished student's packed file, in the folder of its training.
PACKED = "packed.safetensors"


class VerifyWorker(StudentActor):
    """Trains the task it is given, one epoch per step, and is then given another.

    A training that stopped goes on from its last checkpoint. An error is a record, not an
    exception: the actor lives on, and retries stay for workers that died.
    """

    def __init__(self, context: str, shipped: Shipped | None = None):
        self.set_up(context, shipped)
        self._task: VerifyTask | None = None

    def step(self, task: VerifyTask) -> VerificationRecord:
        """Train one epoch of the task; after the last one look at the test part.

        The record's state is RUNNING, COMPLETE or FAIL; another task before that drops this one.

        Raises:
            DiskFullError: there is no room for its files; it goes on where there is.
            ArtifactsAwayError: the store of its files does not answer.
        """
        self._leave_if_noticed()
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
        if not training.is_done:
            self._epoch(training)
        accuracy = training.history[-1].validation_accuracy
        if not training.is_done:
            return task.record(
                TrialState.RUNNING, training.epochs_done, validation_accuracy=accuracy
            )
        found = self._look(training)
        self._log("finished", **found)
        self._publish()
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
        job = task.job(self._prepared.spec)
        self._task = task
        self._work = self._artifacts.beside(task.trial, task.folder, task.attempt)
        return self._begin_training(job)

    def _look(self, training: StudentTraining) -> dict[str, Any]:
        """Read the test part, once for the student and once for its packed file."""
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
