"""All studies of the database, one row each."""

from dash import html
from dash.development.base_component import Component

from dashboard.database import Database
from dashboard.page import Page, View, link, notice
from dashboard.query import Query
from dashboard.table import Column, Row, Table


def _rows(database: Database, _query: Query) -> list[Row]:
    return [{"study": study.name, "n_trials": study.n_trials} for study in database.store.studies()]


TABLE = Table(
    key="studies",
    label="Studies",
    columns=(
        Column("study", "study", lambda row: link(row["study"], "/study", name=row["study"])),
        Column("n_trials", "trials wanted", is_number=True),
    ),
    rows=_rows,
)


def _layout(database: Database, view: View) -> Component:
    if not database.store.studies():
        return notice(
            "This database holds no studies yet.",
            "Start one with: python search.py launch studies/digits.yaml",
        )
    return html.Div([html.H1("Studies"), TABLE.render(database, view.query)])


PAGE = Page(path="/", title=lambda _query: "Studies", layout=_layout, tables=(TABLE,))
