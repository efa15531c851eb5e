"""`tillroll top`: watch purchases arrive."""

import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import msgspec
import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tillroll.cli.charts import COLOURS, bar, draws_blocks, grid, sparkline
from tillroll.cli.options import Json, StoreOptions
from tillroll.cli.output import console
from tillroll.core.dimension import BRACKETS
from tillroll.core.limits import METHODS
from tillroll.core.query import Aggregate
from tillroll.core.question import parse_query
from tillroll.core.report import FIVE, SEPARATOR
from tillroll.ports import Store

_KEPT = 60  # looks in the sparklines
_REPORT = FIVE[2]
_BAR = 24


class Sample(NamedTuple):
    """What one look saw. Rejected is None where that is not known."""

    at: float
    events: int
    rejected: int | None
    freshness_ms: float
    aggregates: list[Aggregate]

    def by(self, part: int) -> dict[str, int]:
        """Return events by bracket (part 0) or by method (part 1)."""
        counted: dict[str, int] = {}
        for datapoint, events, *_ in self.aggregates:
            name = datapoint.split(SEPARATOR)[part]
            counted[name] = counted.get(name, 0) + events
        return counted


def run(
    *,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.05, help="Seconds between updates.")
    ] = 1.0,
    count: Annotated[
        int | None, typer.Option("--count", metavar="UPDATES", min=1, help="Stop after this many updates.")
    ] = None,
    where: StoreOptions,
    json: Json = False,
) -> None:
    """Watch purchases arrive: how many a second, by amount bracket and payment method.

    On a terminal until Ctrl-C; otherwise, or with --json, one line an update.
    """
    with where.opened() as store:
        looks = _looks(store, interval, count)
        if json or not sys.stdout.isatty():
            for before, now in looks:
                _write_line(before, now, json=json)
            return
        view = _View()
        with Live(console=console(), auto_refresh=False, screen=False) as live:
            for before, now in looks:
                live.update(view.drawn(before, now), refresh=True)


def _looks(store: Store, interval: float, count: int | None) -> Iterator[tuple[Sample | None, Sample]]:
    """Yield each look with the one before it, at a steady pace."""
    before = None
    due = time.monotonic()
    seen = 0
    while count is None or seen < count:
        time.sleep(max(0.0, due - time.monotonic()))
        due += interval
        now = _look(store)
        yield before, now
        before = now
        seen += 1


def _look(store: Store) -> Sample:
    status = store.status()
    at = time.time()
    page = store.page(parse_query(_REPORT, {}))
    fresh = 0.0 if status.unfolded_since is None else 1_000 * (at - status.unfolded_since)
    events = sum(aggregate.events for aggregate in page.aggregates)
    return Sample(at, events, status.rejected, fresh, page.aggregates)


def _rate(before: Sample | None, now: Sample) -> float:
    if before is None or now.at <= before.at:
        return 0.0
    return (now.events - before.events) / (now.at - before.at)


def _write_line(before: Sample | None, now: Sample, *, json: bool) -> None:
    rate = _rate(before, now)
    if json:
        fields: dict[str, object] = {
            "at": now.at,
            "events": now.events,
            "rate": round(rate, 1),
            "rejected": now.rejected,
        }
        fields |= {"rejected": now.rejected, "freshness_ms": now.freshness_ms}
        fields |= {"brackets": now.by(0), "methods": now.by(1)}
        typer.echo(msgspec.json.encode(fields).decode())
    else:
        clock = time.strftime("%H:%M:%S", time.gmtime(now.at))
        typer.echo(f"{clock}  {now.events:,} events  {rate:,.0f} a second  {now.rejected or 0:,} rejected")
    sys.stdout.flush()


class _View:
    """The live view, and what it remembers from look to look."""

    def __init__(self) -> None:
        self._console = console()
        self._blocks = draws_blocks(self._console)
        self._rates: deque[int] = deque(maxlen=_KEPT)
        self._arrived: dict[str, deque[int]] = {name: deque(maxlen=_KEPT) for name in (*BRACKETS, *METHODS)}

    def drawn(self, before: Sample | None, now: Sample) -> Group:
        """Return the view after another look."""
        rate = _rate(before, now)
        if before is not None:
            self._rates.append(round(rate))
        head = Text.assemble(
            (f"{now.events:,}", "bold"), " purchases   ", (f"{rate:,.0f}", "bold green"), " a second   "
        )
        if now.rejected:
            head.append(f"{now.rejected:,} rejected   ", style="red")
        head.append(f"reports {now.freshness_ms:,.0f} ms old", style="dim")
        line = Text(sparkline(self._rates, blocks=self._blocks), style="green")
        tables = [self._table(names, before, now, part) for part, names in enumerate((BRACKETS, METHODS))]
        return Group(head, line, *tables)

    def _table(self, names: tuple[str, ...], before: Sample | None, now: Sample, part: int) -> Table:
        counts = now.by(part)
        old = counts if before is None else before.by(part)
        largest = max(counts.values(), default=0)
        rows = grid("left", "right", "left", "left")
        for name, colour in zip(names, COLOURS, strict=False):
            count = counts.get(name, 0)
            if before is not None:
                self._arrived[name].append(count - old.get(name, 0))
            drawn = Text(bar(count, largest, _BAR, blocks=self._blocks).ljust(_BAR), style=colour)
            rows.add_row(name, f"{count:,}", drawn, sparkline(self._arrived[name], blocks=self._blocks))
        return rows
