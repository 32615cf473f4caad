"""The sizes a chart can have to the right: what its menu offers, and how values are shown."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mlgsearch.records import OBJECTIVES, Objective
from mlgsearch.results.analysis.choice import KILOBYTE
from mlgsearch.results.analysis.trial_columns import Floats, TrialColumns
from mlgsearch.words import TIMES


@dataclass(frozen=True)
class SizeAxis:
    """An objective of size, its values divided by ``unit``.

    ``shown`` is how it looks on an axis, ``d3`` how plotly formats a value in a hover.
    """

    objective: str
    shown: Objective
    d3: str
    unit: int = 1

    @property
    def is_ratio(self) -> bool:
        """Whether values say how much of the teacher is left."""
        return self.objective.endswith("_ratio")

    def values(self, columns: TrialColumns) -> Floats:
        """Return the trials' values as shown, shape (n,); NaN where not known or not positive."""
        known = columns.objective(self.objective)
        return np.where(known > 0, known, np.nan) / self.unit

    def write(self, value: float) -> str:
        """Write a value as shown for a sentence."""
        if self.is_ratio:
            return f"{value:.4f} ({TIMES}{1 / value:.1f} smaller)"
        if self.objective in ("packed_bytes", "peak_activation_bytes"):
            return f"{value:,.0f} bytes" if self.unit == 1 else f"{value:,.1f} KB"
        if self.objective == "latency_ms":
            return f"{value:,.3g} ms"
        return f"{value:.3g}"


def _axes() -> Mapping[str, SizeAxis]:
    kilobytes = replace(OBJECTIVES["packed_bytes"], name="packed_kb", label="packed file in KB")
    axes = {
        "memory_ratio": SizeAxis("memory_ratio", OBJECTIVES["memory_ratio"], ".4f"),
        "packed_kb": SizeAxis("packed_bytes", kilobytes, ",.1f", KILOBYTE),
        "packed_bytes": SizeAxis("packed_bytes", OBJECTIVES["packed_bytes"], ",.0f"),
        "parameter_ratio": SizeAxis("parameter_ratio", OBJECTIVES["parameter_ratio"], ".4f"),
    }
    for name, objective in OBJECTIVES.items():
        if name not in (*axes, "accuracy", "loss"):
            axes[name] = SizeAxis(name, objective, ",.3g" if name == "latency_ms" else ".3s")
    return axes


#: By name in menus and addresses.
SIZE_AXES = _axes()
DEFAULT_AXIS = "memory_ratio"
