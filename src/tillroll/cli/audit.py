"""`tillroll audit`: count the journal again and compare every aggregate."""

import datetime as dt
from typing import Annotated

import typer

from tillroll.cli.options import ConfigFile, Data, Json, opened
from tillroll.cli.output import console, table, write_json
from tillroll.cli.progress import event_progress
from tillroll.core import kernel
from tillroll.core.report import parse_day
from tillroll.errors import QueryError
from tillroll.ports import Audit

_DIFFERS_CODE = 1


def run(
    *,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DAY", help="Compare only the windows from this day on."),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Set the aggregates that differ to what was counted again.")
    ] = False,
    data: Data = None,
    config_file: ConfigFile = None,
    json: Json = False,
) -> int:
    """Count the whole journal again and compare every aggregate.

    Exact beside live traffic: it compares at one position. Exits with 1 when anything differs, and names it. With
    --repair aggregates are set right; a journal that is damaged cannot be, and is restored from a copy.
    """
    kernel.keep_memory()
    start = 0 if since is None else _day(since)
    with opened(data, config_file) as store, event_progress("audit") as progress:
        audit = store.audit(since=start, progress=progress, repair=repair)
    if json:
        write_json(audit)
    else:
        _tell(audit, repair=repair)
    return _DIFFERS_CODE if audit.differences_total else 0


def _day(text: str) -> int:
    day = parse_day(text)
    if day is None:
        today = dt.datetime.now(dt.UTC).date().isoformat()
        raise QueryError("--since", f"{text} is not a day", f"Write it like {today}")
    return day


def _tell(audit: Audit, *, repair: bool) -> None:
    counted = f"{audit.events:,} events and {audit.datapoints:,} datapoints at position {audit.position:,}"
    if not audit.differences_total:
        typer.echo(f"audit passed: {counted}")
        return
    rows = table("what", "which", "stored", "counted", "problem", right=("stored", "counted"), whole=("which",))
    for difference in audit.differences:
        stored, recounted = (
            "" if count is None else f"{count:,}" for count in (difference.stored, difference.recounted)
        )
        rows.add_row(difference.kind, difference.subject, stored, recounted, difference.message)
    console().print(rows)
    more = audit.differences_total - len(audit.differences)
    if more:
        typer.echo(f"and {more:,} more")
    done = (
        "; aggregates were set to what was counted"
        if repair
        else "; set aggregates right with: tillroll audit --repair"
    )
    typer.echo(f"audit FAILED: {audit.differences_total:,} differences in {counted}{done}", err=True)
