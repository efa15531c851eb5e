"""`tillroll events`: the journal out, as NDJSON or CSV."""

from enum import StrEnum
from typing import Annotated

import typer

from tillroll.cli.options import ConfigFile, Data, opened
from tillroll.cli.output_file import STDOUT, output_file
from tillroll.cli.progress import event_progress
from tillroll.core import ask, export
from tillroll.core.export import Chosen
from tillroll.errors import QueryError


class Format(StrEnum):
    """How events are written."""

    NDJSON = "ndjson"
    CSV = "csv"


def run(
    target: Annotated[
        str, typer.Argument(metavar="FILE|-", help="A file (.gz and .zst are compressed), or - for standard output.")
    ] = STDOUT,
    *,
    form: Annotated[Format, typer.Option("--format", help="How to write them.")] = Format.NDJSON,
    start: Annotated[
        str | None, typer.Option("--from", metavar="DAY|INSTANT", help="The first moment whose events are written.")
    ] = None,
    stop: Annotated[
        str | None, typer.Option("--to", metavar="DAY|INSTANT", help="The first moment whose events are not.")
    ] = None,
    merchant: Annotated[
        list[str] | None, typer.Option("--merchant", help="Only this merchant's; may be repeated.")
    ] = None,
    after: Annotated[int, typer.Option("--after", min=0, metavar="POSITION", help="Only what came after.")] = 0,
    until: Annotated[
        int | None, typer.Option("--until", min=0, metavar="POSITION", help="Only what came up to there.")
    ] = None,
    data: Data = None,
    config_file: ConfigFile = None,
) -> None:
    """Write the journal's events, in the order they were accepted, each with the name by which a repeat is known.

    `tillroll import` takes NDJSON and CSV: into an empty store it gives the same reports, into any it counts nothing
    twice. At the end standard error has the position that was reached, from which --after goes on.
    """
    chosen = Chosen(
        None if start is None else ask.instant("--from", start),
        None if stop is None else ask.instant("--to", stop),
        frozenset(merchant) if merchant else None,
    )
    if chosen.start is not None and chosen.stop is not None and chosen.start >= chosen.stop:
        raise QueryError("--to", f"{stop} is not after {start}", "Give a later one")
    if until is not None and until < after:
        raise QueryError("--until", f"{until} is before --after {after}", "Give a later position")
    with opened(data, config_file) as store, output_file(target) as out:
        events, position = 0, after
        upto = store.status().journal_position if until is None else until
        rows = export.ROWS[form.value]
        with event_progress("events") as progress:
            if form is Format.CSV:
                out.write(export.csv_head())
            for part in store.read(after, upto, chosen):
                if len(part.batch):
                    out.write(rows(part.batch))
                events, position = events + len(part.batch), part.position
                if progress is not None:
                    progress(position - after, upto - after)
    typer.echo(f"{events:,} events, up to position {position}", err=True)
