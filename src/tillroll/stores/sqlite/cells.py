"""The aggregates of reports with several open dimensions: a row for each cell, found by the numbers of its values.

Segments would need a number for each combination of values; here a combination costs nothing until it occurs. What the
cells of a window and a first value add up to stands in segments: so cells that are lost, or as they were once, are
missed.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from itertools import chain, count, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tillroll.core import kernel
from tillroll.core.fold import Counts
from tillroll.core.report import Report
from tillroll.stores.sqlite.damage import RECOUNT, DamageError
from tillroll.stores.sqlite.layout import layout_of
from tillroll.stores.sqlite.segments import Segments, counted_events

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

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
_HALF: Final = 1 << 32  # columns are added up in halves: no number of rows, nor damage, takes a sum out of 64 bits
_SUMMED: Final = ", ".join(
    f"coalesce(sum({column} >> 32), 0), coalesce(sum({column} & {_HALF - 1}), 0)"
    for column in ("events", "amount", "amount_high")
)
_SUMS: Final = f"SELECT {_SUMMED} FROM cell WHERE report = ? AND window = ? AND ids >= ? AND ids < ?"  # noqa: S608
_TOTALS: Final = struct.Struct("<qqqq")
_FIRST: Final = "first"

Key = tuple[int, int]  # a window, and the number of a report's first open value
Subtotal = tuple[Key, tuple[int, int]]  # events and amount of the cells under a key
_first_of: Final = attrgetter("first")


class Cell(NamedTuple):
    """One row."""

    window: int
    ids: tuple[int, ...]  # of the open dimensions, in their order
    code: int  # of the closed ones
    events: int
    amount: int

    @property
    def first(self) -> Key:
        """The window and the number of the first value: of what a subtotal adds up."""
        return self.window, self.ids[0]


class Cells:
    """The rows of one connection. Whatever is read is checked: DamageError says what is not as written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._segments = Segments(connection)  # of subtotals
        self._found_whole: set[tuple[str, int, int]] = set()  # reports' windows and first values, in one transaction

    def changes(self, report: Report, counts: Counts) -> list[Statement]:
        """Return what is to be executed so that a report has these counts as well. Call within a transaction."""
        rows: list[tuple[Any, ...]] = []
        columns = (counts.windows, zip(*counts.numbers, counts.codes, strict=True), counts.counts, counts.sums)
        for window, numbers, events, amount in zip(*columns, strict=True):
            ids = _packed(numbers)
            held = self._find(report, window, ids)
            total = (events, amount) if held is None else (held.events + events, held.amount + amount)
            rows.append(_row(report.key, window, ids, *total))
        statement = "INSERT OR REPLACE INTO cell VALUES (?, ?, ?, ?, ?, ?, ?)", rows
        return [statement, *self._segments.changes(subtotals_of(report), _subtotals(counts))]

    def find(self, report: Report, window: int, ids: tuple[int, ...], code: int) -> tuple[int, int]:
        """Return the events of a cell, and their amount."""
        self._check_first(report, window, ids[0])
        held = self._find(report, window, _packed((*ids, code)))
        return (0, 0) if held is None else (held.events, held.amount)

    def begin(self) -> None:
        """Begin a transaction: what was found whole in another may have changed."""
        self._found_whole.clear()

    def _check_first(self, report: Report, window: int, number: int) -> None:
        """Find that the cells of a window and a first value add up to their subtotal: SQLite adds, as they are many."""
        key = (report.key, window, number)
        if key in self._found_whole:
            return
        low, high = _packed((number,)), _packed((number + 1,))
        found = self._connection.execute(_SUMS, (report.key, window, low, high)).fetchone()
        events, amount, amount_high = (above * _HALF + below for above, below in zip(*[iter(found)] * 2, strict=True))
        if (events, amount_high * _AMOUNT + amount) != self._subtotal(report, window, number):
            raise _lost(report)
        self._found_whole.add(key)

    def _find(self, report: Report, window: int, ids: bytes) -> Cell | None:
        some = self._select(report, "report = ? AND window = ? AND ids = ?", (window, ids))
        return next(some, None)

    def _select(self, report: Report, where: str, values: tuple[object, ...]) -> Iterator[Cell]:
        for row in self._connection.execute(f"{_SELECT} WHERE {where}", (report.key, *values)):
            yield _checked(report, row)

    def read(self, report: Report, start: int | None = None, stop: int | None = None) -> Iterator[Cell]:
        """Yield the cells of a range of windows, by window, then numbers."""
        low, high = -(1 << 62) if start is None else start, 1 << 62 if stop is None else stop
        some = self._select(report, "report = ? AND window >= ? AND window < ? ORDER BY window, ids", (low, high))
        return _whole(report, some, self._subtotals(report, start, stop))

    def count(self, report: Report) -> int:
        """Return how many cells of a report there are."""
        query = "SELECT count(*), coalesce(sum(events), 0) FROM cell WHERE report = ?"
        found, events = self._connection.execute(query, (report.key,)).fetchone()
        if events != counted_events(self._segments, subtotals_of(report)):
            raise _lost(report)
        return int(found)

    def _subtotals(self, report: Report, start: int | None, stop: int | None) -> Iterator[Subtotal]:
        """Yield the subtotals of a range of windows, by window, then number."""
        subtotals = subtotals_of(report)
        size = layout_of(subtotals).size
        for window, rows, *few in self._segments.windows(subtotals, start, stop):
            totals: dict[int, tuple[int, int]] = {}
            dense = (zip(count(part * size), *kernel.read_counts(cells, size), strict=False) for _, part, cells in rows)
            for number, its, low, high in chain(*dense, zip(*few, strict=True)):
                if its:
                    events, amount = totals.get(number, (0, 0))
                    totals[number] = events + its, amount + (high << 64 | low)
            yield from (((window, number), totals[number]) for number in sorted(totals))

    def _subtotal(self, report: Report, window: int, number: int) -> tuple[int, int]:
        subtotals = subtotals_of(report)
        size = layout_of(subtotals).size
        part, index = divmod(number, size)
        counts, lows, highs = kernel.read_counts(self._segments.cells(subtotals, window, part), size)
        return counts[index], highs[index] << 64 | lows[index]

    def doubtful(self, report: Report, start: int | None) -> Iterator[tuple[Cell | None, str]]:
        """Yield every row from a window on as it stands there, and what is wrong with it, for who looks into damage.

        What is wrong with all of them together comes last, with no row.
        """
        where = "report = ? AND window >= ? ORDER BY window, ids"
        low = -(1 << 62) if start is None else start
        for row in self._connection.execute(f"{_SELECT} WHERE {where}", (report.key, low)):
            try:
                yield _checked(report, row), ""
            except DamageError as error:
                yield None, error.problem
        try:
            for _ in self.read(report, start):
                pass
        except DamageError as error:
            yield None, error.problem


def subtotals_of(report: Report) -> Report:
    """Return the report of the windows and first values of a report of cells, which is stored in segments."""
    by = (*([] if report.window is None else [report.window]), report.opens[0])
    return Report(f"{report.name}/{_FIRST}", report.title, by, version=report.version)


def subtotals_key(key: str) -> str:
    """Return the key of the report that `subtotals_of` gives, of one with this key."""
    name, _, version = key.rpartition(".")
    return f"{name}/{_FIRST}.{version}"


def _subtotals(counts: Counts) -> Counts:
    """Return the counts of a report of cells, added up by window and first value."""
    windows, codes, events, amounts = array("q"), array("Q"), array("Q"), array("Q")
    last = None
    columns = (zip(counts.windows, counts.numbers[0], strict=True), counts.counts, counts.sums)
    for first, its, amount in zip(*columns, strict=True):
        if first == last:
            events[-1] += its
            amounts[-1] += amount
            continue
        last = first
        windows.append(first[0])
        codes.append(first[1])
        events.append(its)
        amounts.append(amount)
    return Counts(windows, codes, events, amounts)


def _whole(report: Report, cells: Iterator[Cell], subtotals: Iterator[Subtotal]) -> Iterator[Cell]:
    """Yield cells, sorted by window and numbers, and find that they add up to their subtotals.

    Raises:
        DamageError: they do not.
    """
    for first, some in groupby(cells, key=_first_of):
        events = amount = 0
        for cell in some:
            events += cell.events
            amount += cell.amount
            yield cell
        if next(subtotals, None) != (first, (events, amount)):
            raise _lost(report)
    if next(subtotals, None) is not None:
        raise _lost(report)


def _lost(report: Report) -> DamageError:
    return DamageError(f"aggregates of {report.name} are missing, or as they were before", RECOUNT)


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
        raise DamageError(f"an aggregate of {report.name} is damaged (window {window})", RECOUNT)
    *numbers, code = struct.unpack(f">{len(ids) // 4}I", ids)
    return Cell(window, tuple(numbers), code, events, high * _AMOUNT + low)
