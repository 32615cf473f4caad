"""One student: projected from the teacher, then trained with quantisation in the loop."""

import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.packing.packed import settings_of
from mlgsearch.mlg.penalty import Orthonormality
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import EpochRecord
from mlgsearch.train.data.batches import batch_bounds
from mlgsearch.train.device import memory_format, release_memory, set_up_device
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import to_bytes
from mlgsearch.train.light_torch import without_compiler
from mlgsearch.train.loop import checkpoint
from mlgsearch.train.loop.batch_norm import reestimate_on
from mlgsearch.train.loop.distillation import SoftTargets
from mlgsearch.train.loop.epoch import Loss, TrainingDivergedError, train_epoch
from mlgsearch.train.loop.optim import build_optimiser
from mlgsearch.train.spec import QuantisationSpec
from mlgsearch.train.student.trial import TrialJob, TrialSummary
from mlgsearch.train.teacher.prepared import Prepared
from mlgsearch.train.teacher.teacher import build_network
from mlgsearch.train.versions import library_versions, versions_text

_log = logging.getLogger(__name__)

#: The name that a student's checkpoints have in its directory.
CHECKPOINT = "student"


def compress_as(
    network: nn.Module,
    settings: Mapping[str, LayerSetting],
    quantisation: QuantisationSpec,
    *,
    projects: bool = True,
) -> dict[str, float]:
    """Compress a network in place as a study's students are; returns and raises as `compress`."""
    return compress(
        network,
        settings,
        method=quantisation.method,
        refine_steps=quantisation.refine_steps,
        norm_bits=quantisation.norm_bits,
        in_bits=quantisation.in_bits,
        noise_ratio=quantisation.noise_ratio,
        projects=projects,
    )


class StudentTraining:
    """The training of one job, epoch by epoch.

    The same job on the same machine with the same number of threads gives the same numbers bit
    for bit, whether or not it was interrupted between epochs and resumed.

    Args:
        prepared: what the study's trials share.
        job: the student to train.
        directory: where a checkpoint is written after each epoch; None for none.
        threads: torch threads of this process from here on.
        resumes: go on from the last good checkpoint in the directory, where there is one. One of
            another job is not used, and the log says so.

    Raises:
        ValueError: the job's data, model or teacher are not those of ``prepared``.
        SettingError: the settings do not fit the network.
    """

    @without_compiler()
    def __init__(
        self,
        prepared: Prepared,
        job: TrialJob,
        directory: Path | None = None,
        threads: int = 1,
        *,
        resumes: bool = False,
    ) -> None:
        for part in ("data", "model", "teacher"):
            ours, theirs = getattr(job.spec, part), getattr(prepared.spec, part)
            if ours != theirs:
                raise ValueError(f"the job's {part} is {ours}, but {theirs} was prepared")
        set_up_device(prepared.device, threads)
        self.job = job
        self.history: list[EpochRecord] = []
        self.stage_seconds: dict[str, float] = {}
        self._prepared = prepared
        self._directory = directory
        self._layout = memory_format(prepared.images.input_shape)
        spec = job.spec
        saved = self._last_checkpoint() if resumes else None
        # Checkpoints hold the projection's error, but for those of an earlier version.
        known: Any = None if saved is None else saved.metadata.get("projection_error")
        with self._timed("build"):
            network = build_network(spec.model, prepared.images)
            network.load_state_dict(prepared.teacher.network.state_dict())
        with self._timed("project"):
            projected = compress_as(
                network, job.settings, spec.quantisation, projects=known is None
            )
        self.projection_error: dict[str, float] = projected if known is None else known
        self.network: nn.Module = network.to(prepared.device).to(memory_format=self._layout)
        self._optimiser = build_optimiser(self.network, spec.training, self.projection_error)
        if saved is not None:
            self._restore(saved)

    @property
    def epochs_done(self) -> int:
        """How many epochs are finished."""
        return len(self.history)

    @property
    def is_done(self) -> bool:
        """Whether all epochs are finished."""
        return self.epochs_done >= self.job.spec.training.epochs

    @without_compiler()
    def run_epoch(self) -> EpochRecord:
        """Train one epoch, look at the validation part, write a checkpoint.

        Raises:
            TrainingDivergedError: a loss became NaN or infinite.
            ValueError: all epochs are finished already.
        """
        if self.is_done:
            raise ValueError(f"all {self.epochs_done} epochs are finished")
        began = time.perf_counter()
        spec, epoch = self.job.spec, self.epochs_done + 1
        if epoch == 1:
            with self._timed("batch_norm"):
                reestimate_on(
                    self.network,
                    self._prepared.training,
                    spec.training.batch_size,
                    seed=spec.seed,
                    memory_format=self._layout,
                )
        with self._timed("train"):
            totals = train_epoch(
                self.network,
                self._optimiser,
                self._prepared.training,
                spec.training,
                self._loss_of(epoch),
                seed=spec.seed,
                epoch=epoch,
                memory_format=self._layout,
            )
        with self._timed("validate"):
            loss, accuracy = self._prepared.validation.evaluate(self.network, self._layout)
        if not math.isfinite(loss):
            steps = len(batch_bounds(self._prepared.training.count, spec.training.batch_size))
            raise TrainingDivergedError(epoch, steps, loss)
        record = EpochRecord(
            epoch=epoch,
            train_loss=totals.loss,
            train_accuracy=totals.accuracy,
            validation_loss=loss,
            validation_accuracy=accuracy,
            learning_rate=totals.learning_rate,
            epoch_s=time.perf_counter() - began,
        )
        self.history.append(record)
        if self._directory is not None:
            with self._timed("checkpoint"):
                self._save(self._directory)
        return record

    def summary(self) -> TrialSummary:
        """Summarise what came of it so far; accuracy and loss are the last epoch's.

        ``packed_bytes`` is known once all epochs are finished.

        Raises:
            DataError: a number of the finished network is not finite.
        """
        last = self.history[-1] if self.history else None
        return TrialSummary(
            epochs_done=self.epochs_done,
            accuracy=last.validation_accuracy if last else None,
            loss=last.validation_loss if last else None,
            packed_bytes=len(to_bytes(self.network, self.card())) if self.is_done else None,
            stage_seconds=dict(self.stage_seconds),
            projection_error=dict(self.projection_error),
            versions=library_versions(),
            teacher_hash=self._prepared.teacher_hash,
        )

    def card(self) -> PackedCard:
        """Describe the student as it is for its packed file."""
        images, spec = self._prepared.images, self.job.spec
        return PackedCard.of(
            spec.model,
            images.classes,
            images.input_shape,
            settings_of(self.network),
            spec.quantisation,
            mean=tuple(images.mean.tolist()),
            std=tuple(images.std.tolist()),
            accuracy=self.history[-1].validation_accuracy if self.history else None,
            teacher=self._prepared.teacher_hash,
            versions=versions_text(),
        )

    def close(self) -> None:
        """Release the network and device memory; the object can no longer be used."""
        del self.network, self._optimiser
        release_memory(self._prepared.device)

    def _loss_of(self, epoch: int) -> Loss:
        """Return the loss of an epoch: distillation, and the penalty where it has a weight."""
        distil = self._soft_targets(epoch).loss
        strength = self.job.spec.quantisation.orthonormality
        if strength == 0:
            return distil

        penalty = Orthonormality(self.network)

        def with_penalty(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
            return distil(logits, labels, positions) + strength * penalty()

        return with_penalty

    def _soft_targets(self, epoch: int) -> SoftTargets:
        spec = self.job.spec
        logits = self._prepared.logits(spec.seed).epoch(epoch)
        return SoftTargets(logits, spec.distillation, spec.training.label_smoothing)

    def _last_checkpoint(self) -> checkpoint.Checkpoint | None:
        """Return the last good checkpoint of this job in the directory."""
        if self._directory is None:
            return None
        saved = checkpoint.load(self._directory, CHECKPOINT, _past)
        if saved is not None and saved.metadata.get("fingerprint") != self.job.fingerprint:
            _log.warning(
                "the checkpoint in %s is of another job (%s, this is %s): starting from epoch 1",
                self._directory,
                saved.metadata.get("fingerprint"),
                self.job.fingerprint,
            )
            return None
        return saved

    def _restore(self, saved: checkpoint.Checkpoint) -> None:
        checkpoint.restore(self.network, self._optimiser, saved)
        self.history, seconds = _past(saved)
        for stage, value in seconds.items():
            self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + value

    def _save(self, directory: Path) -> None:
        tensors, metadata = checkpoint.capture(self.network, self._optimiser, self.epochs_done)
        metadata |= {
            "fingerprint": self.job.fingerprint,
            "card": self.card().to_metadata(),
            "history": [asdict(record) for record in self.history],
            "stage_seconds": self.stage_seconds,
            "projection_error": self.projection_error,
        }
        checkpoint.save(directory, CHECKPOINT, tensors, metadata)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            passed = time.perf_counter() - began
            self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + passed


def _past(saved: checkpoint.Checkpoint) -> tuple[list[EpochRecord], dict[str, float]]:
    """Return the epochs that a checkpoint knows, and the seconds of each stage.

    Raises:
        KeyError, TypeError, AssertionError: another version wrote it, with other fields.
    """
    history, seconds = saved.metadata["history"], saved.metadata["stage_seconds"]
    assert isinstance(history, list)
    assert isinstance(seconds, dict)
    assert isinstance(saved.metadata["optimiser"], dict)
    assert checkpoint.epochs_done(saved) == len(history)
    known = saved.metadata.get("projection_error")
    assert known is None or isinstance(known, dict)
    return [EpochRecord(**record) for record in history], seconds
