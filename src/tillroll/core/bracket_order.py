"""Pages in the order that people expect: as datapoints, but brackets by their amounts. Pure.

Stores answer by code points, where `100-500` comes before `50-100`. Here their pages are put in order without reading
more than a page: at most 15 datapoints differ in nothing but bracket and method.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.core.dimension import BRACKETS
from tillroll.core.limits import METHODS
from tillroll.core.query import Page, dimensions_of
from tillroll.core.report import SEPARATOR, WINDOW_SECONDS
from tillroll.core.spans import SPANS
from tillroll.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tillroll.core.query import Aggregate, ByName, Query

    Read = Callable[[Query], Page]  # as Aggregates.page
    Key = tuple[str | int, ...]

_RANKS: Final = {text: rank for rank, text in enumerate(BRACKETS)}
_GROUP_MAX: Final = len(BRACKETS) * len(METHODS)  # datapoints of one window


def read_page(read: Read, query: Query) -> Page:
    """Return the page that a query asks for, in its order, from what `read` answers by code points.

    Raises:
        QueryError: the cursor is none of this order.
    """
    dimensions = dimensions_of(query)
    if not query.brackets_by_amount or query.order != "datapoint" or "bracket" not in dimensions:
        return read(query)
    bracket_at = dimensions.index("bracket")
    window_at = next((at for at, name in enumerate(dimensions) if name in WINDOW_SECONDS or name in SPANS), None)
    order = _Order(len(dimensions), bracket_at)
    if window_at is None:
        return order.cut(query, read(_changed(query, limit=_GROUP_MAX, after=None)))
    if window_at < bracket_at:
        return _by_window(read, query, order)
    return _by_bracket(read, query, order, dimensions)


class _Order:
    """Compares datapoints of some number of dimensions of which one is the bracket."""

    def __init__(self, dimensions: int, bracket_at: int) -> None:
        self._dimensions = dimensions
        self.bracket_at = bracket_at

    def key(self, datapoint: str) -> Key:
        """Return what a datapoint is sorted by.

        Raises:
            KeyError: it has no bracket at its place.
        """
        parts: list[str | int] = [*datapoint.split(SEPARATOR)]
        if len(parts) != self._dimensions:
            raise KeyError(datapoint)
        parts[self.bracket_at] = _RANKS[str(parts[self.bracket_at])]
        return tuple(parts)

    def after(self, query: Query) -> Key | None:
        """Return the key of the query's cursor.

        Raises:
            QueryError: it is none of this order.
        """
        try:
            return None if query.after is None else self.key(query.after)
        except KeyError as error:
            problem = f"{query.after!r} is not a cursor of the order bracket"
            raise QueryError("cursor", problem, "Take it from the answer of the page before") from error

    def cut(self, query: Query, page: Page) -> Page:
        """Return a page's rows in order, after the query's cursor and up to its limit."""
        after = self.after(query)
        keyed = sorted((self.key(row.datapoint), row) for row in page.aggregates)
        rows = [row for key, row in keyed if after is None or key > after]
        more = page.next is not None or len(rows) > query.limit
        rows = rows[: query.limit]
        return Page(rows, rows[-1].datapoint if more and rows else None, page.totals)


def _by_window(read: Read, query: Query, order: _Order) -> Page:
    """Read a page's worth of windows, each whole."""
    after = order.after(query)
    # All of a window follows its text and a bar, so the one that the cursor lies in is read from its beginning.
    start = None if after is None else "".join(f"{part}{SEPARATOR}" for part in after[: order.bracket_at])
    page = read(_changed(query, limit=query.limit + 2 * _GROUP_MAX, after=start))
    if page.next is not None:  # the last window may be cut off
        last = order.key(page.aggregates[-1].datapoint)[: order.bracket_at]
        whole = [row for row in page.aggregates if order.key(row.datapoint)[: order.bracket_at] != last]
        page = page._replace(aggregates=whole)
    return order.cut(query, page)


def _by_bracket(read: Read, query: Query, order: _Order, dimensions: tuple[ByName, ...]) -> Page:
    """Read one bracket after the other, each of a method before it if the method comes first."""
    after = order.after(query)
    first: list[ByName] = [*dimensions[: order.bracket_at], "bracket"]
    totals = read(_changed(query, limit=1, after=None)).totals if query.totals else None
    rows: list[Aggregate] = []
    for values in product(*(_values(query, name) for name in first)):
        key = order.key(SEPARATOR.join([*values, *[""] * (len(dimensions) - len(values))]))[: len(values)]
        if after is not None and key < after[: len(values)]:
            continue
        within = query.after if after is not None and key == after[: len(values)] else None
        filters = query.filters | {name: frozenset({value}) for name, value in zip(first, values, strict=True)}
        limit = query.limit + 1 - len(rows)
        rows += read(_changed(query, filters=filters, limit=limit, after=within, totals=False)).aggregates
        if len(rows) > query.limit:
            return Page(rows[: query.limit], rows[query.limit - 1].datapoint, totals)
    return Page(rows, None, totals)


def _values(query: Query, name: ByName) -> Iterator[str]:
    values = BRACKETS if name == "bracket" else sorted(METHODS)
    wanted = next((wanted for known, wanted in query.filters.items() if known == name), None)
    return (value for value in values if wanted is None or value in wanted)


def _changed(query: Query, **changes: object) -> Query:
    return msgspec.structs.replace(query, brackets_by_amount=False, **changes)
