"""`tillroll restored`: say that the journal was restored from a copy, and may end earlier than it had come."""

import typer

from tillroll.cli.options import Json, LocalOptions
from tillroll.cli.output import write_json
from tillroll.errors import StoreError
from tillroll.ports import Restorable


def run(*, where: LocalOptions, json: Json = False) -> None:
    """Say that the store was restored from a copy, and that its journal may end earlier than it had come.

    A store whose journal lost its end refuses to answer and to take anything until it is restored whole, or this is
    said. What was acknowledged after the copy is given up, unless it is sent or imported again. DynamoDB's tables are
    made to agree, and counted again where they were counted from another journal: nobody else may use them meanwhile.
    """
    with where.opened() as store:
        if not isinstance(store, Restorable):
            raise StoreError("this store has no end that could be lost unseen", "Run tillroll audit")
        given_up = store.accept_end()
        events = store.status().events
    if json:
        write_json({"events": events, "given_up": given_up})
    else:
        typer.echo(f"the journal ends at event {events:,}; {given_up:,} that were acknowledged after it are given up")
