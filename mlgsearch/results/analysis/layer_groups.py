"""Groups of a network's layers, which its layers' names say, and what each takes in a trial."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mlgsearch.results.analysis.trial_columns import Floats

#: A first part that so many of the names have says nothing.
_NEARLY_ALL = 0.8


@dataclass(frozen=True, eq=False)
class LayerGroups:
    """What groups of layers take in each of a study's trials.

    ``names`` (G,) are in the network's order. ``bytes`` (n, G) are those of their layers' factors,
    by the paper's rule: 8 bits each, so not always whole; NaN where one of them is not known.
    """

    names: tuple[str, ...]
    bytes: Floats

    def __post_init__(self) -> None:
        assert self.bytes.shape[1] == len(self.names), self.bytes.shape

    def of(self, name: str) -> Floats:
        """Return the bytes that one group takes in each trial, shape (n,)."""
        found: Floats = self.bytes[:, self.names.index(name)]
        return found


def group_names(layers: Sequence[str]) -> list[str]:
    """Return the group of each layer: its name up to the first dot.

    Where nearly all have the same first part (``features.``), it is the name up to the second.
    """
    return [
        name[: len(name) - len(left)] + left.split(".")[0]
        for name, left in zip(layers, without_common(layers), strict=True)
    ]


def without_common(names: Sequence[str]) -> list[str]:
    """Drop a first part that nearly all have; names that differ stay different."""
    firsts = Counter(name.split(".")[0] for name in names)
    short = list(names)
    if firsts and max(firsts.values()) >= _NEARLY_ALL * len(names):
        (common, _), *_ = firsts.most_common(1)
        short = [name.removeprefix(f"{common}.") for name in names]
    return short if len(set(short)) == len(set(names)) else list(names)
