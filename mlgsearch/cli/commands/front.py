"""`front`: the Pareto front of a search, or of what was verified, in every format."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from mlgsearch.cli.databases import open_store
from mlgsearch.cli.options import Name, Storage
from mlgsearch.cli.printing.output import WHOLE_LINES, stdout_console, write_text
from mlgsearch.cli.printing.paste import command
from mlgsearch.cli.printing.result_tables import front_table
from mlgsearch.cli.printing.verified import verified_table
from mlgsearch.errors import UserError
from mlgsearch.paths import study_directory
from mlgsearch.records import StudyRecord
from mlgsearch.results.analysis.uncertainty.verification import VerifiedPoint
from mlgsearch.results.database.connection.storage_url import DEFAULT_STORAGE
from mlgsearch.results.formats import COLUMNS, VERIFIED_COLUMNS, front_rows, to_csv, verified_rows
from mlgsearch.results.read.study_results import (
    StudyResults,
    front_trials,
    read_results,
    verified_students,
)
from mlgsearch.results.read.trial_page import all_trials

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class Format(StrEnum):
    """How a front is written."""

    table = "table"
    json = "json"
    csv = "csv"
    html = "html"


def print_front(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    format_: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.table,
    out: Annotated[Path | None, typer.Option(help="Write to this file.")] = None,
    verified: Annotated[
        bool,
        typer.Option("--verified", help="Show what `verify` found: test accuracy and its spread."),
    ] = False,
) -> None:
    """Print the Pareto front: what was measured of its students, and what to expect."""
    engine, _ = open_store(storage)
    results = read_results(engine, name)
    view = _verified_view(results, engine, storage) if verified else _searched_view(results, engine)
    if format_ is Format.html:
        from mlgsearch.cli.printing.figures import write_figure  # loads plotly

        path = out or Path(f"{study_directory(Path(), results.record).name}-{view.file}.html")
        write_figure(view.figure(), path)
        typer.echo(str(path))
    elif format_ is Format.table and out is None:
        stdout_console().print(view.table)
    else:
        text = _text(view, format_)
        if out is None:
            typer.echo(text, nl=False)
        else:
            write_text(out, text)


@dataclass(frozen=True)
class _View:
    """What is shown, in every format; ``file`` is how its page is called."""

    table: Table
    rows: list[dict[str, Any]]
    columns: Sequence[str]
    figure: "Callable[[], Figure]"
    file: str


def _searched_view(results: StudyResults, engine: Engine) -> _View:
    best = front_trials(engine, results)
    return _View(
        table=front_table(results, best),
        rows=front_rows(best, results.expectations),
        columns=COLUMNS,
        figure=lambda: _searched_figure(results, engine),
        file="pareto",
    )


def _verified_view(results: StudyResults, engine: Engine, storage: str) -> _View:
    study, points = results.record, verified_students(engine, results)
    if not points:
        raise UserError(
            f"no trial of {study.name!r} is verified yet; "
            f"`{command(storage, 'verify', study.name)}` "
            "trains its front again and reads the test part"
        )
    return _View(
        table=verified_table(study, points),
        rows=verified_rows(points),
        columns=VERIFIED_COLUMNS,
        figure=lambda: _verified_figure(study, points),
        file="verified",
    )


def _searched_figure(results: StudyResults, engine: Engine) -> "Figure":
    from mlgsearch.cli.printing.figures import study_chart  # loads plotly

    return study_chart(results.record, list(all_trials(engine, results.record.name)))


def _verified_figure(study: StudyRecord, points: Sequence[VerifiedPoint]) -> "Figure":
    from mlgsearch.results.charts.verified import verified_chart  # loads plotly

    return verified_chart(
        points,
        study.objectives,
        title=f"{study.name}, verified",
        teacher_accuracy=study.teacher_test_accuracy,
    )


def _text(view: _View, format_: Format) -> str:
    if format_ is Format.table:
        text = io.StringIO()
        Console(width=WHOLE_LINES, file=text).print(view.table)
        return text.getvalue()
    if format_ is Format.csv:
        return to_csv(view.rows, view.columns)
    rows = ",\n".join(json.dumps(row) for row in view.rows)
    return f"[\n{rows}\n]\n"
