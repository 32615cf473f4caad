"""Spans of time in words."""

from datetime import datetime

from dash import html

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def ago(moment: datetime, now: datetime) -> html.Time:
    """Say how long ago a moment was, with the moment itself to be looked up."""
    seconds = (now - moment).total_seconds()
    for length, name in _UNITS:
        if seconds >= length:
            said = f"{int(seconds // length)} {name} ago"
            break
    else:
        said = "just now"
    return html.Time(said, dateTime=moment.isoformat(), title=f"{moment:%Y-%m-%d %H:%M:%S} UTC")
