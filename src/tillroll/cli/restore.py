"""`tillroll restore`: a store out of a copy."""

from pathlib import Path
from typing import Annotated

import typer

from tillroll import config
from tillroll.app import restore_store
from tillroll.cli.options import Json, LocalOptions
from tillroll.cli.output import write_json
from tillroll.cli.progress import event_progress
from tillroll.errors import OutputError


def run(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A copy made by `tillroll backup` or litestream.")],
    *,
    where: LocalOptions,
    json: Json = False,
) -> None:
    """Make a store from a copy, in a directory without one. The copy does not change.

    Events acknowledged after the copy are not in it: send or import them again; repeats are recognized.
    """
    address = config.load(where._asdict()).settings.data
    try:
        with event_progress("restored", "pages") as progress:
            made = restore_store(address, Path(source), progress)
    except OSError as error:
        raise OutputError(address, error.strerror or str(error)) from error
    if json:
        write_json({"data": address, "events": made.events, "bytes": made.size})
    else:
        typer.echo(f"{address}: {made.events:,} events, {made.size:,} bytes. Prove it with: tillroll audit")
