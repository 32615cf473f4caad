"""The teacher's logits on every training image of every epoch, computed once for all trials."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from mlgsearch.train.data.batches import TrainingBatches
from mlgsearch.train.data.images import Images, batch_of, blocks
from mlgsearch.train.device import memory_format
from mlgsearch.train.loop.stored_logits import StoredLogits, layout, pack
from mlgsearch.train.progress import Progress
from mlgsearch.train.spec import Precision
from mlgsearch.train.teacher.teacher import Teacher
from mlgsearch.train.tensor_file import read_cached, read_tensors
from mlgsearch.train.tensor_writer import TensorWriter
from mlgsearch.writable_place import check_cache

_BATCH = 512

#: Bumped when an epoch comes out otherwise (2: flips alternate, 3: half precision).
_FORMAT = 3

#: Gives logits by seed and epoch (0 where all epochs are alike), or None where it has none.
Given = Callable[[int, int], Tensor | None]


class TeacherLogits:
    """Logits by epoch, in files that all processes of a machine map and share.

    Without augmentation the images are the same in all epochs, and one file serves them all.
    An epoch that is not there is computed by whoever needs it first; when two do at once, either
    file is right. What is ``given`` comes before any file. They are computed in ``precision``,
    which is that of the students' training.
    """

    def __init__(
        self,
        teacher: Teacher,
        images: Images,
        batches: TrainingBatches,
        cache: Path,
        seed: int,
        given: Given | None = None,
        precision: Precision = "float32",
    ) -> None:
        self._teacher = teacher
        self._precision = precision
        self._batches = batches
        self._seed = seed
        self._given = given
        self._layout = memory_format(images.input_shape)
        self._fixed: StoredLogits | None = None
        self._classes = images.classes
        self._batch = batch_of(_BATCH, images.input_shape)
        key = logits_hash(teacher.hash, images.data_hash, batches, seed, precision)
        self.directory = cache / "logits" / key

    def path(self, epoch: int) -> Path:
        """Return the file of an epoch (from 1)."""
        return self.directory / f"epoch-{self.number(epoch):04d}.safetensors"

    def number(self, epoch: int) -> int:
        """Return what an epoch's logits are known by: 0 where they are the same in all."""
        return 0 if self._batches.augmentation.is_identity else epoch

    def ensure(self, epochs: Iterable[int], progress: Progress) -> None:
        """Compute the epochs that are missing or damaged.

        Raises:
            UserError: there are such, and the cache cannot be written.
        """
        wanted = list({self.path(epoch): epoch for epoch in epochs}.values())
        for done, epoch in enumerate(wanted):
            if self.cached(epoch) is None:
                check_cache(self.directory)
                self._compute(epoch)
            progress("logits", done + 1, len(wanted), "")

    def epoch(self, epoch: int) -> StoredLogits:
        """Return an epoch's logits, of the training part, on the device of the images."""
        if self._fixed is not None:
            return self._fixed
        logits = None if self._given is None else self._given(self._seed, self.number(epoch))
        if logits is None:
            logits = self.cached(epoch)
        if logits is None:
            logits = self._compute(epoch)
        stored = StoredLogits(logits.to(self._batches.device), self._classes)
        if self._batches.augmentation.is_identity:
            self._fixed = stored
        return stored

    def cached(self, epoch: int) -> Tensor | None:
        """Return what an epoch's file holds, on the CPU, or None where it is not there or damaged.

        It is in the form that `StoredLogits` reads.
        """
        cached = read_cached(self.path(epoch), "logits of the teacher")
        return None if cached is None else cached[0]["logits"]

    def _compute(self, epoch: int) -> Tensor:
        batches = self._batches
        batches.start_epoch(self._seed, epoch)
        is_bfloat16 = self._precision == "bfloat16"
        with (
            torch.inference_mode(),
            torch.autocast(batches.device.type, torch.bfloat16, enabled=is_bfloat16),
        ):
            columns, dtype = layout(self._classes)
            shape = (batches.count, columns)
            with TensorWriter(self.path(epoch), "logits", shape, dtype) as writer:
                for positions in blocks(torch.arange(batches.count), self._batch):
                    inputs = batches.inputs(positions.to(batches.device))
                    logits = self._teacher.network(inputs.contiguous(memory_format=self._layout))
                    packed = pack(logits).cpu().numpy()  # (B, columns)
                    writer.array[positions[0] : positions[-1] + 1] = packed
                writer.commit({"epoch": epoch})
        tensors, _ = read_tensors(self.path(epoch), verifies=False)
        return tensors["logits"]


def logits_hash(
    teacher_hash: str,
    data_hash: str,
    batches: TrainingBatches,
    seed: int,
    precision: Precision = "float32",
) -> str:
    """Hash what the logits depend on; the seed matters only where something is drawn."""
    augmentation = batches.augmentation
    content = [
        teacher_hash,
        data_hash,
        augmentation.content(),
        None if augmentation.is_identity else seed,
        precision,
        _FORMAT,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
