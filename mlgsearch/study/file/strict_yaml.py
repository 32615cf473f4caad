"""Read YAML that means what it looks like: no duplicate keys, no tags, no surprising scalars."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

from mlgsearch.errors import StudyFileError

MAX_BYTES = 1_000_000
MAX_ALIASES = 100
MAX_DEPTH = 50
#: Keys, scalars and collections, an alias counted as all that it refers to.
MAX_VALUES = 100_000

_FLOAT = re.compile(
    r"^[-+]?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?$|^[-+]?\d+[eE][-+]?\d+$|^[-+]?\.inf$|^\.nan$"
)
_INT = re.compile(r"^[-+]?(?:0|[1-9]\d*)$")
_BOOL = re.compile(r"^(?:true|false)$")
_NULL = re.compile(r"^(?:~|null|)$")


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core scalars: ``no`` is text, ``1e-3`` a number, ``010`` text, dates text."""


# PyYAML copies a class's resolvers at the first change, so SafeLoader's own stay as they are.
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", _BOOL, "tf"),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+0123456789."),
    ("null", _NULL, ["~", "n", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, list(_first))


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: dict[Hashable, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise _Refused(f"line {line}: a key must be text, got {key!r}; put it in quotes")
        if key == "<<":
            raise _Refused(f"line {line}: merge keys (<<) are not supported; write the keys out")
        if key in seen:
            shown = key if key.isprintable() else repr(key)
            raise _Refused(f"line {line}: {shown}: given twice, first on line {seen[key]}")
        seen[key] = line
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


class _Refused(Exception):
    """A document we will not read, with the reason."""


def load(text: str, where: str) -> Any:
    """Parse one YAML document.

    Args:
        text: the document.
        where: what to call it in messages, usually the file's path.

    Raises:
        StudyFileError: too large, not YAML, a duplicate or non-text key, a tag, too many
            aliases, levels or values.
    """
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise StudyFileError(f"{where}: larger than {MAX_BYTES} bytes, so not a study file")
    try:
        _refuse_oddities(text)
        return yaml.load(text, Loader=_Loader)
    except _Refused as refused:
        raise StudyFileError(f"{where}: {refused}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise StudyFileError(f"{where}: {place}not valid YAML: {problem}") from None
    except (ValueError, OverflowError) as error:  # PyYAML lets int() and chr() raise through
        raise StudyFileError(f"{where}: not valid YAML: {error}") from None


def _refuse_oddities(text: str) -> None:
    aliases = values = 0
    opened: list[tuple[str | None, int]] = []  # anchors, and how many values there were before
    sizes: dict[str | None, int] = {}  # values behind each anchor
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            aliases += 1
            values += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, values))
            values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor is not None:
                sizes[anchor] = values - before
        if aliases > MAX_ALIASES:
            raise _Refused(f"line {line}: more than {MAX_ALIASES} aliases")
        if values > MAX_VALUES:
            raise _Refused(f"line {line}: more than {MAX_VALUES} values, aliases written out")
        if len(opened) > MAX_DEPTH:
            raise _Refused(f"line {line}: nested deeper than {MAX_DEPTH} levels")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _Refused(f"line {line}: the tag {tag!r} is not allowed; remove it")
