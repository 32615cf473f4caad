"""Where contents of studies differ."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlgsearch.results.analysis.difference import Difference, differences, differing_keys

_values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=1), inner, max_size=3),
    max_leaves=8,
)
_contents = st.dictionaries(st.text("abc", min_size=1, max_size=1), _values, max_size=3)


def test_nested_keys_are_dotted_and_every_content_has_its_value() -> None:
    contents: list[dict[str, Any]] = [
        {"search": {"seed": 1, "sampler": "tpe"}, "same": [1]},
        {"search": {"seed": 2, "sampler": "tpe"}, "same": [1], "new": {"a": 1}},
        {"search": {"seed": 1, "sampler": "tpe"}, "same": [1]},
    ]
    assert differences(contents) == [
        Difference("new", (None, {"a": 1}, None)),
        Difference("search.seed", (1, 2, 1)),
    ]


def test_two_contents_have_a_line_for_each_key() -> None:
    assert differing_keys({"a": {"b": 1}, "c": [2]}, {"a": {"b": "x"}, "c": [2], "d": True}) == [
        'a.b: 1 -> "x"',
        "d: null -> true",
    ]


def test_nothing_differs_among_none() -> None:
    assert differences([]) == []


@given(content=_contents)
def test_a_content_does_not_differ_from_itself(content: dict[str, Any]) -> None:
    assert differences([content, content, content]) == []


@given(old=_contents, new=_contents)
def test_the_order_of_contents_changes_only_the_order_of_values(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    swapped = [Difference(there.key, there.values[::-1]) for there in differences([new, old])]
    assert differences([old, new]) == swapped
