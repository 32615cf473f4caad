"""What a packed file says of itself: the network, the settings, where it comes from."""

import re
import struct
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mlgsearch.errors import DataError, SettingError
from mlgsearch.mlg.input_quantiser import LayerInBits, parse_in_bits, write_in_bits
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.train.spec import OWN_NETWORKS, MethodName, ModelSpec, QuantisationSpec

#: What the files of this version begin to say of themselves, and of all versions.
FORMAT = "mlgsearch-packed-2"
FORMATS = re.compile(r"mlgsearch-packed-\d{1,9}")

#: Every key of the metadata, in order.
METADATA = (
    "format",
    "model",
    "stem",
    "width",
    "head_bias",
    "classes",
    "channels",
    "image_size",
    "method",
    "settings",
    "norm_bits",
    "in_bits",
    "mean",
    "std",
    "accuracy",
    "study",
    "trial",
    "teacher",
    "versions",
)

#: The keys that say where a network comes from; no reader needs them.
PROVENANCE = ("accuracy", "study", "trial", "teacher", "versions")

Side = Annotated[int, Field(ge=1, le=65_535)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def _to_float32(value: float) -> float:
    rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return rounded


Float32 = Annotated[Finite, AfterValidator(_to_float32)]


class PackedCard(BaseModel):
    """All that a packed file holds beside its tensors.

    ``image_size`` is (height, width) in pixels. ``settings`` are canonical and in the order of the
    network's layers; ``norm_bits`` are those of batch-norm, ``in_bits`` those of layers' inputs,
    one number or one for each layer. ``mean`` and ``std`` are those of the training images per
    channel, in units of pixel / 255, rounded to float32: the network takes
    ``(pixel / 255 - mean) / std``. ``accuracy`` is a fraction on the validation part, kept to six
    decimals. ``teacher`` is the teacher's hash. ``says_width`` is true of a file of an earlier
    version that says a width of a network that has none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    model: ModelSpec
    classes: int = Field(ge=1)
    channels: int = Field(ge=1, le=1024)
    image_size: tuple[Side, Side]
    method: MethodName
    settings: tuple[LayerSetting, ...]
    norm_bits: Literal[8, 16, 32] = 32
    in_bits: LayerInBits = 32
    mean: tuple[Float32, ...]
    std: tuple[Float32, ...]
    accuracy: Finite | None = None
    study: str = ""
    trial: int | None = Field(default=None, ge=0)
    teacher: str = ""
    versions: str = ""
    says_width: bool = False

    @classmethod
    def of(
        cls,
        model: ModelSpec,
        classes: int,
        input_shape: tuple[int, int, int],
        settings: Mapping[str, LayerSetting],
        quantisation: QuantisationSpec,
        **more: Any,
    ) -> Self:
        """Describe a student; ``more`` are other fields by name.

        Without ``mean`` and ``std`` both are 0.5, of one that has seen no images: its file has the
        size of a trained one's.
        """
        channels, height, width = input_shape
        half = (0.5,) * channels
        return cls(
            model=model,
            classes=classes,
            channels=channels,
            image_size=(height, width),
            method=quantisation.method,
            settings=tuple(settings.values()),
            norm_bits=quantisation.norm_bits,
            in_bits=quantisation.in_bits,
            **{"mean": half, "std": half, **more},
        )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of one image."""
        return self.channels, *self.image_size

    @property
    def _has_width(self) -> bool:
        return self.model.name in OWN_NETWORKS

    def to_metadata(self) -> dict[str, str]:
        """Return it as strings, the only metadata that safetensors knows, in a fixed order."""
        texts = {
            "format": FORMAT,
            "model": self.model.name,
            "stem": self.model.stem,
            "width": str(self.model.width) if self._has_width or self.says_width else "",
            "head_bias": "yes" if self.model.head_bias else "no",
            "classes": str(self.classes),
            "channels": str(self.channels),
            "image_size": "x".join(map(str, self.image_size)),
            "method": self.method,
            "settings": " ".join(",".join(map(str, s.five)) for s in self.settings),
            "norm_bits": str(self.norm_bits),
            "in_bits": write_in_bits(self.in_bits),
            "mean": _numbers(self.mean),
            "std": _numbers(self.std),
            "accuracy": "" if self.accuracy is None else f"{self.accuracy:.6f}",
            "study": self.study,
            "trial": "" if self.trial is None else str(self.trial),
            "teacher": self.teacher,
            "versions": self.versions,
        }
        assert tuple(texts) == METADATA
        return texts

    @classmethod
    def from_metadata(cls, texts: Mapping[str, str]) -> Self:
        """Read what ``to_metadata`` wrote.

        Raises:
            DataError: a key is missing or unknown, or a value is not as it would be written.
        """
        try:
            width = {"width": int(texts["width"])} if texts["width"] else {}
            card = cls(
                model=ModelSpec(
                    name=texts["model"],
                    stem=texts["stem"],  # type: ignore[arg-type]  # pydantic checks it
                    **width,
                    head_bias=texts["head_bias"] == "yes",
                ),
                classes=int(texts["classes"]),
                channels=int(texts["channels"]),
                image_size=tuple(map(int, texts["image_size"].split("x"))),
                method=texts["method"],
                settings=tuple(map(_setting, texts["settings"].split())),
                norm_bits=int(texts["norm_bits"]),
                in_bits=parse_in_bits(texts["in_bits"]),
                mean=tuple(map(float, texts["mean"].split())),
                std=tuple(map(float, texts["std"].split())),
                accuracy=float(texts["accuracy"]) if texts["accuracy"] else None,
                study=texts["study"],
                trial=int(texts["trial"]) if texts["trial"] else None,
                teacher=texts["teacher"],
                versions=texts["versions"],
                says_width=bool(texts["width"]) and texts["model"] not in OWN_NETWORKS,
            )
        except KeyError as error:
            raise DataError(f"its metadata lack {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise DataError(f"its metadata are not valid: {place}: {first['msg']}") from error
        except (ValueError, OverflowError, SettingError) as error:
            raise DataError(f"its metadata are not valid: {error}") from error
        written = card.to_metadata()
        for key in sorted({*texts, *written}):
            if texts.get(key) != written.get(key):
                raise DataError(f"its metadata are not valid: {key} is {texts.get(key)!r}")
        if isinstance(card.in_bits, tuple) and len(card.in_bits) != len(card.settings):
            raise DataError(f"its metadata are not valid: in_bits are not {len(card.settings)}")
        if len(card.mean) != card.channels or len(card.std) != card.channels:
            raise DataError(f"its metadata are not valid: mean and std are not {card.channels}")
        return card


def _numbers(values: tuple[float, ...]) -> str:
    """Write float32 numbers so that they come back exactly, each in the same length."""
    return " ".join(f"{value:.8e}" for value in values)


def _setting(text: str) -> LayerSetting:
    return LayerSetting.from_five(tuple(map(int, text.split(","))))  # type: ignore[arg-type]
