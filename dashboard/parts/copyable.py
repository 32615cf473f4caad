"""Text to take away: shown as it is, with a button that copies it."""

from dash import html

from dashboard.parts.attributes import attributes


def copyable(id_: str, text: str, *, what: str) -> html.Div:
    """Place a text with its button; ``what`` names it, as in "Copy the export command".

    The element with the id holds nothing but the text.
    """
    return html.Div(
        [
            html.Pre(html.Code(text, id=id_), tabIndex="0", **attributes(aria_label=what)),
            html.Button(
                "Copy",
                type="button",
                **attributes(data_copy=id_, aria_label=f"Copy {what}", aria_live="polite"),
            ),
        ],
        className="copyable",
    )


def copy_link() -> html.Button:
    """Place a button that copies the address, which holds the whole view."""
    return html.Button("Copy link to this view", type="button", **attributes(data_copy_link=""))
