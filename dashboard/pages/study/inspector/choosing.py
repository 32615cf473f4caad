"""From a limit to one student and the command that exports it, as `choose` does."""

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.charts.axes.size_axis import SIZE_AXES
from dashboard.database import Database
from dashboard.pages.study.limit import (
    DEFAULT_KIND,
    KIND,
    KINDS,
    LIMIT_AXES,
    MOST,
    axes_of_limits,
    limit_of,
)
from dashboard.pages.study.view import SELECTED
from dashboard.parts.copyable import copyable
from dashboard.parts.menu import menu
from dashboard.parts.number_field import number_field
from dashboard.parts.page import facts_list
from dashboard.parts.toggles import toggling
from dashboard.parts.values.expected import expected
from dashboard.parts.values.student import written_bytes
from dashboard.query import Query
from mlgsearch.errors import UserError
from mlgsearch.results.analysis.choice import Limit, LimitError
from mlgsearch.results.analysis.neighbours import Trade
from mlgsearch.results.read.study_choice import StudyChoice
from mlgsearch.results.read.study_results import StudyResults
from mlgsearch.words import TIMES


def choose_form(query: Query, results: StudyResults) -> html.Div:
    """Place what a limit is written with; latency is offered where one is known."""
    limit = limit_of(query)
    is_timed = len(results.columns.usable_rows(("latency_ms",))) > 0
    kinds = {
        str(kind): label
        for kind, label in KINDS.items()
        if is_timed or kind != "max_ms" or (limit is not None and limit.kind == kind)
    }
    return html.Div(
        [
            dcc.Store(id=LIMIT_AXES, data=axes_of_limits()),
            menu(
                "Limit",
                KIND,
                kinds,
                DEFAULT_KIND if limit is None else limit.kind,
                default=DEFAULT_KIND,
            ),
            number_field(html.Span("Bound"), MOST, query),
        ],
        className="controls",
    )


def chosen_student(
    database: Database, results: StudyResults, limit: Limit | None
) -> list[Component]:
    """Return the student that a limit picks, or a sentence that says why none."""
    if limit is None:
        how = (
            "Enter a limit to see the best student within it and the command that exports it. Or "
            "click a trial in the chart, or select one in the table."
        )
        return [html.P(how, className="faint")]
    try:
        found = StudyChoice.of(results, limit)
    except LimitError as error:
        said = f"No student is within this limit: {error.why}."
        return [html.P(said, className="refused", role="alert")]
    except UserError as error:
        return [html.P(f"{error}.", className="refused", role="alert")]
    number = found.choice.trial
    return [
        html.P([_select(number, "strong link"), f": {found.why}."]),
        _facts(results, number),
        html.Ul(
            [
                html.Li([f"{label}: ", _select(trade.number), f": {_traded(trade)}"])
                for label, trade in (
                    ("Next smaller", found.choice.smaller),
                    ("Next larger", found.choice.larger),
                )
                if trade is not None
            ],
            className="trades",
        ),
        export(database, results.record.name, number, "study-choose-export"),
    ]


def export(database: Database, name: str, number: int, id_: str) -> html.Div:
    """Place the command that writes a trial's packed file."""
    command = database.command("export", name, number, f"student-{number}.safetensors")
    return copyable(id_, command, what="the export command")


def _facts(results: StudyResults, number: int) -> html.Dl:
    columns = results.columns
    (row,) = columns.rows_of([number])
    ratio, size = float(columns.memory_ratio[row]), float(columns.packed_bytes[row])
    rows = [
        ("expected", expected(results.expectations[number])),
        ("seen", f"{100 * columns.accuracy[row]:.2f} %"),
        ("memory ratio", SIZE_AXES["memory_ratio"].write(ratio)),
    ]
    if size > 0:  # NaN is not
        rows.append(("packed file", written_bytes(size)))
    return facts_list(rows)


def _traded(trade: Trade) -> str:
    size = (
        f"{TIMES}{trade.factor:.2f} the memory"
        if trade.bytes_more is None
        else f"{written_bytes(abs(trade.bytes_more))} {'more' if trade.bytes_more > 0 else 'less'}"
    )
    return f"{trade.points:+.2f} points expected for {size}"


def _select(number: int, classes: str = "link") -> html.Button:
    words = f"trial {number}" if classes == "link" else f"Trial {number}"
    return toggling(words, SELECTED, str(number), title=f"Select trial {number}", classes=classes)
