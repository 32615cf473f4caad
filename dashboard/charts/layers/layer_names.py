"""Names of layers, shortened for a chart so that they still differ."""

import re
from collections.abc import Sequence

from mlgsearch.results.analysis.layer_groups import group_names, without_common

#: Letters that a name has room for beside a chart.
MOST_LETTERS = 22

#: Fewer letters of a word do not remind of it.
_LEAST_OF_A_WORD = 3

_WORD = re.compile(r"[A-Za-z_]+")


def short_names(names: Sequence[str], *, most: int = MOST_LETTERS) -> list[str]:
    """Shorten dotted names, no further than needed; names that differ stay different.

    Where one is too long, the part that nearly all begin with goes first (`features.`). Then words
    before the last dot are cut to what distinguishes them from the network's other words:
    `denseblock3.conv2` becomes `denseb3.conv2`. What still is too long loses its middle.
    """
    steps = (list(names), without_common(names))
    for tried in (*steps, _cut_words(steps[-1])):
        if max(map(len, tried), default=0) <= most:
            return tried
    cut = _cut_words(steps[-1])
    shortened = [_without_middle(name, most) for name in cut]
    return shortened if len(set(shortened)) == len(set(names)) else cut


def groups(names: Sequence[str]) -> list[int]:
    """Return where a new group of layers begins: indices, without 0."""
    group = group_names(names)
    return [i for i in range(1, len(group)) if group[i] != group[i - 1]]


def _cut_words(names: Sequence[str]) -> list[str]:
    words = {word for name in names for word in _WORD.findall(name)}
    cut = {word: _shortest_telling(word, words) for word in words}

    def shorten(name: str) -> str:
        *path, last = name.split(".")
        short = [_WORD.sub(lambda found: cut[found[0]], part) for part in path]
        return ".".join([*short, last])

    return [shorten(name) for name in names]


def _shortest_telling(word: str, words: set[str]) -> str:
    for length in range(_LEAST_OF_A_WORD, len(word)):
        if not any(other != word and other.startswith(word[:length]) for other in words):
            return word[:length]
    return word


def _without_middle(name: str, most: int) -> str:
    if len(name) <= most:
        return name
    head = (most - 1) // 2
    return f"{name[:head]}\N{HORIZONTAL ELLIPSIS}{name[len(name) - (most - 1 - head) :]}"
