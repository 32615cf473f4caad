"""In what selected trials differ: hyperparameters first, then layers, the largest first."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dash import html
from dash.development.base_component import Component

from dashboard.parts.table import scrolled
from dashboard.parts.values.cells import hyperparameter
from dashboard.parts.values.expected import expected
from dashboard.parts.values.student import written_bytes
from mlgsearch.records import FiveNumbers, TrialRecord
from mlgsearch.results.analysis.uncertainty.expectation import Expectation
from mlgsearch.results.trial_fields import further_measures

#: Layers that are shown at once; the others are folded.
_MOST_LAYERS = 8

_LAYERS = (
    "Layers: bytes, (B_in, B_out, q_basis, q_coeff_in, q_coeff_out), "
    "and the damage that the plan predicts"
)
_DASH = "\N{EN DASH}"
#: Between the lines of a cell.
_BREAK = "\n"


class _Line(NamedTuple):
    """What trials have of something, and by how much it differs; 0 where it does not."""

    name: str
    cells: tuple[str, ...]
    difference: float


def what_differs(
    trials: Sequence[TrialRecord], expectations: Mapping[int, Expectation]
) -> list[Component]:
    """Return a table of two or more trials, one per column; what is equal is named in a sentence.

    ``expectations`` has by number what to expect of those of which that is known.
    """
    results = _results(trials, expectations)
    knobs = sorted(_hyperparameters(trials), key=lambda line: (-line.difference, line.name))
    layers = sorted(_layers(trials), key=lambda line: -line.difference)
    knobs_apart = [line for line in knobs if line.difference]
    layers_apart = [line for line in layers if line.difference]
    shown: list[Component] = [
        _table(
            "What differs",
            trials,
            {
                "Result": [line for line in results if line.difference],
                "Hyperparameters": knobs_apart,
                _LAYERS: layers_apart[:_MOST_LAYERS],
            },
        )
    ]
    if more := layers_apart[_MOST_LAYERS:]:
        folded = _table("More layers that differ", trials, {"Layers": more})
        shown.append(html.Details([html.Summary(f"{len(more)} more layers differ"), folded]))
    equal = [
        line
        for line in (*results, *knobs, *layers)
        if not line.difference and set(line.cells) != {_DASH}
    ]
    if equal:
        names = ", ".join(f"{line.name} {line.cells[0].replace(_BREAK, ' ')}" for line in equal)
        said = f"{len(equal)} {'is' if len(equal) == 1 else 'are'} equal"
        shown.append(html.Details([html.Summary(said), html.P(names)]))
    return shown


def _results(trials: Sequence[TrialRecord], expectations: Mapping[int, Expectation]) -> list[_Line]:
    found = [expectations.get(trial.number) for trial in trials]
    accuracy = [trial.accuracy for trial in trials]
    size = [trial.packed_bytes for trial in trials]
    ratio = [trial.sizes.memory_ratio for trial in trials]
    measured = [further_measures(trial) for trial in trials]
    labels = dict.fromkeys(label for found in measured for label in found)
    return [
        _line("accuracy", ["" if a is None else f"{100 * a:.2f} %" for a in accuracy]),
        _line("expected", ["" if one is None else expected(one) for one in found]),
        _line("memory ratio", [f"{value:.4f}" for value in ratio]),
        _line("packed file", ["" if s is None else written_bytes(s) for s in size]),
        *(_line(label, [found.get(label, "") for found in measured]) for label in labels),
        _line(
            "epochs trained", [f"{trial.epochs_done} of {trial.epochs_wanted}" for trial in trials]
        ),
    ]


def _line(name: str, cells: Sequence[str], difference: float | None = None) -> _Line:
    is_equal = len(set(cells)) == 1
    apart = 1.0 if difference is None else difference
    return _Line(name, tuple(cell or _DASH for cell in cells), 0.0 if is_equal else apart)


def _hyperparameters(trials: Sequence[TrialRecord]) -> list[_Line]:
    names = dict.fromkeys(name for trial in trials for name in trial.hyperparameters)
    lines = []
    for name in names:
        values = [trial.hyperparameters.get(name) for trial in trials]
        cells = [hyperparameter(value) for value in values]
        lines.append(_line(name, cells, _apart(values)))
    return lines


def _apart(values: Sequence[object]) -> float:
    """Return by what factor numbers differ, as a logarithm; infinite for what is no number."""
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values) or min(numbers) <= 0:
        return math.inf
    return math.log(max(numbers) / min(numbers))


def _layers(trials: Sequence[TrialRecord]) -> list[_Line]:
    names = dict.fromkeys(name for trial in trials for name in trial.settings)
    lines = []
    for name in names:
        fives = [trial.settings.get(name) for trial in trials]
        sizes = [trial.layer_bits.get(name) for trial in trials]
        known = [size for size in sizes if size is not None]
        # Of trials of versions that kept no sizes, all that differ are alike.
        apart = (max(known) - min(known)) / 8 if known else 0.0
        damages = [trial.layer_damage.get(name) for trial in trials]
        cells = [_setting(*own) for own in zip(fives, sizes, damages, strict=True)]
        # Of one setting the damage is one, known or not.
        is_same = len(set(fives)) == len(set(sizes)) == 1
        lines.append(_line(name, cells, 0.0 if is_same else apart + 1e-9))
    return lines


def _setting(five: FiveNumbers | None, bits: int | None, damage: float | None) -> str:
    if five is None:
        return ""
    parts = [
        "" if bits is None else written_bytes(bits / 8),
        f"({', '.join(map(str, five))})",
        "" if damage is None else f"damage {100 * damage:.1f} %",
    ]
    return _BREAK.join(filter(None, parts))


def _table(
    label: str, trials: Sequence[TrialRecord], groups: dict[str, Sequence[_Line]]
) -> html.Div:
    head = html.Tr(
        [
            html.Td(""),
            *(
                html.Th(f"trial {trial.number}", scope="col", className="number")
                for trial in trials
            ),
        ]
    )
    rows = []
    for group, lines in groups.items():
        if lines:
            rows.append(
                html.Tr(
                    html.Th(group, scope="rowgroup", colSpan=len(trials) + 1, className="group")
                )
            )
        for line in lines:
            cells = [
                html.Td([html.Span(part) for part in cell.split(_BREAK)], className="number")
                for cell in line.cells
            ]
            rows.append(html.Tr([html.Th(line.name, scope="row"), *cells]))
    return scrolled(label, head, rows)
