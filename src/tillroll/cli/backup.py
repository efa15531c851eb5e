"""`tillroll backup`: the store as one file, beside traffic."""

from pathlib import Path
from typing import Annotated

import typer

from tillroll.cli.options import Json, LocalOptions
from tillroll.cli.output import write_json
from tillroll.cli.progress import event_progress
from tillroll.errors import OutputError, StoreError
from tillroll.ports import Copyable


def run(
    target: Annotated[str, typer.Argument(metavar="FILE", help="The copy; an existing file is replaced.")],
    *,
    where: LocalOptions,
    json: Json = False,
) -> None:
    """Copy the store to one file, a snapshot, while traffic goes on, and check the copy.

    The file has everything: journal, aggregates, rejected events, the list of imports. `tillroll restore` makes a store
    from it.
    """
    with where.opened() as store:
        if not isinstance(store, Copyable):
            raise StoreError("tables on AWS are not copied to a file", "Turn on their point-in-time recovery")
        try:
            with event_progress("copied", "pages") as progress:
                made = store.backup(Path(target), progress)
        except OSError as error:
            raise OutputError(target, error.strerror or str(error)) from error
    if json:
        write_json({"file": target, "events": made.events, "bytes": made.size})
    else:
        typer.echo(f"{target}: {made.events:,} events, {made.size:,} bytes")
