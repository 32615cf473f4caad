"""`sensitivity`: which layers cost accuracy, and which are free."""

from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mlgsearch.cli.commands.plan import Out, preparing
from mlgsearch.cli.databases import open_store
from mlgsearch.cli.options import AllowCode, Json, Storage
from mlgsearch.cli.printing.output import plain_table, print_json, stdout_console
from mlgsearch.paths import cache_directory
from mlgsearch.records import TrialRecord
from mlgsearch.results.analysis.effects.trial_sensitivity import LEAST_TRIALS, layer_costs
from mlgsearch.results.database.connection.storage_url import DEFAULT_STORAGE
from mlgsearch.results.read.trial_page import all_trials

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from mlgsearch.study.file.spec import StudySpec
    from mlgsearch.study.space.sensitivity import LayerSensitivity


def sensitivity(
    study: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="Name of a stored study, or a study file.")
    ],
    storage: Storage = DEFAULT_STORAGE,
    out: Out = None,
    allow_code: AllowCode = None,
    as_json: Json = False,
) -> None:
    """Show which layers cost accuracy and which are free, most expensive first."""
    spec, trials = _read(study, storage, allow_code or ())

    from mlgsearch.study.space.plan_report import Plan  # loads torch
    from mlgsearch.study.space.sensitivity import sensitivities

    with preparing(quietly=as_json) as progress:
        tables = Plan.open(spec, cache_directory(), progress).tables
    rows = sensitivities(tables, layer_costs(trials))
    if as_json:
        for row in rows:
            print_json(asdict(row))
    else:
        _print(spec.name, rows)
    if out is not None:
        from mlgsearch.cli.printing.figures import write_figure  # loads plotly

        write_figure(_picture(rows, spec.name), out)
        typer.echo(str(out), err=as_json)


def _read(
    study: str, storage: str, allowed_code: Collection[str]
) -> "tuple[StudySpec, list[TrialRecord]]":
    """Return a study's specification, and its trials where it is stored under that name."""
    from mlgsearch.study.file.allowed_code import stored_spec
    from mlgsearch.study.file.study_file import load_study_file  # loads pydantic

    if study.endswith((".yaml", ".yml")) or _is_file(study):
        return load_study_file(Path(study))[0], []
    engine, store = open_store(storage)
    return stored_spec(store.study(study), allowed_code), list(all_trials(engine, study))


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # too long for a file's name
        return False


def _print(name: str, rows: "list[LayerSensitivity]") -> None:
    has_trials = rows[0].trial_cost is not None
    headings = ["weights", "share", "loss at 0.02", "loss at 0.05", "ratio for 10%", "Fisher"]
    if has_trials:
        headings += ["lost in trials", "cost"]
    table = plain_table(
        ("layer", "kind", *headings), left=("layer", "kind"), title=f"Layers of {escape(name)}"
    )
    for row in rows:
        cells = [
            f"{row.weights:,}",
            f"{row.share:.1%}",
            _percent(row.damage_at_2_percent),
            _percent(row.damage_at_5_percent),
            "-" if row.ratio_for_10_percent is None else f"{row.ratio_for_10_percent:.4f}",
            f"{row.fisher:.2f}",
        ]
        if row.trial_cost is not None and row.trial_error is not None:
            cost = f"{100 * row.trial_cost:.1f} \N{PLUS-MINUS SIGN} {100 * row.trial_error:.1f}"
            cells += [_percent(row.trial_loss), cost]
        table.add_row(escape(row.layer), row.kind, *cells)
    console = stdout_console()
    console.print(table)
    console.print(
        "loss: of the layer's output before training, at that ratio of its 32-bit size; "
        "ratio for 10%: size ratio at which 10% is lost; small means the layer compresses well",
        highlight=False,
    )
    console.print(
        "cost: points of accuracy that go with losing all of the layer, by ridge regression over "
        "the trials"
        if has_trials
        else f"what layers cost in accuracy: needs a stored study with {LEAST_TRIALS} trials",
        highlight=False,
    )


def _picture(rows: "list[LayerSensitivity]", name: str) -> "Figure":
    from mlgsearch.results.charts.plan import LayerBar, layers_chart  # loads plotly

    if rows[0].trial_cost is not None:
        bars = [
            LayerBar(
                row.layer,
                100 * (row.trial_cost or 0.0),
                100 * (row.trial_error or 0.0),
                f"{100 * (row.trial_cost or 0.0):.1f} points, {row.weights:,} weights",
            )
            for row in rows
        ]
        what = "What layers cost, by ridge regression over the study's trials"
        return layers_chart(
            bars, name, what, "points of accuracy that go with losing all of the layer"
        )
    bars = [
        LayerBar(
            row.layer,
            1.0 if row.ratio_for_10_percent is None else row.ratio_for_10_percent,
            None,
            f"{row.weights:,} weights, {row.share:.1%} of the network's",
        )
        for row in rows
    ]
    what = "What layers need before any training: short bars compress well"
    return layers_chart(
        bars, name, what, "memory ratio of the layer at which 10% of its output is lost"
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
