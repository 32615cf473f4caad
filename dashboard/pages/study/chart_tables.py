"""The small charts of a study as tables: learning curves, and the course of the hypervolume."""

from typing import Any

from dashboard.database import Database
from dashboard.pages.study.data import read_study
from dashboard.pages.study.view import StudyView
from dashboard.parts.table import Column, Table
from dashboard.parts.values.cells import number, percent
from dashboard.query import Query
from mlgsearch.results.read.trial_details import curves_of


def _epochs(database: Database, query: Query) -> list[dict[str, Any]]:
    data, view = read_study(database, query.one("name")), StudyView.of(query)
    selected = data.filtered(view).selected(data.columns, view)
    curves = curves_of(database.engine, query.one("name"), selected)
    return [
        {
            "trial": trial,
            "epoch": epoch.epoch,
            "validation_accuracy": _finite(epoch.validation_accuracy),
        }
        for trial in selected
        for epoch in curves.get(trial, ())
    ]


def _rises(database: Database, query: Query) -> list[dict[str, Any]]:
    data = read_study(database, query.one("name"))
    rows, course = data.course
    return [
        {"results": at + 1, "trial": int(data.columns.number[rows[at]]), "hypervolume": volume}
        for at, volume in zip(data.steps.tolist(), course[data.steps].tolist(), strict=True)
    ]


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


CURVES_TABLE = Table(
    key="study-epochs",
    label="Epochs of the selected trials",
    columns=(
        Column("trial", "trial", is_number=True),
        Column("epoch", "epoch", is_number=True),
        percent("validation_accuracy", "validation accuracy"),
    ),
    rows=_epochs,
    page_size=10,
    empty="No trial is selected and left by the filters, or no epoch of it is known.",
)
COURSE_TABLE = Table(
    key="study-steps",
    label="Steps of the hypervolume",
    columns=(
        number("results", "trials with a result", "{:,}"),
        Column("trial", "since trial", is_number=True),
        number("hypervolume", "hypervolume", "{:.4f}"),
    ),
    rows=_rises,
    sort="-results",
    page_size=10,
    empty="No trial has a result yet.",
)
