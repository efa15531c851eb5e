"""Comparing a SQLite file's aggregates with a recount: both as texts of datapoints, with events and amounts.

All that this shares with the fold is how stored numbers are read: segments, and the names that dictionaries have.
"""

from __future__ import annotations

import zlib
from array import array
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import kernel, limits
from tillroll.core.dimension import MERCHANT, Closed, Open, Window
from tillroll.core.recount import STORED
from tillroll.ports import Difference
from tillroll.stores.sqlite.counters import has_rows
from tillroll.stores.sqlite.layout import layout_of
from tillroll.stores.sqlite.tallies import Tallies

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tillroll.core.batch import Batch
    from tillroll.core.recount import Differing, Strings
    from tillroll.core.report import Report
    from tillroll.stores.sqlite.cells import Cell, Cells
    from tillroll.stores.sqlite.segments import Segments

REPAIRED_MAX: Final = 10_000  # differing datapoints that are set right one by one; for more, all is counted again
_NAMES_CACHED: Final = 1_024  # parts
_ROWS_AT_ONCE: Final = 4_096
_WORD: Final = (1 << 64) - 1
SegmentKey = tuple["Report", int, int]  # with window and part
Total = tuple[int, int]  # events and amount


class Compared(NamedTuple):
    """A report that is compared, from a window on if there is one."""

    report: Report
    position: int  # the events up to this one are counted in it
    segments: Segments
    cells: Cells
    start: int | None


class Names:
    """The texts of one of a file's dictionaries as they stand there, by number."""

    def __init__(self, connection: sqlite3.Connection, dictionary: str = MERCHANT.dictionary) -> None:
        self._ends = array("I")
        self._crc = 0
        heap = bytearray()
        if dictionary == MERCHANT.dictionary:
            rows = connection.execute("SELECT id, name FROM merchant ORDER BY id")
        else:
            rows = connection.execute("SELECT id, text FROM value WHERE dictionary = ? ORDER BY id", (dictionary,))
        for number, name in rows:
            if not isinstance(number, int) or not 0 <= number - len(self._ends) <= limits.REJECTED_LISTED_MAX:
                continue  # damage
            for lost in range(len(self._ends), number):
                heap += _lost(lost).encode()
                self._ends.append(len(heap))
            encoded = (name if isinstance(name, str) else _lost(number)).encode("utf-8", "surrogateescape")
            self._crc = zlib.crc32(b"%s\n" % encoded, self._crc)
            heap += encoded
            self._ends.append(len(heap))
        self._heap = bytes(heap)
        self.part = lru_cache(_NAMES_CACHED)(self._part)

    def is_as(self, known: int, crc: int) -> bool:
        """Tell whether they are what was written."""
        return (len(self._ends), self._crc) == (known, crc)

    def _part(self, first: int, count: int) -> tuple[array[int], bytes]:
        """Return a string column of so many names."""
        base = self._ends[first - 1] if first and first <= len(self._ends) else len(self._heap) if first else 0
        ends = self._ends[first : first + count]
        column = array("I", [end - base for end in ends])
        heap = self._heap[base : ends[-1]] if ends else b""
        lost = [_lost(number).encode() for number in range(first + len(ends), first + count)]
        for name in lost:
            column.append((column[-1] if column else 0) + len(name))
        return column, heap + b"".join(lost)

    def numbers(self, names: Iterable[str]) -> dict[str, int]:
        """Return the numbers of those names that have one."""
        wanted = {name.encode("utf-8", "replace"): name for name in names}
        found, start = {}, 0
        for number, end in enumerate(self._ends if wanted else ()):
            name = wanted.get(self._heap[start:end])
            if name is not None:
                found[name] = number
            start = end
        return found


def _lost(number: int) -> str:
    return f"|no merchant {number}"  # as none is called


class Comparison:
    """What is recounted of some reports, and then compared with what their segments have."""

    def __init__(self, compared: Sequence[Compared], directory: Path) -> None:
        self._compared = compared
        self._tallies = Tallies([each.report for each in compared], directory / "tallies")
        self._lows = [
            None if each.start is None or each.report.window is None else each.report.window.bounds(each.start)[0]
            for each in compared
        ]
        self.datapoints = 0
        self.total = 0
        self.differences: list[Difference] = []
        self.deltas: dict[SegmentKey, dict[int, Total]] = {}
        self.damaged = False  # whether something is not as written, or too much differs: a rebuild makes it anew

    def count(self, batch: Batch, first: int) -> None:
        """Recount a batch whose first event has this number."""
        counted = [max(0, min(each.position + 1 - first, len(batch))) for each in self._compared]
        parts = list(zip(self._lows, counted, strict=True))
        for low, stop in dict.fromkeys(parts):
            some = batch.slice(0, stop) if stop < len(batch) else batch
            some = some if low is None else _from(some, low)
            if len(some):
                self._tallies.count(some, bytes(each == (low, stop) for each in parts))

    def compare(self, names: dict[str, Names]) -> None:
        """Compare all that was recounted with what is stored; `names` are the texts of the dictionaries."""
        for index, each in enumerate(self._compared):
            opens = [names[one.dictionary] for one in each.report.opens if one.dictionary in names]
            if len(opens) < len(each.report.opens):  # nothing has come that has a value
                continue
            if has_rows(each.report):
                self._add_rows(index, each, opens)
            else:
                self._add_stored(index, each, opens[0] if opens else None)
        amounts = bytes(each.segments.has_sums for each in self._compared)
        found = self._tallies.differing(amounts, REPAIRED_MAX)
        differing = [one for one in found.first if self._is_compared(one)]
        self.datapoints = found.datapoints
        self.total += found.total - len(found.first) + len(differing)
        self.damaged = self.damaged or found.total > len(found.first)
        for one in differing[: limits.REJECTED_LISTED_MAX]:
            self.differences.append(difference(one))
        if not self.damaged:
            self._find_deltas(differing, names)

    def note(self, subject: str, message: str) -> None:
        """Note something that is not as it was written."""
        self.damaged = True
        self.total += 1
        if len(self.differences) < limits.REJECTED_LISTED_MAX:
            self.differences.append(Difference("aggregate", subject, None, None, message))

    def _is_compared(self, one: Differing) -> bool:
        """Tell whether a datapoint's window is: where clocks go back, some events were recounted of windows before."""
        each = self._compared[one.report]
        if each.start is None:
            return True
        texts = each.report.parse(one.text)
        window = each.report.window
        number = None if texts is None or window is None else window.parse(texts[each.report.by.index(window)])
        return number is None or number >= each.start

    def _add_rows(self, index: int, each: Compared, opens: Sequence[Names]) -> None:
        """Add what a report of several open dimensions has, some rows at a time."""
        rows = each.cells.doubtful(each.report, each.start)
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            texts, totals = [], []
            for cell, problem in some:
                text = None if cell is None else _text_of(each.report, cell, opens)
                if problem or cell is None or text is None:
                    self.note(each.report.name, problem or "an aggregate is of a window or a code that there is not")
                else:
                    texts.append(text)
                    totals.append((cell.events, cell.amount & _WORD, cell.amount >> 64))
            columns = [array("Q", column) for column in zip(*totals, strict=True)] or [array("Q")] * 3
            pieces: list[Strings] = [(array("I", range(len(texts))), *kernel.join_strings(texts))]
            if texts:
                self._tallies.add(STORED, index, pieces, *columns)

    def _add_stored(self, index: int, each: Compared, names: Names | None) -> None:
        report, layout = each.report, layout_of(each.report)
        inner = array("I", [code % layout.step for code in range(layout.size)])
        values = array("I", [code // layout.step for code in range(layout.size)])
        for (window, part), cells, problem in each.segments.doubtful_rows(report):
            if each.start is not None and window < each.start:
                continue
            subject = f"{report.name} {window} {part}"
            if problem:
                self.note(subject, problem)
            try:
                totals = kernel.read_counts(cells, layout.size)
                if not any(map(any, totals)):
                    continue
                before, *after = zip(*report.forms(window), strict=True)
            except (OverflowError, TypeError, ValueError) as error:  # a window may be one that no calendar has
                self.note(subject, f"a segment cannot be read: {error}")
                continue
            pieces: list[Strings] = [(inner, *kernel.join_strings(before))]
            if names is not None:
                pieces.append((values, *names.part(part * layout.values, layout.values)))
                pieces.append((inner, *kernel.join_strings(after[0])))
            self._tallies.add(STORED, index, pieces, *totals)

    def _find_deltas(self, differing: Sequence[Differing], names: dict[str, Names]) -> None:
        """Find by what each differing counter must be raised; where a text has none, all is to be counted again."""
        placed = [(one, self._compared[one.report].report) for one in differing]
        texts = {one.text: report.parse(one.text) for one, report in placed}
        wanted: dict[str, list[str]] = {}
        for one, report in placed:
            for dimension, text in zip(report.by, texts[one.text] or (), strict=False):
                if isinstance(dimension, Open):
                    wanted.setdefault(dimension.dictionary, []).append(text)
        numbers = {
            dictionary: names[dictionary].numbers(some) for dictionary, some in wanted.items() if dictionary in names
        }
        for one, report in placed:
            place = None if has_rows(report) else _code(report, texts[one.text], numbers)
            if place is None:
                self.damaged = True
                continue
            window, code = place
            by_code = self.deltas.setdefault((report, window, code // layout_of(report).size), {})
            by_code[code] = (one.events - one.stored_events, one.amount - one.stored_amount)


def _text_of(report: Report, cell: Cell, opens: Sequence[Names]) -> str | None:
    """Return the text of a row's datapoint, None when its window or its code is none of the report."""
    try:
        texts = report.inner_texts(cell.code) if cell.code < report.inner else None
        if texts is None or len(cell.ids) != len(opens):
            return None
        if report.window is not None:
            texts[report.window.name] = report.window.text(cell.window)
    except (OverflowError, ValueError):
        return None
    for dimension, names, number in zip(report.opens, opens, cell.ids, strict=True):
        _, heap = names.part(number, 1)
        texts[dimension.name] = heap.decode("utf-8", "replace")
    return report.text(texts[name] for name in report.dimensions)


def _from(batch: Batch, low: int) -> Batch:
    """Return the events of a batch from a moment on."""
    least, greatest = kernel.bounds(batch.seconds)
    if least >= low:
        return batch
    return batch.masked(bytes(second >= low for second in batch.seconds) if greatest >= low else bytes(len(batch)))


def _code(report: Report, texts: Sequence[str] | None, numbers: dict[str, dict[str, int]]) -> tuple[int, int] | None:
    """Return the window and the code of a datapoint's texts, None when no segment can have it."""
    if texts is None:
        return None
    window, number, inner = 0, 0, []
    for dimension, text in zip(report.by, texts, strict=True):
        if isinstance(dimension, Open):
            found = numbers.get(dimension.dictionary, {}).get(text)
            if found is None:
                return None
            number = found
        elif isinstance(dimension, Closed):
            inner.append(dimension.parse(text) or 0)
        elif isinstance(dimension, Window):
            window = dimension.parse(text) or 0
    return window, number * report.inner + report.inner_code(inner)


def difference(one: Differing) -> Difference:
    """Return what is told of a datapoint: its events, or its amount where they alone agree."""
    amounts = one.events == one.stored_events
    stored, recounted = (one.stored_amount, one.amount) if amounts else (one.stored_events, one.events)
    what = "the amount of " if amounts else ""
    message = f"{what}{one.text} is stored as {stored}, and the journal has {recounted}"
    return Difference("aggregate", one.text, stored, recounted, message)
