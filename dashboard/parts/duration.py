"""Spans of time in words."""

from datetime import datetime

from dash import html

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def duration(seconds: float) -> str:
    """Say how long something takes, in two units at most."""
    for (length, name), (shorter, shorter_name) in zip(
        _UNITS, (*_UNITS[1:], (1, "s")), strict=True
    ):
        if seconds >= length:
            rest = int(seconds % length // shorter)
            return f"{int(seconds // length)} {name}{f' {rest} {shorter_name}' if rest else ''}"
    return f"{max(0, int(seconds))} s"


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
