"""A study's tables: made once for a teacher and what may be chosen, then found in the cache."""

import hashlib
import json
from pathlib import Path

import torch

from mlgsearch.mlg.half_norm import NormBits
from mlgsearch.mlg.network import NetworkShape
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.budget.allocation import Allocator
from mlgsearch.planning.budget.resources import LayerSum
from mlgsearch.planning.divergence import MOST_IMAGES
from mlgsearch.planning.layer.grid import Ranges
from mlgsearch.planning.network_tables import FORMAT, Tables, build_tables
from mlgsearch.planning.weighting import MEASURED
from mlgsearch.records import FIVE_NAMES
from mlgsearch.study.file.hyperparameter import NORM_BITS
from mlgsearch.study.file.space_spec import SpaceSpec
from mlgsearch.study.file.spec import LATENCY, StudySpec
from mlgsearch.study.space.latency_table import LatencyTable
from mlgsearch.study.space.searched_layers import SearchedLayers
from mlgsearch.train.data.batches import Normalisation
from mlgsearch.train.device import memory_format
from mlgsearch.train.progress import Progress
from mlgsearch.train.teacher.prepared import Prepared
from mlgsearch.train.tensor_file import read_cached, write_tensors
from mlgsearch.writable_place import check_cache

#: Training images that layers' inputs are measured on, without augmentation, and in what parts.
CALIBRATION_IMAGES = 256
_BATCH = 64

#: Settings per layer that are projected, to compare with what was predicted.
CHECKED = 8


def needs_tables(spec: StudySpec) -> bool:
    """Whether a study's space cannot do without tables."""
    return spec.space.traits.needs_plan or spec.planned_trials > 0


def open_tables(spec: StudySpec, prepared: Prepared, cache: Path, progress: Progress) -> Tables:
    """Return the tables of a study's teacher, from the cache or made now.

    They are of the study's quantisation, whatever a search varies of it.

    Raises:
        StudyFileError: a layer pattern of the study file matches nothing.
        UserError: they are not in the cache, which cannot be written.
    """
    shape = prepared.network_shape()
    ranges, fixed = choices(spec.space, shape)
    path = cache / "tables" / f"{_key(spec, prepared, ranges, fixed)}.safetensors"
    if (cached := read_cached(path, "tables of layers")) is not None:
        progress("plan", 1, 1, "cached")
        return Tables.unpack(*cached)
    check_cache(path.parent)
    quantisation = spec.quantisation
    tables = build_tables(
        prepared.teacher.network,
        shape,
        calibration(prepared),
        ranges,
        fixed=fixed,
        method=quantisation.method,
        refine_steps=quantisation.refine_steps,
        check=CHECKED,
        seed=0,
        report=lambda done, total, note: progress("plan", done, total, note),
        measures=spec.space.weighting == MEASURED,
    )
    write_tensors(path, *tables.pack())
    return tables


def make_allocator(spec: StudySpec, tables: Tables) -> Allocator:
    """Return what spreads budgets as a study file asks.

    Raises:
        BudgetError: no network in range keeps the file's limits.
        StudyFileError: the table of latency is not of this network.
    """
    norm_bits: tuple[NormBits, ...] = (spec.quantisation.norm_bits,)
    if NORM_BITS in spec.space.hyperparameters and NORM_BITS in spec.space.traits.decides:
        choices = spec.space.hyperparameters[NORM_BITS].choices or ()
        norm_bits = tuple(width for width in (16, 32) if width in choices)
    sums = {}
    if spec.latency is not None:
        latency = LatencyTable(spec.latency, tables.shape)
        sums[LATENCY] = LayerSum(latency.rest, latency.layer_ms)
    return Allocator(
        tables, weighting=spec.space.weighting, norm_bits=norm_bits, limits=spec.limits, sums=sums
    )


def choices(space: SpaceSpec, shape: NetworkShape) -> tuple[Ranges, dict[str, LayerSetting]]:
    """Return what layers may choose from, and the settings of those that may not choose."""
    spans = (getattr(space, name) for name in FIVE_NAMES)
    ranges = Ranges(*spans, levels_stay=space.traits.levels_stay)  # type: ignore[misc]  # five spans
    return ranges, SearchedLayers.of(space, shape).others()


def _key(
    spec: StudySpec, prepared: Prepared, ranges: Ranges, fixed: dict[str, LayerSetting]
) -> str:
    """Hash all that determines the tables."""
    content = {
        "format": FORMAT,
        "teacher": prepared.teacher_hash,
        "ranges": ranges.to_dict(),
        "fixed": {name: setting.five for name, setting in fixed.items()},
        "method": spec.quantisation.method,
        "refine_steps": spec.quantisation.refine_steps,
        "images": CALIBRATION_IMAGES,
        "checked": CHECKED,
        "measures": MOST_IMAGES if spec.space.weighting == MEASURED else None,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def calibration(prepared: Prepared) -> list[torch.Tensor]:
    """Draw training images, normalised as in training."""
    images = prepared.images
    order = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(0))
    some = images.train[order[:CALIBRATION_IMAGES]]
    normalisation = Normalisation(images, torch.device("cpu"))
    layout = memory_format(images.input_shape)
    return [
        normalisation.apply(images.pixels[part]).contiguous(memory_format=layout)
        for part in torch.split(some, _BATCH)
    ]
