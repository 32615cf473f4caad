"""What trials were trained with, name by name: numbers, or words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlgsearch.results.analysis.trial_columns import Floats, Rows

#: Numbers that span more than this factor are looked at by their logarithms.
_MANY_TIMES = 30


@dataclass(frozen=True, eq=False)
class Hyperparameters:
    """The hyperparameters of a study's trials.

    ``values`` has a value per trial for each name, in the order of the study's columns; None where
    a trial has none of that name.
    """

    values: Mapping[str, Sequence[object]]

    @classmethod
    def of(cls, trials: Sequence[Mapping[str, object]]) -> "Hyperparameters":
        """Turn trials' hyperparameters into a list per name."""
        names = dict.fromkeys(name for trial in trials for name in trial)
        return cls({name: [trial.get(name) for trial in trials] for name in names})

    @cached_property
    def varied(self) -> tuple[str, ...]:
        """The names of those that differ between trials."""
        return tuple(name for name, values in self.values.items() if len(_known(values)) > 1)

    @cached_property
    def numeric(self) -> tuple[str, ...]:
        """The names of those that differ and are numbers wherever they are known."""
        return tuple(
            name
            for name in self.varied
            if all(_is_number(one) for one in _known(self.values[name]))
        )

    def numbers(self, name: str) -> Floats:
        """Return a numeric one's values, shape (n,); NaN where a trial has none."""
        return np.array(
            [float(one) if _is_number(one) else np.nan for one in self.values[name]],  # type: ignore[arg-type]
            dtype=np.float64,
        )

    def features(self, rows: Rows) -> dict[str, Floats]:
        """Return the fit's terms of each that differs among some trials, shape (n, F).

        A number, or its logarithm, and its square, so that the best may lie in the middle; of words
        a mark per word.
        """
        found = {}
        for name in self.varied:
            if name in self.numeric:
                found[name] = curve(self.numbers(name)[rows])
            else:
                words = np.array([str(self.values[name][row]) for row in rows.tolist()])
                found[name] = (words[:, None] == np.unique(words)[1:]) * 1.0
        return {name: own for name, own in found.items() if own.size and np.ptp(own, axis=0).any()}


def curve(values: Floats) -> Floats:
    """Return a number's terms of a fit, itself (or its logarithm) and its square, shape (n, 2).

    Both are 0 where the number never differs, and of a trial without it (NaN).
    """
    known = np.log10(values) if is_wide(values) else values
    spread = float(np.nanstd(known)) if np.isfinite(known).any() else 0.0
    if not spread:
        return np.zeros((len(values), 2))
    z = np.nan_to_num((known - np.nanmean(known)) / spread)
    return np.column_stack([z, z**2])


def is_wide(values: Floats) -> bool:
    """Whether values, shape (n,), are positive and span orders of magnitude."""
    known = values[np.isfinite(values)]
    return bool(len(known) and known.min() > 0 and known.max() > _MANY_TIMES * known.min())


def _known(values: Sequence[object]) -> set[object]:
    return {one if _is_number(one) else str(one) for one in values if one is not None}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
