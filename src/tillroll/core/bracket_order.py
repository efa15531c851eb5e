"""Pages in the order that people expect: as datapoints, but brackets by their amounts. Pure.

Stores answer by code points, where `100-500` comes before `50-100`. Here their pages are put in order without reading
much more than a page: datapoints that are the same up to their bracket are few.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.core import limits
from tillroll.core.dimension import Bracket, Closed
from tillroll.core.query import Page, dimensions_of
from tillroll.core.report import SEPARATOR
from tillroll.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tillroll.core.query import Aggregate, Query

    Read = Callable[[Query], Page]  # as Aggregates.page
    Key = tuple[str | int, ...]

_AFTER_SEPARATOR: Final = chr(ord(SEPARATOR) + 1)
_AFTER_HASHES: Final = "$"  # behind `#`, with which a hash begins, and before all that a closed dimension's texts do


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
        self.report = query.report
        self.prefix = query.report.prefix if query.is_whole else ""
        self._ranks = {text: rank for rank, text in enumerate(closed[self.names[self.bracket_at]].texts)}
        after = [closed[name].size for name in self.names[self.bracket_at :] if name in closed]
        self.group_max = prod(after)  # datapoints that are the same up to the bracket

    def key(self, datapoint: str) -> Key:
        """Return what a datapoint is sorted by: one that stands under its hash by that.

        Raises:
            KeyError: it has no bracket at its place.
        """
        if self.is_hashed(datapoint):
            hashed = datapoint.removeprefix(self.prefix)
            return (-1, hashed) if self.bracket_at == 0 else (hashed,)
        parts: list[str | int] = [*datapoint.removeprefix(self.prefix).split(SEPARATOR)]
        if len(parts) != len(self.names) or not datapoint.startswith(self.prefix):
            raise KeyError(datapoint)
        parts[self.bracket_at] = self._ranks[str(parts[self.bracket_at])]
        return tuple(parts)

    def is_hashed(self, datapoint: str) -> bool:
        """Tell whether a datapoint stands under its hash, which comes before all brackets."""
        return bool(self.prefix) and self.report.is_hashed(datapoint)

    def group(self, datapoint: str) -> Key:
        """Return what datapoints have in common that are the same up to the bracket."""
        key = self.key(datapoint)
        return key if self.is_hashed(datapoint) else key[: self.bracket_at]

    def behind(self, datapoint: str) -> str:
        """Return the cursor after all that is in the group of a datapoint, where its group is not all."""
        if self.is_hashed(datapoint):
            return datapoint
        return self.prefix + SEPARATOR.join(map(str, self.group(datapoint))) + _AFTER_SEPARATOR

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
    """Read a page's worth of groups that are the same up to the bracket, and of one that is larger its brackets."""
    after = order.after(query)
    totals = read(_changed(query, limit=1, after=None)).totals if query.totals else None
    rows: list[Aggregate] = []
    start = query.after
    if query.after is not None and not order.is_hashed(query.after):
        rows = _of_group(read, query, order, order.group(query.after), after, query.limit + 1)
        start = order.behind(query.after)
    while len(rows) <= query.limit and start != order.prefix + _AFTER_SEPARATOR:
        page = read(_changed(query, limit=query.limit + 1, after=start, totals=False))
        whole = page.aggregates
        if page.next is not None:
            last = order.group(whole[-1].datapoint)
            whole = [row for row in whole if order.group(row.datapoint) != last]
            if not whole:
                rows += _of_group(read, query, order, last, None, query.limit + 1 - len(rows))
                break
            start = order.behind(whole[-1].datapoint)
        rows += sorted(whole, key=lambda row: order.key(row.datapoint))
        if page.next is None:
            break
    return Page(rows[: query.limit], rows[query.limit - 1].datapoint if len(rows) > query.limit else None, totals)


def _of_group(read: Read, query: Query, order: _Order, group: Key, after: Key | None, limit: int) -> list[Aggregate]:
    """Read the first of a group after a key: one bracket after the other."""
    names = order.names[: order.bracket_at + 1]
    rows: list[Aggregate] = []
    for value in _values(query, names[-1]):
        texts = (*map(str, group), value)
        key = order.key(order.prefix + SEPARATOR.join([*texts, *[""] * (len(order.names) - len(texts))]))[: len(names)]
        if after is not None and key < after[: len(names)]:
            continue
        within = query.after if after is not None and key == after[: len(names)] else order.prefix + _AFTER_HASHES
        filters = query.filters | {name: frozenset({text}) for name, text in zip(names, texts, strict=True)}
        rows += read(_changed(query, filters=filters, limit=limit - len(rows), after=within, totals=False)).aggregates
        if len(rows) >= limit:
            break
    return rows


def _values(query: Query, name: str) -> Iterator[str]:
    wanted = query.filters.get(name)
    return (value for value in _closed(query)[name].texts if wanted is None or value in wanted)


def _changed(query: Query, **changes: object) -> Query:
    return msgspec.structs.replace(query, brackets_by_amount=False, **changes)
