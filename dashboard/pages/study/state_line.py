"""A study's state in a line: who runs it, how far it is, how long it still takes, what to do."""

from datetime import UTC, datetime

import numpy as np
from dash import html
from dash.development.base_component import Component

from dashboard.database import Database
from dashboard.pages.study.data import StudyData
from dashboard.pages.study.view import SELECTED
from dashboard.parts.attributes import attributes
from dashboard.parts.copyable import copyable
from dashboard.parts.page import facts_list
from dashboard.parts.toggles import toggling
from dashboard.parts.values.duration import age
from dashboard.parts.values.states import study_state
from mlgsearch.records import StudyRecord, TrialState
from mlgsearch.results.read.driving import Driving
from mlgsearch.words import duration

#: What a study is, by part and key of its file.
_ORIGIN = {
    "model": ("model", "name"),
    "data": ("data", "name"),
    "space": ("space", "kind"),
    "sampler": ("search", "sampler"),
    "seed": ("search", "seed"),
    "epochs per trial": ("training", "epochs"),
}

#: Trials that run are shown one by one up to so many.
_MOST_RUNNING = 8


def state_line(database: Database, data: StudyData, driving: Driving | None) -> list[Component]:
    """Return the line, and a bar of how far the study is; ``driving`` is who drives it."""
    now = datetime.now(UTC)
    reached, record = data.results.reached, data.record
    line: list[Component] = [_state(data, driving, database, now)]
    if driving is not None and driving.lease.waits_for:
        line.append(html.Strong(driving.lease.waits_for))
    line.append(html.Span(f"{reached.finished:,} of {record.n_trials:,} trials"))
    line += [] if driving is None else _pace(driving, record.n_trials - reached.finished)
    if (last := _last_result(data)) is not None:
        line.append(html.Span(["last result ", age(last, now)]))
    total = max(record.n_trials, 1)
    bar = html.Progress(
        value=str(min(reached.finished, total)),
        max=str(total),
        **attributes(aria_label=f"{reached.finished} of {record.n_trials} trials"),
    )
    return [html.P(line, className="state"), bar]


def resuming(database: Database, data: StudyData, driving: Driving | None) -> Component | None:
    """Place the command that goes on with a study that has stopped; None of any other."""
    if driving is not None or is_over(data):
        return None
    command = database.command("resume", data.record.name)
    return copyable("study-resume", command, what="the resume command")


def is_over(data: StudyData) -> bool:
    """Whether nothing is left to do: all trials have ended, or the search stopped by its rule."""
    record = data.record
    return record.ended is not None or data.results.reached.finished >= record.n_trials


def origin(record: StudyRecord) -> html.Details:
    """Fold what the study is: network, data, space, sampler, seed, and its file as written."""
    facts = {name: str(record.section(part).get(key, "")) for name, (part, key) in _ORIGIN.items()}
    return html.Details(
        [
            html.Summary("What this study is"),
            facts_list((name, value) for name, value in facts.items() if value),
            html.Pre(
                record.source, className="source", tabIndex="0", **attributes(aria_label="its file")
            ),
        ],
        className="origin",
    )


def _state(
    data: StudyData, driving: Driving | None, database: Database, now: datetime
) -> Component:
    record, lease = data.record, None if driving is None else driving.lease
    words = study_state(None if lease is None else lease.host, record.ended, is_over=is_over(data))
    if lease is not None:
        return html.Strong(words, className="live", title=f"{lease.holder}, process {lease.pid}")
    if is_over(data):
        return html.Strong(words)
    return html.Strong([f"{words} ", age(database.store.last_activity(record.name), now)])


def _pace(driving: Driving, remaining: int) -> list[Component]:
    seconds, left = driving.seconds_per_trial, driving.time_left_s(remaining)
    words: list[Component] = []
    if seconds is not None:
        pace = duration(seconds) if seconds >= 1 else f"{seconds:.1f} s"
        words.append(html.Span(f"{pace} per trial"))
    if left:
        words.append(html.Strong(f"{duration(left)} left"))
    return words


def _last_result(data: StudyData) -> datetime | None:
    rows = data.columns.finished_rows
    if not len(rows):
        return None
    moment: datetime = data.columns.finished_at[rows[-1]].item()
    return moment.replace(tzinfo=UTC)


def running(data: StudyData, driving: Driving | None) -> list[Component]:
    """Show each trial that runs: epoch of epochs, and the accuracy of its last epoch."""
    columns = data.columns
    rows = np.flatnonzero(columns.is_in(TrialState.RUNNING))
    if not len(rows):
        return []
    shown = [
        html.Li(
            [
                toggling(
                    f"trial {number}",
                    SELECTED,
                    str(number),
                    title=f"Select trial {number}, or take it out of the selection",
                    classes="link",
                ),
                html.Span(f"epoch {done} of {wanted}"),
                html.Span("" if accuracy != accuracy else f"{100 * accuracy:.2f} %"),
                html.Progress(
                    value=str(done),
                    max=str(max(wanted, 1)),
                    **attributes(aria_label=f"trial {number}: epoch {done} of {wanted}"),
                ),
            ]
        )
        for number, done, wanted, accuracy in zip(
            columns.number[rows].tolist()[:_MOST_RUNNING],
            columns.epochs_done[rows].tolist(),
            columns.epochs_wanted[rows].tolist(),
            columns.accuracy[rows].tolist(),
            strict=False,
        )
    ]
    if len(rows) > _MOST_RUNNING:
        shown.append(html.Li(f"and {len(rows) - _MOST_RUNNING:,} more", className="faint"))
    what = "Trials that run now" if driving else "Trials that wait for a driver to go on"
    return [html.Ul(shown, className="running", **attributes(aria_label=what))]
