"""The list of imports in SQLite: which content came in under which name, by how it begins."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tillroll.ports import ImportHead, ImportRun
from tillroll.stores.sqlite import seal

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

_RUNS_KEPT: Final = 1_000
_RUN: Final = ", ".join(ImportRun.__struct_fields__)  # the columns of a row
_HEAD: Final = ", ".join(ImportHead.__struct_fields__)
_OF_KEY: Final = "(began_at, name) = (?, ?)"
_TOO_OLD: Final = "began_at <= (SELECT began_at FROM import_run ORDER BY began_at DESC LIMIT 1 OFFSET ?)"
_SHA256_DIGITS: Final = 64
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
                _add(connection, msgspec.json.decode(line, type=ImportHead))


def remove_file(directory: Path) -> None:
    """Remove the file of an earlier release, of which the database has all."""
    with suppress(OSError):
        (directory / FILE_NAME).unlink(missing_ok=True)


def note(connection: sqlite3.Connection, head: ImportHead) -> None:
    """Add an import to the list, unless it is there."""
    seal.change(connection, "import", (), _add(connection, head))


def _add(connection: sqlite3.Connection, head: ImportHead) -> list[tuple[Any, ...]]:
    """Add an import to the list, and return its row, unless it is there."""
    insert = f"INSERT INTO import VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING {_HEAD}"  # noqa: S608 its fields
    return connection.execute(insert, msgspec.structs.astuple(head)).fetchall()


def read(connection: sqlite3.Connection) -> list[ImportHead]:
    """Return all that are noted. Call in a transaction.

    Raises:
        DamageError: they are not what was written.
    """
    rows = connection.execute(f"SELECT {_HEAD} FROM import ORDER BY {_HEAD}").fetchall()  # noqa: S608 its fields
    seal.check(connection, "import", "the list of imports", rows)
    return [ImportHead(*row) for row in rows]


def note_run(connection: sqlite3.Connection, run: ImportRun) -> None:
    """Note how far a run has come, and forget the oldest of too many. Call in a transaction.

    Raises:
        DamageError: those that are noted are not what was written.
    """
    _all_runs(connection)  # or others' rows might be forgotten, on pages that went elsewhere
    key, values = (run.began_at, run.name), msgspec.structs.astuple(run)
    before = _runs(connection, _OF_KEY, key)
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT OR REPLACE INTO import_run ({_RUN}) VALUES ({marks})", values)  # noqa: S608 its fields
    after = _runs(connection, _OF_KEY, key)  # as they are stored: a whole number may be a float there
    before += _runs(connection, _TOO_OLD, (_RUNS_KEPT,))
    connection.execute(f"DELETE FROM import_run WHERE {_TOO_OLD}", (_RUNS_KEPT,))  # noqa: S608 above
    seal.change(connection, "import_run", before, after)


def _runs(connection: sqlite3.Connection, where: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT {_RUN} FROM import_run WHERE {where}", values).fetchall()  # noqa: S608 its fields


def runs(connection: sqlite3.Connection, limit: int) -> list[ImportRun]:
    """Return the newest runs. Call in a transaction.

    Raises:
        DamageError: they are not what was written.
    """
    fields, rows = ImportRun.__struct_fields__, _all_runs(connection)[:limit]
    return [msgspec.convert(dict(zip(fields, row, strict=True)), ImportRun, strict=False) for row in rows]


def _all_runs(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    rows = _runs(connection, "true ORDER BY began_at DESC, name", ())
    seal.check(connection, "import_run", "the list of runs of imports", rows)
    return rows


def put_seals(connection: sqlite3.Connection) -> None:
    """Have the lists as they stand there be what was written, but for what is none of theirs. Call in a transaction."""
    connection.execute(
        "DELETE FROM import WHERE typeof(head_bytes) <> 'integer' OR length(sha256) IS NOT ?", (_SHA256_DIGITS,)
    )
    connection.execute("DELETE FROM import_run WHERE typeof(rejected) <> 'integer'")
    for table, columns in (("import", _HEAD), ("import_run", _RUN)):
        rows: Iterable[tuple[Any, ...]] = connection.execute(f"SELECT {columns} FROM {table}")  # noqa: S608 above
        seal.put(connection, table, rows)
