"""Turn pydantic's errors into lines an author of a study file can act on."""

import difflib
import reprlib
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

_EXPECTED = {
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "int_parsing": "expected a whole number",
    "string_type": "expected text",
    "bool_type": "expected true or false",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "dict_type": "expected keys and values",
    "model_type": "expected keys and values",
    "model_attributes_type": "expected keys and values",
    "finite_number": "expected a finite number",
}
_LIMITS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}
#: A value may be a megabyte of text, or a list in a list in a list.
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlevel = 3
_LINE_LENGTH = 600


def validation_messages(error: ValidationError, model: type[BaseModel], where: str) -> list[str]:
    """Return one line per mistake: `where: key: what is wrong, what to write instead`.

    Args:
        error: what pydantic found.
        model: the model that was validated; nearest keys are looked up in it.
        where: the start of every line, usually the file.
    """
    lines = []
    for problem in error.errors(include_url=False):
        *inner, last = problem["loc"] or ("",)
        location = tuple(part for part in inner if not _is_union_tag(part))
        if problem["type"] == "extra_forbidden" or not _is_union_tag(last):
            location += (last,)
            said = _say(problem, model, location)
        elif last == "[key]":  # of a mapping, whose key is the part before it
            said = _say(problem, model, location)
        else:
            said = f"expected a number or text, got {_shown(problem['input'])}"
        key = _dotted(location)
        line = f"{where}: {key}: {said}" if key else f"{where}: {said}"
        lines.append(line if len(line) <= _LINE_LENGTH else f"{line[:_LINE_LENGTH]}...")
    return list(dict.fromkeys(lines))


def _say(problem: Any, model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    kind, context, value = problem["type"], problem.get("ctx", {}), problem["input"]
    if kind == "extra_forbidden":
        known = sorted(_fields_at(model, location[:-1]))
        nearest = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(known)}"
        return f"unknown key, {hint}"
    if kind == "missing":
        return "is missing, and has no default"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        known = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        nearest = difflib.get_close_matches(value, known, n=1) if isinstance(value, str) else []
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        return f"expected {context['expected']}, got {_shown(value)}{hint}"
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"must be {words} {context[name]}, got {_shown(value)}"
    if kind == "string_pattern_mismatch":
        return f"{_shown(value)} is not one of {_alternatives(context['pattern'])}"
    if kind in ("too_short", "too_long"):
        limit = context.get("min_length", context.get("max_length"))
        return f"expected {limit} entries, got {context['actual_length']}"
    if kind in _EXPECTED:
        return f"{_EXPECTED[kind]}, got {_shown(value)}"
    return f"{problem['msg'][0].lower()}{problem['msg'][1:]}, got {_shown(value)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else _SHORT.repr(value)


def _alternatives(pattern: str) -> str:
    words = pattern.strip("^$()").split("|")
    return ", ".join("module:callable" if ":" in word else word for word in words)


def _is_union_tag(part: int | str) -> bool:
    """Whether a part of a location names a branch of a union, not a key."""
    return isinstance(part, str) and ("[" in part or part in ("int", "float", "str", "tuple"))


def _dotted(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.isprintable() else repr(part)
            text += f".{name}" if text else name
    return text


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> set[str]:
    models: list[type[BaseModel]] = [model]
    for part in location:
        found: list[type[BaseModel]] = []
        for candidate in models:
            field = candidate.model_fields.get(str(part))
            if field is not None:
                found += _models_in(field.annotation)
        # A list's index or a mapping's key names no field: stay at the models inside it.
        models = found or models
    return {name for candidate in models for name in candidate.model_fields}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)
