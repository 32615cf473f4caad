"""A study's activations: how much noise each number of bits makes, measured once and cached."""

import hashlib
import json
from pathlib import Path

import torch

from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.activation_bits import ActivationPlan
from mlgsearch.planning.input_noise import input_noise
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.space.layer_tables import CALIBRATION_IMAGES, calibration, choices
from mlgsearch.study.space.packed_sizes import PackedSizes
from mlgsearch.train.progress import Progress
from mlgsearch.train.teacher.prepared import Prepared
from mlgsearch.train.tensor_file import read_cached, write_tensors
from mlgsearch.writable_place import check_cache

_FORMAT = 1


def open_activation_plan(
    spec: StudySpec, prepared: Prepared, cache: Path, packed: PackedSizes, progress: Progress
) -> ActivationPlan | None:
    """Return what chooses bits of activations, from the cache or made now.

    None where the study file lists no ``space.activation_bits``.

    Raises:
        UserError: it is not in the cache, which cannot be written.
    """
    wanted = spec.space.activation_bits
    if not wanted:
        return None
    shape = prepared.network_shape()
    _, fixed = choices(spec.space, shape)
    path = cache / "activations" / f"{_key(prepared, wanted)}.safetensors"
    if (cached := read_cached(path, "noise of activations")) is not None:
        tensors, _ = cached
    else:
        check_cache(path.parent)
        progress("activations", 0, 1, "")
        found = input_noise(prepared.teacher.network, calibration(prepared), wanted)
        tensors = {
            name: torch.tensor([by[bits] for bits in wanted], dtype=torch.float64)
            for name, by in found.items()
        }
        write_tensors(path, tensors, {})
    progress("activations", 1, 1, "")
    return ActivationPlan(
        packed.activations,
        {name: dict(zip(wanted, t.tolist(), strict=True)) for name, t in tensors.items()},
        wanted,
        list(shape.layers),
        [name for name, setting in fixed.items() if setting == LayerSetting.plain(32)],
    )


def _key(prepared: Prepared, wanted: tuple[int, ...]) -> str:
    content = {
        "format": _FORMAT,
        "teacher": prepared.teacher_hash,
        "images": CALIBRATION_IMAGES,
        "bits": wanted,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
