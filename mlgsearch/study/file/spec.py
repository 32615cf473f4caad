"""The study file: strict, frozen, and the only place where its defaults are written."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from mlgsearch.errors import SettingError, StudyFileError
from mlgsearch.mlg.input_quantiser import InBits
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import OBJECTIVES
from mlgsearch.study.file import strict_yaml
from mlgsearch.study.file.artifact_path import checked_artifact_path, is_url
from mlgsearch.study.file.hyperparameter import (
    HYPERPARAMETERS,
    Hyperparameters,
    HyperparameterSpec,
)
from mlgsearch.study.file.latency import LatencySpec, read_latency
from mlgsearch.study.file.reference import ReferenceSpec
from mlgsearch.study.file.space_kinds import SPACE_KINDS, SpaceKind, kinds_that
from mlgsearch.study.file.validation_messages import validation_messages
from mlgsearch.train.spec import TIMM, Positive, Spec, TrainSpec, one_of


def _is_study_name(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError(f"{name!r} must be printable text without spaces at its ends")
    return name


def _is_range(bounds: tuple[int, ...]) -> tuple[int, ...]:
    if len(bounds) != 2 or not 1 <= bounds[0] <= bounds[1]:
        raise ValueError(f"{list(bounds)} is not a range: write [low, high] with 1 <= low <= high")
    return bounds


def _is_bit_range(bounds: tuple[int, ...]) -> tuple[int, ...]:
    low, high = _is_range(bounds)
    if high > 8 and (low, high) not in ((16, 16), (32, 32)):
        raise ValueError(
            f"{list(bounds)}: bits go from 1 to 8, or are fixed by [16, 16] or [32, 32] (none)"
        )
    return bounds


def _is_budget(bounds: tuple[float, ...]) -> tuple[float, ...]:
    if len(bounds) != 2 or bounds[0] >= bounds[1]:
        raise ValueError(f"{list(bounds)} is not a range: write [low, high] with low < high")
    return bounds


Whole = Annotated[int, Field(strict=True)]
Range = Annotated[tuple[Whole, ...], Field(strict=False), AfterValidator(_is_range)]
BitRange = Annotated[tuple[Whole, ...], Field(strict=False), AfterValidator(_is_bit_range)]
Budget = Annotated[tuple[Positive, ...], Field(strict=False), AfterValidator(_is_budget)]
SpaceKindName = Annotated[str, one_of(SPACE_KINDS)]
Sampler = Annotated[str, Field(pattern=r"^(tpe|nsga2|nsga3|random|qmc|\w[\w.]*:\w+)$")]


class SpaceSpec(Spec):
    """Which settings are searched.

    ``allocation`` searches a budget for the whole network and a gain a layer that bends how it is
    spread, ``layerwise`` five numbers a layer, ``uniform`` the paper's five global numbers. A
    layer's own limits cut the ranges of bases; at a limit the level is absent (and in an allocation
    it always may be). ``full_precision`` lists layers (shell patterns) that stay at 32 bits.
    ``head_bits`` is the width of a linear head; without it the paper's rule holds (8 where weights
    are quantised), and ``search`` lets the head join a layerwise search. An allocation searches
    the head unless its width is given. ``budget_kb`` bounds an allocation's budget, in 1,000 bytes
    by the paper's count; ``weighting`` says how layers weigh against each other in what is planned.
    An allocation decides on ``quantisation.norm_bits`` as well, unless the file gives the width.
    """

    kind: SpaceKindName = "allocation"
    B_in: Range = (1, 8)
    B_out: Range = (1, 64)
    q_basis: BitRange = (2, 8)
    q_coeff_in: BitRange = (2, 8)
    q_coeff_out: BitRange = (2, 8)
    full_precision: tuple[str, ...] = Field(default=(), strict=False)
    head_bits: Literal[1, 2, 3, 4, 5, 6, 7, 8, 16, 32, "search"] | None = None
    budget_kb: Budget | None = None
    activation_bits: tuple[InBits, ...] = Field(default=(), strict=False)
    weighting: Literal["measured", "relative", "absolute", "log_energy", "fisher"] = "measured"
    hyperparameters: Hyperparameters = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> "SpaceSpec":
        if self.traits.has_head is None and self.head_bits == "search":
            others = kinds_that(lambda kind: kind.has_head is not None)
            raise ValueError(f"head_bits: search needs kind: {others}")
        if not self.traits.has_budget and self.budget_kb is not None:
            raise ValueError(f"budget_kb needs kind: {kinds_that(lambda kind: kind.has_budget)}")
        return self

    @property
    def traits(self) -> SpaceKind:
        """What is known of spaces of this kind."""
        return SPACE_KINDS[self.kind]


def _is_setting(five: tuple[int, ...]) -> tuple[int, ...]:
    try:
        LayerSetting.from_five(five)  # type: ignore[arg-type]  # it checks the length
    except SettingError as error:
        raise ValueError(str(error)) from None
    return five


Setting = Annotated[tuple[Whole, ...], Field(strict=False), AfterValidator(_is_setting)]


class FirstTrial(Spec):
    """A setting to try before the sampler's own.

    ``setting`` holds for every layer, ``layers`` replaces it for single layers, and
    ``hyperparameters`` fixes values of those that are searched. ``source`` says where it comes from
    if ``search.warm_start`` added it: it is then mapped to what is searched, as far as it fits.
    """

    setting: Setting
    layers: dict[str, Setting] = Field(default_factory=dict)
    hyperparameters: dict[str, float | int | str] = Field(default_factory=dict)
    source: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return {"setting": value} if isinstance(value, list | tuple) else value


class EarlyStoppingSpec(Spec):
    """When trials are judged and how many go on; see `mlgsearch.study.search.halving.Halving`."""

    factor: int = Field(default=3, ge=2, le=1000)
    first_rung: int = Field(default=1, ge=1, le=10_000)
    rung_factor: int | None = Field(default=None, ge=2, le=1000)
    tolerance: float = Field(default=0.05, ge=0, lt=1)
    min_trials: int = Field(default=12, ge=1, le=1_000_000)


def _early_stopping(value: Any) -> Any:
    if isinstance(value, str):
        if value not in ("on", "off"):
            raise ValueError(f"expected on, off, or keys and values, got {value!r}")
        return {} if value == "on" else None
    return value


class StopSpec(Spec):
    """When a search ends before its total of trials: at the first of these that holds.

    ``no_gain``: the front's hypervolume has not grown by more than the noise of a training in so
    many trials, counted after those written in the file and planned. ``hours``: trials were being
    trained for so long, over all drivers. ``front_reaches``: one student on the front is at least
    so good in each objective.
    """

    no_gain: int | None = Field(default=None, ge=2, le=1_000_000)
    hours: Positive | None = None
    front_reaches: Mapping[str, Annotated[float, Field(strict=False)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> "StopSpec":
        for name in self.front_reaches:
            if name not in OBJECTIVES:
                raise ValueError(
                    f"front_reaches: {name!r} is not known; known are {', '.join(OBJECTIVES)}"
                )
        if self.no_gain is None and self.hours is None and not self.front_reaches:
            raise ValueError("name at least one of no_gain, hours, front_reaches")
        return self


class SearchSpec(Spec):
    """How settings are proposed, how many trials are wanted in total, and what is optimised.

    ``planned`` is how many settings of the planned front are tried after ``first``; without it 8 in
    an allocation, none elsewhere. ``early_stopping`` is ``off``, ``on``, or on with other numbers
    than its defaults. ``stop`` ends the search before ``n_trials``. ``warm_start`` names studies of
    the same database, and CSV files, whose settings are tried after ``first``.
    """

    sampler: Sampler = "tpe"
    n_trials: int = Field(default=30, ge=1, le=1_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    objectives: tuple[str, ...] = Field(default=("accuracy", "memory_ratio"), strict=False)
    first: tuple[FirstTrial, ...] = Field(default=(), strict=False)
    warm_start: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), strict=False)
    planned: int | None = Field(default=None, ge=0, le=1000)
    early_stopping: Annotated[EarlyStoppingSpec | None, BeforeValidator(_early_stopping)] = None
    stop: StopSpec | None = None

    @field_validator("objectives")
    @classmethod
    def _check_objectives(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        for name in objectives:
            if name not in OBJECTIVES:
                raise ValueError(f"{name!r} is not known; known are {', '.join(OBJECTIVES)}")
        if len(set(objectives)) != len(objectives) or len(objectives) < 2:
            raise ValueError("name at least two, each once")
        return objectives

    @model_validator(mode="after")
    def _check(self) -> "SearchSpec":
        if self.early_stopping is not None and "accuracy" not in self.objectives:
            raise ValueError(
                "early_stopping: trials are judged by accuracy, which is not among the objectives "
                f"{', '.join(self.objectives)}: name it, or write off"
            )
        return self


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
    space: SpaceSpec = SpaceSpec()
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

    @model_validator(mode="after")
    def _decide_what_is_left_open(self) -> "StudySpec":
        """Let the space decide on what the file does not say and the space can decide on."""
        space = self.space
        given = space.hyperparameters.keys()
        for name in space.traits.decides - given:
            part, key = HYPERPARAMETERS[name]
            section = getattr(self, part)
            if key not in section.model_fields_set:
                choices = get_args(type(section).model_fields[key].annotation)
                joined = {**space.hyperparameters, name: HyperparameterSpec(choices=choices)}
                space = space.model_copy(update={"hyperparameters": joined})
        object.__setattr__(self, "space", space)
        return self

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
                    "latency: table.csv (`search.py measure` writes one)"
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


def load_study_file(path: Path, *, reads_latency: bool = True) -> tuple[StudySpec, str]:
    """Read a study file.

    Relative paths in it (``data.root`` and a folder's parts, ``teacher.checkpoint``, ``latency``,
    tables of ``search.warm_start``, ``resources.artifact_path``, ``listeners.tensorboard``) are
    taken from the file's folder.

    Args:
        path: of the file.
        reads_latency: whether the table of latency must be there; without, it is left out.

    Returns:
        The specification, and the file's text.

    Raises:
        StudyFileError: the file cannot be read or says something wrong; every mistake has a line.
    """
    try:
        with path.open(encoding="utf-8") as file:  # no more of it than shows that it is too large
            text = file.read(strict_yaml.MAX_BYTES + 1)
    except FileNotFoundError:
        raise StudyFileError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFileError(f"{path}: cannot be read: {error}") from None
    content = strict_yaml.load(text, str(path))
    return study_in(path.parent, content, str(path), reads_latency=reads_latency), text


def study_in(folder: Path, content: Any, where: str, *, reads_latency: bool = True) -> StudySpec:
    """Validate the content of a study file that lies in a folder, from which its paths are taken.

    ``reads_latency`` as for `load_study_file`.

    Raises:
        StudyFileError: as `parse_study`, or the table of latency cannot be read.
    """
    spec = _with_paths_from(folder, parse_study(content, where))
    if spec.latency is not None and reads_latency:
        try:
            spec = spec.model_copy(update={"latency": read_latency(Path(spec.latency.file))})
        except StudyFileError as error:
            raise StudyFileError(f"{where}: {error}") from None
    return spec


def parse_study(content: Any, where: str) -> StudySpec:
    """Validate a study file's content.

    Raises:
        StudyFileError: with one line for each mistake, `where: key: what is wrong`.
    """
    if not isinstance(content, Mapping):
        raise StudyFileError(f"{where}: must hold keys and values, such as `name: my-study`")
    try:
        return StudySpec.model_validate(content)
    except ValidationError as error:
        lines = validation_messages(error, StudySpec, where)
        raise StudyFileError("\n".join(lines)) from None


def _with_paths_from(folder: Path, spec: StudySpec) -> StudySpec:
    def absolute(text: str | None) -> str | None:
        if text is None:
            return None
        return os.path.normpath(folder.absolute() / Path(text).expanduser())

    asked = spec.resources.artifact_path
    kept = asked if asked is not None and is_url(asked) else absolute(asked)
    resources = spec.resources.model_copy(update={"artifact_path": kept})
    data = spec.data
    if data.root is not None:  # the parts' folders are below it
        data = data.model_copy(update={"root": absolute(data.root)})
    else:
        parts = {"train": data.train, "validation": data.validation_folder, "test": data.test}
        given = {part: absolute(text) for part, text in parts.items() if text is not None}
        data = data.model_copy(update=given)
    weights = spec.teacher.checkpoint
    checkpoint = weights if weights == TIMM else absolute(weights)
    teacher = spec.teacher.model_copy(update={"checkpoint": checkpoint})
    tables = [absolute(name) if is_table(name) else name for name in spec.search.warm_start]
    search = spec.search.model_copy(update={"warm_start": tuple(tables)})
    folder_of_events = {"tensorboard": absolute(spec.listeners.tensorboard)}
    changed = {
        "data": data,
        "teacher": teacher,
        "resources": resources,
        "listeners": spec.listeners.model_copy(update=folder_of_events),
        "search": search,
    }
    if spec.latency is not None:
        changed["latency"] = LatencySpec(file=absolute(spec.latency.file) or "")
    return spec.model_copy(update=changed)


def is_table(name: str) -> bool:
    """Return whether an entry of ``search.warm_start`` is a CSV file's path, not a study's name."""
    return name.lower().endswith(".csv")
