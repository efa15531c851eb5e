"""The aggregates in SQLite: a segment holds the counters of one window and one block of merchants, as one row.

A row for each datapoint would cost a hundred times the bytes and the time: 4,000,000 datapoints of day-merchant are
4,000 rows here. Codes are `core.fold`'s; a counter of 0 is a datapoint that nobody counted.
"""

from __future__ import annotations

import threading
import zlib
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.core import kernel
from tillroll.core.codes import Codes, Numbers
from tillroll.core.dimension import BRACKETS
from tillroll.core.fold import Counts, codes_of, fold
from tillroll.core.limits import METHODS
from tillroll.core.report import REPORTS, Report
from tillroll.stores.damage import DamageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from tillroll.core.batch import Batch

PART_MERCHANTS: Final = 1_024
Key = tuple[int, int]  # window and part
SegmentRow = tuple[int, int, bytes]  # window, part, cells
_FIRST: Final = (-(1 << 62), 0)  # of the empty segment that a report begins with
_AFTER_LAST: Final = (1 << 62, 0)
_PART_MAX: Final = 1 << 62
_COLUMNS: Final = "window, part, next_window, next_part, checksum, cells"
_REBUILD: Final = "Make them and the aggregates anew from the journal with: tillroll rebuild"
_RECOUNT: Final = "Count it again from the journal with: tillroll audit --repair"
_NAMES_AT_ONCE: Final = 16_384  # read while others wait
_CRCS_MAX: Final = 1_024
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


class Names:
    """The names of a file's merchants by number, read once for all connections of a process.

    Only committed names are here, so each transaction finds its own as the first of them. Safe to use from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begin(-1)

    def _begin(self, generation: int) -> None:
        self._generation = generation
        self._dictionary = kernel.Dictionary()
        self._crcs = {0: 0}  # the checksum of the first so many, where a transaction or a read ended

    def read(self, connection: sqlite3.Connection, generation: int, known: int, crc: int) -> kernel.Dictionary:
        """Return a dictionary that begins with the names a transaction sees. Call within it, at its start.

        Raises:
            DamageError: the names are not what was written.
        """
        with self._lock:
            if generation > self._generation:  # a rebuild renumbered them
                self._begin(generation)
            if generation < self._generation:  # this transaction began before a rebuild's end: it reads its own
                return Names().read(connection, generation, known, crc)
            dictionary = self._dictionary
        while len(dictionary) < known:
            with self._lock:  # given back from time to time, for commits that wait for it
                self._read_some(connection, dictionary, known)
        if self._crc(dictionary, known) != crc:
            with self._lock:
                self._begin(-1)
            raise DamageError(f"the names of the {known} merchants are not what was written", _REBUILD)
        return dictionary

    def _read_some(self, connection: sqlite3.Connection, dictionary: kernel.Dictionary, known: int) -> None:
        start, stop = len(dictionary), min(len(dictionary) + _NAMES_AT_ONCE, known)
        query = "SELECT name FROM merchant WHERE id >= ? AND id < ? ORDER BY id"
        names = [name for (name,) in connection.execute(query, (start, stop))]
        if start < stop:
            if len(names) < stop - start:
                raise DamageError(f"of the merchants from {start} to {stop - 1} some are missing", _REBUILD)
            try:
                dictionary.add(*kernel.join_strings(names))
            except (TypeError, ValueError) as error:  # damage may change what type SQLite takes a column for
                self._begin(-1)
                raise DamageError("the name of a merchant is damaged", _REBUILD) from error
            if dictionary is self._dictionary:
                self._note(names_crc(names, self._crcs[start]))

    def _note(self, crc: int) -> None:
        self._crcs[len(self._dictionary)] = crc
        if len(self._crcs) > _CRCS_MAX:
            del self._crcs[next(iter(self._crcs))]

    def _crc(self, dictionary: kernel.Dictionary, known: int) -> int:
        found = self._crcs.get(known) if dictionary is self._dictionary else None
        return names_crc(kernel.split_strings(*dictionary.column(0, known))) if found is None else found

    def extend(self, generation: int, known: int, new: kernel.Dictionary, crc: int) -> None:
        """Take in the names that a transaction has committed, unless another has read them meanwhile."""
        with self._lock:
            if generation == self._generation and known == len(self._dictionary):
                self._dictionary.add(*new.column(0, len(new)))
                self._note(crc)


class Merchants:
    """The merchants by number and name, as one connection's transaction sees them."""

    def __init__(self, connection: sqlite3.Connection, shared: Names | None = None) -> None:
        self._connection = connection
        self._shared = shared or Names()
        self._generation = 0
        self.names = kernel.Dictionary()  # the first `known`; what comes after is not of this transaction
        self.known = 0
        self._crc_known = 0
        self.forget()

    def begin(self, generation: int, known: int, crc: int) -> None:
        """See what is committed: so many, with this checksum of their names. Call at the start of each transaction.

        Raises:
            DamageError: the names are not what was written.
        """
        self.names = self._shared.read(self._connection, generation, known, crc)
        self._generation, self.known, self._crc_known = generation, known, crc
        self.forget()

    def commit(self) -> None:
        """Let others see what was added. Call after the transaction's commit."""
        if self._new:
            self._shared.extend(self._generation, self.known, self._new, self.crc)
            self.forget()

    def forget(self) -> None:
        """Drop what was added and is not committed."""
        self._new = kernel.Dictionary()
        self.crc = self._crc_known  # of all names, in order

    def __len__(self) -> int:
        return self.known + len(self._new)

    def find(self, name: str) -> int | None:
        """Return a merchant's number, None when there is none of this name."""
        try:
            (number,) = self._find(*kernel.join_strings([name]))
        except UnicodeEncodeError:  # from a command line that is not UTF-8
            return None
        return None if number == kernel.MISSING else number

    def search(self, containing: str, limit: int) -> list[str]:
        """Return merchants by a part of their name, case folded, those that begin with it first."""
        wanted = containing.casefold()
        found, others = self.names.search(wanted.encode("utf-8", "surrogatepass"), self.known, limit)
        if others:
            ends, heap = self.names.column(0, self.known)
            for start in range(0, len(others), _NAMES_AT_ONCE):
                names = kernel.split_strings(*kernel.pick_strings(ends, heap, others[start : start + _NAMES_AT_ONCE]))
                found += [name for name in names if wanted in name.casefold()]
        found.sort(key=lambda name: (not name.casefold().startswith(wanted), name))
        return found[:limit]

    def ids(self, batch: Batch) -> array[int]:
        """Return the number (I) of each of a batch's merchants, giving new ones the next. Call within a transaction."""
        numbers = self._find(batch.name_ends, batch.name_bytes)
        if kernel.MISSING in numbers:
            new = array("I", [index for index, number in enumerate(numbers) if number == kernel.MISSING])
            names = kernel.split_strings(*kernel.pick_strings(batch.name_ends, batch.name_bytes, new))
            self._add(list(dict.fromkeys(names)))
            numbers = self._find(batch.name_ends, batch.name_bytes)
        return numbers

    def _find(self, ends: array[int], heap: bytes) -> array[int]:
        numbers = self.names.find(ends, heap)
        if len(self.names) > self.known and numbers and kernel.largest(numbers) >= self.known:
            # Those of later transactions are not there yet.
            numbers = array("I", [number if number < self.known else kernel.MISSING for number in numbers])
        if self._new and kernel.MISSING in numbers:
            added = self._new.find(ends, heap)
            for index, number in enumerate(numbers):
                if number == kernel.MISSING and added[index] != kernel.MISSING:
                    numbers[index] = self.known + added[index]
        return numbers

    def _add(self, names: list[str]) -> None:
        # One statement and not one a name: each would give Python's lock away and wait for it again.
        values = (len(self), msgspec.json.encode(names).decode())
        self._connection.execute("INSERT INTO merchant SELECT key + ?, value FROM json_each(?)", values)
        self._new.add(*kernel.join_strings(names))
        self.crc = names_crc(names, self.crc)


def names_crc(names: Iterable[str], before: int = 0) -> int:
    """Return the checksum of names that follow those of a checksum; no name has a line break."""
    return zlib.crc32("".join([f"{name}\n" for name in names]).encode(), before)


class Segment:
    """One row: the counters of a window and a part, and which segment of the report comes next.

    As each names the next, a reader knows of a segment that it does not find whether there is none.
    """

    __slots__ = ("cells", "key", "next")

    def __init__(self, key: Key, following: Key, cells: bytes = b"") -> None:
        self.key = key
        self.next = following
        self.cells = cells


class Segments:
    """The segment table of one connection. Whatever is read is checked: DamageError says what is not as written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def begin(self) -> None:
        """Make the empty segment that each report begins with. Call within a transaction."""
        for report in REPORTS:
            self._write(report, [Segment(_FIRST, _AFTER_LAST)])

    def add_batch(self, batch: Batch, merchant_ids: array[int]) -> None:
        """Count a batch into every report. Call within a transaction."""
        self.add_all(fold(REPORTS, codes_of(batch, merchant_ids)))

    def add_all(self, counts: Sequence[Counts]) -> None:
        """Add the counts of each of REPORTS. Call within a transaction."""
        for report, its in zip(REPORTS, counts, strict=True):
            self.add(report, its)

    def add(self, report: Report, counts: Counts) -> None:
        """Add counts to a report. Call within a transaction."""
        changed: list[Segment] = []
        size = part_size(report)
        for window, part, start, stop in _stretches(counts, size):
            at = self._change(report, (window, part), changed)
            codes, added = counts.codes[start:stop], counts.counts[start:stop]
            at.cells = kernel.add_counts(at.cells, codes, added, part * size, size)
        self._write(report, changed)

    def _change(self, report: Report, key: Key, changed: list[Segment]) -> Segment:
        """Return a segment that is to be written, new or as it is; keys rise from call to call."""
        if not changed or changed[-1].next <= key:
            changed.append(self._find(report, key))
        at = changed[-1]
        if at.key != key:
            changed.append(Segment(key, at.next))
            at.next = key
        return changed[-1]

    def cells(self, report: Report, window: int, part: int) -> bytes:
        """Return one segment's cells, empty when it has none."""
        found = self._find(report, (window, part))
        return found.cells if found.key == (window, part) else b""

    def put(self, report: Report, window: int, part: int, cells: bytes) -> None:
        """Replace one segment. Call within a transaction."""
        changed: list[Segment] = []
        self._change(report, (window, part), changed).cells = cells
        self._write(report, changed)

    def read(
        self, report: Report, start: int | None = None, stop: int | None = None, parts: Iterable[int] | None = None
    ) -> Iterator[SegmentRow]:
        """Yield (window, part, cells) of a range of windows, by window, then part."""
        low = _FIRST if start is None else (start, -1)
        high = _AFTER_LAST if stop is None else (stop, -1)
        found = self._scan(report, low, high) if parts is None else self._pick(report, low, high, sorted(parts))
        for at in found:
            yield *at.key, at.cells

    def _scan(self, report: Report, low: Key, high: Key) -> Iterator[Segment]:
        """Yield the segments after one key and before another."""
        expected = self._find(report, low).next
        if expected >= high:
            return
        where = "report = ? AND (window, part) >= (?, ?) AND (window, part) < (?, ?) ORDER BY window, part"
        query = f"SELECT {_COLUMNS} FROM segment WHERE {where}"  # noqa: S608 names, above
        for row in self._connection.execute(query, (report.name, *expected, *high)):
            at = _checked(report, row)
            if at.key != expected:
                raise _lost(report, expected)
            expected = at.next
            yield at
        if expected < high:
            raise _lost(report, expected)

    def _pick(self, report: Report, low: Key, high: Key, parts: list[int]) -> Iterator[Segment]:
        """Do the same for some parts alone: the others are passed over and not read."""
        at = self._find(report, low)
        while at.next < high:
            window = at.next[0]
            for part in parts:
                at = self._find(report, (window, part))
                if at.key == (window, part):
                    yield at
            if at.next[0] <= window:
                at = self._find(report, (window, _PART_MAX))

    def _find(self, report: Report, key: Key) -> Segment:
        """Return the segment with a key; where there is none, the one before."""
        where = "report = ? AND (window, part) <= (?, ?) ORDER BY window DESC, part DESC LIMIT 1"
        query = f"SELECT {_COLUMNS} FROM segment WHERE {where}"  # noqa: S608 names, above
        row = self._connection.execute(query, (report.name, *key)).fetchone()
        if row is None:
            raise _lost(report, _FIRST)
        at = _checked(report, row)
        if at.next <= key:
            raise _lost(report, at.next)
        return at

    def _write(self, report: Report, segments: list[Segment]) -> None:
        name = report.name
        rows = [(name, *at.key, *at.next, _checksum(name, at.key, at.next, at.cells), at.cells) for at in segments]
        self._connection.executemany("INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def doubtful_rows(self, report: Report) -> Iterator[tuple[Key, bytes, str]]:
        """Yield (key, cells, problem) of every segment of a report as it stands there, for who looks into damage.

        The problem is empty where there is none. One that another names and that is not there has no cells.
        """
        expected = _FIRST
        query = f"SELECT {_COLUMNS} FROM segment WHERE report = ? ORDER BY window, part"  # noqa: S608 names, above
        for row in self._connection.execute(query, (report.name,)):
            key = (row[0], row[1])
            if key != expected:
                yield expected, b"", _lost(report, expected).problem
            problem = ""
            try:
                _checked(report, row)
            except DamageError as error:
                problem = error.problem
            expected = (row[2], row[3])
            yield key, row[5], problem
        if expected != _AFTER_LAST:
            yield expected, b"", _lost(report, expected).problem


def _checked(report: Report, row: tuple[int, int, int, int, int, bytes]) -> Segment:
    window, part, next_window, next_part, checksum, cells = row
    at = Segment((window, part), (next_window, next_part), cells)
    # Damage may change what type SQLite takes a column for.
    if type(cells) is not bytes or _checksum(report.name, at.key, at.next, cells) != checksum:
        raise DamageError(f"a segment of {report.name} is damaged (window {window}, part {part})", _RECOUNT)
    return at


def _checksum(report: str, key: Key, following: Key, cells: bytes) -> int:
    """Return the checksum of a segment, its place included: one that was written elsewhere is not taken for it."""
    return zlib.crc32(cells, zlib.crc32(f"{report} {key} {following}".encode()))


def _lost(report: Report, key: Key) -> DamageError:
    return DamageError(f"a segment of {report.name} is missing (window {key[0]}, part {key[1]})", _RECOUNT)


def sum_rows(rows: list[SegmentRow], size: int) -> list[SegmentRow]:
    """Return one segment for each part of some, which holds their sums; its window means nothing."""
    parts: dict[int, list[bytes]] = {}
    for _, part, cells in rows:
        parts.setdefault(part, []).append(cells)
    return [
        (0, part, kernel.narrow(kernel.sum_counts(cells, size), 0)[1] or bytes(size)) for part, cells in parts.items()
    ]


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

    def counts(self) -> list[Counts]:
        """Return what is held as counts in each of REPORTS."""
        size = kernel.largest(self._merchants) + 1 if self.events else 1
        numbers = Numbers(self._merchants, None, size)
        return fold(REPORTS, Codes(self._seconds, self._amounts, self._methods, numbers))


def _stretches(counts: Counts, size: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (window, part, start, stop) of the stretches of counts that fall in one segment."""
    windows, codes = counts.windows, counts.codes
    start, total = 0, len(windows)
    while start < total:
        window, part = windows[start], codes[start] // size
        stop = bisect_right(windows, window, start)
        stop = bisect_right(codes, (part + 1) * size - 1, start, stop)
        yield window, part, start, stop
        start = stop
