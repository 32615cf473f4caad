"""The table of all studies: how far each is, what it reached, who drives it."""

from datetime import UTC, datetime

from dash import html
from dash.development.base_component import Component

from dashboard.database import Database
from dashboard.parts.attributes import attributes
from dashboard.parts.page import link
from dashboard.parts.table import Column, Row, Table
from dashboard.parts.values.duration import ago
from dashboard.parts.values.states import study_state
from dashboard.query import Query
from mlgsearch.records import TrialState
from mlgsearch.results.read.study_list import StudyRow
from mlgsearch.words import duration

#: Parameters of the page's address: words to look for, which studies, those to be compared.
SEARCH, SHOW, PICK = "search", "show", "pick"
SHOWN = {"all": "all studies", "driven": "driven now", "open": "unfinished", "done": "finished"}

_CHECK = "\N{CHECK MARK}"
_DASH = "\N{EN DASH}"


def rows(database: Database, query: Query) -> list[Row]:
    """Return the studies that the address asks for."""
    words = query.one(SEARCH).casefold().split()
    shown = query.choice(SHOW, SHOWN, "all")
    picked = query.all(PICK)
    return [
        _row(study, study.name in picked)
        for study in database.studies()
        if _is_shown(study, shown)
        and all(word in f"{study.name} {study.model} {study.data}".casefold() for word in words)
    ]


def _is_shown(study: StudyRow, shown: str) -> bool:
    return {
        "all": True,
        "driven": study.lease is not None,
        "open": not study.is_over,
        "done": study.is_over,
    }[shown]


def _row(study: StudyRow, is_picked: bool) -> Row:
    reached = study.reached
    return {
        "picked": is_picked,
        "study": study.name,
        "model": study.model,
        "data": study.data,
        "progress": min(1.0, reached.finished / study.n_trials),
        "best_accuracy": reached.best_accuracy,
        "smallest_memory_ratio": reached.smallest_memory_ratio,
        "hypervolume": reached.hypervolume,
        "last_activity": study.last_activity.isoformat(),
        "state": study_state(
            None if study.lease is None else study.lease.host, study.ended, is_over=study.is_over
        ),
        "driver": study.driver,
        "n_trials": study.n_trials,
        "complete": reached.counts[TrialState.COMPLETE],
        "pruned": reached.counts[TrialState.PRUNED],
        "failed": reached.counts[TrialState.FAIL],
        "running": study.running,
        "queued": study.queued,
        "time_left_s": study.time_left_s,
        "teacher_accuracy": study.teacher_accuracy,
    }


def _tick(row: Row) -> Component:
    return html.Button(
        _CHECK if row["picked"] else "",
        type="button",
        role="checkbox",
        className="tick",
        title="Compare with others",
        **attributes(
            aria_label=f"Compare {row['study']}",
            aria_checked="true" if row["picked"] else "false",
            data_toggle=PICK,
            data_value=row["study"],
        ),
    )


def _progress(row: Row) -> Component:
    finished = row["complete"] + row["pruned"] + row["failed"]
    said = f"{finished:,} of {row['n_trials']:,}"
    words = (
        ("complete", row["complete"]),
        ("stopped early", row["pruned"]),
        ("failed", row["failed"]),
        ("running", row["running"]),
        ("queued", row["queued"]),
    )
    return html.Div(
        [
            html.Span(said),
            html.Progress(
                value=str(min(finished, row["n_trials"])),
                max=str(row["n_trials"]),
                **attributes(aria_label=f"{row['study']}: {said} trials"),
            ),
            html.Span(
                [html.Span(f"{count:,} {word}") for word, count in words if count],
                className="states faint",
            ),
        ],
        className="progress",
    )


def _shown_state(row: Row) -> Component | str:
    if row["driver"] is None:
        return html.Span(row["state"], className="faint")
    return html.Span(row["state"], className="live", title=f"driven by {row['driver']}")


def _time_left(row: Row) -> str:
    return duration(row["time_left_s"]) if row["time_left_s"] else ""


def _percent(row: Row) -> str:
    return _DASH if row["best_accuracy"] is None else f"{row['best_accuracy']:.2%}"


TABLE = Table(
    key="studies",
    label="Studies",
    columns=(
        Column("picked", "Compare", _tick, is_data=False),
        Column("study", "Study", lambda row: link(row["study"], "/study", name=row["study"])),
        Column("state", "State", _shown_state),
        Column("progress", "Trials", _progress),
        Column(
            "time_left_s",
            "Time left",
            _time_left,
            is_number=True,
            hint="At the pace of the last trials. Sort by time left",
        ),
        Column("best_accuracy", "Best", _percent, is_number=True, hint="Best validation accuracy"),
        Column(
            "hypervolume",
            "Hypervolume",
            lambda row: f"{row['hypervolume']:.4f}",
            is_number=True,
            hint="What the front dominates; larger is better",
        ),
        Column(
            "last_activity",
            "Last activity",
            lambda row: ago(datetime.fromisoformat(row["last_activity"]), datetime.now(UTC)),
        ),
        Column("model", "Model"),
        Column("data", "Data"),
    ),
    rows=rows,
    sort="-last_activity",
    extra=(
        "smallest_memory_ratio",
        "driver",
        "n_trials",
        "complete",
        "pruned",
        "failed",
        "running",
        "queued",
        "teacher_accuracy",
    ),
    empty="No study matches. Change the search, or show all studies.",
)
