"""`tillroll restored`: say that the journal was restored from a copy, and may end earlier than it had come."""

import typer

from tillroll.cli.options import Json, LocalOptions
from tillroll.cli.output import write_json
from tillroll.errors import StoreError
from tillroll.ports import Restorable


def run(*, where: LocalOptions, json: Json = False) -> None:
    """Confirm that the store was restored from a copy, and that its journal may end earlier than before.

    A store whose journal lost its end answers nothing and accepts nothing until it is restored completely, or this
    command is run. Events acknowledged after the copy are lost, unless they are sent or imported again. DynamoDB's
    tables are made consistent, and counted again if they were counted from another journal: nothing else may use them
    meanwhile.
    """
    with where.opened() as store:
        if not isinstance(store, Restorable):
            raise StoreError("this store has no end that could be lost unseen", "Run tillroll audit")
        given_up = store.accept_end()
        events = store.status().events
    if json:
        write_json({"events": events, "given_up": given_up})
    else:
        typer.echo(f"the journal ends at event {events:,}; {given_up:,} acknowledged events after it are lost")
