"""A study file's content, strict and frozen; defaults are written here and in its sections."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mlgsearch.study.file.artifact_path import checked_artifact_path
from mlgsearch.study.file.hyperparameter import HYPERPARAMETERS, HyperparameterSpec
from mlgsearch.study.file.latency import LatencySpec
from mlgsearch.study.file.search_spec import SearchSpec
from mlgsearch.study.file.space_kinds import kinds_that
from mlgsearch.study.file.space_spec import SpaceSpec
from mlgsearch.train.spec import Positive, Spec, TrainSpec


def _is_study_name(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError(f"{name!r} must be printable text without spaces at its ends")
    return name


ArtifactPath = Annotated[str, Field(min_length=1), AfterValidator(checked_artifact_path)]


def _is_gpu(gpu: float) -> float:
    if 0 < gpu < 0.0001 or (gpu > 1 and gpu != int(gpu)):
        raise ValueError(
            f"{gpu} is not possible: write a part of one GPU, from 0.0001 up, such as 0.5, or "
            "whole ones"
        )
    return gpu


class ResourcesSpec(Spec):
    """What one trial may use (fractions are allowed), and how many run at once at most.

    Without ``gpu`` a trial takes one where the cluster has any. A trial that takes longer than
    ``trial_timeout_s``, from its worker's beginning, fails. The study stops where its files take
    more than ``max_disk_gb`` (in 10**9 bytes). ``artifact_path`` is where they are kept: a folder
    that all workers see, or the URL of a store that fsspec knows.
    """

    cpu: Annotated[float, Field(gt=0, le=1024, strict=False)] = 1.0
    gpu: Annotated[float, Field(ge=0, le=64, strict=False), AfterValidator(_is_gpu)] | None = None
    max_parallel: int | None = Field(default=None, ge=1)
    worker_retries: int = Field(default=3, ge=0, le=1000)
    trial_timeout_s: Positive | None = None
    max_disk_gb: Positive | None = None
    artifact_path: ArtifactPath | None = None


class ListenersSpec(Spec):
    """Experiment trackers that a driver reports to; each needs the extra of its name.

    ``tensorboard`` is a folder, ``mlflow`` the URI of a tracking server or store, ``wandb`` the
    name of a project.
    """

    tensorboard: Annotated[str, Field(min_length=1)] | None = None
    mlflow: Annotated[str, Field(min_length=1)] | None = None
    wandb: Annotated[str, Field(min_length=1)] | None = None


def _is_line(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError(f"{text!r} must be one line of printable text without spaces at its ends")
    return text


def _is_share(value: float) -> float:
    if not 0 < value <= 1:
        raise ValueError(f"must be above 0 and at most 1, got {value:g}; 93.79 % is 0.9379")
    return value


Line = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_is_line)]
Share = Annotated[float, Field(strict=False), AfterValidator(_is_share)]


class ReferenceSpec(Spec):
    """A student that somebody else reports; it is drawn, and changes nothing of a study's results.

    ``memory_ratio`` is against the uncompressed network, ``accuracy`` a fraction. ``source`` says
    who reports it, ``protocol`` how it was trained and on which images it was judged.
    """

    name: Line
    memory_ratio: Share
    accuracy: Share
    source: Line
    protocol: Line


#: The objective that a table predicts.
LATENCY = "latency_ms"

#: What may have a limit: objectives that are smaller where better, and known before training.
LIMITED = (
    "memory_ratio",
    "parameter_ratio",
    "packed_bytes",
    "generation_macs",
    "execution_macs",
    "latency_ms",
    "peak_activation_bytes",
)


def _are_limits(limits: Mapping[str, float]) -> Mapping[str, float]:
    for name in limits:
        if name not in LIMITED:
            raise ValueError(f"{name!r} has no limit; {', '.join(LIMITED)} may have one")
    return limits


def _latency(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


class StudySpec(TrainSpec):
    """A whole study file.

    ``limits`` holds the most that a student may be of each objective in ``LIMITED``; nothing that
    breaks one is ever trained. ``latency`` is the path of a table that predicts ``latency_ms``.
    """

    name: Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_is_study_name)]
    space: SpaceSpec = Field(default=SpaceSpec(), validate_default=True)
    limits: Annotated[Mapping[str, Positive], AfterValidator(_are_limits)] = Field(
        default_factory=dict
    )
    latency: Annotated[LatencySpec | None, BeforeValidator(_latency)] = None
    search: SearchSpec = SearchSpec()
    resources: ResourcesSpec = ResourcesSpec()
    listeners: ListenersSpec = ListenersSpec()
    references: tuple[ReferenceSpec, ...] = Field(default=(), strict=False)

    @property
    def planned_trials(self) -> int:
        """How many settings of the planned front are tried."""
        if self.search.planned is not None:
            return self.search.planned
        return self.space.traits.planned

    @field_validator("space")
    @classmethod
    def _decide_what_is_left_open(cls, space: SpaceSpec, info: ValidationInfo) -> SpaceSpec:
        """Add to the space what it can decide on and the file does not say."""
        for name in space.traits.decides - space.hyperparameters.keys():
            part, key = HYPERPARAMETERS[name]
            section = info.data.get(part)  # missing where it is wrong
            if section is not None and key not in section.model_fields_set:
                choices = get_args(type(section).model_fields[key].annotation)
                joined = {**space.hyperparameters, name: HyperparameterSpec(choices=choices)}
                space = space.model_copy(update={"hyperparameters": joined})
        return space

    @model_validator(mode="after")
    def _check(self) -> "StudySpec":
        if self.space.activation_bits and self.quantisation.in_bits != 32:
            raise ValueError(
                "quantisation.in_bits: is chosen for each layer where space.activation_bits lists "
                "numbers: leave one of the two out"
            )
        for key, given in (
            ("planned", self.planned_trials),
            ("warm_start", self.search.warm_start),
        ):
            if not self.space.traits.can_plan and given:
                others = kinds_that(lambda kind: kind.can_plan)
                raise ValueError(f"search.{key} needs space.kind: {others}")
        for key, names in (
            ("limits", self.limits),
            ("search.objectives", self.search.objectives),
            ("search.stop.front_reaches", getattr(self.search.stop, "front_reaches", ())),
        ):
            if LATENCY in names and self.latency is None:
                raise ValueError(
                    f"{key}: {LATENCY} is predicted by a table, which latency must name, such as "
                    "latency: table.csv (`measure` writes one)"
                )
        return self

    def train_spec(self) -> TrainSpec:
        """Return the part that determines a training, apart from settings."""
        return TrainSpec(**{name: getattr(self, name) for name in TrainSpec.model_fields})

    def content(self) -> dict[str, Any]:
        """Return everything as plain JSON-able data, defaults written out."""
        return self.model_dump(mode="json")

    def content_hash(self) -> str:
        """Hash what determines the study's results.

        The total of trials, when to stop, the resources, the listeners and the reference points are
        left out: they may change between drivers. Of a table of latency it is the text that counts,
        not its place.
        """
        content = self.content()
        if content["latency"] is not None:
            del content["latency"]["file"]
        del content["references"], content["listeners"]
        del content["resources"]
        del content["search"]["n_trials"], content["search"]["stop"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
