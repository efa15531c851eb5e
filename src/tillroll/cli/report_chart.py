"""A report drawn: stacks by bracket over time, bars for what has no time, a sparkline beside each merchant."""

from collections import defaultdict
from collections.abc import Iterator

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from tillroll.cli.charts import bar, draws_blocks, grid, legend, sparkline, squeezed, stack, stack_marks
from tillroll.core import limits
from tillroll.core.bracket_order import read_page, read_pages
from tillroll.core.dimension import BRACKETS
from tillroll.core.query import Aggregate, Page, Query
from tillroll.core.report import SEPARATOR
from tillroll.core.spans import day_text, parse_day
from tillroll.ports import Store

_ROWS = 20  # of bars, unless more are asked for
_HOURS_MAX = 72  # drawn one by one; a longer range is drawn by day
_BAR_MIN = 10
_SPARKLINE = 30


def has_own_order(query: Query) -> bool:
    """Tell whether a query is drawn by time, or by merchants with their days, whatever order it asks for."""
    return query.report.window is not None and not query.by


def draw(console: Console, store: Store, query: Query, limit: int | None) -> None:
    """Draw what matches a query. A report by hour and bracket becomes a stack for each hour, or day of a long range."""
    console.print(query.report.title)
    if query.window == "hour" and not query.by:
        _draw_time(console, store, query, limit)
    elif query.window == "day" and not query.by:
        _draw_merchants(console, store, query, min(limit or _ROWS, limits.PAGE_MAX))
    else:
        _draw_bars(console, store, query, limit or _ROWS)


def _draw_time(console: Console, store: Store, query: Query, limit: int | None) -> None:
    wide = query.start is None or query.stop is None or query.stop - query.start > _HOURS_MAX
    unit = "day" if wide else "hour"
    query = msgspec.structs.replace(query, by=(unit, "bracket"), order="datapoint")
    rows: dict[str, dict[str, int]] = {}
    for datapoint, events, *_ in _everything(store, query):
        window, _, bracket = datapoint.partition(SEPARATOR)
        rows.setdefault(window, {})[bracket] = events
    if limit is not None:
        rows = {window: rows[window] for window in list(rows)[-limit:]}
    marks = stack_marks(console)
    largest = max((sum(parts.values()) for parts in rows.values()), default=0)
    width = _bar_width(console, 28)
    lines = grid("left", "right", "left")
    for window, parts in rows.items():
        events = sum(parts.values())
        lines.add_row(window, f"{events:,}", stack(parts, BRACKETS, largest, width, marks))
    console.print(lines)
    console.print(legend(BRACKETS, marks))


def _draw_merchants(console: Console, store: Store, query: Query, limit: int) -> None:
    """Draw the busiest merchants, each with its days as a sparkline."""
    page = store.page(msgspec.structs.replace(query, by=("merchant",), order="-events", limit=limit))
    busiest = page.aggregates
    days: dict[str, dict[int, int]] = defaultdict(dict)
    names = [aggregate.datapoint for aggregate in busiest]
    for start in range(0, len(names), limits.FILTER_VALUES_MAX):
        chosen = frozenset(names[start : start + limits.FILTER_VALUES_MAX])
        for datapoint, events, *_ in _everything(
            store, msgspec.structs.replace(query, filters={**query.filters, "merchant": chosen}, order="datapoint")
        ):
            day, _, merchant = datapoint.partition(SEPARATOR)
            days[merchant][parse_day(day) or 0] = events
    seen = [day for counts in days.values() for day in counts]
    first, last = min(seen, default=0), max(seen, default=-1)
    _print_bars(
        console,
        busiest,
        {
            merchant: squeezed([counts.get(day, 0) for day in range(first, last + 1)], _SPARKLINE)
            for merchant, counts in days.items()
        },
    )
    if seen:
        console.print(f"by day from {day_text(first)} to {day_text(last)}")
    _tell_more(page)


def _draw_bars(console: Console, store: Store, query: Query, limit: int) -> None:
    page = read_page(store.page, msgspec.structs.replace(query, limit=min(limit, limits.PAGE_MAX)))
    _print_bars(console, page.aggregates, {})
    _tell_more(page)


def _tell_more(page: Page) -> None:
    if page.next is not None:
        typer.echo(f"{len(page.aggregates):,} shown, --limit shows more", err=True)


def _print_bars(console: Console, aggregates: list[Aggregate], lines: dict[str, list[int]]) -> None:
    blocks = draws_blocks(console)
    largest = max((aggregate.events for aggregate in aggregates), default=0)
    label = max((len(aggregate.datapoint) for aggregate in aggregates), default=0)
    width = _bar_width(console, label + 16 + (_SPARKLINE if lines else 0))
    rows = grid("left", "right", "left", "left")
    for datapoint, events, *_ in aggregates:
        drawn = Text(bar(events, largest, width, blocks=blocks), style="cyan")
        rows.add_row(datapoint, f"{events:,}", drawn, sparkline(lines.get(datapoint, []), blocks=blocks))
    console.print(rows)


def _bar_width(console: Console, taken: int) -> int:
    return max(_BAR_MIN, min(console.width, 120) - taken)


def _everything(store: Store, query: Query) -> Iterator[Aggregate]:
    """Yield all that matches a query, by code points."""
    for page in read_pages(store.page, msgspec.structs.replace(query, totals=False, brackets_by_amount=False)):
        yield from page.aggregates
