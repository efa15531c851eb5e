"""Pages in the order that people expect: as datapoints, but brackets by their amounts. Pure.

Stores answer by code points, where `100-500` comes before `50-100`. Here their pages are put in order without reading
much more than a page: datapoints that are the same up to their bracket are few.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING

import msgspec

from tillroll.core import limits
from tillroll.core.dimension import Bracket, Closed
from tillroll.core.query import Page, dimensions_of
from tillroll.core.report import SEPARATOR
from tillroll.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tillroll.core.query import Aggregate, Query

    Read = Callable[[Query], Page]  # as Aggregates.page
    Key = tuple[str | int, ...]


def can_order(query: Query) -> bool:
    """Tell whether the answer has brackets that pages can put in order: what stands before or after them is known."""
    names = dimensions_of(query)
    closed = _closed(query)
    at = next((at for at, name in enumerate(names) if isinstance(closed.get(name), Bracket)), None)
    if at is None:
        return False
    return all(name in closed for name in names[at:]) or all(name in closed for name in names[: at + 1])


def _closed(query: Query) -> dict[str, Closed]:
    return {dimension.name: dimension for dimension in query.report.closed}


def read_page(read: Read, query: Query) -> Page:
    """Return the page that a query asks for, in its order, from what `read` answers by code points.

    Raises:
        QueryError: the cursor is none of this order.
    """
    if not query.brackets_by_amount or query.order != "datapoint" or not can_order(query):
        return read(query)
    order = _Order(query)
    if all(name in _closed(query) for name in order.names[order.bracket_at :]):
        if order.bracket_at == 0:
            return order.cut(query, read(_changed(query, limit=order.group_max, after=None)))
        return _by_group(read, query, order)
    return _by_bracket(read, query, order)


def read_pages(read: Read, query: Query, most: int | None = None) -> Iterator[Page]:
    """Yield page after page of what a query asks for, whatever its limit, up to so many aggregates, or all.

    Only the first has totals, and that where the query wants them.
    """
    while most is None or most > 0:
        limit = limits.PAGE_MAX if most is None else min(most, limits.PAGE_MAX)
        page = read_page(read, msgspec.structs.replace(query, limit=limit))
        yield page
        if page.next is None:
            return
        query = msgspec.structs.replace(query, after=page.next, totals=False)
        most = None if most is None else most - len(page.aggregates)


class _Order:
    """Compares the datapoints of a query's answer, of which one dimension is the bracket."""

    def __init__(self, query: Query) -> None:
        self.names = dimensions_of(query)
        closed = _closed(query)
        self.bracket_at = next(at for at, name in enumerate(self.names) if isinstance(closed.get(name), Bracket))
        self.prefix = query.report.prefix if query.is_whole else ""
        self._ranks = {text: rank for rank, text in enumerate(closed[self.names[self.bracket_at]].texts)}
        after = [closed[name].size for name in self.names[self.bracket_at :] if name in closed]
        self.group_max = prod(after)  # datapoints that are the same up to the bracket

    def key(self, datapoint: str) -> Key:
        """Return what a datapoint is sorted by.

        Raises:
            KeyError: it has no bracket at its place.
        """
        parts: list[str | int] = [*datapoint.removeprefix(self.prefix).split(SEPARATOR)]
        if len(parts) != len(self.names) or not datapoint.startswith(self.prefix):
            raise KeyError(datapoint)
        parts[self.bracket_at] = self._ranks[str(parts[self.bracket_at])]
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
            raise QueryError("cursor", problem, "Use the value from the previous page") from error

    def cut(self, query: Query, page: Page) -> Page:
        """Return a page's rows in order, after the query's cursor and up to its limit."""
        after = self.after(query)
        keyed = sorted((self.key(row.datapoint), row) for row in page.aggregates)
        rows = [row for key, row in keyed if after is None or key > after]
        more = page.next is not None or len(rows) > query.limit
        rows = rows[: query.limit]
        return Page(rows, rows[-1].datapoint if more and rows else None, page.totals)


def _by_group(read: Read, query: Query, order: _Order) -> Page:
    """Read a page's worth of groups that are the same up to the bracket, each whole."""
    after = order.after(query)
    # All of a group follows its text and a bar, so the one that the cursor lies in is read from its beginning.
    start = None
    if after is not None:
        start = order.prefix + "".join(f"{part}{SEPARATOR}" for part in after[: order.bracket_at])
    page = read(_changed(query, limit=query.limit + 2 * order.group_max, after=start))
    if page.next is not None:  # the last group may be cut off
        last = order.key(page.aggregates[-1].datapoint)[: order.bracket_at]
        whole = [row for row in page.aggregates if order.key(row.datapoint)[: order.bracket_at] != last]
        page = page._replace(aggregates=whole)
    return order.cut(query, page)


def _by_bracket(read: Read, query: Query, order: _Order) -> Page:
    """Read one bracket after the other, each of every value of what stands before it."""
    after = order.after(query)
    first = order.names[: order.bracket_at + 1]
    totals = read(_changed(query, limit=1, after=None)).totals if query.totals else None
    rows: list[Aggregate] = []
    for values in product(*(_values(query, name) for name in first)):
        text = SEPARATOR.join([*values, *[""] * (len(order.names) - len(values))])
        key = order.key(order.prefix + text)[: len(values)]
        if after is not None and key < after[: len(values)]:
            continue
        within = query.after if after is not None and key == after[: len(values)] else None
        filters = query.filters | {name: frozenset({value}) for name, value in zip(first, values, strict=True)}
        limit = query.limit + 1 - len(rows)
        rows += read(_changed(query, filters=filters, limit=limit, after=within, totals=False)).aggregates
        if len(rows) > query.limit:
            return Page(rows[: query.limit], rows[query.limit - 1].datapoint, totals)
    return Page(rows, None, totals)


def _values(query: Query, name: str) -> Iterator[str]:
    dimension = _closed(query)[name]
    texts: Sequence[str] = dimension.texts if isinstance(dimension, Bracket) else sorted(dimension.texts)
    wanted = query.filters.get(name)
    return (value for value in texts if wanted is None or value in wanted)


def _changed(query: Query, **changes: object) -> Query:
    return msgspec.structs.replace(query, brackets_by_amount=False, **changes)
