"""What can be asked of a report, and how an answer is cut into pages. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from tillroll.core import limits
from tillroll.core.dimension import BRACKETS
from tillroll.core.limits import METHODS
from tillroll.core.report import SEPARATOR, DimensionName, Report, window_text

if TYPE_CHECKING:
    from collections.abc import Iterable

Order = Literal["datapoint", "-events"]
DAY_S: Final = 86_400


class Aggregate(NamedTuple):
    """The stored total of one datapoint: the report frontend's own format."""

    datapoint: str
    events: int


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A question to one report.

    `start` and `stop` are windows of the report (half-open; None is unbounded). `filters` keep the events whose
    dimension has one of the values. `by` rolls the report up to some of its dimensions, in this order; an hour report
    may be rolled up by day; empty means all its dimensions. `order` is rising code points of the datapoint, or falling
    events with ties by datapoint. `after` is the cursor of the page before.
    """

    report: Report
    start: int | None = None
    stop: int | None = None
    filters: dict[DimensionName, frozenset[str]] = {}
    by: tuple[DimensionName, ...] = ()
    order: Order = "datapoint"
    limit: int = limits.PAGE_DEFAULT
    after: str | None = None
    brackets_by_amount: bool = False  # in the order datapoint: core.bracket_order sees to it, stores need not
    totals: bool = True  # over all pages; may be dear, so whoever turns pages asks for them once


class Totals(NamedTuple):
    """How much matches a query on all its pages together."""

    datapoints: int
    events: int


class Page(NamedTuple):
    """One page of an answer, the cursor of the next (None on the last), and what all pages hold, if it was asked."""

    aggregates: list[Aggregate]
    next: str | None
    totals: Totals | None


class Row(NamedTuple):
    """One aggregate by its coordinates, as stores hand them to `answer`. What a report does not count by is 0 or ""."""

    window: int
    bracket: int
    method: int
    merchant: str
    events: int


def dimensions_of(query: Query) -> tuple[DimensionName, ...]:
    """Return the dimensions of a query's datapoints, in their order."""
    return query.by or query.report.dimensions


def matches(query: Query, row: Row) -> bool:
    """Tell whether a row lies in the query's range and passes its filters."""
    if query.start is not None and row.window < query.start:
        return False
    if query.stop is not None and row.window >= query.stop:
        return False
    values = {"bracket": BRACKETS[row.bracket], "method": METHODS[row.method], "merchant": row.merchant}
    return all(values[dimension] in wanted for dimension, wanted in query.filters.items())


def answer(query: Query, rows: Iterable[Row]) -> Page:
    """Return the page that the query asks for out of all rows of its report. The reference for what stores answer."""
    totals: dict[str, int] = defaultdict(int)
    for row in rows:
        if matches(query, row):
            totals[label(query, row)] += row.events
    return paginate(query, [Aggregate(key, events) for key, events in totals.items()])


def label(query: Query, row: Row) -> str:
    """Return the datapoint that a row counts for under the query: of the report's dimensions, or of those in `by`."""
    parts = []
    for dimension in dimensions_of(query):
        match dimension:
            case "bracket":
                parts.append(BRACKETS[row.bracket])
            case "method":
                parts.append(METHODS[row.method])
            case "merchant":
                parts.append(row.merchant)
            case "day":
                parts.append(window_text(DAY_S, row.window * query.report.window_s // DAY_S))
            case "hour":
                parts.append(window_text(query.report.window_s, row.window))
    return SEPARATOR.join(parts)


def paginate(query: Query, aggregates: list[Aggregate]) -> Page:
    """Return the page that the query asks for out of everything that matches it, given in any order."""
    totals = Totals(len(aggregates), sum(aggregate.events for aggregate in aggregates)) if query.totals else None
    if query.order == "datapoint":
        aggregates.sort()
        if query.after is not None:
            aggregates = [aggregate for aggregate in aggregates if aggregate.datapoint > query.after]
    else:
        aggregates.sort(key=lambda aggregate: (-aggregate.events, aggregate.datapoint))
        if query.after is not None:
            events, _, datapoint = query.after.partition(SEPARATOR)
            after = (-int(events), datapoint)
            aggregates = [x for x in aggregates if (-x.events, x.datapoint) > after]
    page = aggregates[: query.limit]
    return Page(page, cursor(query, page[-1]) if len(aggregates) > len(page) and page else None, totals)


def cursor(query: Query, last: Aggregate) -> str:
    """Return the cursor of the page after the one that ends with this aggregate."""
    return last.datapoint if query.order == "datapoint" else f"{last.events}{SEPARATOR}{last.datapoint}"
