"""What layers add where many are changed at once, from whole students that were timed.

A layer that is changed alone, in a network that is dense otherwise, takes other layers along: the
fewer weights there are, the more stays in the caches, whoever reads it. So the differences of
single layers add up to too much, and those of small layers come out with the wrong sign. Students
whose layers are changed as a search changes them have the right ones in their sum; single layers
say how it is spread where students are too few to tell.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

Key = TypeVar("Key", bound=Hashable)

#: What it counts, beside a student's squared relative error, that a correction is not 0, and that
#: it is not its neighbour's; both are shares of the dense network's time, squared.
_STAYING = 0.3
_SMOOTH = 100.0
#: So little counts next to any student.
_NOTHING = 1e-3


@dataclass(frozen=True)
class Fitted(Generic[Key]):
    """Shares of the dense network's time: what all networks take, and what each change adds."""

    rest: float
    more: Mapping[Key, float]


def fitted(
    alone: Mapping[Key, float],
    students: Sequence[Mapping[Key, float]],
    ratios: Sequence[float],
    neighbours: Sequence[tuple[Key, Key]],
) -> Fitted[Key]:
    """Return what adds up to students, and to the dense network, with the least relative error.

    The changes add what single layers' do, all times one factor, and a correction of each that is
    small and much the same for neighbours.

    Args:
        alone: by what may be changed, how much more it takes than the dense network where nothing
            else is changed, as a share of that network's time.
        students: what is changed in each, and how often.
        ratios: how many times the dense network's time each student takes.
        neighbours: which two are nearly the same.
    """
    place = {key: at for at, key in enumerate(alone)}
    single = np.array(list(alone.values()))
    has = np.zeros((1 + len(students), len(alone)))  # the dense network is the first of them
    for row, student in enumerate(students, start=1):
        for key, share in student.items():
            has[row, place[key]] = share
    apart = np.zeros((len(neighbours), len(alone)))
    for row, (one, other) in enumerate(neighbours):
        apart[row, place[one]], apart[row, place[other]] = 1, -1
    timed = np.array([1.0, *ratios])[:, None]
    # What is looked for: the rest; the factor, 1 where students say nothing of it; the corrections.
    equations = np.block(
        [
            [1 / timed, (has @ single)[:, None] / timed, has / timed],
            [0.0, _NOTHING, np.zeros((1, len(alone)))],
            [np.zeros((len(alone), 2)), np.sqrt(_STAYING) * np.eye(len(alone))],
            [np.zeros((len(neighbours), 2)), np.sqrt(_SMOOTH) * apart],
        ]
    )
    aims = np.zeros(len(equations))
    aims[: len(timed)], aims[len(timed)] = 1.0, _NOTHING
    rest, factor, *corrections = np.linalg.lstsq(equations, aims, rcond=None)[0]
    more = (factor * single + corrections).tolist()
    return Fitted(float(rest), dict(zip(alone, more, strict=True)))
