"""Spans of time in words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.parts.values.duration import age, ago
from mlgsearch.words import duration

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (75, "1 min 15 s"),
        (3 * 3600 + 125, "3 h 2 min"),
        (86_400 * 2 + 3600 * 5, "2 d 5 h"),
        (-5, "0 s"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "just now"), (59, "just now"), (61, "1 min ago"), (7200, "2 h ago"), (1e5, "1 d ago")],
)
def test_ages(seconds: float, said: str) -> None:
    moment = NOW - timedelta(seconds=seconds)
    reported: Any = ago(moment, NOW)  # Dash's types do not know the attributes
    assert reported.children == said
    assert datetime.fromisoformat(reported.dateTime) == moment


@pytest.mark.parametrize(("seconds", "said"), [(8.4, "8 s ago"), (3 * 60 + 5, "3 min 5 s ago")])
def test_an_age_is_said_to_the_second_for_the_browser_to_count_on(
    seconds: float, said: str
) -> None:
    shown: Any = age(NOW - timedelta(seconds=seconds), NOW)
    assert shown.children == said
    assert getattr(shown, "data-age") == f"{seconds:.0f}"
    assert getattr(age(NOW + timedelta(seconds=9), NOW), "data-age") == "0"
