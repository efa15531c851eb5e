"""`tillroll rejected`: the events that were not accepted, and their correction."""

import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from tillroll import correction
from tillroll.cli.options import ConfigFile, Data, Json, opened
from tillroll.cli.output import console, explained, instant, table, write_json
from tillroll.core.batch import NameKind, Source
from tillroll.errors import TillrollError
from tillroll.importer import InputError
from tillroll.ports import Kept, Outcome, Store

_STILL_REJECTED_CODE = 3
_PAGE = 1_000

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
SourceOption = Annotated[
    str | None,
    typer.Option("--source", metavar="NAME", help="Those of an import's name or file, a key, or a message's id."),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="As `tillroll rejected list` shows it.")]


@app.command("list")
def list_(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most so many.")] = 100,
    after: Annotated[str | None, typer.Option("--after", metavar="ID", help="Begin after this one.")] = None,
    source: SourceOption = None,
    data: Data = None,
    config_file: ConfigFile = None,
    json: Json = False,
) -> None:
    """List what is kept, oldest first: where each came from and why it was not accepted."""
    with opened(data, config_file) as store:
        every = _kept(store, after, source, min(limit + 1, _PAGE) if source is None else _PAGE)
        found = list(islice(every, limit))
        more = next(every, None) is not None
        total = store.status().rejected if source is None else None
    if json:
        write_json([correction.plain(kept) for kept in found])
        return
    rows = table("id", "received", "from", "reason", whole=("id", "received"))
    for kept in found:
        rejection = kept.rejection
        place = _place(rejection.source, rejection.position)
        rows.add_row(kept.id, instant(kept.received_at), place, explained(rejection.reason))
    if found:
        console().print(rows)
    if more:
        shown = f"{len(found):,}" if total is None else f"{len(found):,} of {total:,}"
        typer.echo(f"{shown}; more with --limit N, or --after {found[-1].id}", err=True)


@app.command()
def show(rejected_id: Id, *, data: Data = None, config_file: ConfigFile = None, json: Json = False) -> None:
    """Write one rejected event, byte for byte; its reason goes to standard error."""
    with opened(data, config_file) as store:
        kept = correction.find(store, rejected_id)
    if json:
        write_json(correction.plain(kept))
        return
    rejection = kept.rejection
    typer.echo(f"{_place(rejection.source, rejection.position)}: {explained(rejection.reason)}", err=True)
    sys.stdout.buffer.write(rejection.body + b"\n")


@app.command()
def retry(
    rejected_id: Id,
    *,
    body: Annotated[
        str | None,
        typer.Option("--body", metavar="FILE|-", help="The event as it should have been; as it was, unless given."),
    ] = None,
    data: Data = None,
    config_file: ConfigFile = None,
    json: Json = False,
) -> int:
    """Send a rejected event again, under the source and the position it came with.

    Exits with 3 when it is still not accepted.
    """
    content = None if body is None else _read(body)
    with opened(data, config_file) as store:
        corrected = correction.retry(store, rejected_id, content, time.time())
        store.fold()
    outcome = corrected.word
    if json:
        write_json({"id": rejected_id, "outcome": outcome, "reason": corrected.reason})
    elif corrected.reason is not None:
        typer.echo(f"{rejected_id}: still {outcome}: {explained(corrected.reason)}", err=True)
    else:
        typer.echo(f"{rejected_id}: {outcome}")
    return 0 if corrected.outcome in {Outcome.ACCEPTED, Outcome.DUPLICATE} else _STILL_REJECTED_CODE


@app.command()
def drop(
    rejected_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="As `tillroll rejected list` shows them.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Drop all that are kept.")] = False,
    source: SourceOption = None,
    data: Data = None,
    config_file: ConfigFile = None,
) -> None:
    """Give rejected events up: they are no longer listed, and were never counted."""
    if [bool(rejected_ids), everything, source is not None].count(True) != 1:
        raise NothingNamedError
    with opened(data, config_file) as store:
        for rejected_id in rejected_ids or ():
            correction.find(store, rejected_id)
        dropped = rejected_ids or [kept.id for kept in _kept(store, None, source, _PAGE)]
        if source is not None and not dropped:
            raise NothingOfSourceError(source)
        store.settle(dropped)
    typer.echo(f"{len(dropped):,} dropped")


class NothingNamedError(TillrollError):
    """What to drop was not said, or was said twice."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__("name the rejected events to drop, or their --source, or say --all; one of these")


class NothingOfSourceError(TillrollError):
    """Nothing is kept of the source that was named."""

    exit_code = 2

    def __init__(self, source: str) -> None:
        super().__init__(f"{source}: nothing of this source is kept. See which there are with: tillroll rejected list")


def _kept(store: Store, after: str | None, source: str | None, page_size: int) -> Iterator[Kept]:
    """Yield what is kept, or what is of a source, oldest first, read so many at once."""
    wanted = set() if source is None else {source, str(Path(source).resolve())}
    while page := store.rejected(after=after, limit=page_size):
        yield from (kept for kept in page if not wanted or kept.rejection.source.value in wanted)
        after = page[-1].id


def _read(body: str) -> bytes:
    if body == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(body).read_bytes()
    except OSError as error:
        raise InputError(body, f"cannot be read ({error.strerror})", "Check the name") from error


def _place(source: Source, position: int) -> str:
    match source.kind:
        case NameKind.FILE:
            return f"{source.value}:{position + 1}"
        case NameKind.NONE:
            return f"unnamed, event {position}"
        case _:
            return f"{source.kind.name.lower()} {source.value}, event {position}"
