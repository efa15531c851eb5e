"""The rows of aggregates: each names the next one of its report, and all of it is under a checksum."""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from tillroll.stores.sqlite.damage import RECOUNT, DamageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

Key = tuple[int, int]  # window and part
Statement = tuple[str, list[tuple[Any, ...]]]  # a query, and the rows that it is executed with
SegmentRow = tuple[int, int, bytes]  # window, part, cells
_Row = tuple[int, int, int, int, int, bytes]
_FIRST: Final = (-(1 << 62), 0)  # of the empty segment that a report begins with
_AFTER_LAST: Final = (1 << 62, 0)
_PART_MAX: Final = 1 << 62
_KEY_OF: Final = attrgetter("key")
_PLACE: Final = struct.Struct("<qqqq")
_COLUMNS: Final = "window, part, next_window, next_part, checksum, cells"
_ZLIB: Final = b"x"  # what compressed bytes begin with, and no others: a width is at most 8
_SAMPLED: Final = 13  # one byte of so many is looked at; an odd number meets every byte of a counter
_SAMPLE_MIN: Final = 128
_ZEROS_SHARE: Final = 0.97  # compressing a row takes longer than adding to it, so only where it saves nearly all


class Segment:
    """One row: the counters of a window and a part, and which segment of the report comes next.

    As each names the next, a reader knows of a segment that it does not find whether there is none.
    """

    __slots__ = ("cells", "key", "next")

    def __init__(self, key: Key, following: Key, cells: bytes = b"") -> None:
        self.key = key
        self.next = following
        self.cells = cells


class Rows:
    """The segments under one name. Whatever is read is checked: DamageError says what is not as written."""

    table = "aggregate"

    def __init__(self, connection: sqlite3.Connection, name: str, *, packs: bool = False) -> None:
        """`packs` says whether rows may be compressed: where there are many, and not one that each commit changes."""
        self._connection = connection
        self.name = name
        self._packs = packs
        self._seed = zlib.crc32(name.encode())

    def decoded(self, cells: bytes) -> bytes:
        """Return cells from what the table has.

        Raises:
            zlib.error: it is damaged.
        """
        return zlib.decompress(cells) if cells.startswith(_ZLIB) else cells

    def encoded(self, cells: bytes) -> bytes:
        """Return what the table has for cells: compressed, where most of many are zeros."""
        sample = cells[::_SAMPLED] if self._packs else b""
        if len(sample) < _SAMPLE_MIN or sample.count(0) < _ZEROS_SHARE * len(sample):
            return cells
        return zlib.compress(cells, 1)

    def begin(self) -> None:
        """Make the empty segment that all begin with, unless it is there. Call within a transaction."""
        query = f"SELECT 1 FROM {self.table} WHERE report = ? LIMIT 1"  # noqa: S608 two names
        if self._connection.execute(query, (self.name,)).fetchone() is None:
            self.write([Segment(_FIRST, _AFTER_LAST)])

    def find(self, key: Key) -> Segment:
        """Return the segment with a key; where there is none, the one before."""
        where = "report = ? AND (window, part) <= (?, ?) ORDER BY window DESC, part DESC LIMIT 1"
        query = f"SELECT {_COLUMNS} FROM {self.table} WHERE {where}"  # noqa: S608 names, above
        row = self._connection.execute(query, (self.name, *key)).fetchone()
        if row is None:
            raise self._lost(_FIRST)
        at = self._checked(row)
        if at.next <= key:
            raise self._lost(at.next)
        return at

    def scan(self, start: int | None, stop: int | None) -> Iterator[SegmentRow]:
        """Yield the segments of a range of windows, by window, then part. A year of hours is thousands of them."""
        low, high = _range(start, stop)
        expected = self.find(low).next
        if expected >= high:
            return
        where = "report = ? AND (window, part) >= (?, ?) AND (window, part) < (?, ?) ORDER BY window, part"
        query = f"SELECT {_COLUMNS} FROM {self.table} WHERE {where}"  # noqa: S608 names, above
        for row in self._connection.execute(query, (self.name, *expected, *high)):
            cells = self._checked_cells(row)
            if row[:2] != expected:
                raise self._lost(expected)
            expected = row[2:4]
            yield row[0], row[1], cells
        if expected < high:
            raise self._lost(expected)

    def pick(self, start: int | None, stop: int | None, parts: list[int]) -> Iterator[SegmentRow]:
        """Do the same for some parts alone: the others are passed over and not read."""
        low, high = _range(start, stop)
        at = self.find(low)
        while at.next < high:
            window = at.next[0]
            for part in parts:
                at = self.find((window, part))
                if at.key == (window, part):
                    yield *at.key, at.cells
            if at.next[0] <= window:
                at = self.find((window, _PART_MAX))

    def write(self, segments: list[Segment]) -> None:
        """Write segments that are new or changed, all that name each other at once. Call within a transaction."""
        self._connection.executemany(*self.statement(segments))

    def statement(self, segments: list[Segment]) -> Statement:
        """Return what `write` executes."""
        name = self.name
        rows = []
        for at in segments:
            cells = self.encoded(at.cells)
            place = (*at.key, *at.next)
            rows.append((name, *place, self._checksum(place, cells), cells))
        return f"INSERT OR REPLACE INTO {self.table} VALUES (?, ?, ?, ?, ?, ?, ?)", rows  # noqa: S608 two names

    def doubtful(self) -> Iterator[tuple[Key, bytes, str]]:
        """Yield (key, cells, problem) of every segment as it stands there, for who looks into damage.

        The problem is empty where there is none. One that another names and that is not there has no cells.
        """
        expected: Key | None = _FIRST
        query = f"SELECT {_COLUMNS} FROM {self.table} WHERE report = ? ORDER BY window, part"  # noqa: S608 names, above
        for row in self._connection.execute(query, (self.name,)):
            problem = ""
            try:
                at = self._checked(row)
            except DamageError as error:
                problem = error.problem
                cells = self._read_damaged(row[5])
                at = Segment(_key(row[0], row[1]) or _AFTER_LAST, _key(row[2], row[3]) or _AFTER_LAST, cells)
            if expected is not None and at.key != expected:
                yield expected, b"", self._lost(expected).problem
            expected = None if problem else at.next
            yield at.key, at.cells, problem
        if expected is not None and expected != _AFTER_LAST:
            yield expected, b"", self._lost(expected).problem

    def _checked(self, row: _Row) -> Segment:
        cells = self._checked_cells(row)
        return Segment((row[0], row[1]), (row[2], row[3]), cells)

    def _checked_cells(self, row: _Row) -> bytes:
        *place, checksum, cells = row
        try:
            if self._checksum(place, cells) == checksum:
                return self.decoded(cells)
        except (TypeError, struct.error, zlib.error):  # damage may change what type SQLite takes a column for
            pass
        raise DamageError(f"a segment of {self.name} is damaged (window {row[0]}, part {row[1]})", RECOUNT)

    def _read_damaged(self, cells: object) -> bytes:
        """Return what may be read of damaged cells."""
        try:
            return self.decoded(cells) if isinstance(cells, bytes) else b""
        except zlib.error:
            return b""

    def _checksum(self, place: Iterable[object], cells: bytes) -> int:
        """Return the checksum of a segment, its place included: one that was written elsewhere is not taken for it."""
        return zlib.crc32(cells, zlib.crc32(_PLACE.pack(*place), self._seed))

    def _lost(self, key: Key) -> DamageError:
        return DamageError(f"a segment of {self.name} is missing (window {key[0]}, part {key[1]})", RECOUNT)


class RowsWithoutSums(Rows):
    """The segments of one name as releases before sums wrote them: cells of one width, without a head."""

    table = "segment"

    def __init__(self, connection: sqlite3.Connection, name: str, size: int) -> None:
        """`size` is how many codes a part has."""
        super().__init__(connection, name)
        self._size = size

    def decoded(self, cells: bytes) -> bytes:
        """See Rows. All sums are 0."""
        return bytes([len(cells) // self._size & 0xFF, 0, 0]) + cells if cells else b""

    def encoded(self, cells: bytes) -> bytes:
        """See Rows. The sums are 0."""
        return cells[3:]


class SparseRowsWithoutSums(Rows):
    """The sparse segments of one name as releases before sums wrote them: with widths of three columns before them."""

    table = "segment"

    def decoded(self, cells: bytes) -> bytes:
        """See Rows. All sums are 0."""
        return cells[:3] + bytes(2) + cells[3:] if cells else b""

    def encoded(self, cells: bytes) -> bytes:
        """See Rows. The sums are 0."""
        return cells[:3] + cells[5:]


class Edit:
    """Changes to rows, of which nothing is written yet."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._at: Segment | None = None
        self._changed: list[Segment] = []  # by key

    def at(self, key: Key) -> Segment:
        """Return the segment with a key; where there is none, the one before."""
        if self._at is None or not self._at.key <= key < self._at.next:
            place = self._place(key)
            changed = self._changed[place - 1] if place else None
            self._at = self._rows.find(key) if changed is None or key >= changed.next else changed
        return self._at

    def _place(self, key: Key) -> int:
        """Return how many changed segments come up to a key."""
        return bisect_right(self._changed, key, key=_KEY_OF)

    def change(self, key: Key) -> Segment:
        """Return a segment that is to be written, new or as it is."""
        at = self.at(key)
        place = self._place(at.key)
        if not place or self._changed[place - 1] is not at:
            self._changed.insert(place, at)
            place += 1
        if at.key == key:
            return at
        self._at = Segment(key, at.next)
        at.next = key
        self._changed.insert(place, self._at)
        return self._at

    def statement(self) -> Statement:
        """Return what writes all that was changed."""
        return self._rows.statement(self._changed)

    def write(self) -> None:
        """Write what was changed. Call within a transaction."""
        self._rows.write(self._changed)


def _range(start: int | None, stop: int | None) -> tuple[Key, Key]:
    return _FIRST if start is None else (start, -1), _AFTER_LAST if stop is None else (stop, -1)


def _key(window: object, part: object) -> Key | None:
    """Return a key, None where damage has SQLite take a column for something else."""
    return (window, part) if isinstance(window, int) and isinstance(part, int) else None
