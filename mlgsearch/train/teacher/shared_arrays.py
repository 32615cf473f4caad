"""What all trials of a study share, as plain arrays: to be sent to where the driver's disk is not.

The arrays are views where they can be, and may come back read-only: nothing here is written to.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlgsearch.errors import DataError
from mlgsearch.train.data.images import Images
from mlgsearch.train.own_code import names_code
from mlgsearch.train.own_sources import sources_hash
from mlgsearch.train.spec import ModelSpec, TrainSpec
from mlgsearch.train.teacher.teacher import Teacher, build_network
from mlgsearch.train.versions import library_versions


@dataclass(frozen=True, eq=False)
class SharedArrays:
    """Images and teacher; the teacher's logits go epoch by epoch, each by itself."""

    images: Mapping[str, Any]
    teacher: Mapping[str, np.ndarray]
    teacher_hash: str
    teacher_accuracy: float
    teacher_recipe: str
    versions: Mapping[str, str]
    sources: str

    @classmethod
    def of(cls, images: Images, teacher: Teacher, model: ModelSpec) -> "SharedArrays":
        """Take images and a teacher that are on the CPU, and note the code behind the network."""
        return cls(
            {field.name: as_array(getattr(images, field.name)) for field in fields(Images)},
            {name: as_array(tensor) for name, tensor in teacher.network.state_dict().items()},
            teacher.hash,
            teacher.accuracy,
            teacher.recipe,
            library_versions(),
            _sources(model),
        )

    @property
    def arrays(self) -> list[np.ndarray]:
        """All arrays, to count their bytes."""
        values = [*self.images.values(), *self.teacher.values()]
        return [value for value in values if isinstance(value, np.ndarray)]

    def open(self, spec: TrainSpec) -> tuple[Images, Teacher]:
        """Return the images and the teacher, on the CPU.

        Raises:
            DataError: other libraries are installed here than where they come from, or the code
                behind a network of one's own is another.
        """
        here = library_versions()
        other = [
            f"{name} {here.get(name, 'none')} (the driver has {version})"
            for name, version in self.versions.items()
            if here.get(name) != version
        ]
        if other:
            raise DataError(
                f"this node has {', '.join(other)}: its trials would not compare with others; "
                "install the same on all nodes"
            )
        if _sources(spec.model) != self.sources:
            raise DataError(
                f"model.name: the code behind {spec.model.name} is not the driver's on this node: "
                "put the same files on all nodes"
            )
        images = Images(**{name: as_tensor(value) for name, value in self.images.items()})
        network = build_network(spec.model, images)
        network.load_state_dict({name: as_tensor(value) for name, value in self.teacher.items()})
        network.eval().requires_grad_(False)
        return images, Teacher(
            network, self.teacher_hash, self.teacher_accuracy, self.teacher_recipe
        )


def _sources(model: ModelSpec) -> str:
    return sources_hash(model.name) if names_code(model.name) else ""


def as_array(value: Any) -> Any:
    """Return a tensor's numbers, of the same memory; what is no tensor as it is."""
    return value.detach().numpy() if isinstance(value, Tensor) else value


def as_tensor(value: Any) -> Any:
    """Return an array as a tensor of the same memory; what is no array as it is."""
    if not isinstance(value, np.ndarray):
        return value
    with warnings.catch_warnings():
        # One that lies in a node's shared memory is read-only, and is only read.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(value)
