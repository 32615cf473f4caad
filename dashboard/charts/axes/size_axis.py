"""What a chart can have to the right, sizes above all: how values are found and shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mlgsearch.records import OBJECTIVES, Objective
from mlgsearch.results.analysis.choice import KILOBYTE
from mlgsearch.results.analysis.effects.hyperparameters import is_wide
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
        if self.objective == "loss":
            return f"{value:.4f}"
        return f"{value:.3g}"


@dataclass(frozen=True)
class HyperparameterAxis(SizeAxis):
    """A hyperparameter that is a number, in ``given`` per trial of a study, shape (n,).

    It is no size: it has no front, and no limit is about it.
    """

    given: Floats = field(compare=False, repr=False, kw_only=True)

    @classmethod
    def of(cls, name: str, values: Floats) -> "HyperparameterAxis":
        """Return the axis of a hyperparameter."""
        shown = Objective(name=name, label=name, larger_is_better=False, is_log10=is_wide(values),
                          reference=0.0)  # fmt: skip
        return cls("", shown, ".4g", given=values)

    def values(self, columns: TrialColumns) -> Floats:
        """Return the trials' values, shape (n,); NaN where a trial has none."""
        assert len(columns) == len(self.given), "the columns are not those of the study"
        return self.given

    def write(self, value: float) -> str:
        """Write a value for a sentence."""
        return f"{value:.4g}"


def _axes() -> Mapping[str, SizeAxis]:
    kilobytes = replace(OBJECTIVES["packed_bytes"], name="packed_kb", label="packed file in KB")
    axes = {
        "memory_ratio": SizeAxis("memory_ratio", OBJECTIVES["memory_ratio"], ".4f"),
        "packed_kb": SizeAxis("packed_bytes", kilobytes, ",.1f", KILOBYTE),
        "packed_bytes": SizeAxis("packed_bytes", OBJECTIVES["packed_bytes"], ",.0f"),
        "parameter_ratio": SizeAxis("parameter_ratio", OBJECTIVES["parameter_ratio"], ".4f"),
    }
    forms = {"latency_ms": ",.3g", "loss": ".4f"}
    for name, objective in OBJECTIVES.items():
        if name not in (*axes, "accuracy"):
            axes[name] = SizeAxis(name, objective, forms.get(name, ".3s"))
    return axes


#: By name in menus and addresses. The loss is no size, and is for a study that has it as objective.
SIZE_AXES = _axes()


def sizes_offered(objectives: Sequence[str] = ()) -> dict[str, str]:
    """Return what can be to the right for studies of some objectives, by name its words."""
    return {
        name: axis.shown.label
        for name, axis in SIZE_AXES.items()
        if name != "loss" or name in objectives
    }


DEFAULT_AXIS = "memory_ratio"
