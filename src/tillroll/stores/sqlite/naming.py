"""The secret of a SQLite file under which names are hashed, and how far the journal is indexed under it."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core.identity import KEY_BYTES
from tillroll.stores.sqlite.damage import DamageError

if TYPE_CHECKING:
    import sqlite3

NAMING_TABLES: Final = """
CREATE TABLE naming (
  id INTEGER PRIMARY KEY CHECK (id = 0),
  key BLOB NOT NULL,                   -- the secret
  indexed INTEGER,                     -- the events up to this one are in `identity` and `run`; NULL: all are
  checksum INTEGER NOT NULL            -- of both
) STRICT;
CREATE TABLE identity (
  minute INTEGER NOT NULL,             -- of the event's date
  hash INTEGER NOT NULL,               -- of date and name; where two share one, the later takes the next free number
  event INTEGER NOT NULL,
  PRIMARY KEY (minute, hash)
) STRICT, WITHOUT ROWID;
CREATE TABLE run (
  source INTEGER NOT NULL,             -- hash of a named import
  first INTEGER NOT NULL,              -- lines of it that a chunk holds, from first to last with gaps
  last INTEGER NOT NULL,
  event INTEGER NOT NULL,              -- number of the event at the first line
  PRIMARY KEY (source, first, event)
) STRICT, WITHOUT ROWID;
"""


class Naming(NamedTuple):
    """The row of `naming`."""

    key: bytes
    indexed: int | None  # the events up to this one are indexed; None: all are

    @property
    def checksum(self) -> int:
        """The checksum that the row has."""
        return zlib.crc32(repr(self.indexed).encode(), zlib.crc32(self.key))


def draw_naming(indexed: int | None) -> Naming:
    """Return a new secret."""
    return Naming(os.urandom(KEY_BYTES), indexed)


def read_naming(connection: sqlite3.Connection) -> Naming:
    """Return the row.

    Raises:
        DamageError: it is not what was written.
    """
    found = connection.execute("SELECT key, indexed, checksum FROM naming WHERE id = 0").fetchone()
    if found is not None and isinstance(found[0], bytes) and len(found[0]) == KEY_BYTES:
        naming = Naming(found[0], found[1])
        if naming.checksum == found[2]:
            return naming
    raise DamageError("the key under which names are hashed is not what was written", "Restore the file from a copy")


def write_naming(connection: sqlite3.Connection, naming: Naming) -> None:
    """Replace the row. Call in a transaction."""
    connection.execute("INSERT OR REPLACE INTO naming VALUES (0, ?, ?, ?)", (*naming, naming.checksum))
