"""The kinds of search spaces by name: what a study file may say of each, and what makes it.

A further kind is a class in `mlgsearch.study.space`, which inherits `Coordinates`, and a line in
``SPACE_KINDS``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlgsearch.named import named
from mlgsearch.study.file.hyperparameter import NORM_BITS


@dataclass(frozen=True)
class SpaceKind:
    """A kind of search space.

    ``coordinates`` is its class as ``module:class``, imported when a space is made.
    ``needs_plan``: it cannot do without what is predicted of layers. ``can_plan``: it can say the
    settings of single layers, so that a plan and settings of other studies may be tried in it;
    ``planned`` is how many planned ones are, where the file does not say. ``levels_stay``: see
    `mlgsearch.planning.layer.grid.Ranges`. ``has_budget``: a file may bound its budget.
    ``has_head`` says whether the head is searched where the file does not say; None where it never
    is. ``decides`` names hyperparameters that are no coordinates where they are searched: the
    kind's own decide.
    """

    coordinates: str
    needs_plan: bool = False
    can_plan: bool = True
    planned: int = 0
    levels_stay: bool = False
    has_budget: bool = False
    has_head: bool | None = False
    decides: frozenset[str] = frozenset()

    def make(self, *arguments: Any) -> Any:
        """Import the class and call it; see `Coordinates`."""
        return named(self.coordinates)(*arguments)


#: Every kind, in the order in which messages list them.
SPACE_KINDS: dict[str, SpaceKind] = {
    "allocation": SpaceKind(
        "mlgsearch.study.space.allocation:AllocationCoordinates",
        needs_plan=True,
        planned=8,
        has_budget=True,
        has_head=True,
        decides=frozenset({NORM_BITS}),
    ),
    "layerwise": SpaceKind(
        "mlgsearch.study.space.layerwise:LayerwiseCoordinates", levels_stay=True
    ),
    "uniform": SpaceKind(
        "mlgsearch.study.space.uniform:UniformCoordinates", can_plan=False, has_head=None
    ),
}


def kinds_that(fits: Callable[[SpaceKind], bool]) -> str:
    """List the kinds for which something holds, for a message."""
    return " or ".join(name for name, kind in SPACE_KINDS.items() if fits(kind))
