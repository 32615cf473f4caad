"""A study in figures: the states of its trials, what they reached, and why some failed."""

from dash import html
from dash.development.base_component import Component

from dashboard.database import Database
from dashboard.pages.study.data import StudyData
from dashboard.pages.study.verdict import verdict
from dashboard.parts.attributes import attributes
from dashboard.parts.page import facts_list, link
from dashboard.parts.values.states import STATE_WORDS
from mlgsearch.records import TrialState
from mlgsearch.results.read.trial_details import failure_reasons

#: The id of the list of failures.
FAILURES = "study-failed"

#: Trials of a reason that are linked to; the table has the others.
_MOST_LINKS = 8


def facts(data: StudyData) -> list[Component]:
    """Return the figures, and sentences on what is missing: a front yet, layers to compress."""
    record, reached = data.record, data.results.reached
    counts = reached.counts
    rows: list[tuple[str, Component | str]] = [
        (word, _count(state, counts[state])) for state, word in STATE_WORDS.items() if counts[state]
    ]
    if reached.best_accuracy is not None:
        rows += [
            ("front", f"{len(data.results.front):,}"),
            ("hypervolume", f"{reached.hypervolume:.4f}"),
        ]
    rows += [(f"{name} at most", f"{most:,.6g}") for name, most in record.limits.items()]
    if record.teacher_accuracy is not None:
        rows.append(("teacher", f"{100 * record.teacher_accuracy:.2f} %"))
    figures = facts_list(rows)
    notices = [] if counts[TrialState.COMPLETE] else [_nothing_yet(data)]
    if record.uncompressed is not None:
        notices.append(f"{record.uncompressed}.")
    said = verdict(data.results)
    return [
        *([] if said is None else [html.P(said, className="verdict")]),
        figures,
        *(html.P(notice, className="notice") for notice in notices),
    ]


def _nothing_yet(data: StudyData) -> str:
    counts = data.results.reached.counts
    if counts[TrialState.RUNNING]:
        return "No trial is COMPLETE yet; the front appears here with the first one."
    if counts[TrialState.FAIL]:
        return "No trial is COMPLETE; see below why trials failed."
    return "No trial is COMPLETE yet."


def _count(state: TrialState, count: int) -> Component | str:
    """Write a count; that of failed trials leads to the list of them."""
    said = f"{count:,}"
    if state is not TrialState.FAIL:
        return said
    return html.A(said, href=f"#{FAILURES}", title="Why they failed", **attributes(data_unfold=""))


def failures_title(data: StudyData) -> str:
    """Return how many trials failed, as a title."""
    failed = data.results.reached.counts[TrialState.FAIL]
    return f"{failed:,} failed trial{'' if failed == 1 else 's'}" if failed else "No trial failed"


def failures(database: Database, name: str) -> Component:
    """List why trials failed, the most frequent reason first."""
    reasons = failure_reasons(database.engine, name)
    if not reasons:
        return html.P("A trial that fails is listed here with its reason.", className="faint")
    return html.Ul(
        [
            html.Li(
                [
                    html.Strong(f"{reason.count:,} \N{MULTIPLICATION SIGN} "),
                    html.Code(reason.reason),
                    html.Span(_links(name, reason.numbers), className="faint"),
                ]
            )
            for reason in reasons
        ],
        className="failures",
    )


def _links(name: str, numbers: tuple[int, ...]) -> list[Component | str]:
    parts: list[Component | str] = [" in trial "]
    for number in numbers[:_MOST_LINKS]:
        parts += [link(str(number), "/study/trial", name=name, number=number), ", "]
    left = len(numbers) - _MOST_LINKS
    return [*parts[:-1], *([f" and {left:,} more"] if left > 0 else [])]
