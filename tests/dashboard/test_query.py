"""Addresses, written and read."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.query import Query, address

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1)


@given(st.dictionaries(TEXTS, st.lists(TEXTS, min_size=1), min_size=1))
def test_what_is_written_is_read(values: dict[str, list[str]]) -> None:
    url = address("/study", **values)
    path, _, search = url.partition("?")
    assert path == "/study"
    assert url.isascii()
    assert dict(Query.parse(search).values) == values


def test_values_of_several_kinds() -> None:
    assert address("/") == "/"
    assert address("/x", name=None) == "/x"
    assert address("/x", name=["a b", "<&>/"], n=3) == "/x?name=a%20b&name=%3C%26%3E%2F&n=3"


def test_what_is_asked_for_wrongly_is_the_default() -> None:
    query = Query.parse("?a=1&a=2&b=&c=x")
    assert query.one("a") == "1"
    assert query.all("a") == ("1", "2")
    assert (query.one("b", "d"), query.one("none", "d")) == ("", "d")
    assert query.choice("c", ["x", "y"], "y") == "x"
    assert query.choice("a", ["x", "y"], "y") == "y"


@pytest.mark.parametrize(
    ("text", "value"), [("7", 7), ("-1", None), ("1.5", None), ("\u0663", None), ("9" * 99, None)]
)
def test_integers(text: str, value: int | None) -> None:
    assert Query({"n": [text]}).integer("n") == value


@pytest.mark.parametrize(("text", "value"), [("-1.5", -1.5), ("nan", 9), ("inf", 9), ("x", 9)])
def test_numbers(text: str, value: float) -> None:
    number = Query({"n": [text]}).number("n", 9)
    assert number == value
    assert math.isfinite(number)
