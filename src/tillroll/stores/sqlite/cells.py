"""The aggregates of reports with several open dimensions: a row for each cell, found by the numbers of its values.

Segments would need a number for each combination of values; here a combination costs nothing until it occurs.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tillroll.stores.sqlite.damage import DamageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from tillroll.core.fold import Counts
    from tillroll.core.report import Report
    from tillroll.stores.sqlite.segment_rows import Statement

CELL_TABLE: Final = """
CREATE TABLE cell (
  report TEXT NOT NULL,                -- its name and version
  window INTEGER NOT NULL,             -- 0 for a report over all time
  ids BLOB NOT NULL,                   -- the numbers of the values, then the code of what is closed, 4 bytes each
  events INTEGER NOT NULL,
  amount INTEGER NOT NULL,             -- modulo 10^18,
  amount_high INTEGER NOT NULL,        -- and divided by it
  checksum INTEGER NOT NULL,           -- of all other columns
  PRIMARY KEY (report, window, ids)
) STRICT, WITHOUT ROWID;
"""
_SELECT: Final = "SELECT window, ids, events, amount, amount_high, checksum FROM cell"
_AMOUNT: Final = 10**18
_TOTALS: Final = struct.Struct("<qqqq")
_RECOUNT: Final = "Count it again from the journal with: tillroll audit --repair"


class Cell(NamedTuple):
    """One row."""

    window: int
    ids: tuple[int, ...]  # of the open dimensions, in their order
    code: int  # of the closed ones
    events: int
    amount: int


class Cells:
    """The rows of one connection. Whatever is read is checked: DamageError says what is not as written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def changes(self, report: Report, counts: Counts) -> Statement:
        """Return what is to be executed so that a report has these counts as well. Call within a transaction."""
        rows: list[tuple[Any, ...]] = []
        columns = (counts.windows, zip(*counts.numbers, counts.codes, strict=True), counts.counts, counts.sums)
        for window, numbers, events, amount in zip(*columns, strict=True):
            ids = _packed(numbers)
            held = self._find(report, window, ids)
            total = (events, amount) if held is None else (held.events + events, held.amount + amount)
            rows.append(_row(report.key, window, ids, *total))
        return "INSERT OR REPLACE INTO cell VALUES (?, ?, ?, ?, ?, ?, ?)", rows

    def find(self, report: Report, window: int, ids: tuple[int, ...], code: int) -> tuple[int, int]:
        """Return the events of a cell, and their amount."""
        held = self._find(report, window, _packed((*ids, code)))
        return (0, 0) if held is None else (held.events, held.amount)

    def _find(self, report: Report, window: int, ids: bytes) -> Cell | None:
        where = "report = ? AND window = ? AND ids = ?"
        row = self._connection.execute(f"{_SELECT} WHERE {where}", (report.key, window, ids)).fetchone()
        return None if row is None else _checked(report, row)

    def read(self, report: Report, start: int | None = None, stop: int | None = None) -> Iterator[Cell]:
        """Yield the cells of a range of windows, by window, then numbers."""
        low, high = -(1 << 62) if start is None else start, 1 << 62 if stop is None else stop
        where = "report = ? AND window >= ? AND window < ? ORDER BY window, ids"
        for row in self._connection.execute(f"{_SELECT} WHERE {where}", (report.key, low, high)):
            yield _checked(report, row)

    def doubtful(self, report: Report, start: int | None) -> Iterator[tuple[Cell | None, str]]:
        """Yield every row from a window on as it stands there, and what is wrong with it, for who looks into damage."""
        where = "report = ? AND window >= ? ORDER BY window, ids"
        low = -(1 << 62) if start is None else start
        for row in self._connection.execute(f"{_SELECT} WHERE {where}", (report.key, low)):
            try:
                yield _checked(report, row), ""
            except DamageError as error:
                yield None, error.problem


def cells_of(counts: Counts) -> Iterator[Cell]:
    """Yield the cells of what a fold counted in a report of several open dimensions."""
    columns = (counts.windows, zip(*counts.numbers, strict=True), counts.codes, counts.counts, counts.sums)
    yield from map(Cell._make, zip(*columns, strict=True))


def _packed(numbers: tuple[int, ...]) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def _row(key: str, window: int, ids: bytes, events: int, amount: int) -> tuple[str, int, bytes, int, int, int, int]:
    high, low = divmod(amount, _AMOUNT)
    return key, window, ids, events, low, high, _checksum(key, window, ids, events, low, high)


def _checksum(key: str, window: int, ids: bytes, events: int, low: int, high: int) -> int:
    return zlib.crc32(ids, zlib.crc32(_TOTALS.pack(window, events, low, high), zlib.crc32(key.encode())))


def _checked(report: Report, row: tuple[int, bytes, int, int, int, int]) -> Cell:
    window, ids, events, low, high, checksum = row
    try:
        whole = _checksum(report.key, window, ids, events, low, high) == checksum
    except (TypeError, struct.error):  # damage may change what type SQLite takes a column for
        whole = False
    if not whole:
        raise DamageError(f"an aggregate of {report.name} is damaged (window {window})", _RECOUNT)
    *numbers, code = struct.unpack(f">{len(ids) // 4}I", ids)
    return Cell(window, tuple(numbers), code, events, high * _AMOUNT + low)
