"""`tillroll audit`: count the journal again and compare every aggregate and every name in the index."""

import datetime as dt
from contextlib import suppress
from itertools import islice
from typing import Annotated

import msgspec
import typer

from tillroll.cli.options import Json, StoreOptions
from tillroll.cli.output import console, table, write_json
from tillroll.cli.progress import event_progress
from tillroll.core import kernel, limits
from tillroll.core.recount import disagreements
from tillroll.core.spans import parse_day
from tillroll.errors import QueryError, StoreError
from tillroll.ports import Audit, Difference, Store

_DIFFERS_CODE = 1
_SAMPLED = 7  # one part of the journal in so many
_SAMPLES_MAX = 100
_SAMPLED_EVENTS = 2_000  # of each
_HEAD = "head"  # as an audit calls the end that the journal had; its message says what to do
_REMEDY = "; set it right with: tillroll audit --repair, or count everything again with: tillroll rebuild"


def run(
    *,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DAY", help="Compare only the windows from this day on."),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Correct the differences: aggregates, and the index of names.")
    ] = False,
    slow: Annotated[
        bool,
        typer.Option("--slow", help="Also check that the kernel and plain Python count a sample of chunks alike."),
    ] = False,
    where: StoreOptions,
    json: Json = False,
) -> int:
    """Count the whole journal again and compare every aggregate.

    Exact while traffic goes on: it compares at one position. Also checks that the index has every name that identifies
    a repeat. Exits with 1 when anything differs, and names it. --repair corrects aggregates and index; a damaged
    journal must be restored from a copy.
    """
    kernel.keep_memory()
    start = 0 if since is None else _day(since)
    with where.opened() as store, event_progress("audit") as progress:
        with suppress(StoreError):  # damage is for the audit to name
            store.fold()  # so that the newest events are compared as well
        audit = store.audit(since=start, progress=progress, repair=repair)
        ask_again = repair and audit.differences_total and not json
        left = store.audit(since=start).differences_total if ask_again else 0
        if slow:
            with suppress(StoreError):  # of a damaged journal, which the audit has named
                audit = _with(audit, _disagreements(store))
    if json:
        write_json(audit)
    else:
        _print_audit(audit, since, _done(left) if repair else _remedy(audit))
    return _DIFFERS_CODE if audit.differences_total else 0


def _disagreements(store: Store) -> list[Difference]:
    """Return where the recount itself is not what plain Python says of each event, in a sample of the journal."""
    reports, found = tuple(store.catalogue()), []
    for at, part in enumerate(islice(store.read(), 0, None, _SAMPLED)):
        if at == _SAMPLES_MAX:
            break
        for one in disagreements(reports, part.batch.slice(0, _SAMPLED_EVENTS)).first:
            message = (
                f"{one.text} is counted as {one.events} by the kernel, and as {one.stored_events} an event at a time"
            )
            found.append(Difference("recount", one.text, one.stored_events, one.events, message))
    return found


def _with(audit: Audit, more: list[Difference]) -> Audit:
    listed = [*more, *audit.differences][: limits.REJECTED_LISTED_MAX]
    total = audit.differences_total + len(more)
    return msgspec.structs.replace(audit, differences=listed, differences_total=total)


def _day(text: str) -> int:
    day = parse_day(text)
    if day is None:
        today = dt.datetime.now(dt.UTC).date().isoformat()
        raise QueryError("--since", f"{text} is not a day", f"Write it like {today}")
    return day


def _remedy(audit: Audit) -> str:
    """Return what sets right what no line names a remedy for."""
    return "" if all(each.subject == _HEAD for each in audit.differences) else _REMEDY


def _done(left: int) -> str:
    if left:
        return f"; {left:,} of them cannot be set right so: do what each says, or restore the store from a copy"
    return "; what differed was set right, and all agrees now"


def _print_audit(audit: Audit, since: str | None, done: str) -> None:
    counted = f"{audit.events:,} events and {audit.datapoints:,} datapoints at position {audit.position:,}"
    if not audit.differences_total:
        scope = "" if since is None else f"; only windows from {since} on were compared, and no report of all time"
        typer.echo(f"audit passed: {counted}{scope}")
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
    typer.echo(f"audit FAILED: {audit.differences_total:,} differences in {counted}{done}", err=True)
