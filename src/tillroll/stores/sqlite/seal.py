"""Seals of small tables: how many rows each has, and a sum over them, in a table of its own.

A row's own checksum does not tell of rows that are gone, or that are as they were once: a page that was lost, or
written elsewhere. The seal is on another page.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from tillroll.stores.sqlite.damage import GO_ON, DamageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

SEAL_TABLE: Final = """
CREATE TABLE seal (
  name TEXT PRIMARY KEY,               -- of a table
  rows INTEGER NOT NULL,               -- that it has
  checksum INTEGER NOT NULL            -- the sum of checksum_of of each, modulo 2^32
) STRICT, WITHOUT ROWID;
"""
_SUM: Final = (1 << 32) - 1


def checksum_of(row: Sequence[object]) -> int:
    """Return the checksum of a row."""
    return zlib.crc32(repr(tuple(row)).encode())


def put(connection: sqlite3.Connection, table: str, rows: Iterable[Sequence[object]]) -> None:
    """Say that a table has these rows. Call within a transaction."""
    sums = [checksum_of(row) for row in rows]
    connection.execute("INSERT OR REPLACE INTO seal VALUES (?, ?, ?)", (table, len(sums), sum(sums) & _SUM))


def change(
    connection: sqlite3.Connection, table: str, before: Iterable[Sequence[object]], after: Iterable[Sequence[object]]
) -> None:
    """Say that a table has other rows in place of some. Call within a transaction."""
    gone, come = [checksum_of(row) for row in before], [checksum_of(row) for row in after]
    update = f"UPDATE seal SET rows = rows + ?, checksum = (checksum + ?) & {_SUM} WHERE name = ?"  # noqa: S608 a number
    connection.execute(update, (len(come) - len(gone), sum(come) - sum(gone), table))


def check(connection: sqlite3.Connection, table: str, what: str, rows: Iterable[Sequence[object]]) -> None:
    """Find that these are the rows of a table, of `what`. Call within a transaction.

    Raises:
        DamageError: they are not.
    """
    sums = [checksum_of(row) for row in rows]
    found = connection.execute("SELECT rows, checksum FROM seal WHERE name = ?", (table,)).fetchone()
    if found != (len(sums), sum(sums) & _SUM):
        raise DamageError(f"rows of {what} are missing, or as they were before", GO_ON)
