"""`tillroll config`: the settings in force, and where each came from."""

import msgspec

from tillroll import config
from tillroll.cli.options import Json, LocalOptions
from tillroll.cli.output import console, table, write_json


def run(*, where: LocalOptions, json: Json = False) -> None:
    """Show the settings in force and where each came from. For a secret it shows only that it is set."""
    shown = config.load(where._asdict()).shown()
    if json:
        write_json({name: {"value": value, "origin": origin} for name, value, origin in shown})
        return
    rows = table("setting", "value", "from", "what it is", whole=("setting", "from"))
    for name, value, origin in shown:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        rows.add_row(name, text, origin, config.descriptions()[name])
    console().print(rows)
