"""The aggregates in SQLite: a segment holds the counters of one window and one block of merchants, as one row.

A row for each datapoint would cost a hundred times the bytes and the time: 4,000,000 datapoints of day-merchant are
4,000 rows here. Codes are `core.fold`'s; a counter of 0 is a datapoint that nobody counted. Beside each counter stands
the sum of the amounts, of 128 bits.

Where a window and a part have few counters above 0, as when purchases of all times come in at once, these stand in a
sparse segment instead, with those of other windows and parts (`sparse`). A counter is the sum of what both have of it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from contextlib import suppress
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import kernel
from tillroll.core.report import FIVE
from tillroll.stores.sqlite import sparse
from tillroll.stores.sqlite.damage import RECOUNT_ALL, DamageError
from tillroll.stores.sqlite.layout import Layout, layout_of
from tillroll.stores.sqlite.segment_rows import (
    Edit,
    Key,
    Rows,
    RowsWithoutSums,
    SegmentRow,
    SparseRowsWithoutSums,
    Statement,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tillroll.core.fold import Counts
    from tillroll.core.report import Report
    from tillroll.stores.sqlite.reports import Roster

SPARSE: Final = "/sparse"  # what the name of a report's sparse segments ends with
_DENSE_MIN: Final = 64  # counters above 0 in one window and part that make a row of their own, or half of all
_DENSE_SHARE: Final = 16  # of large parts, one in so many
_SPARSE_MAX: Final = 2_048  # counters in one sparse segment
_HEAD: Final = 3  # bytes before the counters of a segment: the widths of its columns

_OF_ALL: Final = next(report for report in FIVE if report.window is None and not report.opens)  # one small segment
_NONE: Final = array("Q")


class Window(NamedTuple):
    """What is stored of one window: its segments, and single counters by code, as in `sparse.Few`."""

    window: int
    rows: list[SegmentRow]
    codes: array[int]
    counts: array[int]
    lows: array[int]
    highs: array[int]

    @staticmethod
    def nothing(window: int) -> Window:
        """Return an empty one."""
        return Window(window, [], *(array("Q") for _ in range(4)))

    @staticmethod
    def of_rows(window: int, rows: list[SegmentRow]) -> Window:
        """Return one that has segments alone. It is not extended: many share the arrays."""
        return Window(window, rows, _NONE, _NONE, _NONE, _NONE)

    def extend(self, other: Window) -> None:
        """Take in what another has of the same window."""
        self.rows.extend(other.rows)
        for held, more in zip(self[2:], other[2:], strict=True):
            held.extend(more)


class _Stored(NamedTuple):
    """Where a report's segments are."""

    layout: Layout
    dense: Rows
    sparse: Rows | None  # of a report over all time there are none


class Segments:
    """The segments of one connection. Whatever is read is checked: DamageError says what is not as written."""

    has_sums = True

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._reports: dict[Report, _Stored] = {}

    def _of(self, report: Report) -> _Stored:
        stored = self._reports.get(report)
        if stored is None:
            stored = self._reports[report] = self._rows(report, layout_of(report))
        return stored

    def _rows(self, report: Report, layout: Layout) -> _Stored:
        few = Rows(self._connection, report.key + SPARSE) if layout.windows else None
        return _Stored(layout, Rows(self._connection, report.key, packs=layout.windows > 0), few)

    def begin(self, reports: Iterable[Report]) -> None:
        """Make what each report begins with, unless it is there. Call within a transaction."""
        for rows in self._all_rows(reports):
            rows.begin()

    def _all_rows(self, reports: Iterable[Report]) -> Iterator[Rows]:
        for stored in map(self._of, reports):
            yield from (rows for rows in (stored.dense, stored.sparse) if rows is not None)

    def add_all(self, reports: Sequence[Report], counts: Sequence[Counts]) -> None:
        """Add the counts of each of some reports. Call within a transaction."""
        for report, its in zip(reports, counts, strict=True):
            for statement in self.changes(report, its):
                self._connection.executemany(*statement)

    def changes(self, report: Report, counts: Counts) -> list[Statement]:
        """Return what is to be executed so that a report has these counts as well. Call within a transaction."""
        layout, rows, few_rows = self._of(report)
        size, edit, its = layout.size, Edit(rows), self._few_of(counts)
        if few_rows is None:
            _add_dense(edit, its, size, _stretches(its, size, 0, len(its.windows)))
            return [edit.statement()]
        few: dict[Key, sparse.Counters] = {}
        for block, start, stop in _blocks(its.windows, layout):
            if _is_empty(edit, block, layout) and _is_sparse(its.windows[start:stop], size):
                sparse.gather(few, layout, block, its, start, stop)
                continue
            for window, part, first, last in _stretches(its, size, start, stop):
                if edit.at((window, part)).key == (window, part) or _is_many(last - first, size):
                    _add_dense(edit, its, size, [(window, part, first, last)])
                else:
                    sparse.gather(few, layout, block, its, first, last)
        few_edit = Edit(few_rows)
        _add_sparse(few_edit, edit, layout, few)
        return [edit.statement(), few_edit.statement()]

    def _few_of(self, counts: Counts) -> sparse.Few:
        return sparse.few_of(counts)

    def cells(self, report: Report, window: int, part: int) -> bytes:
        """Return the counters of one window and part as cells, empty when there are none."""
        layout, rows, few_rows = self._of(report)
        size, key = layout.size, (window, part)
        at = rows.find(key)
        found = at.cells if at.key == key else b""
        if few_rows is not None:
            place = sparse.place_of(layout, window, part)
            row = few_rows.find(place)
            if row.key == place and row.cells:
                counts = sparse.of_part(sparse.counts_of(layout, place, sparse.decode(row.cells)), window, part, size)
                if counts.codes:
                    found = kernel.add_counts(found, part * size, size, *counts[1:])
        return found

    def put(self, report: Report, window: int, part: int, cells: bytes) -> None:
        """Replace the counters of one window and part. Call within a transaction."""
        layout, rows, few_rows = self._of(report)
        edit = Edit(rows)
        edit.change((window, part)).cells = cells
        edit.write()
        if few_rows is not None:
            edit, place = Edit(few_rows), sparse.place_of(layout, window, part)
            if edit.at(place).key == place:
                row = edit.change(place)
                row.cells = sparse.without(row.cells, layout, window, part)
                edit.write()

    def windows(
        self, report: Report, start: int | None = None, stop: int | None = None, parts: Iterable[int] | None = None
    ) -> Iterator[Window]:
        """Yield what is stored of each window of a range, by rising window; of some parts, if they alone are asked."""
        rows, few = self.stored(report, start, stop, parts)
        found = (Window.of_rows(window, list(some)) for window, some in groupby(rows, key=itemgetter(0)))
        for window, items in groupby(merge(found, few, key=itemgetter(0)), key=itemgetter(0)):
            yield together(window, list(items))

    def stored(
        self, report: Report, start: int | None, stop: int | None, parts: Iterable[int] | None
    ) -> tuple[Iterator[SegmentRow], Iterator[Window]]:
        """Return the segments of a range of windows, and what sparse ones have of each window, by rising window."""
        wanted = None if parts is None else sorted(parts)
        rows = self._of(report).dense
        found = rows.scan(start, stop) if wanted is None else rows.pick(start, stop, wanted)
        return (row for row in found if row[2]), self._few(report, start, stop, wanted)

    def _few(self, report: Report, start: int | None, stop: int | None, parts: list[int] | None) -> Iterator[Window]:
        """Yield the counts of each window that each sparse segment has, by rising window."""
        layout, _, few_rows = self._of(report)
        if few_rows is None:
            return
        low = None if start is None else sparse.place_of(layout, start, 0)[0]
        high = None if stop is None else sparse.place_of(layout, stop - 1, 0)[0] + 1
        groups = None if parts is None else {sparse.place_of(layout, 0, part)[1] for part in parts}
        for block, rows in groupby(few_rows.scan(low, high), key=itemgetter(0)):
            held = [
                sparse.by_window(sparse.counts_of(layout, (block, group), sparse.decode(cells)))
                for _, group, cells in rows
                if cells and (groups is None or group in groups)
            ]
            for counts in merge(*held, key=lambda counts: counts.windows[0]):
                window = counts.windows[0]
                if (start is None or window >= start) and (stop is None or window < stop):
                    yield Window(window, [], *counts[1:])

    def read(
        self, report: Report, start: int | None = None, stop: int | None = None, parts: Iterable[int] | None = None
    ) -> Iterator[SegmentRow]:
        """Yield (window, part, cells) of all counters of a range of windows, by window, then part."""
        size = layout_of(report).size
        for window, rows, codes, counts, lows, highs in self.windows(report, start, stop, parts):
            found = {part: cells for _, part, cells in rows}
            for at, code in enumerate(codes):
                part = code // size
                held = found.get(part, b"")
                found[part] = kernel.add_counts(held, part * size, size, codes, counts, lows, highs, at, at + 1)
            yield from ((window, part, found[part]) for part in sorted(found))

    def datapoints(self, report: Report, turns: Callable[[], None]) -> int:
        """Return how many counters of a report are above 0. `turns` is called after each piece of work."""
        size, total = layout_of(report).size, 0
        for _, rows, codes, *_ in self.windows(report):
            dense = {part: _counts_of(cells, size) for _, part, cells in rows}
            turns()
            total += sum(size - counts.count(0) for counts in dense.values())
            if dense:
                total += sum(code // size not in dense or not dense[code // size][code % size] for code in codes)
            else:
                total += len(codes)
        return total

    def doubtful_rows(self, report: Report) -> Iterator[tuple[Key, bytes, str]]:
        """Yield (key, cells, problem) of all counters of a report as they stand there, for who looks into damage.

        The problem is empty where there is none. A segment that another names and that is not there has no cells.
        """
        layout, rows, few_rows = self._of(report)
        dense = rows.doubtful()
        if few_rows is None:
            yield from dense
            return
        # Block by block: written out as rows, the sparse segments of all times would fill the memory.
        blocks = merge(
            ((key[0] // layout.windows, False, (key, cells, problem)) for key, cells, problem in dense),
            ((row[0][0], True, row) for row in few_rows.doubtful()),
            key=itemgetter(0),
        )
        for _, some in groupby(blocks, key=itemgetter(0)):
            found: dict[Key, tuple[bytes, str]] = {}
            for _, is_sparse, (key, cells, problem) in some:
                if is_sparse:
                    _add_doubtful(found, layout, key, cells, problem)
                else:
                    found[key] = (cells, problem)
            yield from ((key, *found[key]) for key in sorted(found))


class SegmentsWithoutSums(Segments):
    """The segments of the five as releases before sums left them: read, and counted into until sums are there."""

    has_sums = False

    def _rows(self, report: Report, layout: Layout) -> _Stored:
        few = SparseRowsWithoutSums(self._connection, report.name + SPARSE) if layout.windows else None
        return _Stored(layout, RowsWithoutSums(self._connection, report.name, layout.size), few)

    def _few_of(self, counts: Counts) -> sparse.Few:
        zeros = array("Q", bytes(8 * len(counts.counts)))
        return sparse.Few(*counts[:3], zeros, zeros)


def _add_doubtful(found: dict[Key, tuple[bytes, str]], layout: Layout, place: Key, cells: bytes, problem: str) -> None:
    if problem:
        key = (place[0] * layout.windows, place[1] * sparse.PARTS)
        found[key] = (found.get(key, (b"", ""))[0], problem)
    if not cells:
        return
    with suppress(OverflowError, TypeError, ValueError):  # the checksum has said so
        counts = sparse.counts_of(layout, place, sparse.decode(cells))
        for window, part, first, last in _stretches(counts, layout.size, 0, len(counts.windows)):
            held, noted = found.get((window, part), (b"", ""))
            added = kernel.add_counts(held, part * layout.size, layout.size, *counts[1:], first, last)
            found[window, part] = (added, noted)


def counted_events(segments: Segments, report: Report) -> int:
    """Return how many events the segments of a report count.

    Raises:
        DamageError: they are not what was written.
    """
    size = layout_of(report).size
    return sum(sum(kernel.read_counts(cells, size)[0]) for _, _, cells in segments.read(report))


def segments_of(connection: sqlite3.Connection, roster: Roster) -> Segments:
    """Return the segments of the five that readers read and commits fold into."""
    return Segments(connection) if roster.five_are_whole else SegmentsWithoutSums(connection)


def check_folded(segments: Segments, folded: int) -> None:
    """Find that aggregates count as many events as are said to be folded: a lost page may have either as it was before.

    Raises:
        DamageError: they do not.
    """
    stored = counted_events(segments, _OF_ALL)
    if stored != folded:
        raise DamageError(unlike(folded, stored, _OF_ALL), RECOUNT_ALL)


def unlike(folded: int, stored: int, report: Report) -> str:
    """Return what is wrong where the aggregates of a report do not count the events that are folded."""
    return f"the folded position is recorded as {folded}, and the aggregates of {report.name} add up to {stored}"


def sum_rows(rows: list[SegmentRow], size: int) -> list[SegmentRow]:
    """Return one segment for each part of some, which holds their sums; its window means nothing."""
    parts: dict[int, list[bytes]] = {}
    for _, part, cells in rows:
        parts.setdefault(part, []).append(cells)
    return [(0, part, kernel.sum_counts(cells, size)) for part, cells in parts.items()]


def together(window: int, windows: list[Window]) -> Window:
    """Return one for what several have of the same window, or of what is added up to one."""
    if len(windows) == 1 and windows[0].window == window:
        return windows[0]
    held = Window.nothing(window)
    for other in windows:
        held.extend(other)
    return held


def _counts_of(cells: bytes, size: int) -> Sequence[int]:
    """Return the counters of a segment, without their sums."""
    width = cells[0]
    counts = cells[_HEAD : _HEAD + size * width]
    return counts if width == 1 else kernel.widen(counts, width, 0, size, "Q")


def _add_sparse(edit: Edit, dense: Edit, layout: Layout, few: dict[Key, sparse.Counters]) -> None:
    """Add to sparse segments; of one that would hold too much, what has most is made dense."""
    for key in sorted(few):
        at = edit.change(key)
        counters = few[key]
        if at.cells:
            counters = sparse.added(sparse.decode(at.cells), counters)
        if len(counters.keys) > _SPARSE_MAX:
            counters, taken = sparse.thinned(counters, layout, _SPARSE_MAX // 2)
            counts = sparse.counts_of(layout, key, taken)
            _add_dense(dense, counts, layout.size, _stretches(counts, layout.size, 0, len(counts.windows)))
        at.cells = sparse.encode(counters)


def _add_dense(edit: Edit, counts: sparse.Few, size: int, stretches: Iterable[tuple[int, int, int, int]]) -> None:
    columns = counts[1:]
    for window, part, start, stop in stretches:
        at = edit.change((window, part))
        at.cells = kernel.add_counts(at.cells, part * size, size, *columns, start, stop)


def _is_many(counters: int, size: int) -> bool:
    return counters >= max(_DENSE_MIN, size // _DENSE_SHARE) or 2 * counters >= size


def _is_sparse(windows: array[int], size: int) -> bool:
    """Tell whether none of these windows has many counters."""
    return not _is_many(max(Counter(windows).values()), size)


def _is_empty(edit: Edit, block: int, layout: Layout) -> bool:
    """Tell whether no window of a block has a segment of its own."""
    first = (block * layout.windows, 0)
    at = edit.at(first)
    return at.key < first and at.next >= ((block + 1) * layout.windows, 0)


def _blocks(windows: array[int], layout: Layout) -> Iterator[tuple[int, int, int]]:
    """Yield (block, start, stop) of the stretches of windows that share sparse segments."""
    start = 0
    while start < len(windows):
        block = windows[start] // layout.windows
        stop = bisect_left(windows, (block + 1) * layout.windows, start)
        yield block, start, stop
        start = stop


def _stretches(counts: sparse.Few, size: int, start: int, total: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (window, part, start, stop) of the stretches of counts that fall in one segment."""
    windows, codes = counts.windows, counts.codes
    while start < total:
        window, part = windows[start], codes[start] // size
        stop = bisect_right(windows, window, start, total)
        stop = bisect_right(codes, (part + 1) * size - 1, start, stop)
        yield window, part, start, stop
        start = stop
