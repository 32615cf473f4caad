"""A chart on a page: the figure, what it says in words, and the buttons that save it."""

from typing import Any

import plotly.graph_objects as go
from dash import dcc, html
from dash.development.base_component import Component

from dashboard.parts.attributes import attributes
from dashboard.parts.sketch import sketch
from dashboard.theme import Figure

#: The picture's buttons are ours, because plotly's have no names for a keyboard's user.
_CONFIG: Any = {
    "displaylogo": False,
    "responsive": True,
    # Back to all there is, not to the first view, which a link may have zoomed.
    "doubleClick": "autosize",
    # Plotly's "Share chart..." uploads the chart: the button goes, and so does its address.
    "modeBarButtonsToRemove": [
        "toImage",
        "select2d",
        "lasso2d",
        "resetScale2d",
        "sendChartToCloud",
    ],
    "plotlyServerURL": "",
}
_SELECTING: Any = _CONFIG | {
    # Lines that lie above the marks can be dragged.
    "edits": {"shapePosition": True},
    "modeBarButtonsToRemove": [
        name for name in _CONFIG["modeBarButtonsToRemove"] if name not in ("select2d", "lasso2d")
    ],
}


def chart(
    id_: str,
    figure: go.Figure | Figure,
    *,
    title: str,
    summary: str,
    file: str,
    table: Component | str,
    height: int = 450,
    is_sketched: bool = False,
    selects: bool = False,
    more: Component | None = None,
    least_width: int | None = None,
) -> html.Figure:
    """Place a chart; its ``dcc.Graph`` has the id ``id_``, its summary ``id_ + "-summary"``.

    The ``summary`` says in a sentence or two what is to be seen, for who does not see it; a
    callback that changes the figure changes the summary too. Pictures are saved as ``file`` with
    .png or .svg. ``table`` has the chart's values and is folded below; or it is the id of one
    that is elsewhere on the page. ``height`` in pixels is for a figure that needs more or less
    of it than others, as one with a row per layer. One that ``is_sketched`` is seen before plotly
    has been read. One that ``selects`` lets a box or a lasso mark several points, and lines be
    dragged. ``more`` is placed under the chart. Where there is less room than ``least_width``, in
    pixels, the drawing is scrolled.
    """
    assert isinstance(figure, dict) or not is_sketched, "a sketch is made of plotly's JSON"
    summary_id, table_id = f"{id_}-summary", f"{id_}-table"
    parts = [] if more is None else [more]
    scrolls = {}
    if least_width is not None:
        scrolls = {"role": "region", "tabIndex": "0", **attributes(aria_label=title)}
    if isinstance(table, str):
        table_id = table
    else:
        parts.append(html.Details([html.Summary("Table"), html.Div(table, id=table_id)]))
    return html.Figure(
        [
            html.Div(
                [
                    html.H2(title),
                    html.Div(
                        [_button(id_, kind, title, file) for kind in ("png", "svg")],
                        className="buttons",
                    ),
                ],
                className="head",
            ),
            html.Div(
                [
                    *([sketch(figure)] if is_sketched else []),
                    dcc.Graph(
                        id=id_,
                        figure=figure,
                        config=_CONFIG if not selects else _SELECTING,
                        responsive=True,
                        style=room(height, least_width),
                    ),
                ],
                className="drawing" if least_width is None else "drawing scroll",
                **scrolls,
                # Room for it from the first, or what is below would jump.
                style={"minHeight": f"{height}px"},
                # charts.js names plotly's drawing by these: its toolbar is no part of an image.
                **attributes(data_name=title, data_summary=summary_id, data_table=table_id),
            ),
            html.Figcaption(summary, id=summary_id),
            *parts,
        ],
        className="card chart",
    )


def room(height: int, least_width: int | None = None) -> dict[str, str]:
    """Return the style of a chart's ``dcc.Graph``, in pixels, as in `chart`."""
    # Without a height it shrinks to none once its figure changes.
    style = {"height": f"{height}px"}
    return style if least_width is None else style | {"minWidth": f"{least_width}px"}


def _button(id_: str, kind: str, title: str, file: str) -> html.Button:
    return html.Button(
        kind.upper(),
        type="button",
        title=f"Save as {kind.upper()}",
        **attributes(
            aria_label=f"Save {title} as {kind.upper()}",
            data_save=id_,
            data_kind=kind,
            data_file=file,
        ),
    )
