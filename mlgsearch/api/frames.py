"""Rows as a pandas DataFrame, which is imported when one is asked for."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, *, index: str
) -> "DataFrame":
    """Return rows as a DataFrame.

    Args:
        rows: each with the same keys.
        columns: the keys in order, so that a table without rows has them too.
        index: the key whose values name the rows.
    """
    from pandas import DataFrame  # takes 0.3 s

    names = list(columns) if columns is not None else None
    made: DataFrame = DataFrame(list(rows), columns=names).set_index(index)
    return made
