"""Migrations of the SQLite file that SQL alone cannot do. Each runs in the transaction of `schema.migrate`."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

from tillroll.core.report import FIVE
from tillroll.core.versions import Version
from tillroll.stores.sqlite import imports, notes, seal
from tillroll.stores.sqlite.cells import CELL_TABLE
from tillroll.stores.sqlite.chunks import GENESIS, Chunk
from tillroll.stores.sqlite.counters import Counters, has_rows
from tillroll.stores.sqlite.layout import layout_of
from tillroll.stores.sqlite.merchants import VALUE_TABLES, names_crc
from tillroll.stores.sqlite.naming import NAMING_TABLES, draw_naming, write_naming
from tillroll.stores.sqlite.reports import (
    REPORT_TABLES,
    insert_positions,
    insert_versions,
    roster_of,
    write_versions,
)
from tillroll.stores.sqlite.seal import SEAL_TABLE
from tillroll.stores.sqlite.segments import Segments, SegmentsWithoutSums
from tillroll.stores.sqlite.state import StoreState, write_state

if TYPE_CHECKING:
    import sqlite3

AGGREGATE_TABLES: Final = f"""
CREATE TABLE merchant (
  id INTEGER PRIMARY KEY,              -- in order of first sight in the journal, from 0
  name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE aggregate (
  report TEXT NOT NULL,                -- its name and version
  window INTEGER NOT NULL,             -- hours or days since 1970; 0 for a report over all time
  part INTEGER NOT NULL,               -- which block of merchants; 0 without merchants
  next_window INTEGER NOT NULL,        -- the report's next segment, so that one that is lost is missed
  next_part INTEGER NOT NULL,
  checksum INTEGER NOT NULL,           -- of all other columns
  cells BLOB NOT NULL,                 -- a counter and a sum for every code of the part (core.columns.add_counts); of
                                       -- a name with /sparse those above 0 of many windows (stores.sparse)
  PRIMARY KEY (report, window, part)
) STRICT;
{CELL_TABLE.strip()}
{VALUE_TABLES.strip()}
"""
_CHECKED_TABLES: Final = """
ALTER TABLE chunk ADD COLUMN chain BLOB NOT NULL DEFAULT x'';
ALTER TABLE state RENAME TO state_before;
CREATE TABLE state (
  id INTEGER PRIMARY KEY CHECK (id = 0),
  events INTEGER NOT NULL,             -- in the journal
  folded INTEGER NOT NULL,             -- of these, how many are in the segments
  folded_at REAL,                      -- when the last fold finished, seconds since 1970
  generation INTEGER NOT NULL,         -- rises when a rebuild may have renumbered merchants
  reports TEXT NOT NULL,               -- the definitions that the segments were counted by; read whole, and compared
  chain BLOB NOT NULL,                 -- of the last chunk
  merchants INTEGER NOT NULL,          -- how many there are
  merchants_crc INTEGER NOT NULL,      -- of their names in order
  checksum INTEGER NOT NULL            -- of all other columns but reports
) STRICT;
ALTER TABLE segment RENAME TO segment_before;
CREATE TABLE segment (
  report TEXT NOT NULL,
  window INTEGER NOT NULL,             -- hours or days since 1970; 0 for a report over all time
  part INTEGER NOT NULL,               -- which block of merchants; 0 without merchants
  next_window INTEGER NOT NULL,        -- the report's next segment, so that one that is lost is missed
  next_part INTEGER NOT NULL,
  checksum INTEGER NOT NULL,           -- of all other columns
  cells BLOB NOT NULL,                 -- one counter for every code of the part; of a report's name with /sparse the
                                       -- counters above 0 of many
  PRIMARY KEY (report, window, part)
) STRICT;
"""
_STATE_2: Final = struct.Struct("<qqdqqI32s")
# A program from before this finds no `folded_at`, and stops with an error before it has written anything.
_SUMS_TABLES: Final = """
ALTER TABLE state RENAME TO state_before;
CREATE TABLE state (
  id INTEGER PRIMARY KEY CHECK (id = 0),
  events INTEGER NOT NULL,             -- in the journal
  folded INTEGER NOT NULL,             -- of these, how many are in the segments
  last_fold_at REAL,                   -- seconds since 1970
  generation INTEGER NOT NULL,         -- rises when a rebuild may have renumbered merchants
  merchants INTEGER NOT NULL,          -- how many there are
  merchants_crc INTEGER NOT NULL,      -- of their names in order
  chain BLOB NOT NULL,                 -- of the last chunk
  definitions INTEGER NOT NULL,        -- rises when a version of a report comes, goes or becomes readable
  checksum INTEGER NOT NULL            -- of all other columns
) STRICT;
"""
_CHUNKS_AT_ONCE: Final = 64
_ROWS_AT_ONCE: Final = 10_000


def run_script(connection: sqlite3.Connection, script: str) -> None:
    """Run statements within the transaction that is open; `executescript` would commit it."""
    for statement in script.split(";\n"):
        connection.execute(statement)


def add_checksums(connection: sqlite3.Connection) -> None:
    """Bring a file of version 1, which is that of 0.1.0, to version 2: all that is read has a checksum."""
    run_script(connection, _CHECKED_TABLES)
    chain = _chain_chunks(connection)
    merchants, crc = _merchants(connection)
    connection.execute(
        "INSERT INTO state SELECT id, events, folded, folded_at, generation, reports, x'', 0, 0, 0 FROM state_before"
    )
    query = "SELECT events, folded, folded_at, generation FROM state"
    events, folded, folded_at, generation = connection.execute(query).fetchone()
    at = -1.0 if folded_at is None else folded_at
    checksum = zlib.crc32(_STATE_2.pack(events, folded, at, generation, merchants, crc, chain))
    values = (chain, merchants, crc, checksum)
    connection.execute("UPDATE state SET (chain, merchants, merchants_crc, checksum) = (?, ?, ?, ?)", values)
    segments = SegmentsWithoutSums(connection)
    segments.begin(FIVE)
    reports = {report.name: report for report in FIVE}
    query = "SELECT report, window, part, cells FROM segment_before ORDER BY report, window, part"
    for name, window, part, cells in connection.execute(query):
        report = reports.get(name)
        if report is not None:  # else a report of another edition
            segments.put(report, window, part, bytes([len(cells) // layout_of(report).size, 0, 0]) + cells)
    connection.execute("DROP TABLE segment_before")
    connection.execute("DROP TABLE state_before")


def begin_segments(connection: sqlite3.Connection) -> None:
    """Let the sparse segments of each report begin; which a file from before them has not."""
    SegmentsWithoutSums(connection).begin(FIVE)


def begin_sums(connection: sqlite3.Connection) -> None:
    """Begin a version of the five that has sums: version 6.

    It is counted from the journal beside traffic, and the segments without sums are folded and read until it is whole.
    """
    aggregates = AGGREGATE_TABLES[AGGREGATE_TABLES.index("CREATE TABLE agg") :]
    run_script(connection, _SUMS_TABLES + REPORT_TABLES + aggregates)
    columns = "events, folded, folded_at, generation, merchants, merchants_crc, chain"
    before = connection.execute(f"SELECT {columns}, checksum FROM state_before").fetchone()  # noqa: S608 names, above
    state = _state_5(before)
    write_state(connection, state or StoreState(0, 0, None, 0, 0, 0, GENESIS))
    if state is None:  # damaged, and so it stays until a rebuild
        connection.execute("UPDATE state SET checksum = checksum + 1")
    connection.execute("DROP TABLE state_before")
    Segments(connection).begin(FIVE)
    (filled,) = connection.execute("SELECT count(*) FROM (SELECT 1 FROM chunk LIMIT 1)").fetchone()
    if not filled:
        connection.execute("DROP TABLE segment")
    begun = [Version(report.name, 1, "", "counting", 0) for report in FIVE]
    whole = [version._replace(position=None, state="readable") for version in begun]
    insert_versions(connection, begun if filled else whole)
    insert_positions(connection, [(version.key, 0) for version in begun] if filled else [])


def add_seals(connection: sqlite3.Connection) -> None:
    """Seal small tables, and begin subtotals of cells: version 10.

    Reports of cells are counted again, beside traffic.
    """
    run_script(connection, SEAL_TABLE)
    for table, columns in (("report", "name, version, definition, state"), ("counted", "report, position")):
        seal.put(connection, table, connection.execute(f"SELECT {columns} FROM {table}"))  # noqa: S608 names, above
    imports.put_seals(connection)
    notes.put_seals(connection)
    connection.execute("DELETE FROM cell")
    own = [each for each in roster_of(connection).of("counting", "readable") if has_rows(each[1])]
    Counters(connection).begin(report for _, report in own)
    write_versions(connection, [version._replace(state="counting", position=0) for version, _ in own])


def _state_5(row: tuple[Any, ...] | None) -> StoreState | None:
    """Return the state out of a row of version 5, None when it is not what was written."""
    if row is None:
        return None
    *columns, checksum = row
    events, folded, folded_at, *others = columns
    try:
        packed = _STATE_2.pack(events, folded, -1.0 if folded_at is None else folded_at, *others)
    except struct.error:  # damage may change what type SQLite takes a column for
        return None
    return StoreState(*columns) if zlib.crc32(packed) == checksum else None


def _chain_chunks(connection: sqlite3.Connection) -> bytes:
    """Give each chunk its hash; return the last."""
    chain, last = GENESIS, 0
    query = "SELECT first, events, low, high, committed_at, payload FROM chunk WHERE first > ? ORDER BY first LIMIT ?"
    while rows := connection.execute(query, (last, _CHUNKS_AT_ONCE)).fetchall():
        for row in rows:
            chain = Chunk(*row).linked(chain)
            connection.execute("UPDATE chunk SET chain = ? WHERE first = ?", (chain, row[0]))
        last = rows[-1][0]
    return chain


def _merchants(connection: sqlite3.Connection) -> tuple[int, int]:
    count, crc = 0, 0
    query = "SELECT name FROM merchant WHERE id >= ? ORDER BY id LIMIT ?"
    while rows := connection.execute(query, (count, _ROWS_AT_ONCE)).fetchall():
        crc = names_crc([name for (name,) in rows], crc)
        count += len(rows)
    return count, crc


def key_names(connection: sqlite3.Connection) -> None:
    """Have names hashed under a secret of the file, with the date: version 4. `reindex` fills the new index."""
    connection.execute("DROP TABLE identity")
    connection.execute("DROP TABLE run")
    run_script(connection, NAMING_TABLES)
    (filled,) = connection.execute("SELECT count(*) FROM (SELECT 1 FROM chunk LIMIT 1)").fetchone()
    write_naming(connection, draw_naming(0 if filled else None))
