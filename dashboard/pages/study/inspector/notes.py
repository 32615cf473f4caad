"""Stars and notes on trials, which ``assets/notes.js`` keeps in the visitor's browser."""

from typing import Any

from dash import html

from dashboard.parts.attributes import attributes
from mlgsearch.records import StudyRecord


def star(study: StudyRecord, number: int) -> html.Button:
    """Place what stars a trial."""
    return html.Button(
        type="button",
        className="star",
        title="Star this trial, in this browser",
        **attributes(aria_label=f"Star trial {number}", aria_pressed="false", data_star=""),
        **_of(study, number),
    )


def note(study: StudyRecord, number: int) -> html.Label:
    """Place the field for a note on a trial."""
    field = html.Textarea(
        rows=2,
        placeholder="kept in this browser",
        **attributes(data_note=""),
        **_of(study, number),
    )
    return html.Label([html.Span("Note"), field], className="note")


def marked_row(study: StudyRecord, number: int) -> dict[str, Any]:
    """Return the attributes of a row that shows whether its trial has a star or a note."""
    return {**attributes(data_starred=""), **_of(study, number)}


def export_notes(study: StudyRecord) -> html.Button:
    """Place what saves the stars and notes on a study's trials as JSON."""
    return html.Button(
        "Export stars and notes",
        type="button",
        **attributes(data_export_notes=""),
        **_of_study(study),
    )


def _of(study: StudyRecord, number: int) -> dict[str, Any]:
    return _of_study(study) | attributes(data_trial=str(number))


def _of_study(study: StudyRecord) -> dict[str, Any]:
    """Return what names a study: another may have had its name before."""
    created = None if study.created_at is None else study.created_at.isoformat()
    return attributes(data_study=study.name, data_created=created)
