"""What can be asked of a report, and how an answer is cut into pages. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from tillroll.core import limits
from tillroll.core.dimension import BRACKETS
from tillroll.core.limits import METHODS
from tillroll.core.report import SEPARATOR, DimensionName, Report, window_text
from tillroll.core.spans import SPANS, Span
from tillroll.core.zone import HOUR_S, Zone
from tillroll.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable

Order = Literal["datapoint", "-events"]
ByName = DimensionName | Literal["week", "month", "weekday", "hour-of-day"]


class Aggregate(NamedTuple):
    """The stored total of one datapoint: the report frontend's own format."""

    datapoint: str
    events: int


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A question to one report.

    `start` and `stop` are windows of the report (half-open; None is unbounded). `filters` keep the events whose
    dimension has one of the values. `by` rolls the report up to some of its dimensions, in this order, or to one span
    in place of its window, by the clocks of `zone`, or else of UTC; empty means all its dimensions. `order` is rising
    code points of the datapoint, or falling events with ties by datapoint. `after` is the cursor of the page before.
    """

    report: Report
    start: int | None = None
    stop: int | None = None
    filters: dict[DimensionName, frozenset[str]] = {}
    by: tuple[ByName, ...] = ()
    zone: Zone | None = None
    order: Order = "datapoint"
    limit: int = limits.PAGE_DEFAULT
    after: str | None = None
    brackets_by_amount: bool = False  # in the order datapoint: core.bracket_order sees to it, stores need not
    totals: bool = True  # over all pages; may be dear, so whoever turns pages asks for them once

    @property
    def span(self) -> Span | None:
        """The span that windows are added up to; None when they are told apart, or all added up."""
        return next((SPANS[name] for name in self.by if name in SPANS and name != self.report.window), None)

    def span_code(self, span: Span, window: int) -> int:
        """Return the code of the span that a window lies in.

        Raises:
            QueryError: the window is not a whole hour by the zone's clocks.
        """
        first = window * self.report.window_s // HOUR_S
        hour = first if self.zone is None else self.zone.hour(first)
        if hour is None and self.zone is not None:
            problem = f"in {self.zone.name} the hour {window_text(HOUR_S, first)} of UTC is parts of two hours"
            remedy = (
                f"{self.report.name} counts whole hours of UTC: ask in UTC, or for a time when offsets are whole hours"
            )
            raise QueryError("zone", problem, remedy)
        return span.code(first if hour is None else hour)


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


def dimensions_of(query: Query) -> tuple[ByName, ...]:
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
    span = query.span
    texts: dict[str | None, str] = {
        "bracket": BRACKETS[row.bracket],
        "method": METHODS[row.method],
        "merchant": row.merchant,
        query.report.window: window_text(query.report.window_s, row.window) if query.report.window else "",
    }
    if span is not None:
        texts[span.name] = span.text(query.span_code(span, row.window))
    return SEPARATOR.join(texts[name] for name in dimensions_of(query))


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
