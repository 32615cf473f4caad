from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlgsearch.errors import StudyFileError
from mlgsearch.study.file.strict_yaml import MAX_ALIASES, MAX_BYTES, MAX_VALUES, load


def refusal(text: str) -> str:
    with pytest.raises(StudyFileError) as caught:
        load(text, "x.yaml")
    message = str(caught.value)
    assert message.startswith("x.yaml: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("12", 12),
        ("-3", -3),
        ("+3", 3),
        ("0", 0),
        (".inf", float("inf")),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("True", "True"),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2026-11-22", "2026-11-22"),
        ("=", "="),
        ("'12'", "12"),
    ],
)
def test_a_scalar_is_what_it_looks_like(written: str, meant: Any) -> None:
    read = load(f"a: {written}", "x.yaml")["a"]
    assert read == meant
    assert type(read) is type(meant)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: a: given twice, first on line 1"),
        ("a:\n  b: 1\n  b: 1\n", "line 3: b: given twice, first on line 2"),
        ("a: {b: 1, 'b': 2}", "line 1: b: given twice, first on line 1"),
        ("1: 2", "line 1: a key must be text, got 1; put it in quotes"),
        ("? [a]\n: b", "line 1: a key must be text"),
        ("a: 1\n<<: {b: 2}", "line 2: merge keys (<<) are not supported"),
        ("a: !!int 3", "line 1: the tag 'tag:yaml.org,2002:int' is not allowed"),
        ("a: !!python/object/apply:os.getcwd []", "is not allowed"),
        ("\na: !mine 3", "line 2: the tag '!mine' is not allowed"),
        ("a: [1", "line 1: not valid YAML"),
        ("a: b: c", "line 1: not valid YAML"),
        ("a: 1\n---\na: 2", "not valid YAML: but found another document"),
        ("a: \x00", "not valid YAML"),
        ("a: &x [*x]", "not valid YAML"),
        ("a: *nowhere", "not valid YAML"),
        ("a: &x 1\nb: &x 2", "line 2: not valid YAML: second occurrence"),
        ("[" * 5_000 + "]" * 5_000, "line 1: nested deeper than 50 levels"),
        ("\n".join(" " * i + "a:" for i in range(60)), "line 51: nested deeper than 50 levels"),
        ('"a\\nb": 1\n"a\\nb": 2', r"line 2: 'a\nb': given twice"),
        # int() and chr() of PyYAML's own let these through as ValueError and OverflowError.
        ("a: " + "1" * 5_000, "not valid YAML"),
        ('a: "\\U00110000"', "not valid YAML"),
        ('a: "\\UFFFFFFFF"', "not valid YAML"),
    ],
)
def test_what_is_ambiguous_or_foreign_is_refused_with_its_place(text: str, said: str) -> None:
    assert said in refusal(text)


def test_a_few_aliases_are_read_and_many_are_refused() -> None:
    def aliases(count: int) -> str:
        return "a: &x 1\nb: [" + ", ".join(["*x"] * count) + "]"

    assert load(aliases(MAX_ALIASES), "x.yaml")["b"] == [1] * MAX_ALIASES
    assert "more than 100 aliases" in refusal(aliases(MAX_ALIASES + 1))


def test_aliases_of_aliases_are_counted_as_if_written_out() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert refusal("\n".join(lines)) == (
        "x.yaml: line 5: more than 100000 values, aliases written out"
    )
    assert len(load("\n".join(lines[:3]), "x.yaml")["a2"][0][0]) == 10


def test_many_values_are_refused_before_they_are_built() -> None:
    assert "line 1: more than 100000 values" in refusal("[" + "a," * (MAX_VALUES + 1) + "]")


def test_the_size_counts_bytes_not_characters() -> None:
    assert load("a: " + "x" * (MAX_BYTES - 3), "x.yaml")["a"].startswith("xx")
    assert "larger than" in refusal("a: " + "x" * (MAX_BYTES - 2))
    assert "larger than" in refusal("a: " + "ü" * (MAX_BYTES // 2))


yaml_like = st.text(alphabet=st.sampled_from("ab:-[]{}&*!<>|'\"\\Ux019e.#?%@,~= \n\t"), max_size=60)


@given(st.one_of(st.text(max_size=80), yaml_like))
@example("a: \ud800")
@example("%YAML 9.9\n---\na")
@example('"\\xZZ"')
def test_any_text_gives_data_or_a_study_file_error(text: str) -> None:
    with suppress(StudyFileError):
        load(text, "x.yaml")
