"""What can be asked of a report, and how an answer is cut into pages. Pure."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from tillroll.core import limits
from tillroll.core.report import SEPARATOR, Report
from tillroll.core.spans import SPANS, Span
from tillroll.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tillroll.core.dimension import Window
    from tillroll.core.zone import Zone

Order = Literal["datapoint", "-events", "-amount"]


class Aggregate(NamedTuple):
    """The stored total of one datapoint. `amount` is in cents; `text` is the datapoint that a hash stands for."""

    datapoint: str
    events: int
    amount: int = 0
    text: str | None = None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A question to one report.

    `start` and `stop` are windows of the report (half-open; None is unbounded). `filters` keep the events whose
    dimension has one of the values. `by` rolls the report up to some of its dimensions, in this order, or to one span
    in place of its window, by the clocks of `zone`, or else of the report; empty means all its dimensions. `order` is
    rising code points of the datapoint, or falling events or amounts with ties by datapoint. `after` is the cursor of
    the page before. Amounts that are still being counted are an error where they are asked for, and else 0.
    """

    report: Report
    start: int | None = None
    stop: int | None = None
    filters: dict[str, frozenset[str]] = {}
    by: tuple[str, ...] = ()
    zone: Zone | None = None
    order: Order = "datapoint"
    amounts: bool = False  # whether they are asked for
    limit: int = limits.PAGE_DEFAULT
    after: str | None = None
    brackets_by_amount: bool = False  # in the order datapoint: core.bracket_order sees to it, stores need not
    rolled: bool = False  # datapoints are values alone, without the name of the report, whatever `by` has
    totals: bool = True  # over all pages; may be dear, so whoever turns pages asks for them once

    @property
    def window(self) -> str | None:
        """The name of the report's window, None for a report over all time."""
        return self.report.window.name if self.report.window else None

    @property
    def span(self) -> Span | None:
        """The span that windows are added up to; None when they are told apart, or all added up."""
        return next((SPANS[name] for name in self.by if name in SPANS and name not in self.report.dimensions), None)

    @property
    def is_whole(self) -> bool:
        """Whether the answer's datapoints are the report's own."""
        return not self.rolled and (not self.by or self.by == self.report.dimensions)

    def span_code(self, span: Span, window: int) -> int:
        """Return the code of the span that a window lies in.

        Raises:
            QueryError: the window is not a whole hour by the zone's clocks.
        """
        if self.report.window is None:
            raise ValueError(self.report.name)
        return span.code(self.hour_of(self.report.window, window))

    def hour_of(self, kind: Window, window: int) -> int:
        """Return the first hour of a window by the query's clocks, counted from 1970.

        Raises:
            QueryError: the window is not a whole hour by the zone's clocks.
        """
        first = kind.hour(window)
        hour = first if self.zone is None else self.zone.hour(first)
        if hour is None and self.zone is not None:
            problem = f"in {self.zone.name} the hour {kind.text(window)} of UTC is parts of two hours"
            by = self.span.name if self.span else kind.name
            remedy = (
                f"{self.report.name} counts whole hours of UTC: query in UTC, or a range in which offsets are whole "
                f'hours, or make a report by {by} with zone = "{self.zone.name}"'
            )
            raise QueryError("zone", problem, remedy)
        return first if hour is None else hour


class Totals(NamedTuple):
    """How much matches a query on all its pages together."""

    datapoints: int
    events: int
    amount: int = 0


class Page(NamedTuple):
    """One page of an answer, the cursor of the next (None on the last), and what all pages hold, if it was asked."""

    aggregates: list[Aggregate]
    next: str | None
    totals: Totals | None


class Row(NamedTuple):
    """One cell of a report, as stores hand it to `answer`: its window, and the texts of its other dimensions."""

    window: int
    texts: tuple[str, ...]  # in the order of the report, without the window
    events: int
    amount: int = 0


def dimensions_of(query: Query) -> tuple[str, ...]:
    """Return the dimensions of a query's datapoints, in their order."""
    return query.by or query.report.dimensions


def matches(query: Query, row: Row) -> bool:
    """Tell whether a row lies in the query's range and passes its filters."""
    return _is_in_range(query, row) and all(row.texts[at] in wanted for at, wanted in _filters(query))


def _is_in_range(query: Query, row: Row) -> bool:
    return (query.start is None or row.window >= query.start) and (query.stop is None or row.window < query.stop)


def _filters(query: Query) -> list[tuple[int, frozenset[str]]]:
    """Return for each filter which of a row's texts it is about, and what it lets through."""
    columns = _columns(query.report)
    return [(columns.index(name), wanted) for name, wanted in query.filters.items()]


def _columns(report: Report) -> list[str]:
    """Return the dimensions that a row has the texts of, in their order."""
    return [name for name, each in zip(report.dimensions, report.by, strict=True) if each is not report.window]


def answer(query: Query, rows: Iterable[Row]) -> Page:
    """Return the page that the query asks for out of all rows of its report. The reference for what stores answer."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    label, filters = labels(query), _filters(query)
    for row in rows:
        if _is_in_range(query, row) and all(row.texts[at] in wanted for at, wanted in filters):
            total = totals[label(row)]
            total[0] += row.events
            total[1] += row.amount
    return paginate(query, [aggregate(query, text, events, amount) for text, (events, amount) in totals.items()])


def labels(query: Query) -> Callable[[Row], str]:
    """Return what gives the datapoint, in full, that a row counts for under the query."""
    report, span, columns = query.report, query.span, _columns(query.report)
    times: dict[str, Callable[[int], str]] = {}
    if report.window is not None:
        times[report.window.name] = cache(report.window.text)
    if span is not None:
        times[span.name] = cache(lambda window: span.text(query.span_code(span, window)))
    parts = [(times[name], 0) if name in times else (None, columns.index(name)) for name in dimensions_of(query)]
    before = report.prefix if query.is_whole else ""

    def label(row: Row) -> str:
        return before + SEPARATOR.join([row.texts[at] if time is None else time(row.window) for time, at in parts])

    return label


def aggregate(query: Query, text: str, events: int, amount: int) -> Aggregate:
    """Return the aggregate of a datapoint in full."""
    key = query.report.datapoint(text) if query.is_whole else text
    return Aggregate(key, events, amount, None if key == text else text)


def measure(query: Query, aggregate: Aggregate | Totals) -> int:
    """Return what the query's order goes by; 0 where it goes by datapoints."""
    match query.order:
        case "datapoint":
            return 0
        case "-events":
            return aggregate.events
        case "-amount":
            return aggregate.amount


def paginate(query: Query, aggregates: list[Aggregate]) -> Page:
    """Return the page that the query asks for out of everything that matches it, given in any order."""
    totals = None
    if query.totals:
        totals = Totals(
            len(aggregates), sum(each.events for each in aggregates), sum(each.amount for each in aggregates)
        )
    aggregates.sort(key=lambda each: (-measure(query, each), each.datapoint))
    if query.after is not None:
        least, datapoint = after_of(query, query.after)
        aggregates = [each for each in aggregates if (-measure(query, each), each.datapoint) > (-least, datapoint)]
    page = aggregates[: query.limit]
    return Page(page, cursor(query, page[-1]) if len(aggregates) > len(page) and page else None, totals)


def after_of(query: Query, after: str) -> tuple[int, str]:
    """Return the measure and the datapoint that a cursor names. The inverse of `cursor`."""
    if query.order == "datapoint":
        return 0, after
    least, _, datapoint = after.partition(SEPARATOR)
    return int(least), datapoint


def cursor(query: Query, last: Aggregate) -> str:
    """Return the cursor of the page after the one that ends with this aggregate."""
    return last.datapoint if query.order == "datapoint" else f"{measure(query, last)}{SEPARATOR}{last.datapoint}"


MEASURES: Final = ("events", "amount", "average")
DEFAULT_MEASURES: Final = MEASURES[:1]


def measured(of: Aggregate | Totals, measures: Sequence[str]) -> list[int]:
    """Return the measures of an aggregate or of totals: how many events, their amount in cents, or the average."""
    values = {"events": of.events, "amount": of.amount, "average": average(of.events, of.amount)}
    return [values[name] for name in measures]


def aggregate_object(aggregate: Aggregate, measures: Sequence[str]) -> dict[str, str | int]:
    """Return an aggregate as a JSON object: in the report frontend's own format when `events` alone is asked for."""
    found: dict[str, str | int] = {"datapoint": aggregate.datapoint}
    found.update(zip(measures, measured(aggregate, measures), strict=True))
    return found if aggregate.text is None else found | {"text": aggregate.text}


def average(events: int, amount: int) -> int:
    """Return the average amount in cents, rounded half up."""
    return (2 * amount + events) // (2 * events) if events else 0
