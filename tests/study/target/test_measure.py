from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from mlgsearch.mlg.network import NetworkShape
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.planning.layer.grid import Ranges
from mlgsearch.study.file.latency import LatencySpec, write_latency
from mlgsearch.study.space.latency_table import LatencyTable, counted_bases, form_on
from mlgsearch.study.target.measure import STUDENTS, dense_settings, measure, points, slowdown
from tests.study.samples import MIXED

RANGES = Ranges((1, 8), (1, 64), (2, 8), (2, 8), (2, 8))
FIXED = {"head": LayerSetting.plain(32)}


class Additive:
    """A target on which a layer takes a time of its own; it slows down now and then."""

    def __init__(
        self, runtime: str, *, repeats_itself: bool = False, shape: NetworkShape = MIXED
    ) -> None:
        self.shape = shape
        self.runtime, self.repeats_itself = runtime, repeats_itself
        self.runs: Counter[bool] = Counter()

    def layer_ms(self, name: str, setting: LayerSetting) -> float:
        form = form_on(self.runtime, setting, self.shape, name)
        base_in, base_out = counted_bases(form, setting)
        return {"dense": 3.0, "level2": 0.25}.get(form, 1.0) + 0.03 * base_in + 0.02 * base_out

    def network_ms(self, settings: Mapping[str, LayerSetting]) -> float:
        return 2 + sum(self.layer_ms(name, setting) for name, setting in settings.items())

    def prepare(self, settings: Mapping[str, LayerSetting]) -> Callable[[], float]:
        is_dense = settings == dense_settings(self.shape, FIXED)

        def run() -> float:
            self.runs[is_dense] += 1
            is_slow = not self.repeats_itself and self.runs.total() % 3 == 0
            return (5 if is_slow else 1) * self.network_ms(settings)

        return run


def silent(stage: str, done: int, total: int, note: str) -> None:
    """Tell nobody."""


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_the_table_predicts_an_additive_target(runtime: str) -> None:
    target = Additive(runtime)
    rows = measure(MIXED, RANGES, FIXED, target, silent).rows
    table = LatencyTable(LatencySpec(file="", table="".join(write_latency(rows))), MIXED)
    todo = points(MIXED, RANGES, FIXED, runtime)
    assert todo
    for point in todo:
        settings = {**dense_settings(MIXED, FIXED), point.layer: point.setting}
        assert table.network_ms(settings) == pytest.approx(target.network_ms(settings), rel=3e-3)


def test_a_command_runs_each_student_once_and_the_dense_one_three_times() -> None:
    target = Additive("onnx", repeats_itself=True)
    measure(MIXED, RANGES, FIXED, target, silent)
    alone = len(points(MIXED, RANGES, FIXED, "onnx"))
    assert target.runs[True] == 3
    assert alone + STUDENTS / 3 < target.runs[False] <= alone + STUDENTS


def level2_at(base_out: int) -> LayerSetting:
    return LayerSetting(0, base_out, 8, 0, 1).canonical(MIXED.layers["wide"])


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_what_is_timed_is_bounded_and_has_the_ends_of_the_ranges(runtime: str) -> None:
    todo = points(MIXED, RANGES, FIXED, runtime)
    assert max(Counter(point.layer for point in todo).values()) <= 23
    keys = [(p.layer, p.form, counted_bases(p.form, p.setting)) for p in todo]
    assert len(set(keys)) == len(keys)
    assert not any(form == "dense" or layer in FIXED for layer, form, _ in keys)
    level2 = [bases[1] for layer, form, bases in keys if (layer, form) == ("wide", "level2")]
    last = max(
        base_out
        for base_out in range(1, 64)
        if form_on(runtime, level2_at(base_out), MIXED, "wide") == "level2"
    )
    assert (min(level2), max(level2), len(level2)) == (1, last, 5)


def test_layers_of_one_shape_are_timed_once_and_stand_in_the_table_each() -> None:
    layers = {**MIXED.layers, "again": MIXED.layers["wide"]}
    twice = type(MIXED)(layers, MIXED.norm_parameters)
    assert points(twice, RANGES, FIXED, "onnx") == points(MIXED, RANGES, FIXED, "onnx")
    rows = measure(twice, RANGES, FIXED, Twice("onnx"), silent).rows
    found = {
        name: [(row.form, row.base_in, row.base_out) for row in rows if row.layer == name]
        for name in ("wide", "again")
    }
    assert found["wide"] == found["again"]
    assert len(found["wide"]) > 3


class Twice(Additive):
    """Takes the layer "again" for the one it equals."""

    def layer_ms(self, name: str, setting: LayerSetting) -> float:
        return super().layer_ms("wide" if name == "again" else name, setting)


def test_a_machine_that_slows_down_and_speeds_up_changes_no_ratio() -> None:
    count = 0

    def run(ms: float) -> float:
        nonlocal count
        count += 1
        busy = 1 + count // 40  # for a while both are slower
        return ms * busy * (7 if count % 5 == 0 else 1)  # and single runs are slower still

    found = slowdown(lambda: run(1.0), lambda: run(2.0))
    assert found.ratio == pytest.approx(2.0)
    assert found.base_ms == 1.0
    assert count > 100


#: Four layers that are worth factoring, each of a shape of its own.
FOUR = NetworkShape(
    {
        name: LayerShape("conv", 48 + 8 * i, 48, (3, 3), out_positions=64)
        for i, name in enumerate(("a", "b", "c", "d"))
    }
    | {"head": MIXED.layers["head"]}
)


class Sharing(Additive):
    """A target on which changed layers save overhead together: three quarters of each counts."""

    def network_ms(self, settings: Mapping[str, LayerSetting]) -> float:
        plain = dense_settings(self.shape, FIXED)
        dense = super().network_ms(plain)
        changed = sum(settings[name] != plain[name] for name in settings)
        share = 1.0 if changed <= 1 else 0.75
        return dense + share * (super().network_ms(settings) - dense)


def test_students_of_many_changed_layers_calibrate_the_table() -> None:
    target = Sharing("onnx", repeats_itself=True, shape=FOUR)
    rows = measure(FOUR, RANGES, FIXED, target, silent).rows
    table = LatencyTable(LatencySpec(file="", table="".join(write_latency(rows))), FOUR)
    todo = {point.layer: point for point in points(FOUR, RANGES, FIXED, "onnx")}
    assert len(todo) == 4
    plain = dense_settings(FOUR, FIXED)
    settings = plain | {name: point.setting for name, point in todo.items()}
    dense = table.network_ms(plain)
    saved = target.network_ms(settings) - dense
    assert table.network_ms(settings) - dense == pytest.approx(saved, rel=0.02)


class Cached(Additive):
    """A target on which a layer is faster the more of the others are factored."""

    def network_ms(self, settings: Mapping[str, LayerSetting]) -> float:
        forms = [form_on(self.runtime, at, self.shape, name) for name, at in settings.items()]
        return super().network_ms(settings) * (1 - 0.06 * sum(form != "dense" for form in forms))


def test_differences_of_layers_alone_are_corrected_by_whole_students() -> None:
    target = Cached("onnx", repeats_itself=True, shape=FOUR)
    rows = measure(FOUR, RANGES, FIXED, target, silent).rows
    table = LatencyTable(LatencySpec(file="", table="".join(write_latency(rows))), FOUR)
    plain = dense_settings(FOUR, FIXED)
    assert table.network_ms(plain) == pytest.approx(target.network_ms(plain), rel=0.05)
    bases = [(1, 2), (2, 20), (0, 12), (3, 5)]
    settings = {
        name: LayerSetting(base_in, base_out, 8, int(base_in > 0), 1).canonical(FOUR.layers[name])
        for name, (base_in, base_out) in zip("abcd", bases, strict=True)
    }
    alone = sum(
        target.network_ms({**plain, name: at}) - target.network_ms(plain)
        for name, at in settings.items()
    )
    truth = target.network_ms({**plain, **settings})
    off = abs(table.network_ms({**plain, **settings}) / truth - 1)
    assert off < 0.1 < abs((target.network_ms(plain) + alone) / truth - 1)
