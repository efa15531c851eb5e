"""`tillroll fields`: which fields the journal keeps, and which others events bring."""

import typer

from tillroll.cli.options import EventsKeep, Json, StoreOptions
from tillroll.cli.output import console, instant, table, write_json
from tillroll.core.kept import Keep
from tillroll.core.text import visible
from tillroll.errors import ConfigError
from tillroll.ingest.field_watch import FieldWatch
from tillroll.ports import Served

_PERCENT = 100


def run(
    *,
    events_keep: EventsKeep = None,
    where: StoreOptions,
    json: Json = False,
) -> None:
    """Show the fields that the journal keeps, and the other fields that events have, never their values.

    The first are counted in the whole journal; the others are sampled.
    """
    with where.opened() as store:
        if isinstance(store, Served):
            if events_keep is not None:
                raise ConfigError("--keep", "a server has its own list", "Leave it out, or query a store with --data")
            found = store.fields()
        else:
            found = FieldWatch(Keep(where.settings(events_keep=events_keep).events_keep)).shown(store)
    if json:
        write_json(found)
        return
    typer.echo(f"Kept, of {found['events']:,} events:")
    right = ("distinct values", "absent", "not kept")
    kept = table("field", "listed", "distinct values", "absent", "not kept", right=right)
    for row in found["kept"]:
        distinct = f"{'' if row['distinct_is_exact'] else 'about '}{row['distinct']:,}"
        listed = "yes" if row["listed"] else "no longer"
        kept.add_row(visible(row["name"]), listed, distinct, _share(row["absent_share"]), f"{row['not_kept']:,}")
    console().print(kept)
    since = f" since {instant(found['since'])}" if found["since"] else ""
    typer.echo(f"Not kept, of {found['looked_at']:,} events that were looked at{since}:")
    others = table("field", "share", "type", right=("share",))
    for row in found["not_kept"]:
        others.add_row(visible(row["name"]), _share(row["share"]), ", ".join(row["types"]))
    console().print(others)


def _share(part: float) -> str:
    return f"{_PERCENT * part:.2f} %"
