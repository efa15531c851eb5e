"""`tillroll rebuild`: drop the aggregates and count the journal again."""

import typer

from tillroll.cli.options import Json, LocalOptions
from tillroll.cli.output import write_json
from tillroll.cli.progress import event_progress
from tillroll.core import kernel


def run(*, where: LocalOptions, json: Json = False) -> None:
    """Drop the aggregates and count the journal again.

    Readers see the old aggregates until the new ones are complete, and traffic goes on.
    """
    kernel.keep_memory()
    with where.opened() as store, event_progress("rebuild") as progress:
        events = store.rebuild(progress)
    if json:
        write_json({"events": events})
    else:
        typer.echo(f"rebuilt from {events:,} events")
