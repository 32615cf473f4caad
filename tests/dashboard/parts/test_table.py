"""Tables without a browser: order, pages, downloads."""

import csv
import io
import math
from dataclasses import replace
from typing import Any

from dashboard.database import Database
from dashboard.parts.table import Column, Table
from dashboard.query import Query

ROWS: list[dict[str, Any]] = [
    {"name": "b", "size": 2.0, "more": [1]},
    {"name": "A", "size": None, "more": {}},
    {"name": "c", "size": math.nan, "more": None},
    {"name": "=D", "size": 1.0, "more": "-x"},
]
TABLE = Table(
    key="things",
    label="Things",
    columns=(
        Column("pick", "Pick", lambda _row: "?", is_data=False),
        Column("name", "Name"),
        Column("size", "Size", is_number=True),
    ),
    rows=lambda _database, _query: ROWS,
    page_size=3,
    extra=("more",),
)


def names(database: Database, **query: str) -> list[str]:
    values = {f"things-{name}": [value] for name, value in query.items()}
    return [row["name"] for row in TABLE.data(database, Query(values))]


def shown(database: Database, **query: str) -> str:
    values = {f"things-{name}": [value] for name, value in query.items()}
    return str(TABLE.render(database, Query(values)))


def test_rows_are_sorted_with_the_unknown_last(database: Database) -> None:
    assert names(database) == ["b", "A", "c", "=D"]
    assert names(database, sort="name") == ["=D", "A", "b", "c"]
    assert names(database, sort="-name") == ["c", "b", "A", "=D"]
    assert names(database, sort="size") == ["=D", "b", "A", "c"]
    assert names(database, sort="-size") == ["b", "=D", "A", "c"]
    assert names(database, sort="pick") == names(database, sort="none") == names(database)


def test_pages(database: Database) -> None:
    assert "1 to 3 of 4 rows" in shown(database)
    assert "4 to 4 of 4 rows" in shown(database, page="2")
    assert "4 to 4 of 4 rows" in shown(database, page="99")
    assert "1 to 3 of 4 rows" in shown(database, page="x")


def test_downloads_hold_all_rows_and_what_is_not_shown(database: Database) -> None:
    rows = list(csv.reader(io.StringIO(TABLE.csv(database, Query()))))
    assert rows[0] == ["name", "size", "more"]
    assert rows[4] == ["'=D", "1.0", "'-x"]
    assert TABLE.data(database, Query())[0] == {"name": "b", "size": 2.0, "more": [1]}


def test_a_folded_table_is_placed_without_its_rows(database: Database) -> None:
    placed = str(TABLE.folded(Query({"things-sort": ["name"]})))
    assert "Loading" in placed
    assert "rows" not in placed
    assert "data='name'" in placed  # it is sorted as the address has it


def test_of_more_rows_the_same_ones_are_the_same_nodes(database: Database) -> None:
    longer = replace(TABLE, rows=lambda _database, _query: [*ROWS, {"name": "z", "size": 0.5}])
    by_name = Query({"things-sort": ["name"]})
    before, after = TABLE.drawn(database, by_name), longer.drawn(database, by_name)
    assert after.rows == before.rows
    assert "3 of 4 rows" in str(before.foot)
    assert "3 of 5 rows" in str(after.foot)
