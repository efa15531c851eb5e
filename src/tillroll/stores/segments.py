"""The aggregates in SQLite: a segment holds the counters of one window and one block of merchants, as one row.

A row for each datapoint would cost a hundred times the bytes and the time: 4,000,000 datapoints of day-merchant are
4,000 rows here. Codes are `core.fold`'s; a counter of 0 is a datapoint that nobody counted.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.core import kernel
from tillroll.core.fold import Counts, count_columns, fold
from tillroll.core.report import BRACKETS, METHODS, REPORTS, Report

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from tillroll.core.batch import Batch

PART_MERCHANTS: Final = 1_024
_INSERTED_SINGLY_MAX: Final = 64
_RADIX: Final = {"bracket": len(BRACKETS), "method": len(METHODS)}


def radix(report: Report) -> int:
    """Return how many codes of a report one merchant has, or all codes of a report without merchants."""
    size = 1
    for key in report.keys:
        size *= _RADIX.get(key, 1)
    return size


def part_size(report: Report) -> int:
    """Return how many codes a part of a report has."""
    return radix(report) * (PART_MERCHANTS if "merchant" in report.keys else 1)


class Order:
    """The merchants in the order of their names with a text after each: that of the datapoints they are part of."""

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix
        self._keys: list[str] = []
        self.numbers: list[int] = []

    def extend(self, names: list[str]) -> None:
        """Take in the names that were added since."""
        known = len(self.numbers)
        if len(names) - known > _INSERTED_SINGLY_MAX:
            self.numbers = sorted(range(len(names)), key=lambda number: names[number] + self._suffix)
            self._keys = [names[number] + self._suffix for number in self.numbers]
            return
        for number in range(known, len(names)):
            key = names[number] + self._suffix
            at = bisect_left(self._keys, key)
            self._keys.insert(at, key)
            self.numbers.insert(at, number)

    def first_not_below(self, name: str) -> int:
        """Return the index in `numbers` of the first merchant that does not come before this name."""
        return bisect_left(self._keys, name + self._suffix)


class Merchants:
    """The merchants by number and name, read from the table as needed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers = kernel.Dictionary()
        self._names: list[str] = []
        self._orders: dict[str, Order] = {}

    def order(self, suffix: str) -> Order:
        """Return the merchants in the order of their names with this suffix."""
        order = self._orders.setdefault(suffix, Order(suffix))
        order.extend(self._names)
        return order

    def refresh(self) -> None:
        """Read what was added since."""
        found = self._connection.execute("SELECT name FROM merchant WHERE id >= ? ORDER BY id", (len(self._names),))
        self._take_in([name for (name,) in found])

    def names(self) -> list[str]:
        """Return all names, by number, as of the last refresh or add."""
        return self._names

    def find(self, name: str) -> int | None:
        """Return a merchant's number, None when there is none of this name."""
        try:
            (number,) = self._numbers.find(*kernel.join_strings([name]))
        except UnicodeEncodeError:  # from a command line that is not UTF-8
            return None
        return None if number == kernel.MISSING else number

    def ids(self, batch: Batch) -> array[int]:
        """Return the number (I) of each of a batch's merchants, giving new ones the next. Call within a transaction."""
        numbers = self._numbers.find(batch.name_ends, batch.name_bytes)
        if kernel.MISSING in numbers:
            self.refresh()
            numbers = self._numbers.find(batch.name_ends, batch.name_bytes)
            new = array("I", [index for index, number in enumerate(numbers) if number == kernel.MISSING])
            names = kernel.split_strings(*kernel.pick_strings(batch.name_ends, batch.name_bytes, new))
            self._add(list(dict.fromkeys(names)))
            numbers = self._numbers.find(batch.name_ends, batch.name_bytes)
        return numbers

    def _add(self, names: list[str]) -> None:
        # One statement and not one a name: each would give Python's lock away and wait for it again.
        values = (len(self._names), msgspec.json.encode(names).decode())
        self._connection.execute("INSERT INTO merchant SELECT key + ?, value FROM json_each(?)", values)
        self._take_in(names)

    def _take_in(self, names: list[str]) -> None:
        self._numbers.add(*kernel.join_strings(names))
        self._names.extend(names)

    def forget(self) -> None:
        """Read everything anew: after a rollback, or when a rebuild renumbered them."""
        self._numbers = kernel.Dictionary()
        self._names = []
        self._orders.clear()


class Segments:
    """The segment table of one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add_batch(self, batch: Batch, merchant_ids: array[int]) -> None:
        """Count a batch into every report. Call within a transaction."""
        self.add_all(fold(batch, merchant_ids))

    def add_all(self, counts: Sequence[Counts]) -> None:
        """Add the counts of each of REPORTS. Call within a transaction."""
        for report, its in zip(REPORTS, counts, strict=True):
            self.add(report, its)

    def add(self, report: Report, counts: Counts) -> None:
        """Add counts to a report. Call within a transaction."""
        rows = []
        size = part_size(report)
        for window, part, start, stop in _stretches(counts, size):
            found = self.cells(report, window, part)
            codes, added = counts.codes[start:stop], counts.counts[start:stop]
            rows.append((report.name, window, part, kernel.add_counts(found, codes, added, part * size, size)))
        self._connection.executemany("INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?)", rows)

    def cells(self, report: Report, window: int, part: int) -> bytes:
        """Return one segment's cells, empty when it has none."""
        query = "SELECT cells FROM segment WHERE report = ? AND window = ? AND part = ?"
        found = self._connection.execute(query, (report.name, window, part)).fetchone()
        return bytes(found[0]) if found else b""

    def put(self, report: Report, window: int, part: int, cells: bytes) -> None:
        """Replace one segment. Call within a transaction."""
        self._connection.execute(
            "INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?)", (report.name, window, part, cells)
        )

    def read(
        self, report: Report, start: int | None = None, stop: int | None = None, parts: Iterable[int] | None = None
    ) -> Iterator[tuple[int, int, bytes]]:
        """Yield (window, part, cells) of a range of windows, by window, then part."""
        where = "report = ? AND window >= ? AND window < ?"
        low = -(1 << 62) if start is None else start
        high = 1 << 62 if stop is None else stop
        if parts is not None:
            where += f" AND part IN ({','.join(str(int(part)) for part in parts)})"
        query = f"SELECT window, part, cells FROM segment WHERE {where} ORDER BY window, part"  # noqa: S608 numbers only
        yield from self._connection.execute(query, (report.name, low, high))


class Unfolded:
    """Consecutive events of the journal that wait to be folded, as columns under the numbers of their merchants.

    A fold of many small commits groups them all at once, and needs not read back what this process has just written.
    """

    def __init__(self, after: int) -> None:
        self.clear(after)

    def clear(self, after: int) -> None:
        """Hold nothing; the next event is the one after this number."""
        self.first = after + 1
        self.events = 0
        self._seconds: array[int] = array("q")
        self._amounts: array[int] = array("q")
        self._methods: array[int] = array("B")
        self._merchants: array[int] = array("I")

    @property
    def last(self) -> int:
        """The number of the last event held."""
        return self.first + self.events - 1

    def extend(self, batch: Batch, merchant_ids: array[int]) -> None:
        """Append the events that follow."""
        self._seconds.extend(batch.seconds)
        self._amounts.extend(batch.amounts)
        self._methods.extend(batch.methods)
        self._merchants.extend(kernel.pick(merchant_ids, batch.merchants))
        self.events += len(batch)

    def add_to(self, segments: Segments, merchants: int) -> None:
        """Count what is held into every report, there being so many merchants. Call within a transaction."""
        numbers = array("I", range(merchants))
        columns = (self._seconds, self._amounts, self._methods, self._merchants, numbers)
        segments.add_all(count_columns(*columns))


def _stretches(counts: Counts, size: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (window, part, start, stop) of the stretches of counts that fall in one segment."""
    windows, codes, _ = counts
    start, total = 0, len(windows)
    while start < total:
        window, part = windows[start], codes[start] // size
        stop = bisect_right(windows, window, start)
        stop = bisect_right(codes, (part + 1) * size - 1, start, stop)
        yield window, part, start, stop
        start = stop
