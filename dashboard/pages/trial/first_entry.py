"""A trial's settings as a study file takes them: an entry of ``search.first``."""

import json
import math
import re
from collections.abc import Mapping

from mlgsearch.records import FiveNumbers, LayerRecord, StudyRecord, TrialRecord
from mlgsearch.results.analysis.grid_scan import uniform_bases
from mlgsearch.results.read.layer_grid import NUMBERS

#: Numbers that mean no level in a uniform entry where the study's range is not known.
_NO_LEVEL = {"B_in": 1_000, "B_out": 100_000, "q_coeff_in": 8, "q_coeff_out": 8}

#: A key that YAML reads as this very text.
_PLAIN_KEY = re.compile(r"(?!true$|false$|null$)[A-Za-z_][\w./-]*")


def first_entry(study: StudyRecord, trial: TrialRecord) -> str:
    """Write a trial's settings, with its hyperparameters, to paste under ``first:``.

    In a uniform study these are its five numbers, else the settings of every searched layer. Where
    an early version did not keep which layers those are, all are written.
    """
    space = study.section("space")
    if space.get("kind") == "uniform":
        setting, layers = _uniform(study, trial, space), {}
    else:
        searched = {record.name for record in study.layers if record.is_searched}
        setting = (0, 0, 8, 0, 0)  # of no layer that is searched
        layers = {
            layer: five
            for layer, five in trial.settings.items()
            if layer in searched or not searched
        }
    lines = [f"- setting: {list(setting)}"]
    if layers:
        lines.append("  layers:")
        lines += [f"    {_key(layer)}: {list(five)}" for layer, five in layers.items()]
    if trial.hyperparameters:
        lines.append("  hyperparameters:")
        lines += [
            f"    {_key(name)}: {json.dumps(value)}"
            for name, value in trial.hyperparameters.items()
        ]
    return "".join(f"    {line}\n" for line in lines)


def _uniform(
    study: StudyRecord, trial: TrialRecord, space: Mapping[str, object]
) -> tuple[int, ...]:
    """Read the five numbers off the layers; one that no layer shows is as large as it may be."""
    shown: dict[str, FiveNumbers] = {
        record.name: trial.settings[record.name] for record in study.layers if record.is_searched
    }
    numbers = dict(zip(NUMBERS, map(max, zip(*shown.values(), strict=True)), strict=True))
    numbers["B_in"], numbers["B_out"] = uniform_bases(shown)
    largest = numbers["B_out"]
    show_it = [r for r in study.layers if r.is_searched and shown[r.name][1] == largest]
    if all(_is_lowered(record, largest) for record in show_it):
        numbers["B_out"] = 0  # more was asked for, of which no layer has a level
    for name, value in numbers.items():
        if value == 0:
            span = space.get(name)
            numbers[name] = span[1] if isinstance(span, list) else _NO_LEVEL[name]
    return tuple(numbers.values())


def _is_lowered(record: LayerRecord, b_out: int) -> bool:
    """Return whether it is what a uniform setting of more bases gives to this 1x1 layer."""
    c_out, c_in, *kernel = record.sides
    return math.prod(kernel) == 1 and b_out == int(0.9 * min(c_out, c_in))


def _key(name: str) -> str:
    return name if _PLAIN_KEY.fullmatch(name) else json.dumps(name)
