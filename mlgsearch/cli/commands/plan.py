"""`plan`: what a study file promises before any training."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from mlgsearch.cli.options import Json
from mlgsearch.cli.printing.output import plain_table, stdout_console
from mlgsearch.cli.progress.lines import PlainLines
from mlgsearch.cli.progress.stage_view import StageView
from mlgsearch.paths import cache_directory
from mlgsearch.records import FIVE_NAMES, PlannedStudent

if TYPE_CHECKING:
    from mlgsearch.planning.network_tables import Tables
    from mlgsearch.study.space.plan_report import PlannedPoint
    from mlgsearch.train.progress import Progress

#: Points of a planned front that are shown.
_POINTS = 16

Out = Annotated[Path | None, typer.Option(help="Draw the chart into this HTML file.")]


def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Study file (YAML).")],
    max_kb: Annotated[
        float | None,
        typer.Option(min=0.001, help="Maximum packed-file size in KB (1,000 bytes)."),
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Show the front that is predicted before any training, or the plan for a budget."""
    from mlgsearch.study.file.study_file import load_study_file  # loads pydantic

    spec, _ = load_study_file(file)

    from mlgsearch.study.space.plan_report import Plan, point_fields  # loads torch

    with preparing(quietly=as_json) as progress:
        found = Plan.open(spec, cache_directory(), progress)
    for text in found.notices:
        typer.echo(f"warning: data: {text}", err=True)
    points = found.front(_POINTS) if max_kb is None else [found.within(int(1000 * max_kb))]
    if as_json:
        rows = ",\n".join(json.dumps(point_fields(point)) for point in points)
        typer.echo(f"[\n{rows}\n]")
    elif max_kb is not None:
        _print_layers(points[0], found.tables)
    else:
        _print_front(spec.name, points, found.tables)
    if out is not None:
        from mlgsearch.cli.printing.figures import write_figure  # loads plotly
        from mlgsearch.results.charts.plan import plan_chart

        students = [
            PlannedStudent(point.packed_bytes, point.sizes.memory_ratio, point.damage)
            for point in (points if max_kb is None else found.front(_POINTS))
        ]
        write_figure(plan_chart(students, spec.name), out)
        typer.echo(str(out), err=as_json)


@contextlib.contextmanager
def preparing(*, quietly: bool) -> "Iterator[Progress]":
    """Show on stderr how far data, teacher and tables are; what libraries print goes there too."""
    with contextlib.redirect_stdout(sys.stderr):
        if quietly:
            yield lambda stage, done, total, note: None
        elif sys.stderr.isatty():
            with StageView(Console(stderr=True)) as view:
                yield view.preparing
        else:
            yield PlainLines(sys.stderr).preparing


def _print_front(name: str, points: "Sequence[PlannedPoint]", tables: "Tables") -> None:
    is_timed = any(point.latency_ms is not None for point in points)
    headings = ["KB", "memory ratio", "smaller", "damage", "B_in", "B_out", "bits per number"]
    table = plain_table(
        (*headings, "activations, KB", *["ms"] * is_timed),
        title=f"Planned front of {escape(name)}, before any training",
    )
    for point in points:
        table.add_row(
            f"{point.packed_bytes / 1000:.1f}",
            f"{point.sizes.memory_ratio:.4f}",
            f"{1 / point.sizes.memory_ratio:.1f}x",
            f"{point.damage:.1%}",
            _span([s.base_in for s in point.settings.values()]),
            _span([s.base_out for s in point.settings.values()]),
            f"{point.sizes.bits / point.sizes.parameters:.1f}",
            f"{point.peak_activation_bytes / 1000:.1f}",
            *([] if point.latency_ms is None else [f"{point.latency_ms:.3g}"]),
        )
    console = stdout_console()
    console.print(table)
    _print_uncompressed(tables)
    console.print(
        "damage: predicted before training, averaged over layers: the relative error of a layer's "
        "outputs (weighting measured: half of it, and half how far the layer moves the network's "
        "answers); B_in, B_out: the middle half of the layers that have the level; activations: "
        "the peak memory of activations for one image",
        highlight=False,
    )
    console.print(_trust(tables), highlight=False)


def _print_layers(point: "PlannedPoint", tables: "Tables") -> None:
    from mlgsearch.train.files.size_report import layer_kind  # loads torch

    table = plain_table(
        ("layer", "kind", *FIVE_NAMES, "KB", "of its weight", "damage"), left=("layer", "kind")
    )
    for name, setting in point.settings.items():
        shape = tables.shape.layers[name]
        bits = setting.bits(shape)
        table.add_row(
            escape(name),
            layer_kind(shape),
            *("-" if number == 0 else str(number) for number in setting.five),
            f"{bits / 8000:.2f}",
            f"{bits / (32 * shape.weight_numel):.4f}",
            f"{point.layer_damage[name]:.1%}",
        )
    other_bits = 32 * tables.shape.other_parameters
    norm_bits = (
        point.sizes.bits
        - other_bits
        - sum(setting.bits(tables.shape.layers[name]) for name, setting in point.settings.items())
    )
    table.add_row(
        "normalisation", f"{point.norm_bits} bits", *[""] * 5, f"{norm_bits / 8000:.2f}", "", ""
    )
    if other_bits:
        table.add_row("not compressed", "32 bits", *[""] * 5, f"{other_bits / 8000:.2f}", "", "")
    console = stdout_console()
    console.print(table)
    _print_uncompressed(tables)
    console.print(
        f"packed_bytes {point.packed_bytes}, memory_ratio {point.sizes.memory_ratio:.4f} "
        f"({1 / point.sizes.memory_ratio:.1f}x smaller), damage {point.damage:.1%}, "
        f"peak_activation_bytes {point.peak_activation_bytes}"
        + ("" if point.latency_ms is None else f", latency_ms {point.latency_ms:.4g}"),
        highlight=False,
    )
    console.print(_trust(tables), highlight=False)


def _print_uncompressed(tables: "Tables") -> None:
    if (uncompressed := tables.shape.uncompressed()) is not None:
        stdout_console().print(uncompressed, highlight=False, markup=False)


def _span(values: Sequence[int]) -> str:
    """Return the middle half of the values that are not 0."""
    present = sorted(value for value in values if value)
    if not present:
        return "-"
    low, high = present[len(present) // 4], present[-1 - len(present) // 4]
    return str(low) if low == high else f"{low} to {high}"


def _trust(tables: "Tables") -> str:
    """Describe how well predictions ranked settings that were projected."""
    found = {
        name: table.rank_correlation
        for name, table in tables.layers.items()
        if table.rank_correlation is not None
    }
    if not found:
        return "no prediction was compared with a projection"
    least = min(found, key=lambda name: found[name] or 0.0)
    mean = sum(value or 0.0 for value in found.values()) / len(found)
    return (
        f"predicted against projected damage: rank correlation {mean:.3f} on average over "
        f"{len(found)} layers, lowest {found[least]:.3f} ({least})"
    )
