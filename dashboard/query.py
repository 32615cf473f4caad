"""What a page's address says after the ``?``: what it is about, and how it is looked at."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qs, quote, urlencode


@dataclass(frozen=True)
class Query:
    """The parameters of an address, each with one or several texts, in their order.

    A link may be old or written by hand: what is asked for by the wrong word is the default.
    """

    values: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, search: str) -> Self:
        """Read what follows the ``?``."""
        return cls(parse_qs(search.removeprefix("?"), keep_blank_values=True))

    def one(self, name: str, default: str = "") -> str:
        """Return the parameter's first text."""
        return next(iter(self.values.get(name, ())), default)

    def all(self, name: str) -> tuple[str, ...]:
        """Return all its texts."""
        return tuple(self.values.get(name, ()))

    def choice(self, name: str, allowed: Collection[str], default: str) -> str:
        """Return its first text where that is allowed, else the default."""
        value = self.one(name, default)
        return value if value in allowed else default

    def integer(self, name: str) -> int | None:
        """Return its first text as a number from 0, or None where it is not one."""
        value = self.one(name)
        return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else None

    def number(self, name: str, default: float) -> float:
        """Return its first text as a finite number, or the default."""
        return _number(self.one(name), default)


def address(path: str, /, **parameters: object) -> str:
    """Write the address of a page; a parameter may have several values, or none."""
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        several = value if isinstance(value, list | tuple) else [value]
        pairs += [(name, str(one)) for one in several if one is not None]
    return f"{path}?{urlencode(pairs, quote_via=quote, safe='')}" if pairs else path


def _number(text: str, default: float) -> float:
    try:
        value = float(text)
    except ValueError:
        return default
    return value if abs(value) < float("inf") else default
