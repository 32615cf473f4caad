"""The table of a target's latency: the whole network with one layer changed at a time."""

import math
import random
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from mlgsearch.mlg.network import NetworkShape
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.planning.layer.grid import Ranges
from mlgsearch.study.file.latency import REST, LatencyRow
from mlgsearch.study.space.latency_table import counted_bases, form_on, shares
from mlgsearch.study.target.adding_up import Fitted, fitted
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

#: Students that are run to see what layers add where many are changed, and how many of the levels
#: that one may have it has, at least.
STUDENTS = 80
_LEAST_LEVELS = 0.25

#: A layer's shape, a form, and the numbers of bases that this form's time depends on.
_Key = tuple[LayerShape, str, tuple[int, int]]


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


@dataclass(frozen=True)
class Measured:
    """A table, and the milliseconds of the dense network that all of it was compared with."""

    rows: list[LatencyRow]
    dense_ms: float


def measure(
    shape: NetworkShape,
    ranges: Ranges,
    fixed: Mapping[str, LayerSetting],
    runner: Runner,
    progress: Progress,
) -> Measured:
    """Time a network's layers.

    ``rest`` is about the dense network's time, so a dense layer adds nothing, and any other what it
    takes more, or less. First each layer is changed alone and its network run by turns with the
    dense one (see `slowdown`): a machine that is slower for a while, because of other work, slows
    both. Such differences do not add up, so students are run that have bases drawn for all their
    layers, and what is in the table is fitted to these (see `fitted`). Torch has one thread
    meanwhile.

    Raises:
        UserError: the runner cannot run a student.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _measured(shape, ranges, fixed, runner, progress)
    finally:
        torch.set_num_threads(threads)


def _measured(
    shape: NetworkShape,
    ranges: Ranges,
    fixed: Mapping[str, LayerSetting],
    runner: Runner,
    progress: Progress,
) -> Measured:
    dense = dense_settings(shape, fixed)
    base = runner.prepare(dense)
    rest = statistics.median(base() for _ in range(_COMMANDS))
    todo = points(shape, ranges, fixed, runner.runtime)
    count = len(todo) + (STUDENTS if todo else 0)
    alone: dict[_Key, float] = {}
    for done, point in enumerate(todo):
        progress("measure", done, count, f"{point.layer} {point.form}")
        timed = _timed(base, runner.prepare({**dense, point.layer: point.setting}), runner, rest)
        rest = min(rest, timed.base_ms)
        alone[_key(shape, point.layer, point.setting, runner.runtime)] = timed.ratio - 1
    draw = random.Random(0)
    parts, ratios = [], []
    for done in range(len(todo), count):
        progress("measure", done, count, "whole students")
        settings = {**dense, **_drawn(shape, ranges, fixed, draw)}
        changed = _parts(shape, settings, runner.runtime, alone)
        if not changed:  # it is computed as the dense network is
            continue
        timed = _timed(base, runner.prepare(settings), runner, rest)
        rest = min(rest, timed.base_ms)
        parts.append(changed)
        ratios.append(timed.ratio)
    found = fitted(alone, parts, ratios, _neighbours(alone)) if todo else Fitted(1.0, alone)
    progress("measure", count, count, "done")
    rows = [LatencyRow("", REST, 0, 0, found.rest * rest, runner.runtime)]
    for name, layer in shape.layers.items():
        if name in fixed:
            continue
        rows.append(LatencyRow(name, "dense", 0, 0, 0.0, runner.runtime))
        for (of, form, bases), share in found.more.items():
            if of == layer:
                rows.append(LatencyRow(name, form, *bases, share * rest, runner.runtime))
    return Measured(rows, rest)


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


def _key(shape: NetworkShape, name: str, setting: LayerSetting, runtime: str) -> _Key:
    form = form_on(runtime, setting, shape, name)
    return shape.layers[name], form, counted_bases(form, setting)


def _drawn(
    shape: NetworkShape, ranges: Ranges, fixed: Mapping[str, LayerSetting], draw: random.Random
) -> dict[str, LayerSetting]:
    """Draw a student: numbers of bases by ratio over the study's ranges, few levels or many."""
    levels = draw.uniform(_LEAST_LEVELS, 1.0)
    settings = {}
    for name, layer in shape.layers.items():
        if name in fixed:
            continue
        bases = []
        for span, bound in (
            (ranges.base_in, layer.level1_bound),
            (ranges.base_out, layer.level2_bound),
        ):
            known = ranges.bases(span, bound)
            present = [base for base in known if base]
            is_there = bool(present) and (0 not in known or draw.random() < levels)
            bases.append(_by_ratio(present, draw.random()) if is_there else 0)
        asked = LayerSetting(bases[0], bases[1], 8, int(bases[0] > 0), int(bases[1] > 0))
        settings[name] = asked.canonical(layer)
    return settings


def _parts(
    shape: NetworkShape,
    settings: Mapping[str, LayerSetting],
    runtime: str,
    timed: Collection[_Key],
) -> dict[_Key, float]:
    """Return what of a student was timed alone, and how often; between two it is interpolated."""
    found: dict[_Key, float] = defaultdict(float)
    for name, setting in settings.items():
        layer, form, bases = _key(shape, name, setting, runtime)
        known = [key[2] for key in timed if key[:2] == (layer, form)]
        for at, share in shares(known, *bases).items():
            found[layer, form, at] += share
    return found


def _neighbours(timed: Iterable[_Key]) -> list[tuple[_Key, _Key]]:
    """Return which points differ in B_out alone, by one step."""
    lines: dict[tuple[LayerShape, str, int, bool], list[_Key]] = defaultdict(list)
    for layer, form, (base_in, base_out) in timed:
        lines[layer, form, base_in, base_out > 0].append((layer, form, (base_in, base_out)))
    return [
        pair
        for line in lines.values()
        for pair in pairwise(sorted(line, key=lambda key: key[2][1]))
    ]


def _by_ratio(ascending: Sequence[int], share: float) -> int:
    """Return the number that is nearest to a share of the way, by ratio, from the first to last."""
    low, high = ascending[0], ascending[-1]
    wanted = low * (high / low) ** share
    return min(ascending, key=lambda base: abs(base - wanted))


def _spread(bases: Sequence[int], count: int) -> list[int]:
    """Return some of ascending numbers of bases, about evenly by ratio, with both ends, and any 0.

    The numbers need not be without gaps.
    """
    present = [base for base in bases if base]
    if not present:
        return list(bases)
    nearest = {_by_ratio(present, step / (count - 1)) for step in range(count)}
    return [*(base for base in bases if not base), *sorted(nearest)]
