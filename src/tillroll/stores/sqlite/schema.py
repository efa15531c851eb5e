"""The SQLite file: its tables, its version, and how a connection to it is opened.

Durability is SQLite's own: WAL with synchronous=FULL syncs the log at every commit, before the commit returns; with
NORMAL it is in the log, in its order, and survives a power cut once a later commit has synced it
(https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from tillroll.core.pattern import pattern
from tillroll.errors import StoreError, StoreFullError
from tillroll.stores.sqlite.damage import DamageError, damaged
from tillroll.stores.sqlite.imports import begin_imports
from tillroll.stores.sqlite.upgrade import (
    add_checksums,
    add_seals,
    begin_segments,
    begin_sums,
    key_names,
    run_script,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Migration = Callable[[sqlite3.Connection], None]

FILE_NAME: Final = "tillroll.db"
APPLICATION_ID: Final = 0x54524C4C  # "TRLL"
SYNCED: Final = "PRAGMA synchronous = FULL"
SYNCED_LATER: Final = "PRAGMA synchronous = NORMAL"
_BUSY_S: Final = 30.0  # how long a writer waits for another process's commit
_WAL_AGAIN_S: Final = 0.01
_CACHE_KIB: Final = 32 * 1024
_MMAP_BYTES: Final = 1 << 30
_SHARED: Final = pattern(r"2nd reference|freelist", re.ASCII | re.IGNORECASE)  # as SQLite words it
_PROBLEMS_MAX: Final = 1_000_000  # those that are looked for come among others
_ELSEWHERE: Final = (
    "Restore it from a copy; or export the journal with `tillroll events`, and import it into a new directory"
)
_NULL: Final = pattern(r"NULL value in (\w+)\.(\w+)", re.ASCII)

# Each migration brings the file from the version before to its own; version 0 is an empty file.
MIGRATIONS: Final[tuple[str | Migration, ...]] = (
    """
CREATE TABLE state (
  id INTEGER PRIMARY KEY CHECK (id = 0),
  events INTEGER NOT NULL,             -- in the journal
  folded INTEGER NOT NULL,             -- of these, how many are in the segments
  folded_at REAL,                      -- when the last fold finished, seconds since 1970
  generation INTEGER NOT NULL,         -- rises when a rebuild may have renumbered merchants
  reports TEXT NOT NULL                -- the definitions that the segments were counted by
) STRICT;
CREATE TABLE chunk (
  first INTEGER PRIMARY KEY,           -- number of its first event, from 1 without a gap
  events INTEGER NOT NULL,
  low INTEGER NOT NULL,                -- the least and the greatest second of its events
  high INTEGER NOT NULL,
  committed_at REAL NOT NULL,
  payload BLOB NOT NULL                -- core.chunk
) STRICT;
CREATE TABLE identity (
  minute INTEGER NOT NULL,             -- of the event's date
  hash INTEGER NOT NULL,               -- of its name; where two names share one, the later takes the next free number
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
CREATE TABLE rejected (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  received_at REAL NOT NULL,
  kind INTEGER NOT NULL,
  source TEXT NOT NULL,
  position INTEGER NOT NULL,
  code TEXT NOT NULL,
  field TEXT,
  message TEXT NOT NULL,
  body BLOB NOT NULL,
  settled INTEGER NOT NULL DEFAULT 0   -- corrected or given up: not listed, but known if it comes again
) STRICT;
CREATE TABLE merchant (
  id INTEGER PRIMARY KEY,              -- in order of first sight in the journal, from 0
  name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE segment (
  report TEXT NOT NULL,
  window INTEGER NOT NULL,             -- hours or days since 1970; 0 for a report over all time
  part INTEGER NOT NULL,               -- which block of merchants; 0 without merchants
  cells BLOB NOT NULL,                 -- one counter for every code of the part (core.columns.add_counts)
  PRIMARY KEY (report, window, part)
) STRICT;
""",
    add_checksums,
    # What is in the table `rejected` goes into groups when the file is opened: rejected.convert.
    """
CREATE TABLE rejected_group (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  token TEXT NOT NULL,                 -- drawn, so that ids of two files differ
  kind INTEGER NOT NULL,
  source TEXT NOT NULL,
  low INTEGER NOT NULL,                -- the least and the greatest position
  high INTEGER NOT NULL,
  waiting INTEGER NOT NULL,            -- rejections that are not discarded
  codes TEXT NOT NULL,                 -- of these, how many by reason, as JSON
  payload BLOB NOT NULL,               -- core.rejection
  checksum INTEGER NOT NULL            -- of all other columns, of the payload by its own
) STRICT;
CREATE INDEX rejected_group_source ON rejected_group (source, kind, low);
CREATE TABLE rejected_total (
  id INTEGER PRIMARY KEY CHECK (id = 0),
  waiting INTEGER NOT NULL,            -- rejections, and the bytes of their groups
  bytes INTEGER NOT NULL,
  refused INTEGER NOT NULL,            -- 1 since some were not kept for want of room, until some are discarded
  with_ids INTEGER NOT NULL,           -- groups up to this one bring the ids that release 0.1.0 gave
  seal INTEGER NOT NULL                -- a sum of all other columns
) STRICT;
INSERT INTO rejected_total VALUES (0, 0, 0, 0, 0, 0);
""",
    key_names,
    begin_segments,
    begin_sums,
    """
CREATE TABLE field_tally (
  id INTEGER PRIMARY KEY CHECK (id = 0),
  tally TEXT NOT NULL                  -- core.field_tally, as JSON: what fields events bring, of samples
) STRICT;
""",
    begin_imports,
    """
CREATE TABLE outcome_tally (
  id INTEGER PRIMARY KEY CHECK (id = 0),
  tally TEXT NOT NULL                  -- core.outcome_tally, as JSON
) STRICT;
CREATE TABLE import_run (
  began_at REAL NOT NULL,              -- seconds since 1970, as noted_at
  name TEXT NOT NULL,
  noted_at REAL NOT NULL,
  done INTEGER NOT NULL,
  accepted INTEGER NOT NULL,
  duplicates INTEGER NOT NULL,
  conflicts INTEGER NOT NULL,
  rejected INTEGER NOT NULL,
  PRIMARY KEY (began_at, name)
) STRICT, WITHOUT ROWID;
""",
    add_seals,
)


VERSION_WITH_HEAD: Final = 2  # from this one on there is a head beside the file
VERSION_READ: Final = 6  # from this one on the row of positions is as `state` reads it


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection to a file, which is made when there is none. Transactions are begun by hand.

    It is made for its owner alone, and so is the log beside it, which SQLite makes as it finds the file.
    """
    with suppress(OSError):  # SQLite says what is wrong
        # Only one that is new: a descriptor that is closed takes with it all locks of this process on the file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute(SYNCED)
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute(f"PRAGMA mmap_size = {_MMAP_BYTES}")
    return connection


def version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of a file, 0 of a new one. Nothing is written.

    Raises:
        StoreError: the file is something else's, or of a newer tillroll.
    """
    version, owner = _pragma(connection, "user_version"), _pragma(connection, "application_id")
    if owner != APPLICATION_ID:
        with transaction(connection, "DEFERRED"):  # of one moment: another process may be making the file
            version, owner = _pragma(connection, "user_version"), _pragma(connection, "application_id")
            filled = connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
        if owner != APPLICATION_ID and (owner or version or filled):
            raise StoreError(f"{path} is not a tillroll file", "Name another directory with --data")
    refuse_newer(connection, path)
    return version


def refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file of a newer tillroll, which may have upgraded it since this one opened it.

    Raises:
        StoreError: it is one.
    """
    version = _pragma(connection, "user_version")
    if version > len(MIGRATIONS):
        problem = f"{path} is of version {version}, and this tillroll knows versions up to {len(MIGRATIONS)}"
        raise StoreError(problem, "Run the newer tillroll that wrote it")


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a file to the current version.

    Raises:
        StoreError: the file is something else's, or of a newer tillroll.
    """
    before = version(connection, path)
    if before == len(MIGRATIONS):
        return
    if not before:
        connection.execute("PRAGMA page_size = 8192")
        _use_wal(connection)
    with transaction(connection):
        start = _pragma(connection, "user_version")
        for number in range(start, len(MIGRATIONS)):
            migration = MIGRATIONS[number]
            if isinstance(migration, str):
                run_script(connection, migration)
            else:
                migration(connection)
            if not number:
                connection.execute("INSERT INTO state VALUES (0, 0, 0, NULL, 0, '')")
            connection.execute(f"PRAGMA user_version = {number + 1}")
        if not start:
            connection.execute("DROP TABLE rejected")  # of release 0.1.0: there is nothing to convert
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Have the file's log be written ahead. SQLite does not wait for others who do the same, so this does."""
    give_up = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up:
                raise
            time.sleep(_WAL_AGAIN_S)
        else:
            return


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0)  # Python's own errors have none


def _primary_code(error: sqlite3.Error) -> int:
    return _code(error) & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether SQLite has found the file's own structure damaged."""
    return _primary_code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def problems(connection: sqlite3.Connection, check: str) -> Iterator[tuple[str, str]]:
    """Yield (table, problem) of what SQLite itself finds wrong: `quick_check`, or `integrity_check` of indexes too."""
    for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        for (problem,) in connection.execute(f"PRAGMA {check}('{table}')"):
            if problem != "ok" and not _is_wrong(connection, problem):
                yield table, problem


def check_pages(connection: sqlite3.Connection) -> None:
    """Find each page of the file in one place: to write to a table that shares one with another would damage both.

    Raises:
        DamageError: one is not.
    """
    for (problem,) in connection.execute(f"PRAGMA quick_check({_PROBLEMS_MAX})"):
        if _SHARED.search(problem):
            raise DamageError(f"tables share pages of the file ({problem}): no repair may write to it", _ELSEWHERE)


def _is_wrong(connection: sqlite3.Connection, problem: str) -> bool:
    """Tell whether SQLite finds a NULL where there is none.

    3.40 does, in a table WITHOUT ROWID whose key is not its first columns.
    """
    found = _NULL.fullmatch(problem)
    if found is None:
        return False
    table, column = found.groups()
    query = f"SELECT 1 FROM {table} WHERE typeof({column}) = 'null'"  # noqa: S608 names of the file's own
    return connection.execute(query).fetchone() is None


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors, and damage that was found, into the store's."""
    try:
        yield
    except DamageError as error:
        raise damaged(path, error) from error
    except UnicodeDecodeError as error:  # of what SQLite says about a definition in the file that is damaged
        raise StoreError(f"{path} is damaged", "Restore it from a copy; then run tillroll audit") from error
    except sqlite3.Error as error:
        primary = _primary_code(error)
        if primary == sqlite3.SQLITE_FULL or _code(error) == sqlite3.SQLITE_IOERR_SHMSIZE:
            raise StoreFullError(
                f"the disk under {path} is full", "Free some space; nothing acknowledged is lost", retry_after_s=10
            ) from error
        if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise StoreError(
                f"another process has kept {path} locked", "Try again, or find what holds it", retry_after_s=1
            ) from error
        if is_damage(error):
            raise StoreError(
                f"{path} is damaged ({error})", "Restore it from a copy; then run tillroll audit"
            ) from error
        raise StoreError(f"{path}: {error}", "Check the disk and the permissions", retry_after_s=5) from error


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Run the body in one transaction: committed when it ends, rolled back when it raises."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
