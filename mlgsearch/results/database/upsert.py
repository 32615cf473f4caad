"""Insert or update in one statement, in each database's own words."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Insert, Table, func
from sqlalchemy.dialects import mysql, postgresql, sqlite


def upsert(
    dialect: str,
    table: Table,
    key: Sequence[str],
    update: Sequence[str],
    values: Mapping[str, Any] | None = None,
    *,
    keep_if_set: Sequence[str] = (),
) -> Insert:
    """Build an insert that, where a row with the same ``key`` exists, updates that row instead.

    ``key`` names the columns of a unique constraint, ``update`` those that take the new value,
    ``keep_if_set`` those that take it only where the row still holds NULL. Without ``values`` the
    statement is for many rows at once.
    """
    assert dialect in ("sqlite", "postgresql", "mysql", "mariadb"), dialect
    if dialect in ("mysql", "mariadb"):
        my = mysql.insert(table)
        new = my.inserted
        changes = {name: new[name] for name in update}
        changes |= {name: _first_set(table, name, new[name]) for name in keep_if_set}
        statement: Insert = my.on_duplicate_key_update(changes)
    else:
        lite = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
        new = lite.excluded
        changes = {name: new[name] for name in update}
        changes |= {name: _first_set(table, name, new[name]) for name in keep_if_set}
        statement = lite.on_conflict_do_update(index_elements=list(key), set_=changes)
    return statement if values is None else statement.values(dict(values))


def _first_set(table: Table, name: str, new: Any) -> Any:
    return func.coalesce(table.c[name], new)
