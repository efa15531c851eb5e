"""`tillroll explain`: the events, chunks and folds behind a number."""

from itertools import islice
from typing import Annotated

import msgspec
import typer

from tillroll.cli.options import Json, StoreOptions
from tillroll.cli.output import console, table, write_json
from tillroll.core.text import visible
from tillroll.definitions import find_places


def run(
    datapoint: Annotated[str, typer.Argument(metavar="DATAPOINT", help="Such as '2011-12-03:10|10-50|SLICE_IT'.")],
    *,
    limit: Annotated[int, typer.Option("--limit", metavar="ROWS", min=1, help="Maximum events to show.")] = 100,
    where: StoreOptions,
    json: Json = False,
) -> None:
    """Show the events behind a datapoint: the place in the journal, the name, and whether it is folded."""
    with where.opened() as store:
        (at,) = find_places(store, [datapoint])
        (counted,) = store.get([datapoint])
        events = counted.events
        traces = list(islice(store.trace(datapoint), limit))
    if json:
        found = [{**msgspec.structs.asdict(trace), "event": msgspec.Raw(trace.event)} for trace in traces]
        write_json({"report": at.report.name, "datapoint": datapoint, "events": events, "traces": found})
        return
    rows = table("chunk", "event", "known by", "folded", "purchase", right=("event",))
    for trace in traces:
        folded = "yes" if trace.folded else "not yet"
        rows.add_row(trace.chunk, str(trace.index), trace.name, folded, visible(trace.event.decode()))
    console().print(f"{datapoint}  {events:,} events  ({at.report.title})")
    if traces:
        console().print(rows)
    if events > len(traces):
        typer.echo(f"{len(traces):,} of {events:,} shown; --limit shows more", err=True)
