"""The columns of the table of trials: those of every study, and those to choose."""

from collections.abc import Sequence

from dash import html

from dashboard.charts.axes.size_axis import SIZE_AXES
from dashboard.database import Database
from dashboard.pages.study.data import StudyData, read_study
from dashboard.pages.study.trials.rows import OTHER_OBJECTIVES
from dashboard.pages.study.view import COLUMNS, HYPERPARAMETER, LAYERS, SELECTED
from dashboard.parts.page import link
from dashboard.parts.table import Column, Row
from dashboard.parts.toggles import toggling
from dashboard.parts.values.cells import hyperparameter, number, percent, size
from dashboard.parts.values.expected import EXPECTED
from dashboard.parts.values.states import STATE_WORDS
from dashboard.parts.values.verified import VERIFIED
from dashboard.query import Query
from mlgsearch.records import OBJECTIVES
from mlgsearch.results.analysis.choice import KILOBYTE
from mlgsearch.results.analysis.layer_groups import group_names
from mlgsearch.words import TIMES


def columns_offered(data: StudyData) -> dict[str, str]:
    """Return what more columns there are: key to words; layers last."""
    groups = group_names([layer.name for layer in data.record.layers])
    known = [name for name in OTHER_OBJECTIVES if (data.columns.objective(name) > 0).any()]
    return {
        **{f"{HYPERPARAMETER}{name}": name for name in data.hyperparameters.values},
        **{name: OBJECTIVES[name].label for name in known if name not in data.record.objectives},
        **{f"{LAYERS}{name}": f"bytes of {name}" for name in groups},
    }


def more_columns(database: Database, query: Query) -> Sequence[Column]:
    """Return the columns of the study's further objectives, and those that the address asks for."""
    data = read_study(database, query.one("name"))
    offered = columns_offered(data)
    objectives = [name for name in data.record.objectives if name in OTHER_OBJECTIVES]
    asked = [key for key in offered if key in query.all(COLUMNS)]
    return [
        *(_objective(name) for name in objectives),
        *(_column(key, offered[key], data) for key in asked),
    ]


def _column(key: str, label: str, data: StudyData) -> Column:
    if key.startswith(LAYERS):
        return size(key, label)
    return _hyperparameter(key, data) if key.startswith(HYPERPARAMETER) else _objective(key)


def _objective(name: str) -> Column:
    def show(row: Row) -> str:
        value = row[name]
        if value is None:
            return ""
        return SIZE_AXES[name].write(value)

    return Column(name, OBJECTIVES[name].label, show, is_number=True)


def _hyperparameter(key: str, data: StudyData) -> Column:
    name = key.removeprefix(HYPERPARAMETER)

    def show(row: Row) -> str:
        return hyperparameter(row[key])

    return Column(key, name, show, is_number=name in data.hyperparameters.numeric)


def _finished(row: Row) -> str:
    return "" if row["finished_at"] is None else row["finished_at"][:19].replace("T", " ")


def _state(row: Row) -> str:
    word = next(word for state, word in STATE_WORDS.items() if state.value == row["state"])
    return f"{word}, on the front" if row["on_front"] else word


def _pick(row: Row) -> html.Button:
    word = "Remove" if row["is_selected"] else "Select"
    number = str(row["trial"])
    return toggling(word, SELECTED, number, label=f"{word} trial {number}")


#: Of every study.
COMMON = (
    Column(
        "trial",
        "trial",
        lambda row: link(str(row["trial"]), "/study/trial", name=row["study"], number=row["trial"]),
        is_number=True,
    ),
    Column("state", "state", _state),
    percent("accuracy", "accuracy"),
    EXPECTED,
    *VERIFIED,
    number("memory_ratio", "memory ratio", "{:.4f}"),
    number("compression", "smaller", f"{TIMES}{{:.1f}}"),
    number("packed_bytes", "packed KB", "{:,.1f}", scale=1 / KILOBYTE),
    Column("epochs_done", "epochs", is_number=True),
    Column("finished_at", "finished (UTC)", _finished),
    Column("pick", "selection", _pick, is_data=False),
)
