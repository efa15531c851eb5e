"""One page of a report out of segments and the tail: no datapoint is made that the page does not show."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from functools import lru_cache, partial
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Final

from tillroll.core import kernel
from tillroll.core.clocks import UTC_CLOCKS
from tillroll.core.query import Page, Query, Totals, after_of, aggregate, cursor
from tillroll.core.report import SEPARATOR
from tillroll.core.selection import By, Cut, Shape
from tillroll.stores.sqlite.days import DAY_HOURS
from tillroll.stores.sqlite.layout import layout_of
from tillroll.stores.sqlite.segments import Segments, Window, sum_rows, together
from tillroll.stores.sqlite.sparse import Few, by_window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tillroll.stores.sqlite.days import Days
    from tillroll.stores.sqlite.merchants import Merchants
    from tillroll.stores.sqlite.segment_rows import SegmentRow

_ALL_TIME: Final = 0
_WINDOW, _OPEN = "\0", "\1"  # stand for a window and an open dimension in a datapoint's text
_ROWS_AT_ONCE: Final = 16_384  # segments that are held before they are added up
_window_of: Final = attrgetter("window")
_WORD: Final = (1 << 64) - 1
_WIDE: Final = (1 << 128) - 1
_ORDERS: Final = {"datapoint": By.DATAPOINT, "-events": By.EVENTS, "-amount": By.AMOUNT}


class Pager:
    """Answers one query. Use within the reader's transaction."""

    def __init__(self, query: Query, merchants: Merchants, segments: Segments, days: Days, tail: Few) -> None:
        self._query = query
        self._report = query.report
        self._window = query.window
        self._by = query.by or query.report.dimensions
        self._prefix = query.report.prefix if query.is_whole else ""
        self._layout = layout_of(query.report)
        self._span = query.span
        # Whether later windows are in later groups. A zone's clocks may be put back over midnight.
        clocks = self._report.window.clocks if self._report.window else UTC_CLOCKS
        self._in_time = self._span is None or (self._span.rises and query.zone is None and clocks.is_utc)
        self._segments = segments
        self._days = days
        self._tail = tail
        self._wanted = _wanted_merchants(query, merchants)
        self._selection = kernel.Selection(
            merchants.names,
            merchants.known if self._report.opens else 0,
            Shape(
                self._layout.size,
                self._layout.step,
                any(dimension.name in self._by for dimension in self._report.opens),
            ),
            self._targets(),
            self._wanted,
            Cut(query.limit + 1, _ORDERS[query.order], _after(query)),
        )

    def page(self) -> Page:
        """Return the page."""
        query, selection = self._query, self._selection
        if self._wanted is None or self._wanted:
            by_window = self._pages_are_by_window
            groups = self._groups(self._first_window())
            for group in groups if self._in_time else self._joined(groups):
                selection.add(self._key_text(group.window), *group[1:])
                if by_window and len(selection) > query.limit:
                    break
        found = [aggregate(query, *one) for one in selection.best()]
        more, page = len(found) > query.limit, found[: query.limit]
        totals = Totals(*selection.totals()) if query.totals else None
        return Page(page, cursor(query, page[-1]) if more and page else None, totals)

    @property
    def _pages_are_by_window(self) -> bool:
        """Whether nothing of a window is asked for once a page is full of earlier ones."""
        first = self._span.name if self._span and self._in_time else self._window
        window = self._report.window
        by_window = window is not None and self._by[0] == first and (self._span is not None or window.texts_rise)
        return by_window and self._query.order == "datapoint" and not self._query.totals

    def _first_window(self) -> int | None:
        """Return the first window that has anything on the page, as far as the cursor tells."""
        query = self._query
        if not self._pages_are_by_window or query.after is None or self._by[0] != self._window:
            return query.start
        text = query.after.removeprefix(self._prefix).partition(SEPARATOR)[0]
        window = self._report.window.parse(text) if self._report.window else None
        return query.start if window is None or (query.start is not None and query.start > window) else window

    def _key_text(self, key: int) -> bytes:
        """Return the text of a window, or of a span's code."""
        if self._report.window is None:
            return b""
        return (self._span.text(key) if self._span else self._report.window.text(key)).encode()

    def _targets(self) -> list[tuple[bytes, bytes, array[int]]]:
        """Return the kernel's targets: the aggregates of one merchant and window, and the codes that are added up."""
        filters = self._query.filters
        opens = {dimension.name: _OPEN for dimension in self._report.opens}
        targets: dict[str, list[int]] = {}
        for code in range(self._layout.step):
            texts = self._report.inner_texts(code)
            if all(text in filters.get(name, (text,)) for name, text in texts.items()):
                text = self._prefix + SEPARATOR.join((texts | opens).get(name, _WINDOW) for name in self._by)
                targets.setdefault(text, []).append(code)
        return [
            (before.encode(), after.encode(), array("I", codes))
            for text, codes in targets.items()
            for before, _, after in [text.partition(_OPEN)]
        ]

    # Segments and tail, grouped.

    def _groups(self, start: int | None) -> Iterator[Window]:
        """Yield what the query tells apart by window, by rising window."""
        query, report = self._query, self._report
        tail = _by_window(self._tail, start, query.stop)
        if self._is_by_days:
            both = merge(self._added_days(), self._added(tail), key=itemgetter(0))
        else:
            parts = None if self._wanted is None else {number // self._layout.values for number in self._wanted}
            rows, few = self._segments.stored(report, start, query.stop, parts)
            both = merge(self._added_rows(rows), self._added(merge(few, tail, key=itemgetter(0))), key=itemgetter(0))
        for key, groups in groupby(both, key=itemgetter(0)):
            yield together(key, list(groups))

    @property
    def _is_by_days(self) -> bool:
        """Whether the answer is added up of whole days of a report by hours that has small segments.

        Of part of the time only where all of it is held: beside traffic nothing is, and reading all would take longer.
        """
        query, window, span = self._query, self._report.window, self._span
        if window is None or window.unit_hours > 1 or self._report.opens or span is None or not span.rises:
            return False
        bounds = [bound for bound in (query.start, query.stop) if bound is not None]
        in_utc = query.zone is None and window.clocks.is_utc
        whole = in_utc and all(window.hour(bound) % DAY_HOURS == 0 for bound in bounds)
        return not bounds or (whole and self._days.held(self._report, "") is not None)

    def _added_days(self) -> Iterator[Window]:
        query, report, span, window = self._query, self._report, self._span, self._report.window
        if span is None or window is None:
            raise ValueError(report.name)
        zone = query.zone
        hour = window.hour if zone is None else partial(query.hour_of, window)
        days = self._days.read(self._segments, report, "" if zone is None else zone.name, hour)
        first = 0 if query.start is None else bisect_left(days, window.hour(query.start) // DAY_HOURS, key=_window_of)
        last = None if query.stop is None else bisect_left(days, window.hour(query.stop) // DAY_HOURS, key=_window_of)
        for key, some in groupby(days[first:last], key=lambda day: span.code(DAY_HOURS * day.window)):
            yield together(key, list(some))

    def _added_rows(self, rows: Iterator[SegmentRow]) -> Iterator[Window]:
        for key, some in groupby(rows, key=self._group_key(itemgetter(0))):
            held = list(islice(some, _ROWS_AT_ONCE))
            while more := list(islice(some, _ROWS_AT_ONCE)):
                held = sum_rows(held + more, self._layout.size)
            yield Window.of_rows(key, held)

    def _added(self, windows: Iterator[Window]) -> Iterator[Window]:
        for key, some in groupby(windows, key=self._group_key(itemgetter(0))):
            group = Window.nothing(key)
            for one in some:
                group.extend(one)
            yield group

    def _group_key(self, window_of: Callable[[Any], int]) -> Callable[[Any], int]:
        """Return a function of what lies in a window, to the key of the group that the query adds it up to."""
        query, span, window = self._query, self._span, self._report.window
        if span is not None and window is not None and query.zone is None and span.rises:
            hour, code = window.hour, lru_cache(maxsize=2)(lambda day: span.code(24 * day))  # a span has whole days
            return lambda one: code(hour(window_of(one)) // 24)
        if span is not None:
            return lambda one: query.span_code(span, window_of(one))
        told_apart = self._window is None or self._window in self._by
        return window_of if told_apart else lambda _: _ALL_TIME

    def _joined(self, groups: Iterator[Window]) -> Iterator[Window]:
        """Yield the groups of each key as one, of windows that come in no order of keys."""
        joined: dict[int, Window] = {}
        for group in groups:
            held = joined.setdefault(group.window, Window.nothing(group.window))
            held.extend(group)
            if len(held.rows) >= _ROWS_AT_ONCE:
                held.rows[:] = sum_rows(held.rows, self._layout.size)
        yield from joined.values()


def _wanted_merchants(query: Query, merchants: Merchants) -> array[int] | None:
    names = next((query.filters[each.name] for each in query.report.opens if each.name in query.filters), None)
    if names is None:
        return None
    numbers = [merchants.find(name) for name in names]
    return array("I", sorted(number for number in numbers if number is not None))


def _by_window(tail: Few, start: int | None, stop: int | None) -> Iterator[Window]:
    """Yield the counts of each window of a range."""
    first = 0 if start is None else bisect_left(tail.windows, start)
    last = None if stop is None else bisect_left(tail.windows, stop)
    for counts in by_window(Few(*(column[first:last] for column in tail))):
        yield Window(counts.windows[0], [], *counts[1:])


def _after(query: Query) -> tuple[int, int, bytes] | None:
    """Return the cursor as the kernel takes it."""
    if query.after is None:
        return None
    least, datapoint = after_of(query, query.after)
    least = min(max(least, 0), _WIDE)
    return least & _WORD, least >> 64, datapoint.encode("utf-8", "surrogatepass")
