"""Tallies that can be spared, in SQLite: each is one row of a table of its own, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from tillroll.core.field_tally import FieldTally
from tillroll.core.outcome_tally import OutcomeTally
from tillroll.stores.sqlite import seal
from tillroll.stores.sqlite.damage import DamageError

if TYPE_CHECKING:
    import sqlite3

FIELDS: Final = "field_tally"
OUTCOMES: Final = "outcome_tally"
_Tally = TypeVar("_Tally", FieldTally, OutcomeTally)


def read(connection: sqlite3.Connection, table: str, kind: type[_Tally]) -> _Tally:
    """Return what is noted; nothing where it cannot be read. Call in a transaction."""
    try:
        text = check(connection, table)
        return kind() if text is None else msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, DamageError):
        return kind()


def check(connection: sqlite3.Connection, table: str) -> str | None:
    """Return the text of what is noted, None where nothing is. Call in a transaction.

    Raises:
        DamageError: it is not what was written.
    """
    rows = connection.execute(f"SELECT tally FROM {table}").fetchall()  # noqa: S608 one of two names
    seal.check(connection, table, f"the notes in {table}", rows)
    return str(rows[0][0]) if rows else None


def add(connection: sqlite3.Connection, table: str, tally: _Tally) -> None:
    """Count a tally in. What was damaged begins anew."""
    total = read(connection, table, type(tally))
    total.add(tally)
    row = (msgspec.json.encode(total).decode(),)
    connection.execute(f"INSERT OR REPLACE INTO {table} VALUES (0, ?)", row)  # noqa: S608 one of two names
    seal.put(connection, table, [row])


def put_seals(connection: sqlite3.Connection) -> None:
    """Have the notes as they stand there be what was written. Call in a transaction."""
    for table in (FIELDS, OUTCOMES):
        seal.put(connection, table, connection.execute(f"SELECT tally FROM {table}"))  # noqa: S608 one of two names
