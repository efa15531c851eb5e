"""Reading reports from SQLite: segments, plus the tail of the journal that is not folded yet, at one moment."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tillroll.core import kernel
from tillroll.core.fold import Cell, code_of, fold
from tillroll.core.report import REPORTS, Coordinates, Report
from tillroll.ports import Status
from tillroll.stores.segments import Merchants, Segments, part_size
from tillroll.stores.sqlite_chunks import broken_end, chain_at, read_chunks
from tillroll.stores.sqlite_page import Pager
from tillroll.stores.sqlite_schema import transaction
from tillroll.stores.sqlite_state import State, read_state

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from tillroll.core.query import Page, Query


class Tail:
    """The journal's events that are not folded yet, counted in memory."""

    def __init__(self) -> None:
        self.folded = 0
        self.events = 0
        self.since: float | None = None
        self._chain: bytes | None = None  # of the last event's chunk
        self._counts: dict[str, dict[int, dict[int, int]]] = {}
        self.clear(0)

    def clear(self, folded: int) -> None:
        """Begin anew after a fold."""
        self.folded = self.events = folded
        self.since = None
        self._chain = None
        self._counts = {report.name: {} for report in REPORTS}

    def catch_up(self, connection: sqlite3.Connection, merchants: Merchants, state: State) -> None:
        """Hold exactly the events after the folded position, to the journal's end."""
        if state.folded != self.folded or state.events < self.events:
            self.clear(state.folded)
        if self._chain == state.chain:
            return
        if self._chain is None:
            self._chain = chain_at(connection, self.events)
        for row in read_chunks(connection, self.events, state.events, chain=self._chain):
            batch = row.batch()
            ids = merchants.ids(batch)
            self.since = row.committed_at if self.since is None else self.since
            for report, counts in zip(REPORTS, fold(batch, ids), strict=True):
                windows = self._counts[report.name]
                for window, code, count in zip(*counts, strict=True):
                    codes = windows.setdefault(window, {})
                    codes[code] = codes.get(code, 0) + count
            self.events, self._chain = row.last, row.chain
        if self._chain != state.chain:
            raise broken_end(self.events)

    def windows(self, report: Report, query: Query) -> list[int]:
        """Return the windows in a query's range that have events here."""
        counts = self._counts[report.name]
        return sorted(window for window in counts if _in_range(query, window))

    def counts(self, report: Report, window: int) -> dict[int, int]:
        """Return events by code of one window."""
        return self._counts[report.name].get(window, {})


class Reader:
    """Answers from one connection. Use within `transaction`, one at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._merchants = Merchants(connection)
        self._segments = Segments(connection)
        self._tail = Tail()
        self._generation = -1

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Read from one moment, for the body's time."""
        with transaction(self.connection, "DEFERRED"):
            state = read_state(self.connection)
            if state.generation != self._generation:
                self._merchants.forget()
                self._tail.clear(-1)
                self._generation = state.generation
            self._merchants.check(state.merchants, state.merchants_crc)
            self._tail.catch_up(self.connection, self._merchants, state)
            yield

    def status(self) -> Status:
        """Return where the store stands."""
        query = "SELECT events, folded_at, waiting, refused FROM state, rejected_total"
        events, folded_at, rejected, refused = self.connection.execute(query).fetchone()
        return Status(
            events=events,
            journal_position=events,
            folded_position=events,  # readers count the tail themselves
            folded_at=folded_at,
            unfolded_since=None,
            rejected=rejected,
            rejected_full=bool(refused),
        )

    def count(self, at: Coordinates | None) -> int:
        """Return the events of one datapoint; of None, 0."""
        if at is None:
            return 0
        merchant = 0
        if "merchant" in at.report.keys:
            found = self._merchants.find(at.merchant)
            if found is None:
                return 0
            merchant = found
        code = code_of(at.report, Cell(at.bracket, at.method, merchant))
        size = part_size(at.report)
        part, index = divmod(code, size)
        cells = self._segments.cells(at.report, at.window, part)
        stored = kernel.read_counts(cells, size)[index] if cells else 0
        return stored + self._tail.counts(at.report, at.window).get(code, 0)

    def search(self, containing: str, limit: int) -> list[str]:
        """Return merchants by a part of their name, those that begin with it first."""
        wanted = containing.casefold()
        found = [name for name in self._merchants.names() if wanted in name.casefold()]
        found.sort(key=lambda name: (not name.casefold().startswith(wanted), name))
        return found[:limit]

    def page(self, query: Query) -> Page:
        """Return one page of a report."""
        return Pager(query, self._merchants, self._segments, self._tail).page()


def _in_range(query: Query, window: int) -> bool:
    return (query.start is None or window >= query.start) and (query.stop is None or window < query.stop)
