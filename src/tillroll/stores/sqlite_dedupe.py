"""Telling repeats from new events in SQLite, inside the transaction that journals them.

An event named by an id, a key or a message has a row in `identity`, found by its minute and the hash of its name: rows
of one time lie together, so the table may grow without bound. A named import has a row in `run` for each stretch of its
lines instead. A hash only finds candidates; the event in the chunk decides.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import chunk, kernel
from tillroll.core.batch import Batch, Event, Identity, NameKind, Source
from tillroll.ports import Outcome

if TYPE_CHECKING:
    import sqlite3

_CHUNKS_CACHED: Final = 8
_HASH_SPAN: Final = 1 << 64
_SINGLE: Final = (NameKind.KEY, NameKind.MESSAGE)


class IdentityRow(NamedTuple):
    """A row of `identity` for an event of a batch: its minute, the hash of its name, its index."""

    minute: int
    name: int
    at: int


class _Sorting(NamedTuple):
    """A batch while it is sorted out: its new events so far, and where named imports' new lines are in it."""

    batch: Batch
    sources: list[Source]
    events: int
    fresh: list[int]
    lines: dict[Identity, int]


class Dedupe:
    """Finds repeats through one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._chunks: OrderedDict[int, tuple[Batch, list[Source]]] = OrderedDict()

    def add_all_new(self, batch: Batch, events: int) -> bool:
        """Index a batch that will be events `events` + 1 onward, if none of it can be a repeat. Else return False.

        After a False the transaction's savepoint must be rolled back.
        """
        runs = list(_file_runs(batch))
        if any(self._overlapping(source, first, last) for source, _, first, last in runs) or _share_a_source(runs):
            return False
        rows = sorted(identity_rows(batch))
        self.add_runs(batch, events)
        if not rows:
            return True
        before = self._connection.total_changes
        self._connection.executemany(
            "INSERT INTO identity VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [(minute, name, events + 1 + index) for minute, name, index in rows],
        )
        return self._connection.total_changes - before == len(rows)

    def add_runs(self, batch: Batch, events: int) -> None:
        """Index the named imports of a batch that will be events `events` + 1 onward."""
        self._connection.executemany(
            "INSERT INTO run VALUES (?, ?, ?, ?)",
            [
                (_source_hash(source), first, last, events + 1 + index)
                for source, index, first, last in _file_runs(batch)
            ],
        )

    def sort_out(self, batch: Batch, events: int) -> bytes:
        """Return an outcome for each event of a batch, having indexed the new ones' identities but no runs.

        New events will be numbered from `events` + 1 in their order.
        """
        if self._is_stored(batch):
            return bytes([Outcome.DUPLICATE]) * len(batch)
        sorting = _Sorting(batch, list(batch.sources()), events, [], {})
        outcomes = bytearray(len(batch))
        for index, source in enumerate(sorting.sources):
            identity = batch.identity(index, source)
            found = None if identity is None else self._find(sorting, identity)
            if found is None:
                if identity is not None and identity.kind is NameKind.FILE:
                    sorting.lines[identity] = index
                sorting.fresh.append(index)
            else:
                outcomes[index] = Outcome.DUPLICATE if found == batch.event(index) else Outcome.CONFLICT
        return bytes(outcomes)

    def _find(self, sorting: _Sorting, identity: Identity) -> Event | None:
        if identity.kind is NameKind.FILE:
            return self._find_line(sorting, identity)
        return self._find_or_add(sorting, identity)

    def _find_or_add(self, sorting: _Sorting, identity: Identity) -> Event | None:
        """Return the event that has this identity, or give it to the next new event and return None."""
        minute, number = identity.minute, kernel.hash_name(identity.kind, identity.value.encode(), identity.position)
        while True:
            query = "SELECT event FROM identity WHERE minute = ? AND hash = ?"
            found = self._connection.execute(query, (minute, number)).fetchone()
            if found is None:
                row = (minute, number, sorting.events + 1 + len(sorting.fresh))
                self._connection.execute("INSERT INTO identity VALUES (?, ?, ?)", row)
                return None
            held, sources, index = self._held(sorting, int(found[0]))
            if held.identity(index, sources[index]) == identity:
                return held.event(index)
            number = _next_hash(number)

    def _held(self, sorting: _Sorting, event: int) -> tuple[Batch, list[Source], int]:
        """Return where an event is: in a chunk, or among the new ones of the batch itself."""
        if event > sorting.events:
            return sorting.batch, sorting.sources, sorting.fresh[event - sorting.events - 1]
        return self._locate(event)

    def _find_line(self, sorting: _Sorting, identity: Identity) -> Event | None:
        """Return the event of a named import's line and date, or None when it is new."""
        source = Source(identity.kind, identity.value)
        for _, _, event in self._overlapping(source, identity.position, identity.position):
            stored, sources, start = self._locate(event)
            candidate = _at_position(stored, start, identity.position)
            if candidate is not None and stored.identity(candidate, sources[candidate]) == identity:
                return stored.event(candidate)
        here = sorting.lines.get(identity)
        return None if here is None else sorting.batch.event(here)

    def _overlapping(self, source: Source, first: int, last: int) -> list[tuple[int, int, int]]:
        query = "SELECT first, last, event FROM run WHERE source = ? AND first <= ? AND last >= ? ORDER BY first"
        return list(self._connection.execute(query, (_source_hash(source), last, first)))

    def _is_stored(self, batch: Batch) -> bool:
        """Tell whether a chunk holds exactly this batch of a named import: the import is run again."""
        runs = list(_file_runs(batch))
        if len(runs) != 1 or len(batch.runs) != 1 or batch.id_ends:
            return False
        source, _, first, last = runs[0]
        for found_first, found_last, event in self._overlapping(source, first, last):
            if (found_first, found_last) == (first, last):
                stored, sources, start = self._locate(event)
                if start == 0 and sources[0] == source and _same_columns(batch, stored):
                    return True
        return False

    def _locate(self, event: int) -> tuple[Batch, list[Source], int]:
        """Return the chunk that holds an event as a batch with its sources, and the event's index in it."""
        query = "SELECT first FROM chunk WHERE first <= ? ORDER BY first DESC LIMIT 1"
        (first,) = self._connection.execute(query, (event,)).fetchone()
        cached = self._chunks.get(first)
        if cached is None:
            (payload,) = self._connection.execute("SELECT payload FROM chunk WHERE first = ?", (first,)).fetchone()
            batch = chunk.decode(payload)
            cached = self._chunks[first] = (batch, list(batch.sources()))
            if len(self._chunks) > _CHUNKS_CACHED:
                self._chunks.popitem(last=False)
        return *cached, event - first

    def forget(self) -> None:
        """Drop what is cached: numbers may be given anew after a rollback."""
        self._chunks.clear()


def identity_rows(batch: Batch) -> list[IdentityRow]:
    """Return a row for each event of a batch that an id, a key or a message names."""
    seconds = batch.seconds
    rows = []
    if batch.id_ends:
        hashes = kernel.hash_ids(batch.id_ends, batch.id_bytes, NameKind.ID)
        before = 0
        for index, end in enumerate(batch.id_ends):
            if end > before:
                rows.append(IdentityRow(seconds[index] // 60, hashes[index], index))
            before = end
    start = 0
    for run in batch.runs:
        if run.source.kind in _SINGLE:
            value = run.source.value.encode()
            for index in range(start, start + run.events):
                if not _has_id(batch, index):
                    name = kernel.hash_name(run.source.kind, value, batch.positions[index])
                    rows.append(IdentityRow(seconds[index] // 60, name, index))
        start += run.events
    return rows


def _has_id(batch: Batch, index: int) -> bool:
    ends = batch.id_ends
    return bool(ends) and ends[index] > (ends[index - 1] if index else 0)


def _file_runs(batch: Batch) -> list[tuple[Source, int, int, int]]:
    """Return (source, index of its first event, first line, last line) of each stretch of a named import."""
    found = []
    start = 0
    for run in batch.runs:
        stop = start + run.events
        if run.source.kind is NameKind.FILE:
            found.append((run.source, start, batch.positions[start], batch.positions[stop - 1]))
        start = stop
    return found


def _share_a_source(runs: list[tuple[Source, int, int, int]]) -> bool:
    return len(runs) > 1 and len({source for source, _, _, _ in runs}) < len(runs)


def _same_columns(one: Batch, other: Batch) -> bool:
    names = ("seconds", "nanos", "amounts", "methods", "merchants", "positions", "merchant_names", "id_ends", "runs")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _at_position(batch: Batch, start: int, position: int) -> int | None:
    """Return the index of the event at this position in the run that the event at `start` belongs to."""
    stop = next(stop for stop in accumulate(run.events for run in batch.runs) if stop > start)
    index = bisect_left(batch.positions, position, start, stop)
    return index if index < stop and batch.positions[index] == position else None


def _source_hash(source: Source) -> int:
    return kernel.hash_name(source.kind, source.value.encode(), 0)


def _next_hash(number: int) -> int:
    return (number + 1 + _HASH_SPAN // 2) % _HASH_SPAN - _HASH_SPAN // 2
