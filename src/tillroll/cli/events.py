"""`tillroll events`: the journal out, as NDJSON, CSV or Parquet."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from tillroll.cli.options import EventsKeep, StoreOptions
from tillroll.cli.progress import event_progress
from tillroll.core import export, kernel, question
from tillroll.core.batch import Batch
from tillroll.core.export import Chosen
from tillroll.core.kept import Keep
from tillroll.errors import OutputError, QueryError
from tillroll.export import warehouse
from tillroll.export.parquet import EventTables, EventWriter
from tillroll.export.warehouse import Manifest
from tillroll.export.whole_file import STDOUT, output_file
from tillroll.ports import Store

_Write = Callable[[Batch], object]


class Format(StrEnum):
    """How events are written."""

    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


def run(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE|DIR/|-", help="A file (.gz and .zst are compressed), a directory, or - for standard output."
        ),
    ] = STDOUT,
    *,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="Format; by default from the file's name, otherwise ndjson."),
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="DAY|INSTANT", help="Start of the range.")] = None,
    stop: Annotated[
        str | None, typer.Option("--to", metavar="DAY|INSTANT", help="End of the range, exclusive.")
    ] = None,
    merchant: Annotated[
        list[str] | None, typer.Option("--merchant", metavar="MERCHANT", help="Only this merchant's; may be repeated.")
    ] = None,
    after: Annotated[
        int, typer.Option("--after", min=0, metavar="POSITION", help="Only events after this position.")
    ] = 0,
    until: Annotated[
        int | None, typer.Option("--until", min=0, metavar="POSITION", help="Only events up to this position.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Continue with new events, until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", min=0.1, metavar="SECONDS", help="How often --follow looks for more.")
    ] = 10,
    events_keep: EventsKeep = None,
    where: StoreOptions,
) -> None:
    """Write the journal's events, in the order they were accepted, each with the name that identifies its repeats.

    `tillroll import` reads NDJSON and CSV: an empty store then has the same reports, and no store counts an event
    twice. At the end standard error has the last position, from which --after continues. A directory has a file for
    each day and range of positions, and a manifest: run again, it gets only the missing events.
    """
    kernel.keep_memory()
    chosen = question.chosen_of(start, stop, merchant)
    form = form or _form_of(target)
    is_directory = target.endswith("/") or Path(target).is_dir()
    if until is not None and until < after:
        raise QueryError("--until", f"{until} is before --after {after}", "Give a later position")
    if form is Format.PARQUET and target == STDOUT and sys.stdout.isatty():
        raise OutputError("standard output", "Parquet cannot be shown on a terminal")
    if follow:
        _check_follow(target, form, until, is_directory=is_directory)
    keep = where.settings(events_keep=events_keep).events_keep
    fields = Keep(keep).names if form is not Format.NDJSON else ()
    with where.opened() as store:
        ends = _ends(store, until, interval if follow else None)
        if is_directory:
            events, position = _write_directory(store, Path(target), ends, after, chosen, form, fields)
        else:
            with output_file(target) as out, _writing(out, form, fields) as write:
                events, position = 0, after
                for upto in ends:
                    events += _write_some(store, position, upto, chosen, write)
                    position = max(position, upto)
                    out.flush()
    typer.echo(f"{events:,} events, up to position {position}", err=True)


def _check_follow(target: str, form: Format, until: int | None, *, is_directory: bool) -> None:
    """Refuse what cannot go on with what comes."""
    if until is not None:
        raise QueryError("--follow", "it continues past any --until", "Leave out one of them")
    if not is_directory and (target != STDOUT or form is Format.PARQUET):
        problem = "a file appears when it is complete"
        raise QueryError("--follow", problem, "Name a directory, or follow to standard output")


def _write_directory(
    store: Store,
    target: Path,
    ends: Iterator[int],
    after: int,
    chosen: Chosen,
    form: Format,
    fields: tuple[str, ...],
) -> tuple[int, int]:
    """Write what a directory has not got yet; return how many events it has, and up to where."""
    wanted = Manifest(
        format=form.value,
        fields=fields,
        start=chosen.start,
        stop=chosen.stop,
        merchants=None if chosen.merchants is None else tuple(sorted(chosen.merchants)),
        after=after,
        position=after,
        events=0,
    )
    with warehouse.opened(target, wanted) as made:
        for upto in ends:
            with event_progress("events") as progress:
                made.catch_up(store, upto, chosen, progress)
        return made.manifest.events, made.manifest.position


def _form_of(target: str) -> Format:
    """Return how events are written to a file of that name."""
    name = target.removesuffix(".gz").removesuffix(".zst")
    return next((form for form in Format if name.endswith(f".{form.value}")), Format.NDJSON)


def _ends(store: Store, until: int | None, interval_s: float | None) -> Iterator[int]:
    """Yield up to where to write: once, or, with an interval, whenever there is more."""
    if until is not None:
        yield until
        return
    written = -1
    while True:
        end = store.status().journal_position
        if end > written:
            yield end
            written = end
        if interval_s is None:
            return
        time.sleep(interval_s)


def _write_some(store: Store, after: int, upto: int, chosen: Chosen, write: _Write) -> int:
    events = 0
    with event_progress("events") as progress:
        for part in store.read(after, upto, chosen):
            if len(part.batch):
                write(part.batch)
            events += len(part.batch)
            if progress is not None:
                progress(part.position - after, upto - after)
    return events


@contextmanager
def _writing(out: BinaryIO, form: Format, fields: tuple[str, ...]) -> Iterator[_Write]:
    """Lend what writes a batch to a file."""
    match form:
        case Format.NDJSON:
            yield lambda batch: out.writelines(export.ndjson(batch))
        case Format.CSV:
            out.write(export.csv_head(fields))
            yield lambda batch: out.writelines(export.csv(batch, fields))
        case Format.PARQUET:
            writer = EventWriter(out, EventTables(fields))
            yield writer.write
            writer.close()
