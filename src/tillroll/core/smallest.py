"""The smallest report that can answer: a question of days needs no counters by the hour where a report counts by days.

Pure. The answer is the same, to the datapoint and the cursor; only how many counters are looked at differs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from tillroll.core.clocks import Clocks
from tillroll.core.dimension import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tillroll.core.dimension import Window
    from tillroll.core.query import Query
    from tillroll.core.report import Report
    from tillroll.core.zone import Zone


def smallest(query: Query, reports: Iterable[Report]) -> Query:
    """Return the query, put to the report that has the fewest counters among those that can answer it.

    Such a report has every dimension that is asked for, the same windows or longer ones of the same clocks, and leaves
    out no event that the query's own report counts. A query for a report's own datapoints stays as it is.
    """
    if query.is_whole:
        return query
    found = [other for report in reports if (other := _put_to(report, query)) is not None]
    return min((query, *found), key=lambda each: _size(each.report))


def _size(report: Report) -> tuple[int, float, int]:
    """Return what counters grow with: open dimensions, windows in a time, and closed values."""
    return len(report.opens), report.inner / report.window.unit_hours if report.window else 0.0, report.inner


def _put_to(report: Report, query: Query) -> Query | None:
    """Return the query as another report answers it, None when it cannot, or has no fewer counters."""
    asked = query.report
    keys = {each.key for each in report.by if each is not report.window}
    needed = {each.key for each in asked.by if each is not asked.window and each.name in (*query.filters, *query.by)}
    opens = {each.key for each in report.opens} <= {each.key for each in asked.opens}
    if not (needed <= keys and opens and _size(report) < _size(asked)):
        return None
    filters = _filters(report, query)
    if filters is None:
        return None
    within = query if asked.window is report.window else _within(report.window, asked.window, query)
    return None if within is None else msgspec.structs.replace(within, report=report, filters=filters, rolled=True)


def _filters(report: Report, query: Query) -> dict[str, frozenset[str]] | None:
    """Return filters that keep of a report what `where` of the query's own keeps; None when no filters do."""
    wanted = {each.dimension.key: each.texts for each in query.report.where}
    held = {each.dimension.key: each.texts for each in report.where}
    if any(key not in wanted or not wanted[key] <= texts for key, texts in held.items()):
        return None  # it leaves out some of what is asked for
    names = {each.key: each.name for each in report.by if each is not report.window}
    filters = dict(query.filters)
    for key, texts in wanted.items():
        if held.get(key) == texts:
            continue
        if key not in names:
            return None
        filters[names[key]] = filters.get(names[key], texts) & texts
    return filters


def _within(window: Window | None, asked: Window | None, query: Query) -> Query | None:
    """Return the query with its range in another report's windows, None when these cannot have it."""
    if asked is None:
        return None  # it has windows, and so more counters
    if window is not None and window.key == asked.key:
        return query
    if _is_timeless(query):
        return msgspec.structs.replace(query, zone=None)
    return None if window is None else _by_longer(window, asked, query)


def _by_longer(window: Window, asked: Window, query: Query) -> Query | None:
    span = query.span
    too_long = span is not None and span.name != window.name and span.hours < window.unit_hours
    if too_long or window.unit_hours <= asked.unit_hours or not _same_clocks(window, asked, query.zone):
        return None
    bounds = (query.start, query.stop)
    cuts = [None if at is None else window.cut(asked.begins(at)) for at in bounds]
    if asked.name in query.by or any(cut is None and at is not None for cut, at in zip(cuts, bounds, strict=True)):
        return None
    return msgspec.structs.replace(query, start=cuts[0], stop=cuts[1], zone=None)


def _is_timeless(query: Query) -> bool:
    """Tell whether the answer is the same whatever windows the events lie in."""
    return query.start is None and query.stop is None and query.span is None and query.window not in query.by


def _same_clocks(window: Window, asked: Window, zone: Zone | None) -> bool:
    """Tell whether windows are by the clocks that a query of a report by others names, or else by the report's own."""
    if zone is not None:
        return window.clocks.name == zone.name and window.clocks.key == _clocks_of(zone).key
    shows_hours_twice = asked.unit_hours == HOUR.unit_hours and not asked.clocks.is_utc
    return window.clocks.key == asked.clocks.key and not shows_hours_twice


@lru_cache(maxsize=16)
def _clocks_of(zone: Zone) -> Clocks:
    return Clocks(zone.name, zone.changes())
