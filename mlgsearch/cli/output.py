"""Where commands read from and write to."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import typer
from rich.console import Console
from sqlalchemy import Engine

from mlgsearch.errors import UserError
from mlgsearch.records import StudyRecord, TrialRecord
from mlgsearch.results import schema
from mlgsearch.results.chart import pareto_chart, write_html
from mlgsearch.results.engine import open_engine
from mlgsearch.results.store import ResultStore
from mlgsearch.results.trial_fields import to_json

#: Columns of what goes to a pipe or a file: a table cut to 80 is of no use to grep.
WHOLE_LINES = 1000


def stdout_console() -> Console:
    """Give the console of stdout."""
    return Console(width=None if sys.stdout.isatty() else WHOLE_LINES)


def print_json(fields: dict[str, Any]) -> None:
    """Write one object on one line."""
    typer.echo(to_json(fields))


def open_store(storage: str) -> tuple[Engine, ResultStore]:
    """Open a database to read what is stored.

    Raises:
        StorageError: it is not there, or not ours.
    """
    engine = open_engine(storage, read_only=True)
    schema.check(engine)
    return engine, ResultStore(engine)


def study_chart(study: StudyRecord, trials: Sequence[TrialRecord]) -> go.Figure:
    """Draw a study's trials and front."""
    return pareto_chart(
        trials, study.objectives, title=study.name, teacher_accuracy=study.teacher_accuracy
    )


def write_figure(figure: go.Figure, path: Path) -> None:
    """Write a chart into an HTML file.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_html(figure, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None


def write_text(path: Path, text: str) -> None:
    """Write a file.

    Raises:
        UserError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
