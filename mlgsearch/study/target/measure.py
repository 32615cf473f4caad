"""The table of a target's latency: the whole network with one layer changed at a time."""

import math
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from mlgsearch.mlg.network import NetworkShape
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.planning.layer.grid import Ranges
from mlgsearch.study.file.latency import REST, LatencyRow
from mlgsearch.study.space.latency_table import counted_bases, form_on
from mlgsearch.study.target.runners import Run, Runner
from mlgsearch.train.progress import Progress

#: Numbers of bases that are timed, spread by ratio over the study's range (B_in), and over where a
#: form is taken (B_out), the ends among them; a level that may be absent is timed so as well.
POINTS_IN = 3
POINTS_OUT = 5

#: How long two students are run by turns, in milliseconds of one of them, and in how many turns. In
#: a turn each runs so often in a row: by itself it finds its own weights in the caches.
_LENGTH_MS = 300.0
_LEAST_TURNS, _MOST_TURNS = 5, 120
_IN_A_ROW = 3

#: A command is run so often for the dense network.
_COMMANDS = 3

#: Students of many changed layers that are run to see whether single layers' times add up, and how
#: far from 1 the factor may be that makes them.
CALIBRATED = 10
_FACTORS = (0.5, 1.5)


@dataclass(frozen=True)
class Point:
    """A layer at a setting that is timed, and the form that it has there."""

    layer: str
    setting: LayerSetting
    form: str


def dense_settings(
    shape: NetworkShape, fixed: Mapping[str, LayerSetting]
) -> dict[str, LayerSetting]:
    """Return the settings of the network that others are compared with: no layer is factored."""
    return {name: fixed.get(name, LayerSetting.plain(8)) for name in shape.layers}


def points(
    shape: NetworkShape, ranges: Ranges, fixed: Mapping[str, LayerSetting], runtime: str
) -> list[Point]:
    """Return what is timed: of layers of one shape the first, in the forms that they may get.

    Bits play no part, nor does a number of bases that a form's time does not depend on.
    """
    found: list[Point] = []
    seen: set[LayerShape] = set()
    for name, layer in shape.layers.items():
        if name in fixed or layer in seen:
            continue
        seen.add(layer)
        for line in _lines(shape, name, ranges, runtime):
            found += [line[base_out] for base_out in _spread(list(line), POINTS_OUT)]
    return found


def _lines(shape: NetworkShape, name: str, ranges: Ranges, runtime: str) -> list[dict[int, Point]]:
    """Return where a layer is factored: by B_out in order, for each form and each B_in that counts.

    What has no level 2 is a line of its own.
    """
    layer = shape.layers[name]
    lines: dict[tuple[str, int, bool], dict[int, Point]] = {}
    for base_in in _spread(ranges.bases(ranges.base_in, layer.level1_bound), POINTS_IN):
        for base_out in ranges.bases(ranges.base_out, layer.level2_bound):
            # With few bits of coefficients no factors cost as much as the plain weight.
            asked = LayerSetting(base_in, base_out, 8, int(base_in > 0), int(base_out > 0))
            setting = asked.canonical(layer)
            form = form_on(runtime, setting, shape, name)
            counted_in, counted_out = counted_bases(form, setting)
            if form != "dense":
                line = lines.setdefault((form, counted_in, counted_out > 0), {})
                line.setdefault(counted_out, Point(name, setting, form))
    return [dict(sorted(line.items())) for line in lines.values()]


def measure(
    shape: NetworkShape,
    ranges: Ranges,
    fixed: Mapping[str, LayerSetting],
    runner: Runner,
    progress: Progress,
) -> list[LatencyRow]:
    """Time a network's layers and return the table.

    ``rest`` is the dense network's time, so a dense layer adds nothing, and any other what it takes
    more, or less: that share of ``rest`` by which the network with that layer alone changed is
    slower than the dense one, run by turns (see `slowdown`). A machine that is slower for a
    while, because of other work, slows both. As layers that run after one another may share
    overhead, a few students with many changed layers are run as well: all differences are
    multiplied by the one factor that predicts these best. Torch has one thread meanwhile.

    Raises:
        UserError: the runner cannot run a student.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return list(_rows(shape, ranges, fixed, runner, progress))
    finally:
        torch.set_num_threads(threads)


def _rows(
    shape: NetworkShape,
    ranges: Ranges,
    fixed: Mapping[str, LayerSetting],
    runner: Runner,
    progress: Progress,
) -> Iterator[LatencyRow]:
    dense = dense_settings(shape, fixed)
    base = runner.prepare(dense)
    rest = statistics.median(base() for _ in range(_COMMANDS))
    todo = points(shape, ranges, fixed, runner.runtime)
    more: dict[tuple[LayerShape, str, tuple[int, int]], float] = {}
    for done, point in enumerate(todo):
        progress("measure", done, len(todo), f"{point.layer} {point.form}")
        timed = _timed(base, runner.prepare({**dense, point.layer: point.setting}), runner, rest)
        rest = min(rest, timed.base_ms)
        bases = counted_bases(point.form, point.setting)
        more[shape.layers[point.layer], point.form, bases] = timed.ratio - 1
    students = _students(shape, fixed, todo) if todo else []
    shares, ratios = [], []
    for chosen in students:
        settings = {name: point.setting for name, point in chosen.items()}
        timed = _timed(base, runner.prepare({**dense, **settings}), runner, rest)
        ratios.append(timed.ratio)
        keys = [
            (shape.layers[name], point.form, counted_bases(point.form, point.setting))
            for name, point in chosen.items()
        ]
        shares.append(sum(more[key] for key in keys))
    factor = _factor(shares, ratios)
    more = {key: factor * share for key, share in more.items()}
    progress("measure", len(todo), len(todo), "done")
    yield LatencyRow("", REST, 0, 0, rest, runner.runtime)
    for name, layer in shape.layers.items():
        if name in fixed:
            continue
        yield LatencyRow(name, "dense", 0, 0, 0.0, runner.runtime)
        for (of, form, bases), share in more.items():
            if of == layer:
                yield LatencyRow(name, form, *bases, share * rest, runner.runtime)


@dataclass(frozen=True)
class Timed:
    """How much slower a student is than the dense network, and the least time of that, in ms."""

    ratio: float
    base_ms: float


def slowdown(base: Run, changed: Run) -> Timed:
    """Run two by turns, a few times in a row each, and compare them turn by turn.

    In a turn the least time of each counts, and of all turns' ratios the median: two that ran
    within a moment of each other met the same other work, which the least times of all need not
    have. Who goes first changes from turn to turn.
    """
    first = base()
    turns = math.ceil(_LENGTH_MS / _IN_A_ROW / max(first, 1e-3))
    ratios, least = [], first
    for turn in range(min(max(turns, _LEAST_TURNS), _MOST_TURNS)):
        times = {}
        for run in (base, changed) if turn % 2 else (changed, base):
            times[run] = min(run() for _ in range(_IN_A_ROW))
        ratios.append(times[changed] / times[base])
        least = min(least, times[base])
    return Timed(statistics.median(ratios), least)


def _timed(base: Run, changed: Run, runner: Runner, rest: float) -> Timed:
    if runner.repeats_itself:
        return Timed(changed() / rest, rest)
    return slowdown(base, changed)


def _students(
    shape: NetworkShape, fixed: Mapping[str, LayerSetting], todo: Sequence[Point]
) -> list[dict[str, Point]]:
    """Draw students: half of their layers or more, and two at least, at one of their points."""
    draw = random.Random(0)
    by_shape: dict[LayerShape, list[Point]] = {}
    for point in todo:
        by_shape.setdefault(shape.layers[point.layer], []).append(point)
    free = [name for name, layer in shape.layers.items() if name not in fixed and layer in by_shape]
    least = min(len(free), max(2, len(free) // 2))
    changed = [draw.sample(free, draw.randint(least, len(free))) for _ in range(CALIBRATED)]
    return [
        {name: draw.choice(by_shape[shape.layers[name]]) for name in names} for names in changed
    ]


def _factor(shares: Sequence[float], ratios: Sequence[float]) -> float:
    """Return what to multiply shares by, so that 1 + share is off by the least of each ratio."""
    weights = [share / ratio for share, ratio in zip(shares, ratios, strict=True)]
    energy = sum(weight * weight for weight in weights)
    if not energy:
        return 1.0
    found = sum(w * (1 - 1 / r) for w, r in zip(weights, ratios, strict=True)) / energy
    return min(max(found, _FACTORS[0]), _FACTORS[1])


def _spread(bases: Sequence[int], count: int) -> list[int]:
    """Return some of ascending numbers of bases, about evenly by ratio, with both ends, and any 0.

    The numbers need not be without gaps.
    """
    present = [base for base in bases if base]
    if not present:
        return list(bases)
    low, high = present[0], present[-1]
    wanted = [low * (high / low) ** (step / (count - 1)) for step in range(count)]
    nearest = {min(present, key=lambda base: abs(base - each)) for each in wanted}
    return [*(base for base in bases if not base), *sorted(nearest)]
