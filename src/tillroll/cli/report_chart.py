"""A report drawn: stacks by bracket over time, bars for what has no time, a sparkline beside each merchant."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from tillroll.cli.charts import COLOURS, bar, draws_blocks, grid, legend, sparkline, squeezed, stack, stack_marks
from tillroll.cli.output import measure_text
from tillroll.core import limits
from tillroll.core.bracket_order import read_page, read_pages
from tillroll.core.dimension import Bracket
from tillroll.core.query import Aggregate, Page, Query, measured
from tillroll.core.report import SEPARATOR
from tillroll.core.spans import day_text, parse_day
from tillroll.core.text import visible
from tillroll.errors import ConfigError
from tillroll.ports import Store

_ROWS = 20  # of bars, unless more are asked for
_HOURS_MAX = 72  # drawn one by one; a longer range is drawn by day
_BAR_MIN = 10
_SPARKLINE = 30


def has_own_order(query: Query) -> bool:
    """Tell whether a query is drawn by time, or by merchants with their days, whatever order it asks for."""
    return bool(_stacked(query)) or _has_days_of_merchants(query)


def _stacked(query: Query) -> tuple[str, ...]:
    """Return the brackets that are stacked for each hour, or day; none where a query is not drawn so."""
    if query.by or query.window != "hour":
        return ()
    brackets = next((each.texts for each in query.report.closed if isinstance(each, Bracket)), ())
    return brackets if len(brackets) <= len(COLOURS) else ()


def _has_days_of_merchants(query: Query) -> bool:
    return not query.by and query.window == "day" and "merchant" in query.report.dimensions


def draw(console: Console, store: Store, query: Query, limit: int | None, measures: Sequence[str]) -> None:
    """Draw what matches a query. A report by hour and bracket becomes a stack for each hour, or day of a long range.

    Raises:
        ConfigError: there are several measures, or one that does not add up to what is drawn.
    """
    if len(measures) > 1:
        raise ConfigError("--measures", "a chart draws one of them", f"Give one of {', '.join(measures)}")
    (measure,) = measures
    if measure == "average" and has_own_order(query):
        problem = "averages do not add up to days, nor to stacks"
        raise ConfigError("--measures", problem, "Give events or amount, or roll up by --by")
    console.print(query.report.title if measure == "events" else f"{query.report.title}: {measure} in euro")
    if brackets := _stacked(query):
        _draw_time(console, store, query, limit, brackets, measure)
    elif _has_days_of_merchants(query):
        _draw_merchants(console, store, query, min(limit or _ROWS, limits.PAGE_MAX), measure)
    else:
        _draw_bars(console, store, query, limit or _ROWS, measure)


def _draw_time(
    console: Console, store: Store, query: Query, limit: int | None, brackets: Sequence[str], measure: str
) -> None:
    wide = query.start is None or query.stop is None or query.stop - query.start > _HOURS_MAX
    unit = "day" if wide else "hour"
    query = msgspec.structs.replace(query, by=(unit, "bracket"), order="datapoint")
    rows: dict[str, dict[str, int]] = {}
    for each in _everything(store, query):
        window, _, bracket = each.datapoint.partition(SEPARATOR)
        rows.setdefault(window, {})[bracket] = _value(each, measure)
    if limit is not None:
        rows = {window: rows[window] for window in list(rows)[-limit:]}
    marks = stack_marks(console)
    largest = max((sum(parts.values()) for parts in rows.values()), default=0)
    width = _bar_width(console, 28)
    lines = grid("left", "right", "left")
    for window, parts in rows.items():
        text = measure_text(measure, sum(parts.values()))
        lines.add_row(window, text, stack(parts, brackets, largest, width, marks))
    console.print(lines)
    console.print(legend(brackets, marks))


def _draw_merchants(console: Console, store: Store, query: Query, limit: int, measure: str) -> None:
    """Draw the merchants with most, each with its days as a sparkline."""
    page = store.page(msgspec.structs.replace(query, by=("merchant",), order=f"-{measure}", limit=limit))
    days: dict[str, dict[int, int]] = defaultdict(dict)
    names = [aggregate.datapoint for aggregate in page.aggregates]
    for start in range(0, len(names), limits.FILTER_VALUES_MAX):
        filters = {**query.filters, "merchant": frozenset(names[start : start + limits.FILTER_VALUES_MAX])}
        by_day = msgspec.structs.replace(query, filters=filters, by=("day", "merchant"), order="datapoint")
        for each in _everything(store, by_day):
            day, _, merchant = each.datapoint.partition(SEPARATOR)
            days[merchant][parse_day(day) or 0] = _value(each, measure)
    seen = [day for counts in days.values() for day in counts]
    first, last = min(seen, default=0), max(seen, default=-1)
    lines = {
        merchant: squeezed([counts.get(day, 0) for day in range(first, last + 1)], _SPARKLINE)
        for merchant, counts in days.items()
    }
    _print_bars(console, page.aggregates, lines, measure)
    if seen:
        console.print(f"by day from {day_text(first)} to {day_text(last)}")
    _tell_more(page)


def _draw_bars(console: Console, store: Store, query: Query, limit: int, measure: str) -> None:
    page = read_page(store.page, msgspec.structs.replace(query, limit=min(limit, limits.PAGE_MAX)))
    _print_bars(console, page.aggregates, {}, measure)
    _tell_more(page)


def _value(aggregate: Aggregate, measure: str) -> int:
    (value,) = measured(aggregate, (measure,))
    return value


def _tell_more(page: Page) -> None:
    if page.next is not None:
        typer.echo(f"{len(page.aggregates):,} shown, --limit shows more", err=True)


def _print_bars(
    console: Console, aggregates: Sequence[Aggregate], lines: Mapping[str, list[int]], measure: str
) -> None:
    blocks = draws_blocks(console)
    values = [_value(each, measure) for each in aggregates]
    label = max((len(each.datapoint) for each in aggregates), default=0)
    width = _bar_width(console, label + 16 + (_SPARKLINE if lines else 0))
    rows = grid("left", "right", "left", "left")
    for (datapoint, *_), value in zip(aggregates, values, strict=True):
        drawn = Text(bar(value, max(values), width, blocks=blocks), style="cyan")
        rows.add_row(
            visible(datapoint), measure_text(measure, value), drawn, sparkline(lines.get(datapoint, []), blocks=blocks)
        )
    console.print(rows)


def _bar_width(console: Console, taken: int) -> int:
    return max(_BAR_MIN, min(console.width, 120) - taken)


def _everything(store: Store, query: Query) -> Iterator[Aggregate]:
    """Yield all that matches a query, by code points."""
    for page in read_pages(store.page, msgspec.structs.replace(query, totals=False, brackets_by_amount=False)):
        yield from page.aggregates
