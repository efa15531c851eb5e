"""The list of imports in SQLite: which content came in under which name, by how it begins."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.ports import ImportHead, ImportRun

if TYPE_CHECKING:
    import sqlite3

_RUNS_KEPT: Final = 1_000
_RUN: Final = ImportRun.__struct_fields__  # the columns of a row
FILE_NAME: Final = "imports.ndjson"  # where earlier releases had the list, beside the database
_TABLE: Final = """
CREATE TABLE import (
  name TEXT NOT NULL,
  head_bytes INTEGER NOT NULL,         -- of the content, from its beginning
  sha256 TEXT NOT NULL,                -- of these
  PRIMARY KEY (name, head_bytes, sha256)
) STRICT, WITHOUT ROWID
"""


def begin_imports(connection: sqlite3.Connection) -> None:
    """Make the table, with what the file beside the database has. `remove_file` is for after the commit."""
    connection.execute(_TABLE)
    (path,) = (name for _, schema, name in connection.execute("PRAGMA database_list") if schema == "main")
    with suppress(FileNotFoundError):
        for line in Path(path).with_name(FILE_NAME).read_bytes().splitlines():
            with suppress(msgspec.DecodeError):  # a line torn by a power cut: at worst a question is not asked
                note(connection, msgspec.json.decode(line, type=ImportHead))


def remove_file(directory: Path) -> None:
    """Remove the file of an earlier release, of which the database has all."""
    with suppress(OSError):
        (directory / FILE_NAME).unlink(missing_ok=True)


def note(connection: sqlite3.Connection, head: ImportHead) -> None:
    """Add an import to the list, unless it is there."""
    values = (head.name, head.head_bytes, head.sha256)
    connection.execute("INSERT INTO import VALUES (?, ?, ?) ON CONFLICT DO NOTHING", values)


def read(connection: sqlite3.Connection) -> list[ImportHead]:
    """Return all that are noted."""
    rows = connection.execute("SELECT name, head_bytes, sha256 FROM import ORDER BY name, head_bytes, sha256")
    return [ImportHead(*row) for row in rows]


def note_run(connection: sqlite3.Connection, run: ImportRun) -> None:
    """Note how far a run has come, and forget the oldest of too many."""
    columns = f"({', '.join(_RUN)}) VALUES ({', '.join('?' * len(_RUN))})"
    connection.execute(f"INSERT OR REPLACE INTO import_run {columns}", msgspec.structs.astuple(run))
    connection.execute(
        "DELETE FROM import_run WHERE began_at <= "
        "(SELECT began_at FROM import_run ORDER BY began_at DESC LIMIT 1 OFFSET ?)",
        (_RUNS_KEPT,),
    )


def runs(connection: sqlite3.Connection, limit: int) -> list[ImportRun]:
    """Return the newest runs."""
    query = f"SELECT {', '.join(_RUN)} FROM import_run ORDER BY began_at DESC, name LIMIT ?"  # noqa: S608 its fields
    rows = connection.execute(query, (limit,))
    return [msgspec.convert(dict(zip(_RUN, row, strict=True)), ImportRun, strict=False) for row in rows]
