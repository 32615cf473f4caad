"""The selected trials of a study in words: a card each."""

from dash import html
from dash.development.base_component import Component

from dashboard.charts.axes.size_axis import SIZE_AXES
from dashboard.pages.study.data import StudyData
from dashboard.pages.study.filtered import Filtered, columns_at
from dashboard.pages.study.inspector.notes import note, star
from dashboard.pages.study.view import SELECTED, StudyView
from dashboard.parts.page import Scheme, link
from dashboard.parts.toggles import toggling
from dashboard.parts.values.expected import expected
from dashboard.parts.values.states import STATE_WORDS
from dashboard.parts.values.verified import longest, verified
from dashboard.theme import palette
from mlgsearch.results.analysis.neighbours import Neighbours, Trade, neighbours
from mlgsearch.results.analysis.trial_columns import NO_TRIAL, STATES


def cards(data: StudyData, view: StudyView, scheme: Scheme) -> list[Component]:
    """Return a card for each selected trial that there is, in the order they were selected.

    Of one that the filters leave out there is a sentence.
    """
    colours = palette(scheme)
    filtered = data.filtered(view)
    left = filtered.selected(data.columns, view)
    there = data.columns.number[data.columns.rows_of(view.selected)].tolist()
    if not there:
        how = "Click a trial's mark in the chart, or choose it in the table below."
        return [html.P(how, className="faint")]
    return [
        _card(data, view, filtered, number, colours.colour(place))
        if number in left
        else _out(number)
        for place, number in enumerate(view.selected)
        if number in there
    ]


def _out(number: int) -> html.P:
    return html.P(
        [f"Trial {number} is selected, but the filters leave it out. ", _remove(number)],
        className="faint",
    )


def _remove(number: int) -> html.Button:
    label = f"Remove trial {number} from the selection"
    return toggling("Remove", SELECTED, str(number), label=label)


def _card(
    data: StudyData, view: StudyView, filtered: Filtered, number: int, colour: str
) -> html.Article:
    columns = data.columns
    row = columns.rows_of([number])[0]
    state = STATES[columns.state[row]]
    is_front = row in filtered.front
    facts = [STATE_WORDS[state] + (", on the front" if is_front else "")]
    if columns.accuracy[row] == columns.accuracy[row]:
        facts.append(f"{100 * columns.accuracy[row]:.2f} %")
        found = data.results.expectations.find(number)
        facts += [] if found is None else [f"expected {expected(found)}"]
    point = longest(data.verified).get(number)
    facts += [] if point is None else [verified(point)]
    facts.append(f"memory ratio {SIZE_AXES['memory_ratio'].write(columns.memory_ratio[row])}")
    if columns.packed_bytes[row] > 0:  # NaN is not
        facts.append(f"{columns.packed_bytes[row] / 1000:,.1f} KB packed")
    facts.append(f"{columns.epochs_done[row]} of {columns.epochs_wanted[row]} epochs")
    if columns.reused_from[row] != NO_TRIAL:
        facts.append(f"same training as trial {columns.reused_from[row]}")
    around = neighbours(columns_at(columns, filtered.rows), number)
    name = data.record.name
    return html.Article(
        [
            html.Header(
                [
                    html.Span(className="swatch", style={"backgroundColor": colour}),
                    html.H3(link(f"Trial {number}", "/study/trial", name=name, number=number)),
                    star(data.record, number),
                    _remove(number),
                ]
            ),
            html.Ul([html.Li(fact) for fact in facts], className="plain"),
            *([] if around is None else [_trades(around, view)]),
            note(data.record, number),
        ],
        className="trial-card",
    )


def _trades(around: Neighbours, view: StudyView) -> html.Ul:
    return html.Ul(
        [
            html.Li([f"{label}: ", _pick(trade, view), f": {trade.sentence}"])
            for label, trade in around.labelled
        ],
        className="trades",
    )


def _pick(trade: Trade, view: StudyView) -> Component | str:
    name = f"trial {trade.number}"
    if trade.number in view.selected:
        return name
    title = f"Add {name} to the selection"
    return toggling(name, SELECTED, str(trade.number), title=title, classes="link")
