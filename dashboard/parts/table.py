"""A table on a page: sorted, paged, and downloaded with all its rows."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.database import Database
from dashboard.parts.attributes import attributes
from dashboard.parts.markup import Markup, Node, digest, nodes_of
from dashboard.query import Query, address
from mlgsearch.results.formats import to_csv

Row = Mapping[str, Any]


@runtime_checkable
class Sortable(Protocol):
    """Rows that sort themselves, without being made: of many trials a page shows ten."""

    def sorted_by(self, key: str, *, falls: bool) -> Sequence[Row]:
        """Return the same rows by a column, unknown values last; equal ones stay as they are."""
        ...


_UP = "\N{BLACK UP-POINTING TRIANGLE}"
_DOWN = "\N{BLACK DOWN-POINTING TRIANGLE}"

#: In place of rows that are on their way.
_COMING = nodes_of([html.P("Loading\N{HORIZONTAL ELLIPSIS}", className="faint")])


@dataclass(frozen=True)
class Column:
    """One column.

    ``key`` is the row's key and the name in downloads; ``show`` gives a cell from a row, without it
    the value as text. ``is_data`` is False for a column that is there to be clicked: it is neither
    sorted nor downloaded.
    """

    key: str
    label: str
    show: Callable[[Row], Component | str | None] | None = None
    is_number: bool = False
    is_data: bool = True
    hint: str = ""


class Drawn(NamedTuple):
    """What is shown of a table: its rows, and what is below them, which changes more often."""

    rows: list[Node]
    foot: list[Node]


@dataclass(frozen=True)
class Table:
    """A table of a page.

    ``key`` is unique in the dashboard and made of letters and dashes; ``rows`` gives all rows, of
    plain data (numbers, texts, None, lists and mappings of them), and may raise any `UserError`;
    where they are `Sortable`, only those of a page are made.
    ``sort`` is the key of the column it is sorted by at first, with a ``-`` in front for the
    largest first; without it rows stay in their order. ``extra`` are keys that are downloaded but
    not shown; ``complete`` gives rows with those that are read for a download only. ``empty`` is
    what replaces an empty table; ``hides`` gives the keys of columns that would be empty now,
    ``more`` columns that follow from the address or the database, ``usual_sort`` a ``sort`` that
    does. ``place`` finds the row that the page is to begin with, which ``resets`` names the
    parameter of; ``row`` gives attributes of a row.
    """

    key: str
    label: str
    columns: tuple[Column, ...]
    rows: Callable[[Database, Query], Sequence[Row]]
    sort: str = ""
    page_size: int = 25
    extra: tuple[str, ...] = ()
    complete: Callable[[Database, Query, Sequence[Row]], Sequence[Row]] | None = None
    empty: str = "Nothing to show."
    hides: Callable[[Database, Query], Collection[str]] | None = None
    more: Callable[[Database, Query], Sequence[Column]] | None = None
    usual_sort: Callable[[Database, Query], str] | None = None
    place: Callable[[Sequence[Row], Query], int | None] | None = None
    resets: str | None = None
    row: Callable[[Row], dict[str, Any]] | None = None

    def render(self, database: Database, query: Query) -> html.Div:
        """Place the table, as the address wants it."""
        drawn = self.drawn(database, query)
        return self._placed(
            query,
            Markup(drawn.rows, id={"table": self.key}, drawn=digest(drawn.rows)),
            Markup(drawn.foot, id={"foot": self.key}, drawn=digest(drawn.foot)),
        )

    def folded(self, query: Query) -> html.Div:
        """Place the table within ``Details``: its rows are sent once it is unfolded (reach.js)."""
        return self._placed(
            query,
            Markup(_COMING, id={"table": self.key}, drawn="", is_open=False),
            Markup([], id={"foot": self.key}, drawn=""),
            **attributes(data_folded=self.key),
        )

    def drawn(self, database: Database, query: Query) -> Drawn:
        """Return the rows of one page, and the foot with the other pages and the downloads."""
        rows, *foot = self._body(database, query)
        return Drawn(nodes_of([rows]), nodes_of(foot))

    def csv(self, database: Database, query: Query) -> str:
        """Write all rows as CSV; text that a spreadsheet would run is escaped."""
        return to_csv(self._data(database, query), self._keys(database, query))

    def data(self, database: Database, query: Query) -> list[dict[str, Any]]:
        """Return all rows as JSON's data."""
        return self._data(database, query)

    def _placed(self, query: Query, *shown: Markup, **more: Any) -> html.Div:
        stores = [self._store("sort", "", query), self._store("page", "1", query)]
        return html.Div([*stores, *shown], className="table", **more)

    def _body(self, database: Database, query: Query) -> list[Component]:
        rows = self.rows(database, query)
        if not rows:
            return [html.P(self.empty, className="faint")]
        columns = self._columns(database, query)
        sort = self._sorting(database, query, columns)
        rows = self._sorted(rows, sort)
        pages = math.ceil(len(rows) / self.page_size)
        page = min(max(self._page(rows, query), 1), pages)
        first = (page - 1) * self.page_size
        shown = rows[first : first + self.page_size]
        hidden = () if self.hides is None else self.hides(database, query)
        columns = [column for column in columns if column.key not in hidden]
        return [
            scrolled(
                self.label,
                html.Tr([self._head(column, sort) for column in columns]),
                [self._line(row, columns) for row in shown],
            ),
            html.Div(
                [self._pager(page, pages, first, len(shown), len(rows)), self._downloads(query)],
                className="foot",
            ),
        ]

    def _data(self, database: Database, query: Query) -> list[dict[str, Any]]:
        sort = self._sorting(database, query, self._columns(database, query))
        rows = self._sorted(self.rows(database, query), sort)
        if self.complete is not None:
            rows = self.complete(database, query, rows)
        keys = self._keys(database, query)
        return [{key: row.get(key) for key in keys} for row in rows]

    def _columns(self, database: Database, query: Query) -> list[Column]:
        """Return all columns; those that are there to be clicked stay last."""
        more = () if self.more is None else self.more(database, query)
        data = [column for column in self.columns if column.is_data or column is self.columns[0]]
        return [*data, *more, *(column for column in self.columns if column not in data)]

    def _keys(self, database: Database, query: Query) -> list[str]:
        columns = self._columns(database, query)
        return [*(column.key for column in columns if column.is_data), *self.extra]

    def _store(self, what: str, default: str, query: Query) -> dcc.Store:
        parameter = f"{self.key}-{what}"
        return dcc.Store(
            id={"view": parameter, "default": default}, data=query.one(parameter, default)
        )

    def _page(self, rows: Sequence[Row], query: Query) -> int:
        place = None if self.place is None else self.place(rows, query)
        if place is not None:
            return place // self.page_size + 1
        return query.integer(f"{self.key}-page") or 1

    def _sorting(self, database: Database, query: Query, columns: Sequence[Column]) -> str:
        keys = [column.key for column in columns if column.is_data]
        usual = self.sort if self.usual_sort is None else self.usual_sort(database, query)
        return query.choice(f"{self.key}-sort", [*keys, *(f"-{key}" for key in keys)], usual)

    def _sorted(self, rows: Sequence[Row], sort: str) -> Sequence[Row]:
        key = sort.removeprefix("-")
        if not key:
            return rows
        if isinstance(rows, Sortable):
            return rows.sorted_by(key, falls=sort[0] == "-")
        known = [row for row in rows if not _is_missing(row.get(key))]
        missing = [row for row in rows if _is_missing(row.get(key))]
        return [*sorted(known, key=lambda row: _rank(row[key]), reverse=sort[0] == "-"), *missing]

    def _head(self, column: Column, sort: str) -> html.Th:
        classes = "number" if column.is_number else ""
        if not column.is_data:
            return html.Th(html.Span(column.label, className="unseen"), scope="col")
        is_sorted = sort.removeprefix("-") == column.key
        falls = sort.startswith("-")
        order = ("descending" if falls else "ascending") if is_sorted else None
        # A first click gives numbers largest first and texts from A, a second the other way.
        falls_next = not falls if is_sorted else column.is_number
        arrow = {"ascending": _UP, "descending": _DOWN, None: ""}[order]
        return html.Th(
            html.Button(
                [
                    column.label,
                    html.Span(arrow, className="arrow", **attributes(aria_hidden="true")),
                ],
                type="button",
                title=column.hint or f"Sort by {column.label}",
                **attributes(
                    data_set=f"{self.key}-sort",
                    data_value=f"{'-' if falls_next else ''}{column.key}",
                ),
            ),
            scope="col",
            className=classes,
            **attributes(aria_sort=order),
        )

    def _line(self, row: Row, columns: Sequence[Column]) -> html.Tr:
        name = next(column for column in columns if column.is_data)
        cells: list[Component] = []
        for column in columns:
            value = row.get(column.key)
            shown = column.show(row) if column.show else "" if value is None else str(value)
            classes = "number" if column.is_number else ""
            if column is name:
                cells.append(html.Th(shown, scope="row", className=classes))
            else:
                cells.append(html.Td(shown, className=classes))
        return html.Tr(cells, **({} if self.row is None else self.row(row)))

    def _pager(self, page: int, pages: int, first: int, shown: int, total: int) -> html.Div:
        said = f"{first + 1:,} to {first + shown:,} of {total:,}" if pages > 1 else f"{total:,}"
        said += " row" if total == 1 else " rows"
        if pages == 1:
            return html.Div(said, className="faint")
        return html.Div(
            [
                self._step("Previous", page - 1, pages),
                html.Span(said, role="status", className="faint"),
                self._step("Next", page + 1, pages),
            ],
            className="pager",
        )

    def _step(self, label: str, page: int, pages: int) -> html.Button:
        return html.Button(
            label,
            type="button",
            disabled=not 1 <= page <= pages,
            **attributes(
                aria_label=f"{label} rows of {self.label}",
                data_set=f"{self.key}-page",
                data_default="1",
                data_value=str(page),
                data_resets=self.resets,
            ),
        )

    def _downloads(self, query: Query) -> html.Div:
        return html.Div(
            [
                html.A(
                    kind.upper(),
                    href=address(f"/download/{self.key}.{kind}", **dict(query.values)),
                    className="button",
                    download="",
                    **attributes(aria_label=f"Download {self.label} as {kind.upper()}, all rows"),
                )
                for kind in ("csv", "json")
            ],
            className="buttons",
        )


def scrolled(label: str, head: html.Tr, rows: Sequence[html.Tr]) -> html.Div:
    """Place a table that scrolls within its frame, by keyboard as well."""
    table = html.Table(
        [html.Caption(label, className="unseen"), html.Thead(head), html.Tbody(rows)]
    )
    return html.Div(
        table, className="scroll", role="region", tabIndex="0", **attributes(aria_label=label)
    )


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _rank(value: Any) -> tuple[int, Any]:
    """Return what a value is sorted by: numbers first, all else by its text."""
    return (0, value) if isinstance(value, int | float) else (1, str(value).casefold())
