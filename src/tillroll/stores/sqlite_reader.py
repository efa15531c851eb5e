"""Reading reports from SQLite: segments, plus the tail of the journal that is not folded yet, at one moment."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tillroll.core import kernel
from tillroll.core.report import FIVE, Place, Report
from tillroll.errors import StoreError
from tillroll.ports import Status
from tillroll.stores.damage import DamageError
from tillroll.stores.layout import layout_of
from tillroll.stores.merchants import Merchants, Names
from tillroll.stores.segments import Segments, SegmentsWithoutSums, Unfolded
from tillroll.stores.sparse import Few, few_of
from tillroll.stores.sqlite_chunks import broken_end, chain_at, read_chunks
from tillroll.stores.sqlite_page import Pager
from tillroll.stores.sqlite_reports import Version, read_versions
from tillroll.stores.sqlite_schema import transaction
from tillroll.stores.sqlite_state import State, read_state

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from tillroll.core.query import Page, Query

_TAIL_EVENTS_MAX: Final = 1 << 21  # of 21 bytes, in each reader; a commit folds long before, unless damage puts it off
_REPAIR: Final = "Count the aggregates again from the journal with: tillroll audit --repair"
_CACHE_KIB: Final = 4 * 1024  # of a reader: pages of the file itself are mapped, so only those of the log are held


def segments_of(connection: sqlite3.Connection, versions: list[Version]) -> Segments:
    """Return the segments of the five that readers read and commits fold into, in a transaction with these versions."""
    whole = all(version.state == "readable" for version in versions)
    return Segments(connection) if whole else SegmentsWithoutSums(connection)


class Tail:
    """The journal's events that are not folded yet, counted in memory."""

    def __init__(self) -> None:
        self._unfolded = Unfolded(0)
        self.clear(0)

    def clear(self, folded: int) -> None:
        """Begin anew after a fold."""
        self._unfolded.clear(folded)
        self._chain: bytes | None = None  # of the last event's chunk
        self._counts: list[Few] | None = None

    def catch_up(self, connection: sqlite3.Connection, merchants: Merchants, state: State) -> None:
        """Hold exactly the events after the folded position, to the journal's end.

        Raises:
            DamageError: a chunk is not what was written, or there are too many events to hold.
        """
        if state.events - state.folded > _TAIL_EVENTS_MAX:
            raise DamageError(
                f"{state.events - state.folded} events wait to be folded, too many to count for each reader", _REPAIR
            )
        held = self._unfolded
        if state.folded + 1 != held.first or state.events < held.last:
            self.clear(state.folded)
        if self._chain == state.chain:
            return
        if self._chain is None:
            self._chain = chain_at(connection, held.last)
        for row in read_chunks(connection, held.last, state.events, chain=self._chain):
            batch = row.batch()
            held.extend(batch, merchants.known_ids(batch))
            self._chain = row.chain
        self._counts = None
        if self._chain != state.chain:
            raise broken_end(held.last)

    def counts(self, report: Report) -> Few:
        """Return the counts of a report."""
        if self._counts is None:
            self._counts = [few_of(counts) for counts in self._unfolded.counts()]
        return self._counts[FIVE.index(report)]

    def count(self, report: Report, window: int, code: int) -> tuple[int, int]:
        """Return the events of one code of a window, and their amount."""
        windows, codes, counts, lows, highs = self.counts(report)
        stop = bisect_right(windows, window)
        at = bisect_left(codes, code, bisect_left(windows, window), stop)
        return (counts[at], highs[at] << 64 | lows[at]) if at < stop and codes[at] == code else (0, 0)


class Reader:
    """Answers from one connection. Use within `transaction`, one at a time."""

    def __init__(self, connection: sqlite3.Connection, names: Names) -> None:
        self.connection = connection
        self.connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._merchants = Merchants(connection, names)
        self._merchants_begun = False
        self._segments = Segments(connection)
        self._definitions = -1
        self._tail = Tail()
        self._generation = -1
        self.state = State(0, 0, None, 0, 0, 0, b"")

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[State]:
        """Read from one moment, for the body's time, which has this state."""
        with transaction(self.connection, "DEFERRED"):
            state = read_state(self.connection)
            if state.generation != self._generation:
                self._tail.clear(-1)
                self._generation = state.generation
            if state.definitions != self._definitions:
                self._segments = segments_of(self.connection, read_versions(self.connection))
                self._definitions = state.definitions
            self._merchants_begun = False
            self.state = state
            yield state

    @property
    def merchants(self) -> Merchants:
        """The merchants that the transaction sees. What needs none is answered whatever became of them.

        Raises:
            DamageError: their names are not what was written.
        """
        if not self._merchants_begun:
            state = self.state
            self._merchants.begin(state.generation, state.merchants, state.merchants_crc)
            self._merchants_begun = True
        return self._merchants

    def _caught_up(self) -> Tail:
        self._tail.catch_up(self.connection, self.merchants, self.state)
        return self._tail

    def status(self) -> Status:
        """Return where the store stands."""
        query = "SELECT events, folded, last_fold_at, waiting, refused FROM state, rejected_total"
        events, folded, folded_at, rejected, refused = self.connection.execute(query).fetchone()
        return Status(
            events=events,
            journal_position=events,
            folded_position=folded,
            visible_position=events,  # readers count the tail themselves
            folded_at=folded_at,
            unfolded_since=None,
            rejected=rejected,
            merchants=self.state.merchants,
            rejected_full=bool(refused),
        )

    def count(self, at: Place | None) -> tuple[int, int]:
        """Return the events of one datapoint, and their amount; of None, 0."""
        if at is None:
            return 0, 0
        texts = dict(zip(at.report.dimensions, at.texts, strict=True))
        numbers = [self.merchants.find(texts[dimension.name]) for dimension in at.report.opens]
        if None in numbers:
            return 0, 0
        inner = at.report.inner_code(dimension.parse(texts[dimension.name]) or 0 for dimension in at.report.closed)
        code = sum(number or 0 for number in numbers) * at.report.inner + inner
        size = layout_of(at.report).size
        part, index = divmod(code, size)
        counts, lows, highs = kernel.read_counts(self._segments.cells(at.report, at.window, part), size)
        events, amount = self._caught_up().count(at.report, at.window, code)
        return counts[index] + events, (highs[index] << 64 | lows[index]) + amount

    def search(self, containing: str, limit: int) -> list[str]:
        """Return merchants by a part of their name, those that begin with it first."""
        return self.merchants.search(containing, limit)

    def page(self, query: Query) -> Page:
        """Return one page of a report.

        Raises:
            StoreError: amounts are asked for, and not counted yet.
        """
        if (query.amounts or query.order == "-amount") and not self._segments.has_sums:
            raise self._uncounted()
        return Pager(query, self.merchants, self._segments, self._caught_up().counts(query.report)).page()

    def _uncounted(self) -> StoreError:
        lagging = [version for version in read_versions(self.connection) if version.state == "counting"]
        position = min(version.position or 0 for version in lagging)
        problem = f"amounts are being counted, so far of {position:,} of {self.state.folded:,} events"
        return StoreError(problem, "Ask again later; events can be asked for meanwhile", retry_after_s=5)
