"""The versions of reports that a SQLite file holds: how far each is counted, and whether readers read it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tillroll.stores.damage import DamageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

REPORT_TABLE: Final = """
CREATE TABLE report (
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  definition TEXT NOT NULL,            -- empty of the five
  position INTEGER,                    -- the events up to this one are counted; NULL: those that the store has folded
  state TEXT NOT NULL,                 -- counting, or readable
  checksum INTEGER NOT NULL,           -- of all other columns
  PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
"""
VersionState = Literal["counting", "readable"]
_COLUMNS: Final = "name, version, definition, position, state"
_REBUILD: Final = "Make it and the aggregates anew from the journal with: tillroll rebuild"


class Version(NamedTuple):
    """One version of a report."""

    name: str
    version: int
    definition: str
    position: int | None
    state: VersionState

    @property
    def checksum(self) -> int:
        """The checksum that its row has."""
        return zlib.crc32(repr(tuple(self)).encode())


def read_versions(connection: sqlite3.Connection) -> list[Version]:
    """Return all versions, by name and number. Call in a transaction.

    Raises:
        DamageError: one is not what was written.
    """
    query = f"SELECT {_COLUMNS}, checksum FROM report ORDER BY name, version"  # noqa: S608 names, above
    versions = []
    for *columns, checksum in connection.execute(query):
        version = Version(*columns)
        if version.checksum != checksum:
            raise DamageError(f"what is known of the report {version.name} is damaged", _REBUILD)
        versions.append(version)
    return versions


def write_versions(connection: sqlite3.Connection, versions: Iterable[Version]) -> None:
    """Write versions that are new or changed. Call in a transaction, and have the state tell of it."""
    rows = [(*version, version.checksum) for version in versions]
    connection.executemany("INSERT OR REPLACE INTO report VALUES (?, ?, ?, ?, ?, ?)", rows)
