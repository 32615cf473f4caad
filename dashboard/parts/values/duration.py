"""Spans of time in words."""

from datetime import datetime

from dash import html

from dashboard.parts.attributes import attributes
from mlgsearch.words import duration

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def ago(moment: datetime, now: datetime) -> html.Time:
    """Return how long ago a moment was, with the moment itself to be looked up."""
    seconds = (now - moment).total_seconds()
    for length, name in _UNITS:
        if seconds >= length:
            said = f"{int(seconds // length)} {name} ago"
            break
    else:
        said = "just now"
    return html.Time(said, dateTime=moment.isoformat(), title=f"{moment:%Y-%m-%d %H:%M:%S} UTC")


def age(moment: datetime, now: datetime) -> html.Time:
    """Return how long ago a moment was, to the second; ``assets/age.js`` counts on."""
    seconds = max(0.0, (now - moment).total_seconds())
    return html.Time(
        f"{duration(seconds)} ago",
        dateTime=moment.isoformat(),
        title=f"{moment:%Y-%m-%d %H:%M:%S} UTC",
        **attributes(data_age=f"{seconds:.0f}"),
    )
