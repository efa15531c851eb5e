"""Tallies that can be spared, in SQLite: each is one row of a table of its own, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from tillroll.core.field_tally import FieldTally
from tillroll.core.outcome_tally import OutcomeTally

if TYPE_CHECKING:
    import sqlite3

FIELDS: Final = "field"
OUTCOMES: Final = "outcome"
_READ: Final = {FIELDS: "SELECT tally FROM field_tally", OUTCOMES: "SELECT tally FROM outcome_tally"}
_WRITE: Final = {
    FIELDS: "INSERT OR REPLACE INTO field_tally VALUES (0, ?)",
    OUTCOMES: "INSERT OR REPLACE INTO outcome_tally VALUES (0, ?)",
}
_Tally = TypeVar("_Tally", FieldTally, OutcomeTally)


def read(connection: sqlite3.Connection, what: str, kind: type[_Tally]) -> _Tally:
    """Return what is noted; nothing where it cannot be read."""
    try:
        (text,) = connection.execute(_READ[what]).fetchone() or ("{}",)
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, TypeError):
        return kind()


def add(connection: sqlite3.Connection, what: str, tally: _Tally) -> None:
    """Count a tally in."""
    total = read(connection, what, type(tally))
    total.add(tally)
    connection.execute(_WRITE[what], (msgspec.json.encode(total).decode(),))
