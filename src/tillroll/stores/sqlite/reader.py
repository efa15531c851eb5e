"""Reading reports from SQLite: segments, plus the tail of the journal that is not folded yet, at one moment."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from contextlib import contextmanager
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Final

from tillroll.core import kernel
from tillroll.core.dimension import Open
from tillroll.core.query import Aggregate, Query, Row, answer, labels
from tillroll.core.report import DATAPOINT_BYTES_MAX, FIVE, Place, Report
from tillroll.core.smallest import smallest
from tillroll.errors import CountingError, VersionGoneError
from tillroll.ports import Status
from tillroll.stores.sqlite import rejected
from tillroll.stores.sqlite.cells import Cell, Cells, cells_of
from tillroll.stores.sqlite.chunks import broken_end, chain_at, chunk_start, read_chunks
from tillroll.stores.sqlite.counters import has_rows
from tillroll.stores.sqlite.damage import RECOUNT_ALL, DamageError
from tillroll.stores.sqlite.days import Days
from tillroll.stores.sqlite.layout import layout_of
from tillroll.stores.sqlite.merchants import Dictionaries, SharedNames
from tillroll.stores.sqlite.page import Pager
from tillroll.stores.sqlite.reports import Catalogue, Roster, read_positions
from tillroll.stores.sqlite.schema import transaction
from tillroll.stores.sqlite.segments import Segments, check_folded, segments_of
from tillroll.stores.sqlite.sparse import Few, few_of
from tillroll.stores.sqlite.state import StoreState, read_state
from tillroll.stores.sqlite.unfolded import MERCHANTS, Unfolded

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from tillroll.core.codes import Find
    from tillroll.core.fold import Counts
    from tillroll.core.query import Page

_TAIL_EVENTS_MAX: Final = 1 << 21  # of 21 bytes, in each reader; a commit folds long before, unless damage puts it off
LAG_MAX: Final = 1 << 18  # events that readers add to a report of one's own; one that lags further is counted first
_BESIDE_BYTES: Final = 200  # at most, of a datapoint beside its one open text
_CACHE_KIB: Final = 4 * 1024  # of a reader: pages of the file itself are mapped, so only those of the log are held


class LagError(Exception):
    """A report lags so far behind that it is to be counted first, by `count_some`."""


class Tail:
    """The journal's events that are not counted yet, held in memory, and counted for a report when it is asked."""

    def __init__(self, dictionaries: frozenset[str]) -> None:
        self._unfolded = Unfolded(0, dictionaries)
        self.clear(0)

    @property
    def dictionaries(self) -> frozenset[str]:
        """The dictionaries whose values it has."""
        return self._unfolded.dictionaries

    def clear(self, after: int) -> None:
        """Begin anew after an event."""
        self._unfolded.clear(after)
        self._chain: bytes | None = None  # of the last event's chunk
        self._counts: dict[tuple[str, int], Counts] = {}

    def catch_up(
        self, connection: sqlite3.Connection, dictionaries: Dictionaries, state: StoreState, after: int
    ) -> None:
        """Hold exactly the events after a number, to the journal's end.

        Raises:
            DamageError: a chunk is not what was written, or there are too many events to hold.
            UnnumberedError: a value has no number.
        """
        if state.events - after > _TAIL_EVENTS_MAX:
            raise DamageError(
                f"{state.events - after} events wait to be folded, too many to count for each reader", RECOUNT_ALL
            )
        held = self._unfolded
        if after + 1 < held.first or held.last < after or state.events < held.last:
            self.clear(after)
        elif after >= held.first:
            held.drop(after)
            self._counts.clear()
        if self._chain == state.chain:
            return
        self._counts.clear()
        if self._chain is None:
            self._chain = chain_at(connection, held.last)
        for row in read_chunks(connection, held.last, state.events, chain=self._chain):
            batch = row.batch()
            held.extend(batch, {name: dictionaries.of(name).known_ids(batch) for name in held.dictionaries})
            self._chain = row.chain
        if self._chain != state.chain:
            raise broken_end(held.last)

    def counts(self, report: Report, after: int, find: Find) -> Counts:
        """Return what the events after a number count in a report."""
        key = (report.key, after)
        if key not in self._counts:
            together = [report] if report.is_own else list(FIVE)
            found = self._unfolded.counts(together, after, find)
            self._counts |= {(each.key, after): its for each, its in zip(together, found, strict=True)}
        return self._counts[key]


class Reader:
    """Answers from one connection. Use within `transaction`, one at a time."""

    def __init__(self, connection: sqlite3.Connection, names: SharedNames, catalogue: Catalogue) -> None:
        self.connection = connection
        self.connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self.dictionaries = Dictionaries(connection, names)
        self.roster = Roster([], {})
        self.state = StoreState(0, 0, None, 0, 0, 0, b"")
        self._catalogue = catalogue
        self._five = self._own = Segments(connection)
        self._cells = Cells(connection)
        self._days = Days(connection)
        self._tail = Tail(MERCHANTS)
        self._generation = -1
        self._checked = (-1, 0)  # the generation and the folded position that were found right

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[StoreState]:
        """Read from one moment, for the body's time, which has this state."""
        with transaction(self.connection, "DEFERRED"):
            state = read_state(self.connection)
            self._cells.begin()
            if state.generation != self._generation:
                self._tail.clear(-1)
                self._generation = state.generation
            roster = self._catalogue.read(self.connection, state.definitions)
            if roster is not self.roster:
                self.roster = roster
                self._five = segments_of(self.connection, roster)
                if roster.dictionaries != self._tail.dictionaries:
                    self._tail = Tail(roster.dictionaries)
            self.dictionaries.begin(state.generation, *state.names)
            self.state = state
            yield state

    def _standing(self, report: Report) -> int:
        """Return how far what is stored of a report goes.

        Raises:
            CountingError: it is not whole yet.
            VersionGoneError: there is no such version any more.
        """
        if not report.is_own:
            checked = (self.state.generation, self.state.folded)
            if checked != self._checked:
                check_folded(self._five, self.state.folded)
                self._checked = checked
            return self.state.folded
        if self.roster.catalogue.get(report.name) == report:
            return read_positions(self.connection)[report.key]
        for version, each in self.roster.of("counting"):
            if each.name == report.name:
                raise CountingError(report.name, read_positions(self.connection).get(version.key, 0), self.state.events)
        raise VersionGoneError(report.name)

    @property
    def least(self) -> int:
        """The number after which events are added by readers: what is stored of every report goes so far.

        It is that of a chunk's end. A report may be counted up to the middle of a chunk.
        """
        own = [version.key for version, report in self.roster.of("readable") if report.is_own]
        if not own:
            return self.state.folded
        positions = read_positions(self.connection)
        near = [positions[key] for key in own if self.state.events - positions[key] <= LAG_MAX]
        least = min([self.state.folded, *near])
        return least if least == self.state.events else chunk_start(self.connection, least)

    def tail(self, report: Report) -> Counts:
        """Return what the events that are not stored yet count in a report.

        Raises:
            LagError: they are too many.
        """
        after, least = self._standing(report), self.least
        if after < least:
            raise LagError(report.name)
        self._tail.catch_up(self.connection, self.dictionaries, self.state, least)
        return self._tail.counts(report, after, self.dictionaries.find)

    def status(self) -> Status:
        """Return where the store stands."""
        state, kept = self.state, rejected.read_total(self.connection)
        return Status(
            events=state.events,
            journal_position=state.events,
            folded_position=state.folded,
            visible_position=state.events,  # readers count the tail themselves
            folded_at=state.folded_at,
            unfolded_since=None,
            rejected=kept.waiting,
            merchants=state.merchants,
            rejected_full=bool(kept.refused),
        )

    def get(self, datapoint: str, *, amounts: bool) -> Aggregate:
        """Return the aggregate of a datapoint.

        Raises:
            CountingError: amounts are asked for, and not counted yet.
        """
        at = self.roster.catalogue.place(datapoint)
        if at is None:
            return Aggregate(datapoint, 0)
        if amounts:
            self._check_amounts(at.report)
        if not at.texts and at.report.by:  # a hash
            return self._get_hashed(at.report, datapoint)
        return Aggregate(datapoint, *self._count(at))

    def _count(self, at: Place) -> tuple[int, int]:
        """Return the events of a place, and their amount."""
        report, tail = at.report, self.tail(at.report)
        texts = dict(zip(report.dimensions, at.texts, strict=True))
        numbers = [self.dictionaries.find(each.dictionary, texts[each.name]) for each in report.opens]
        known = tuple(number for number in numbers if number is not None)
        if len(known) < len(numbers):
            return 0, 0
        inner = report.inner_code(each.parse(texts[each.name]) or 0 for each in report.closed)
        if has_rows(report):
            its = [cell for cell in cells_of(tail) if (cell.window, cell.ids, cell.code) == (at.window, known, inner)]
            events, amount = self._cells.find(report, at.window, known, inner)
            return events + sum(cell.events for cell in its), amount + sum(cell.amount for cell in its)
        return self._count_code(report, at.window, sum(known) * report.inner + inner, few_of(tail))

    def _count_code(self, report: Report, window: int, code: int, tail: Few) -> tuple[int, int]:
        size = layout_of(report).size
        part, index = divmod(code, size)
        segments = self._own if report.is_own else self._five
        counts, lows, highs = kernel.read_counts(segments.cells(report, window, part), size)
        events, amount = counts[index], highs[index] << 64 | lows[index]
        stop = bisect_right(tail.windows, window)
        at = bisect_left(tail.codes, code, bisect_left(tail.windows, window), stop)
        if at < stop and tail.codes[at] == code:
            return events + tail.counts[at], amount + tail.lows[at]
        return events, amount

    def _get_hashed(self, report: Report, datapoint: str) -> Aggregate:
        """Return the aggregate of a datapoint that is so long that it stands under its hash."""
        query = Query(report=report)
        label = labels(query)
        rows = ((label(row), row) for row in self._rows(query, self.tail(report)))
        its = [(text, row) for text, row in rows if report.datapoint(text) == datapoint]
        events, amount = sum(row.events for _, row in its), sum(row.amount for _, row in its)
        return Aggregate(datapoint, events, amount, its[0][0] if its else None)

    def _check_amounts(self, report: Report) -> None:
        """Raise CountingError while the amounts of a report are not counted yet."""
        if not (report.is_own or self._five.has_sums):
            done = min(read_positions(self.connection).get(each.key, 0) for each in FIVE)
            raise CountingError("the amount", done, self.state.folded)

    def page(self, query: Query) -> Page:
        """Return one page of a report.

        Raises:
            CountingError: the report, or the amounts that are asked for, are not counted yet.
        """
        query = smallest(query, self.roster.catalogue)
        report = query.report
        if query.amounts or query.order == "-amount":
            self._check_amounts(report)
        tail = self.tail(report)
        if has_rows(report) or (query.is_whole and self._may_have_hashed(report)):
            return answer(query, self._rows(query, tail))
        merchants = self.dictionaries.of(report.opens[0].dictionary) if report.opens else self.dictionaries.merchants
        return Pager(query, merchants, self._own if report.is_own else self._five, self._days, few_of(tail)).page()

    def _may_have_hashed(self, report: Report) -> bool:
        """Tell whether a datapoint may stand under its hash, which is its place in the order. Segments know texts."""
        return report.is_own and any(
            self.dictionaries.of(each.dictionary).longest_bytes() + _BESIDE_BYTES > DATAPOINT_BYTES_MAX
            for each in report.opens
        )

    def _rows(self, query: Query, tail: Counts) -> Iterator[Row]:
        """Yield the cells of a report of one's own as texts; one that is in the tail as well comes twice."""
        report = query.report
        names = [cache(self.dictionaries.of(each.dictionary).text) for each in report.opens]
        places = [report.opens.index(each) if isinstance(each, Open) else None for each in report.by]
        keys = [(name, at) for name, at in zip(report.dimensions, places, strict=True) if name != query.window]
        inner = cache(report.inner_texts)
        stored = self._cells.read(report, query.start, query.stop) if has_rows(report) else self._segment_cells(query)
        for cell in chain(stored, cells_of(tail) if has_rows(report) else _as_cells(report, few_of(tail))):
            closed, ids = inner(cell.code), cell.ids
            texts = tuple([closed[name] if at is None else names[at](ids[at]) for name, at in keys])
            yield Row(cell.window, texts, cell.events, cell.amount)

    def _segment_cells(self, query: Query) -> Iterator[Cell]:
        size = layout_of(query.report).size
        for window, part, cells in self._own.read(query.report, query.start, query.stop):
            totals = kernel.read_counts(cells, size)
            windows = array("q", [window]) * size
            codes = array("Q", range(part * size, (part + 1) * size))
            yield from (cell for cell in _as_cells(query.report, Few(windows, codes, *totals)) if cell.events)

    def stored_datapoints(self, report: Report, turns: Callable[[], None]) -> int:
        """Return how many datapoints are stored of a report. `turns` is called after each piece of work."""
        if has_rows(report):
            return self._cells.count(report)
        return (self._own if report.is_own else self._five).datapoints(report, turns)


def _as_cells(report: Report, few: Few) -> Iterator[Cell]:
    for window, code, count, low, high in zip(*few, strict=True):
        number, inner = divmod(code, report.inner)
        yield Cell(window, (number,) if report.opens else (), inner, count, high << 64 | low)
