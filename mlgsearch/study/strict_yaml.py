"""Read YAML that means what it looks like: no duplicate keys, no tags, no surprising scalars."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

from mlgsearch.errors import StudyFileError

MAX_BYTES = 1_000_000
MAX_ALIASES = 100
MAX_DEPTH = 50

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
            aliases or levels.
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
    aliases = depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        aliases += isinstance(event, yaml.AliasEvent)
        if aliases > MAX_ALIASES:
            raise _Refused(f"line {line}: more than {MAX_ALIASES} aliases")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _Refused(f"line {line}: nested deeper than {MAX_DEPTH} levels")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _Refused(f"line {line}: the tag {tag!r} is not allowed; remove it")
