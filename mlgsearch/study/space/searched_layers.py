"""Which layers a study searches, and what the others are."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self

from mlgsearch.errors import StudyFileError
from mlgsearch.mlg.network import NetworkShape
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.study.file.search_spec import FirstTrial
from mlgsearch.study.file.space_spec import SpaceSpec


@dataclass(frozen=True)
class SearchedLayers:
    """The layers of a network as a study's space sees them.

    ``kept`` stay at full precision, ``names`` are searched; what is neither is the linear head, of
    ``head_bits`` (None: by the paper's rule).
    """

    shape: NetworkShape
    kept: tuple[str, ...]
    names: tuple[str, ...]
    head_bits: int | None

    @classmethod
    def of(cls, space: SpaceSpec, shape: NetworkShape) -> Self:
        """Sort a network's layers.

        Raises:
            StudyFileError: a pattern of ``full_precision`` matches nothing.
        """
        kept: list[str] = []
        for pattern in space.full_precision:
            matched = [name for name in shape.layers if fnmatchcase(name, pattern)]
            if not matched:
                raise StudyFileError(
                    f"space.full_precision: {pattern!r} matches no layer; "
                    f"the layers are {', '.join(shape.layers)}"
                )
            kept += matched
        head_joins = space.head_bits == "search" or (
            bool(space.traits.has_head) and space.head_bits is None
        )
        names = [
            name for name in shape.layers if name not in kept and (name != shape.head or head_joins)
        ]
        head_bits = None if space.head_bits == "search" else space.head_bits
        return cls(shape, tuple(kept), tuple(names), head_bits)

    @property
    def layers(self) -> Mapping[str, LayerShape]:
        """Every layer of the network, in the model's order."""
        return self.shape.layers

    def others(self) -> dict[str, LayerSetting]:
        """Return the settings of the layers that are not searched."""
        settings = uniform_settings(self.shape, (0, 0, 8, 8, 8), head_bits=self.head_bits)
        settings |= dict.fromkeys(self.kept, LayerSetting.plain(32))
        return {name: setting for name, setting in settings.items() if name not in self.names}

    def require_searched(self, first: FirstTrial, where: str) -> None:
        """Check that a first trial gives settings of its own to searched layers only.

        Raises:
            StudyFileError: it names another one.
        """
        for name in first.layers:
            if name not in self.names:
                raise StudyFileError(
                    f"{where}.layers.{name}: is not searched; searched are {', '.join(self.names)}"
                )
