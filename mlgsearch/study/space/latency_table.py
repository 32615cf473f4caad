"""A student's latency on its target, predicted from a table of its layers."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping

from mlgsearch.errors import StudyFileError
from mlgsearch.mlg.network import NetworkShape
from mlgsearch.mlg.running.execution import choose_form
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.study.file.latency import REST, LatencyRow, LatencySpec, parse_latency
from mlgsearch.train.files.onnx.form import onnx_form

#: The least that is predicted.
_LEAST = 1e-6

#: Milliseconds by (B_in, B_out).
_Points = dict[tuple[int, int], float]


class LatencyTable:
    """Adds up rows of a table: ``rest``, and one row of each layer.

    A layer without rows is part of the rest. Each is computed in the form that the table's runtime
    chooses: torch and ONNX files by their rules, any other the cheapest of those in the table.
    Between numbers of bases latency is interpolated linearly, as multiplications are linear in each
    of them; beyond the last ones it is theirs.

    Raises:
        StudyFileError: the table is not valid, or names a layer that the network does not have.
    """

    def __init__(self, spec: LatencySpec, shape: NetworkShape) -> None:
        rows = parse_latency(spec)
        self._shape = shape
        self._points: dict[str, dict[str, _Points]] = defaultdict(lambda: defaultdict(dict))
        self._known: dict[tuple[str, int, int], float] = {}
        self._runtime = rows[0].runtime
        #: What no layer takes, in milliseconds.
        self.rest = sum(row.latency_ms for row in rows if row.form == REST)
        for row in rows:
            if row.form != REST:
                self._add(row, spec.file)

    def _add(self, row: LatencyRow, file: str) -> None:
        if row.layer not in self._shape.layers:
            raise StudyFileError(
                f"latency: {file}: names the layer {row.layer!r}, which this network does not "
                f"have; its layers are {', '.join(self._shape.layers)}"
            )
        self._points[row.layer][row.form][row.base_in, row.base_out] = row.latency_ms

    def network_ms(self, settings: Mapping[str, LayerSetting]) -> float:
        """Return the milliseconds of one image, of canonical settings of every layer.

        It is positive, as an objective must be, even where differences add up to less.
        """
        layers = sum(self.layer_ms(name, known) for name, known in settings.items())
        return max(self.rest + layers, _LEAST)

    def layer_ms(self, name: str, setting: LayerSetting) -> float:
        """Return what a layer adds at a canonical setting; bits play no part."""
        key = (name, setting.base_in, setting.base_out)
        if key not in self._known:
            self._known[key] = self._predicted(name, setting)
        return self._known[key]

    def _predicted(self, name: str, setting: LayerSetting) -> float:
        points = self._points.get(name)
        if points is None:
            return 0.0
        chosen = self._chosen(name, setting)
        found = {
            form: _between(points[form], *counted_bases(form, setting))
            for form in _forms(setting)
            if form in points and chosen in (None, form)
        }
        usable = [value for value in found.values() if value is not None]
        return min(usable) if usable else next(iter(points["dense"].values()))

    def _chosen(self, name: str, setting: LayerSetting) -> str | None:
        """Return the form that the runtime computes a layer in; None for the cheapest."""
        if self._runtime == "":
            return None
        return form_on(self._runtime, setting, self._shape, name)


def form_on(runtime: str, setting: LayerSetting, shape: NetworkShape, name: str) -> str:
    """Return the form in which ``torch`` computes a layer of one image, or an ``onnx`` file."""
    layer = shape.layers[name]
    if runtime == "onnx":
        return onnx_form(setting, layer)
    return choose_form(setting, layer, generates=False)


def _forms(setting: LayerSetting) -> list[str]:
    """Return the forms that a setting may be computed in."""
    forms = ["dense"]
    if setting.base_out:
        forms.append("level2")
    if setting.base_in:
        forms.append("three_stage")
    if setting.base_in and setting.base_out:
        forms.append("depthwise")
    return forms


def counted_bases(form: str, setting: LayerSetting) -> tuple[int, int]:
    """Return the numbers of bases that a form's time depends on."""
    if form == "dense":
        return 0, 0
    return (0 if form == "level2" else setting.base_in), setting.base_out


def _between(points: _Points, base_in: int, base_out: int) -> float | None:
    """Interpolate among the points that have level 2 as it is asked for; None where none has."""
    parts = shares(points, base_in, base_out)
    return sum(part * points[at] for at, part in parts.items()) if parts else None


def shares(
    known: Iterable[tuple[int, int]], base_in: int, base_out: int
) -> dict[tuple[int, int], float]:
    """Return how much of each known (B_in, B_out) counts where others are interpolated.

    Only those count that have level 2 as it is asked for; none where none has. What is returned
    adds up to 1 otherwise.
    """
    lines: dict[int, list[int]] = defaultdict(list)
    for known_in, known_out in known:
        if (known_out == 0) == (base_out == 0):
            lines[known_in].append(known_out)
    return {
        (known_in, known_out): of_line * of_point
        for known_in, of_line in _nearest(lines, base_in).items()
        for known_out, of_point in _nearest(lines[known_in], base_out).items()
    }


def _nearest(places: Iterable[int], at: int) -> dict[int, float]:
    """Return the nearest places on either side and their shares; beyond the last ones, the last."""
    ordered = sorted(places)
    above = bisect_left(ordered, at)
    if above == len(ordered) or above == 0 or ordered[above] == at:
        return {ordered[min(above, len(ordered) - 1)]: 1.0} if ordered else {}
    low, high = ordered[above - 1], ordered[above]
    return {low: (high - at) / (high - low), high: (at - low) / (high - low)}
