"""At which keys the contents of studies differ."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """A dotted key of study files, and what each of them says there; None where it is absent."""

    key: str
    values: tuple[object, ...]


def differences(contents: Sequence[Mapping[str, Any]], prefix: str = "") -> list[Difference]:
    """List where contents differ, by key; what all of them hold as keys and values is entered."""
    found = []
    for key in sorted(set().union(*contents)):
        values = tuple(content.get(key) for content in contents)
        inner = [value for value in values if isinstance(value, Mapping)]
        if len(inner) == len(values):
            found += differences(inner, f"{prefix}{key}.")
        elif any(value != values[0] for value in values):
            found.append(Difference(f"{prefix}{key}", values))
    return found


def differing_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """List the dotted keys at which two contents differ, with both values, a line each."""
    return [
        f"{there.key}: {' -> '.join(json.dumps(value) for value in there.values)}"
        for there in differences((old, new))
    ]
