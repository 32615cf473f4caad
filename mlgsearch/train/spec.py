"""What determines a training, as frozen data: the parts of a study file that `train` reads."""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticKnownError

from mlgsearch.mlg.input_quantiser import InBits, LayerInBits, parse_in_bits
from mlgsearch.mlg.quantise import QUANTISERS
from mlgsearch.train.data_sets import DATA_SETS, OWN, DataSet


class Spec(BaseModel):
    """A part of a study file: frozen, and strict about keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _is_code(name: str) -> bool:
    return re.fullmatch(r"\w[\w.]*:\w+", name) is not None


def _is_network_name(name: str) -> str:
    if name.startswith("timm:"):
        if not re.fullmatch(r"timm:\w[\w.]*", name):
            raise ValueError(f"{name!r} is no network of timm's, such as timm:resnet18.a1_in1k")
    elif not name.isprintable() or (":" in name and not _is_code(name)):
        raise ValueError(f"{name!r} is neither a network's name nor module:callable")
    return name


def one_of(table: Mapping[str, object], *, takes_code: bool = False) -> AfterValidator:
    """Return what accepts the names of a table, as a Literal accepts its own.

    With ``takes_code`` it accepts ``module:callable`` as well.
    """

    def check(name: str) -> str:
        if name not in table and not (takes_code and _is_code(name)):
            *others, last = map(repr, [*table, "module:callable"] if takes_code else table)
            expected = f"{', '.join(others)} or {last}"
            raise PydanticKnownError("literal_error", {"expected": expected})
        return name

    return AfterValidator(check)


def _is_path(text: str) -> str:
    if "\0" in text:
        raise ValueError("a path has no NUL character")
    return text


PathText = Annotated[str, AfterValidator(_is_path)]
NetworkName = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_is_network_name)]
DataSetName = Annotated[str, one_of(DATA_SETS, takes_code=True)]
MethodName = Annotated[str, one_of(QUANTISERS)]
Fraction = Annotated[float, Field(gt=0.0, lt=1.0, strict=False)]
NonNegative = Annotated[float, Field(ge=0.0, strict=False)]
Precision = Literal["float32", "bfloat16"]
Positive = Annotated[float, Field(gt=0.0, strict=False)]
Whole = Annotated[int, Field(strict=True)]


#: Keys of `DataSpec` that came after the first studies were trained.
_LATER_DATA_KEYS = (
    "train",
    "validation",
    "test",
    "shared_images",
    "channels",
    "background",
    "unreadable",
    "judge",
    "label_column",
    "random_resized_crop",
    "rand_augment",
    "colour_jitter",
    "cutout",
)
#: ``data.validation`` where it is a share of the training part, not a folder.
_SHARE = re.compile(r"(0?\.[0-9]+) of train")


Share = Annotated[float, Field(ge=0.0, le=1.0, strict=False)]


class ColourJitterSpec(Spec):
    """How far colours are moved: `ColorJitter` of torchvision's v2."""

    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    hue: Annotated[float, Field(ge=0.0, le=0.5, strict=False)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> "ColourJitterSpec":
        if not any((self.brightness, self.contrast, self.saturation, self.hue)):
            raise ValueError("name at least one of brightness, contrast, saturation, hue")
        return self


class RandAugmentSpec(Spec):
    """How many operations of `RandAugment` an image gets, and how strong each is."""

    operations: int = Field(default=2, ge=1, le=10)
    magnitude: int = Field(default=9, ge=1, le=30)


def _is_area(bounds: tuple[float, float]) -> tuple[float, float]:
    if not 0 < bounds[0] <= bounds[1] <= 1:
        raise ValueError(
            f"{list(bounds)} is no range of areas: write [low, high] with 0 < low <= high <= 1"
        )
    return bounds


Area = Annotated[tuple[float, float], Field(strict=False), AfterValidator(_is_area)]


class DataSpec(Spec):
    """Which images, and how they are split.

    ``name`` is one of `DATA_SETS`, such as ``digits`` (offline), ``folder`` (an ImageFolder tree
    under ``root``) or one of torchvision's sets under ``root``; or ``module:callable``. ``train``,
    ``validation`` and ``test`` name the folders or files of a set's parts, below ``root`` where
    that is given; ``validation`` may also be ``0.1 of train``. ``label_column`` is that of Parquet
    files. A part that a set does not have is drawn from its training part, or
    from all images, class by class from ``split_seed``. ``limit`` keeps that many of the samples
    that are drawn from (after a seeded shuffle). ``shared_images`` accepts images that are in the
    given train and test parts. ``channels`` makes images grey or colour; without it a folder's are
    RGB. Transparent images are put on ``background``. ``unreadable`` images are refused, or
    skipped. ``judge`` says what is called accuracy: the share of the samples that are right, or the
    mean of the classes' shares.
    """

    name: DataSetName = "digits"
    root: PathText | None = None
    train: PathText | None = None
    validation: PathText | None = None
    test: PathText | None = None
    shared_images: Literal["refuse", "accept"] = "refuse"
    label_column: str | None = Field(default=None, min_length=1, max_length=128)
    download: bool = False
    image_size: int | None = Field(default=None, ge=4, le=1024)
    channels: Literal[1, 3] | None = None
    background: Literal["white", "black"] = "white"
    unreadable: Literal["refuse", "skip"] = "refuse"
    judge: Literal["accuracy", "balanced_accuracy"] = "accuracy"
    validation_fraction: Fraction = 0.15
    test_fraction: Fraction = 0.15
    split_seed: int = Field(default=0, ge=0, lt=2**63)
    limit: int | None = Field(default=None, ge=10)
    augmentation: Literal["auto", "none", "crop", "crop_flip"] = "auto"
    crop_padding: int = Field(default=4, ge=0, le=64)
    random_resized_crop: Area | None = None
    rand_augment: RandAugmentSpec | None = None
    colour_jitter: ColourJitterSpec | None = None
    cutout: int = Field(default=0, ge=0, le=512)

    @model_validator(mode="after")
    def _check(self) -> "DataSpec":
        named = [
            part for part in ("train", "validation", "test") if getattr(self, part) is not None
        ]
        if self.validation_share is not None:
            named.remove("validation")
        if self.validation is not None and self.validation.endswith(" of train"):
            share = self.validation_share
            if share is None or share + self.test_fraction >= 1:
                raise ValueError(
                    f"data.validation: {self.validation!r} is not a share: write 0.1 of train"
                )
        if named and not self.kind.has_part_folders:
            takers = " or ".join(name for name, kind in DATA_SETS.items() if kind.has_part_folders)
            raise ValueError(f"data.{named[0]} needs data.name: {takers}")
        if self.label_column is not None and self.name != "parquet":
            raise ValueError("data.label_column needs data.name: parquet")
        if named and self.train is None:
            raise ValueError(f"data.train is needed where data.{named[0]} names a folder")
        if self.kind.needs_root and self.root is None and self.train is None:
            raise ValueError(f"data.root is needed for {self.name}: the folder that holds the data")
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction + test_fraction must stay below 1")
        return self

    @property
    def kind(self) -> DataSet:
        """What is known of sets of this name."""
        return OWN if ":" in self.name else DATA_SETS[self.name]

    @property
    def validation_folder(self) -> str | None:
        """The folder that ``validation`` names."""
        return None if self.validation_share is not None else self.validation

    @property
    def validation_share(self) -> float | None:
        """The share of the training part that ``validation`` asks for."""
        found = None if self.validation is None else _SHARE.fullmatch(self.validation)
        return None if found is None or float(found[1]) == 0 else float(found[1])

    def content(self) -> dict[str, Any]:
        """Return what determines the images as plain data for a hash.

        Whether they may be downloaded plays no part. Keys that came later are left out at their
        defaults: so earlier hashes hold.
        """
        content = self.model_dump(mode="json", exclude={"download"})
        for key in _LATER_DATA_KEYS:
            if content[key] == DataSpec.model_fields[key].default:
                del content[key]
        return content


#: Our own networks, the only ones that have a width.
OWN_NETWORKS = ("resnet8", "resnet20", "chain8")


class ModelSpec(Spec):
    """Which network: ``resnet8``, ``resnet20``, ``chain8``, torchvision's, or ``module:callable``.

    ``timm:NAME`` is timm's. ``stem`` replaces the first convolution and max-pool of a torchvision
    network by a 3x3 of stride 1 (``cifar``), or leaves them (``imagenet``). ``width`` scales our
    own small networks only. ``head_bias`` false makes the classifier head bias-free.
    """

    name: NetworkName = "resnet8"
    stem: Literal["cifar", "imagenet"] = "cifar"
    width: int = Field(default=16, ge=1, le=512)
    head_bias: bool = True


OptimiserName = Literal["relative_muon", "relative_adamw", "muon", "adamw", "sgd", "radam"]

#: What goes with an optimiser where a study file does not say it.
_WITH_OPTIMISER: Mapping[str, Mapping[str, Any]] = {
    "relative_muon": {"schedule": "one_cycle", "learning_rate": 0.28, "average": 0.2},
    "relative_adamw": {"schedule": "one_cycle", "learning_rate": 0.18, "average": 0.2},
    "adamw": {"schedule": "one_cycle", "learning_rate": 1e-2, "average": 0.0},
    "muon": {"schedule": "one_cycle", "learning_rate": 0.06, "average": 0.2},
    "sgd": {"schedule": "one_cycle", "learning_rate": 0.1, "average": 0.0},
    "radam": {"schedule": "cosine", "learning_rate": 2e-3, "average": 0.0},  # the paper's
}


#: The same for a teacher, which begins at random weights and has thousands of steps; and what its
#: optimiser is where a study file names none.
_TEACHERS_OPTIMISER: Final = "relative_adamw"
_WITH_TEACHERS_OPTIMISER: Mapping[str, Mapping[str, Any]] = {
    "relative_muon": {"learning_rate": 0.1, "average": 0.0},
    "muon": {"learning_rate": 0.02, "average": 0.0},
}


class OptimiserSpec(Spec):
    """How weights are moved: the optimiser, its schedule, the length of the training.

    ``learning_rate`` is the highest of the schedule: for ``relative_muon``, ``relative_adamw`` and
    ``muon`` a share of each tensor's own size (see `RelativeAdamW` and `RelativeMuon` in
    `mlgsearch.train.loop`), else in the weights' units.
    ``average`` is the share of the steps, the last ones, whose weights are averaged to the trained
    network. Schedule, rate and average follow from the optimiser where they are not given.

    With ``precision: bfloat16`` the convolutions and matrix products of a training step run in
    bfloat16 (torch's autocast), and so do the teacher's whose logits the step uses; parameters,
    generated weights, losses and all evaluation stay float32.
    """

    optimiser: OptimiserName = "relative_muon"
    schedule: Literal["cosine", "one_cycle", "linear", "constant"] = "one_cycle"
    learning_rate: Positive = 0.28
    weight_decay: NonNegative = 5e-4
    momentum: Annotated[float, Field(ge=0.0, lt=1.0, strict=False)] = 0.9
    average: Annotated[float, Field(ge=0.0, le=1.0, strict=False)] = 0.2
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0, strict=False)] = 0.0
    epochs: int = Field(default=10, ge=1, le=10_000)
    batch_size: int = Field(default=64, ge=2, le=65_536)
    precision: Precision = "float32"

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and isinstance(given.get("optimiser"), str):
            return {**_WITH_OPTIMISER.get(given["optimiser"], {}), **given}
        return given

    def content(self) -> dict[str, Any]:
        """Return it as plain data for a hash.

        What came later (``average``, ``label_smoothing``) is left out where it is off, so that
        earlier hashes hold.
        """
        is_off = {name for name in ("average", "label_smoothing") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=is_off)


#: In `TeacherSpec.checkpoint`: the weights that timm knows for the network.
TIMM = "timm"

#: Options of `teacher` that came after the first teachers were made.
#: Whether weights may be fetched is none of these: what they are is in the hash.
LATER_OF_TEACHER = ("entry", "head", "head_epochs", "normalisation")


class NormalisationSpec(Spec):
    """A mean and a standard deviation for each channel, in units of pixel / 255."""

    mean: tuple[float, ...] = Field(min_length=1, strict=False)
    std: tuple[Positive, ...] = Field(min_length=1, strict=False)


class TeacherSpec(Spec):
    """Where the teacher comes from: a ``checkpoint`` file, a training of its own, or both.

    With ``checkpoint: timm`` it is the file of the network's published weights in timm's cache,
    which is fetched only where ``download`` says so.

    ``entry`` is the name of the weights in the file. With ``head: new`` all but the head is taken
    from it, and the network is trained from there: the head alone for the first ``head_epochs`` of
    the training, then all layers. ``normalisation`` is what images get before any network sees
    them: their own mean and deviation, ImageNet's, or others.
    """

    checkpoint: PathText | None = None
    entry: str | None = Field(default=None, min_length=1, max_length=128)
    download: bool = False
    head: Literal["stored", "new"] = "stored"
    head_epochs: int = Field(default=0, ge=0, le=10_000)
    normalisation: Literal["data", "imagenet"] | NormalisationSpec = "data"
    training: OptimiserSpec = OptimiserSpec(optimiser=_TEACHERS_OPTIMISER, epochs=20)
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        training = given.get("training") if isinstance(given, Mapping) else None
        if isinstance(training, OptimiserSpec):
            training = training.model_dump(include=training.model_fields_set)
        if isinstance(training, Mapping):
            named = training.get("optimiser", _TEACHERS_OPTIMISER)
            own = _WITH_TEACHERS_OPTIMISER.get(named, {}) if isinstance(named, str) else {}
            return {**given, "training": {"optimiser": named, **own, **training}}
        return given

    @model_validator(mode="after")
    def _check(self) -> "TeacherSpec":
        if self.checkpoint is None and (self.entry is not None or self.head == "new"):
            raise ValueError("entry and head: new need teacher.checkpoint: the file with weights")
        if self.download and self.checkpoint != TIMM:
            raise ValueError("download needs teacher.checkpoint: timm")
        if self.head_epochs and self.head == "stored":
            raise ValueError("head_epochs needs teacher.head: new")
        if self.head_epochs > self.training.epochs:
            raise ValueError(
                f"head_epochs: {self.head_epochs} are more than teacher.training.epochs: "
                f"{self.training.epochs}, which they are part of"
            )
        return self

    @property
    def is_trained(self) -> bool:
        """Whether the teacher is trained here, from the start or from a checkpoint."""
        return self.checkpoint is None or self.head == "new"

    def later(self) -> dict[str, Any]:
        """Return the options that came after the first teachers, where they are not at defaults."""
        given = self.model_dump(mode="json", include=set(LATER_OF_TEACHER))
        return {n: v for n, v in given.items() if v != type(self).model_fields[n].default}


class DistillationSpec(Spec):
    """How the teacher's logits are used.

    The loss is ``(1 - weight) * cross_entropy + weight * temperature**2 * KL``.
    """

    temperature: Positive = 4.0
    weight: Annotated[float, Field(ge=0.0, le=1.0, strict=False)] = 0.9


def _in_bits(value: Any) -> Any:
    """Read bits: a number, a list, or a text of them, as a trial's hyperparameters have them."""
    found = value
    with suppress(ValueError):
        found = parse_in_bits(value) if isinstance(value, str) else value
    found = tuple(found) if isinstance(found, list) else found
    numbers = found if isinstance(found, tuple) else (found,)
    if not numbers or any(type(n) is not int or n not in get_args(InBits) for n in numbers):
        raise ValueError(f"expected 2 to 8 or 32, or a list of one for each layer, got {value!r}")
    return found


class QuantisationSpec(Spec):
    """Which fake quantisation is in the loop, and how strong the orthonormality penalty is.

    ``norm_bits`` are those of batch-norm's scales and shifts, ``in_bits`` those of what flows into
    a compressed layer: one number, or one for each layer in the network's order. ``noise_ratio`` is
    the share of entries that are quantised in a training step; evaluation always quantises all.
    """

    method: MethodName = "lsq_symmetric"
    refine_steps: int = Field(default=3, ge=0, le=100)
    orthonormality: NonNegative = 1e-3
    norm_bits: Literal[16, 32] = 32
    in_bits: Annotated[LayerInBits, BeforeValidator(_in_bits)] = 32
    noise_ratio: Annotated[float, Field(gt=0.0, le=1.0, strict=False)] = 1.0


class TrainSpec(Spec):
    """All that determines one student's training, apart from its layer settings."""

    data: DataSpec = DataSpec()
    model: ModelSpec = ModelSpec()
    teacher: TeacherSpec = TeacherSpec()
    training: OptimiserSpec = OptimiserSpec()
    distillation: DistillationSpec = DistillationSpec()
    quantisation: QuantisationSpec = QuantisationSpec()
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if self.teacher.checkpoint == TIMM and not self.model.name.startswith("timm:"):
            raise ValueError("teacher.checkpoint: timm needs a network of timm's in model.name")
        return self
