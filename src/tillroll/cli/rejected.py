"""`tillroll rejected`: the events that were not accepted, and their correction."""

import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from tillroll.cli.options import Json, StoreOptions
from tillroll.cli.output import console, explained, instant, table, write_json
from tillroll.core.batch import NameKind, Source
from tillroll.core.kept import Keep
from tillroll.core.outcome_counts import NOTHING
from tillroll.core.rejection import EVERY, RejectedFilter
from tillroll.core.text import visible
from tillroll.errors import ConfigError
from tillroll.ingest import correction
from tillroll.ingest.files import InputError
from tillroll.ports import Outcome, Store, StoredRejection

_STILL_REJECTED_CODE = 3
_PAGE = 1_000
_DROPPED_AT_ONCE = 10_000

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
SourceOption = Annotated[
    str | None,
    typer.Option("--source", metavar="NAME", help="Those of an import's name or file, a key, or a message's id."),
]
CodeOption = Annotated[
    str | None, typer.Option("--code", metavar="CODE", help="Those of one reason, as `rejected summary` names it.")
]
Id = Annotated[str, typer.Argument(metavar="ID", help="As `tillroll rejected list` shows it.")]


@app.command("list")
def list_(
    *,
    limit: Annotated[int, typer.Option("--limit", metavar="ROWS", min=1, help="Maximum rows.")] = 100,
    after: Annotated[str | None, typer.Option("--after", metavar="ID", help="Begin after this one.")] = None,
    code: CodeOption = None,
    source: SourceOption = None,
    where: StoreOptions,
    json: Json = False,
) -> None:
    """List rejected events, oldest first, with source and reason."""
    which = _which(code, source)
    with where.opened() as store:
        every = _kept(store, after, which, min(limit + 1, _PAGE))
        found = list(islice(every, limit))
        more = next(every, None) is not None
        total = store.status().rejected if which == EVERY else None
    if json:
        write_json([correction.plain(kept) for kept in found])
        return
    rows = table("id", "received", "from", "reason", whole=("id", "received"))
    for kept in found:
        rejection = kept.rejection
        place = _place(rejection.source, rejection.position)
        rows.add_row(kept.id, instant(kept.received_at), place, visible(explained(rejection.reason)))
    if found:
        console().print(rows)
    else:
        typer.echo(
            "no rejected events match: see `tillroll rejected summary`" if which != EVERY or after else "none", err=True
        )
    if more:
        shown = f"{len(found):,}" if total is None else f"{len(found):,} of {total:,}"
        typer.echo(f"{shown}; more with --limit N, or --after {found[-1].id}", err=True)


@app.command()
def summary(*, where: StoreOptions, json: Json = False) -> None:
    """Count rejected events by reason and by source (the hundred largest sources)."""
    with where.opened() as store:
        found = store.rejected_summary()
    if json:
        write_json(found)
        return
    if found.rejected:
        rows = table("rejected", "reason", "from", right=("rejected",))
        for code, count in found.codes.items():
            rows.add_row(f"{count:,}", code, "all")
        for each in found.sources:
            for code, count in each.codes.items():
                name = "unnamed" if each.kind == "none" else f"{each.kind} {visible(each.value)}"
                rows.add_row(f"{count:,}", code, name)
        console().print(rows)
    typer.echo(f"{found.rejected:,} rejected, of {found.sources_total:,} sources")


@app.command()
def show(
    rejected_id: Id,
    *,
    where: StoreOptions,
    json: Json = False,
) -> None:
    """Write one rejected event, byte for byte; its reason goes to standard error.

    On a terminal control characters are escaped; a file or a pipe gets the bytes themselves.
    """
    with where.opened() as store:
        kept = correction.find(store, rejected_id)
    if json:
        write_json(correction.plain(kept))
        return
    rejection = kept.rejection
    place = _place(rejection.source, rejection.position)
    typer.echo(f"{place}: {visible(explained(rejection.reason))}", err=True)
    if sys.stdout.isatty():
        typer.echo(visible(rejection.body.decode(errors="backslashreplace"), kept="\t\n"))
    else:
        sys.stdout.buffer.write(rejection.body + b"\n")


@app.command()
def retry(
    rejected_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="As `tillroll rejected list` shows it.")
    ] = None,
    *,
    body: Annotated[
        str | None,
        typer.Option("--body", metavar="FILE|-", help="The corrected event or events; by default the original."),
    ] = None,
    code: CodeOption = None,
    source: SourceOption = None,
    where: StoreOptions,
    json: Json = False,
) -> int:
    """Send a rejected event again, or all of a reason or source, under their original source and position.

    Exits with 3 when any is still not accepted.
    """
    which = _which(code, source)
    if (rejected_id is None) == (which == EVERY) or (rejected_id is None and body is not None):
        remedy = "Name one rejected event, or some by --code or --source (as they were); one of these"
        raise ConfigError("rejected retry", "nothing is named, or two things are", remedy)
    keep = Keep(where.settings().events_keep)
    if rejected_id is None:
        with where.opened() as store:
            return _retry_all(store, which, keep, json=json)
    content = None if body is None else _read(body)
    with where.opened() as store:
        corrected = correction.retry(store, rejected_id, content, time.time(), keep)
        store.fold()
    outcome = corrected.word
    if json:
        write_json(corrected.plain(rejected_id) | {"reason": corrected.reason})
    elif corrected.reason is not None:
        told = corrected.told()
        others = f"; of the others {told['accepted']} accepted" if told else ""
        typer.echo(f"{rejected_id}: still {outcome}: {visible(explained(corrected.reason))}{others}", err=True)
    else:
        events = corrected.counts.events
        typer.echo(f"{rejected_id}: {outcome}" + (f", {events} events" if events > 1 else ""))
    return 0 if corrected.outcome in {Outcome.ACCEPTED, Outcome.DUPLICATE} else _STILL_REJECTED_CODE


def _retry_all(store: Store, which: RejectedFilter, keep: Keep, *, json: bool) -> int:
    total = NOTHING
    _check_some(store, which)
    after: str | None = None
    while True:
        part = correction.retry_some(store, which, after, time.time(), keep)
        total += part.counts
        after = part.after
        if after is None:
            break
    store.fold()
    if json:
        write_json(correction.retried_counts(total))
    else:
        typer.echo(f"{total.accepted:,} accepted, {total.duplicates:,} duplicates, {total.rejected:,} still rejected")
    return _STILL_REJECTED_CODE if total.rejected else 0


@app.command()
def drop(
    rejected_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="As `tillroll rejected list` shows them.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Drop all rejected events.")] = False,
    code: CodeOption = None,
    source: SourceOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    where: StoreOptions,
) -> None:
    """Discard rejected events: they are no longer listed, and their bytes are erased."""
    which = _which(code, source)
    if [bool(rejected_ids), everything, which != EVERY].count(True) != 1:
        remedy = "Name the rejected events, or some by --code or --source, or add --all; one of these"
        raise ConfigError("rejected drop", "nothing is named, or two things are", remedy)
    dropped = 0
    with where.opened() as store:
        try:
            if rejected_ids:
                dropped = len({correction.find(store, rejected_id).id for rejected_id in rejected_ids})
                store.discard(rejected_ids)
            else:
                dropped = _drop_all(store, which, yes=yes)
        finally:
            if not dropped:
                store.discard([])  # what was dropped while somebody read, or by a killed command, may not be erased yet
    typer.echo(f"{dropped:,} dropped")


def _drop_all(store: Store, which: RejectedFilter, *, yes: bool) -> int:
    if which != EVERY:
        _check_some(store, which)
    known = store.status().rejected if which == EVERY else None
    count = sum(1 for _ in _kept(store, None, which, _PAGE)) if known is None else known
    if count and not yes:
        _confirm(count)
    dropped = 0
    while dropped < count:  # what has come since was not asked about
        page = store.rejected(limit=min(_DROPPED_AT_ONCE, count - dropped), which=which)
        if not page:
            break
        store.discard([kept.id for kept in page])
        dropped += len(page)
    return dropped


def _confirm(count: int) -> None:
    """Ask whether that many are to be dropped.

    Raises:
        ConfigError: nobody can be asked, or the answer is no.
    """
    if not sys.stdin.isatty():
        problem = f"{count:,} rejected events would be erased, and there is no terminal to confirm"
        raise ConfigError("rejected drop", problem, "Add --yes")
    if not typer.confirm(f"Erase {count:,} rejected events for good?", err=True):
        raise ConfigError("rejected drop", "nothing was dropped", "Answer y, or add --yes")


def _check_some(store: Store, which: RejectedFilter) -> None:
    if not store.rejected(limit=1, which=which):
        named = [f"--code {which.code}"] if which.code is not None else []
        named += [f"--source {which.sources[0]}"] if which.sources else []
        remedy = "List them with: tillroll rejected summary"
        raise ConfigError(visible(" ".join(named)), "no rejected events match", remedy)


def _which(code: str | None, source: str | None) -> RejectedFilter:
    sources = () if source is None else tuple(dict.fromkeys((source, str(Path(source).resolve()))))
    return RejectedFilter(code, sources)


def _kept(store: Store, after: str | None, which: RejectedFilter, page_size: int) -> Iterator[StoredRejection]:
    """Yield what is kept, oldest first, read so many at once."""
    while page := store.rejected(after=after, limit=page_size, which=which):
        yield from page
        after = page[-1].id


def _read(body: str) -> bytes:
    if body == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(body).read_bytes()
    except OSError as error:
        raise InputError(body, f"cannot be read ({error.strerror})", "Check the name") from error


def _place(source: Source, position: int) -> str:
    value = visible(source.value)
    match source.kind:
        case NameKind.FILE:
            return f"{value}:{position + 1}"
        case NameKind.NONE:
            return f"unnamed, event {position}"
        case _:
            return f"{source.kind.name.lower()} {value}, event {position}"
