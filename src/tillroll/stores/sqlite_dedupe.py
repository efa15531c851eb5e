"""Telling repeats from new events in SQLite, inside the transaction that journals them.

An event named by an id, a key or a message has a row in `identity`, found by its minute and the hash of its name: rows
of one time lie together, so the table may grow without bound. A named import has a row in `run` for each stretch of its
lines instead. A hash only finds candidates; the event in the chunk decides.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from tillroll.core import kernel
from tillroll.core.batch import Batch, Event, Identity, NameKind, Source
from tillroll.ports import Outcome
from tillroll.stores.sqlite_chunks import chunk_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

_CHUNKS_CACHED: Final = 8
_HASH_SPAN: Final = 1 << 64
_ROW_ITEMS: Final = 3
_ROWS_AT_ONCE: Final = 100  # in one statement: after each, Python's lock is given away and waited for
_ITEMS_AT_ONCE: Final = _ROW_ITEMS * _ROWS_AT_ONCE
_ROW: Final = "(?, ?, ?)"
_ROWS: Final = ", ".join([_ROW] * _ROWS_AT_ONCE)
# The first value is the number of the batch's first event.
_ADD_ROW: Final = (
    "INSERT INTO identity (event, minute, hash) SELECT ? + column1, column2, column3 FROM (VALUES (?, ?, ?))"
    " WHERE true ON CONFLICT DO NOTHING"
)
_ADD_ROWS: Final = _ADD_ROW.replace(_ROW, _ROWS)
_FIND_ROWS: Final = (
    "WITH named AS (SELECT ? + column1 AS event, column2 AS minute, column3 AS hash FROM (VALUES (?, ?, ?)))"
    " SELECT count(*) FROM named CROSS JOIN identity USING (minute, hash, event)"
).replace(_ROW, _ROWS)
_ADD_RUN: Final = "INSERT INTO run VALUES (?, ?, ?, ?)"
_SINGLE: Final = (NameKind.KEY, NameKind.MESSAGE)


# (index in the batch, minute, hash of the name) of each event, one after another (q), sorted by minute, hash and index.
IdentityRows: TypeAlias = "array[int]"
Slot = tuple[int, int]  # minute and hash: the key of an identity


class Sorted(NamedTuple):
    """What a batch's events are, and which slot each new one that has an identity row takes."""

    outcomes: bytes
    slots: dict[Slot, int]  # to the event's index in the batch


class Missing(NamedTuple):
    """The rows that the index should have for a chunk and has not: of `identity`, and of `run`."""

    names: list[tuple[int, int, int]]  # minute, hash, event
    runs: list[tuple[int, int, int, int]]  # source, first line, last line, event


class _Sorting(NamedTuple):
    """A batch while it is sorted out."""

    batch: Batch
    sources: list[Source]
    slots: dict[Slot, int]  # those of new events, by index
    lines: dict[Identity, int]  # those of named imports that are new, by index
    stored_lines: dict[Source, dict[int, list[tuple[Batch, int]]]]  # by line: the events of it that are stored


class Dedupe:
    """Finds repeats through one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._chunks: OrderedDict[int, tuple[Batch, list[Source]]] = OrderedDict()

    def add_all_new(self, batch: Batch, rows: IdentityRows, events: int) -> bool:
        """Index a batch that will be events `events` + 1 onward, if none of it can be a repeat. Else return False.

        After a False the transaction's savepoint must be rolled back.
        """
        runs = list(_file_runs(batch))
        if any(self._overlapping(source, first, last) for source, _, first, last in runs) or _share_a_source(runs):
            return False
        self.add_runs(batch, events)
        if not rows:
            return True
        before = self._connection.total_changes
        first = array("q", [events + 1])
        whole = len(rows) // _ITEMS_AT_ONCE * _ITEMS_AT_ONCE
        for at in range(0, whole, _ITEMS_AT_ONCE):
            self._connection.execute(_ADD_ROWS, first + rows[at : at + _ITEMS_AT_ONCE])
        self._connection.executemany(_ADD_ROW, ((events + 1, *row) for row in _each(rows[whole:])))
        return self._connection.total_changes - before == len(rows) // _ROW_ITEMS

    def add_rows(self, slots: dict[Slot, int], numbers: Mapping[int, int]) -> None:
        """Index new events under the numbers that `numbers` has for their indexes."""
        rows = [(minute, name, numbers[index]) for (minute, name), index in sorted(slots.items())]
        self._connection.executemany("INSERT INTO identity VALUES (?, ?, ?)", rows)

    def add_runs(self, batch: Batch, events: int) -> None:
        """Index the named imports of a batch that will be events `events` + 1 onward."""
        self._connection.executemany(_ADD_RUN, _run_rows(batch, events))

    def missing(self, batch: Batch, events: int) -> Missing:
        """Return what the index lacks of a batch that is stored as events `events` + 1 onward."""
        rows, first = identity_rows(batch), array("q", [events + 1])
        doubtful: list[tuple[int, int, int]] = []
        for at in range(0, len(rows), _ITEMS_AT_ONCE):
            some = rows[at : at + _ITEMS_AT_ONCE]
            all_there = (_ROWS_AT_ONCE,)
            if len(some) < _ITEMS_AT_ONCE or self._connection.execute(_FIND_ROWS, first + some).fetchone() != all_there:
                doubtful += [(minute, hashed, events + 1 + index) for index, minute, hashed in _each(some)]
        names = self._missing_names(doubtful)
        query = "SELECT 1 FROM run WHERE source = ? AND first = ? AND last = ? AND event = ?"
        runs = [row for row in _run_rows(batch, events) if self._connection.execute(query, row).fetchone() is None]
        return Missing(names, runs)

    def _missing_names(self, rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """Return the rows that are not there, each with the hash that is free for it."""
        taken: set[Slot] = set()
        missing = []
        for minute, hashed, event in rows:
            number = hashed
            held = self._event_at(minute, number)
            while held != event and (held is not None or (minute, number) in taken):
                number = _next_hash(number)
                held = self._event_at(minute, number)
            if held is None:
                missing.append((minute, number, event))
                taken.add((minute, number))
        return missing

    def restore(self, batch: Batch, events: int) -> None:
        """Add what the index lacks of a batch that is stored as events `events` + 1 onward."""
        missing = self.missing(batch, events)
        self._connection.executemany("INSERT INTO identity VALUES (?, ?, ?)", missing.names)
        self._connection.executemany(_ADD_RUN, missing.runs)

    def _event_at(self, minute: int, number: int) -> int | None:
        query = "SELECT event FROM identity WHERE minute = ? AND hash = ?"
        found = self._connection.execute(query, (minute, number)).fetchone()
        return None if found is None else int(found[0])

    def sort_out(self, batch: Batch, rows: IdentityRows) -> Sorted:
        """Return what each event of a batch is, whatever repeats there are. Indexes nothing.

        Only suspects, which share a slot with a stored event or with another of the batch, are looked at one by one.
        """
        if self._is_stored(batch):
            return Sorted(bytes([Outcome.DUPLICATE]) * len(batch), {})
        suspects = self._suspects(rows)
        for source, at, first, last in _file_runs(batch):
            suspects.update(
                range(at, at + self._run_events(batch, at)) if self._shares_lines(batch, source, first, last) else ()
            )
        slots = {(minute, hashed): index for index, minute, hashed in _each(rows) if index not in suspects}
        sorting = _Sorting(batch, list(batch.sources()), slots, {}, {})
        outcomes = bytearray(len(batch))
        for index in sorted(suspects):
            identity = batch.identity(index, sorting.sources[index])
            if identity is not None:
                found = self._find_or_take(sorting, identity, index)
                if found is not None:
                    outcomes[index] = Outcome.DUPLICATE if found == batch.event(index) else Outcome.CONFLICT
        return Sorted(bytes(outcomes), slots)

    def _suspects(self, rows: IdentityRows) -> set[int]:
        """Return the indexes whose slot another event of the batch has too, or a stored one."""
        suspects: set[int] = set()
        for (one, *slot), (other, *other_slot) in pairwise(_each(rows)):
            if slot == other_slot:
                suspects.update((one, other))
        self._connection.execute(
            "CREATE TEMP TABLE IF NOT EXISTS candidate (at INTEGER, minute INTEGER, hash INTEGER) STRICT"
        )
        self._connection.execute("DELETE FROM candidate")
        self._connection.executemany("INSERT INTO candidate VALUES (?, ?, ?)", _each(rows))
        query = "SELECT at FROM candidate CROSS JOIN identity USING (minute, hash)"
        suspects.update(at for (at,) in self._connection.execute(query))
        return suspects

    def _find_or_take(self, sorting: _Sorting, identity: Identity, index: int) -> Event | None:
        """Return the first event of this identity; or make it the event at `index`, which is new, and return None."""
        if identity.kind is NameKind.FILE:
            found = self._find_line(sorting, identity)
            if found is None:
                sorting.lines[identity] = index
            return found
        minute, number = identity.minute, kernel.hash_name(identity.kind, identity.value.encode(), identity.position)
        while True:
            held = self._held(sorting, (minute, number))
            if held is None:
                sorting.slots[minute, number] = index
                return None
            batch, sources, at = held
            if batch.identity(at, sources[at]) == identity:
                return batch.event(at)
            number = _next_hash(number)

    def _held(self, sorting: _Sorting, slot: Slot) -> tuple[Batch, list[Source], int] | None:
        """Return where the event of a slot is: in the batch itself, in a chunk, or nowhere."""
        if slot in sorting.slots:
            return sorting.batch, sorting.sources, sorting.slots[slot]
        event = self._event_at(*slot)
        return None if event is None else self._locate(event)

    def _find_line(self, sorting: _Sorting, identity: Identity) -> Event | None:
        """Return the event of a named import's line and date, or None when it is new."""
        source = Source(identity.kind, identity.value)
        if source not in sorting.stored_lines:
            sorting.stored_lines[source] = self._read_lines(sorting.batch, source)
        for stored, at in sorting.stored_lines[source].get(identity.position, ()):
            if stored.identity(at, source) == identity:
                return stored.event(at)
        here = sorting.lines.get(identity)
        return None if here is None else sorting.batch.event(here)

    def _read_lines(self, batch: Batch, source: Source) -> dict[int, list[tuple[Batch, int]]]:
        """Return the stored events of the lines of a source that a batch has, by line."""
        found: dict[int, list[tuple[Batch, int]]] = {}
        for other, _, first, last in _file_runs(batch):
            if other != source:
                continue
            for _, _, event in self._overlapping(source, first, last):
                stored, sources, start = self._locate(event)
                for at in range(start, start + self._run_events(stored, start)):
                    if sources[at] == source and first <= stored.positions[at] <= last:
                        found.setdefault(stored.positions[at], []).append((stored, at))
        return found

    def _shares_lines(self, batch: Batch, source: Source, first: int, last: int) -> bool:
        runs = [run for run in _file_runs(batch) if run[0] == source]
        return len(runs) > 1 or bool(self._overlapping(source, first, last))

    def _run_events(self, batch: Batch, at: int) -> int:
        """Return how many events there are from one to the end of its run."""
        return next(stop for stop in accumulate(run.events for run in batch.runs) if stop > at) - at

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
        (first,) = self._connection.execute(query, (event,)).fetchone() or (0,)
        cached = self._chunks.get(first)
        if cached is None or event - first >= len(cached[0]):
            batch = chunk_of(self._connection, event).batch()
            cached = self._chunks[first] = (batch, list(batch.sources()))
            if len(self._chunks) > _CHUNKS_CACHED:
                self._chunks.popitem(last=False)
        return *cached, event - first

    def forget(self) -> None:
        """Drop what is cached: numbers may be given anew after a rollback."""
        self._chunks.clear()


def may_repeat(batch: Batch, rows: IdentityRows) -> bool:
    """Tell whether any event of a batch, whose identity rows these are, has a name."""
    return bool(rows) or any(run.source.kind is NameKind.FILE for run in batch.runs)


def identity_rows(batch: Batch) -> IdentityRows:
    """Return the rows of the events that an id, a key or a message names."""
    if not batch.id_ends and all(run.source.kind not in _SINGLE for run in batch.runs):
        return array("q")
    named, hashes = bytearray(len(batch)), array("q", bytes(8 * len(batch)))
    if batch.id_ends:
        named, hashes = kernel.not_empty(batch.id_ends), kernel.hash_ids(batch.id_ends, batch.id_bytes, NameKind.ID)
    start = 0
    for run in batch.runs:
        stop = start + run.events
        if run.source.kind in _SINGLE:
            value = run.source.value.encode()
            for index in range(start, stop):
                if not named[index]:
                    named[index] = 1
                    hashes[index] = kernel.hash_name(run.source.kind, value, batch.positions[index])
        start = stop
    return kernel.name_rows(batch.seconds, hashes, named)


def _each(rows: IdentityRows) -> Iterator[tuple[int, int, int]]:
    items = iter(rows)
    return zip(items, items, items, strict=True)


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


def _run_rows(batch: Batch, events: int) -> list[tuple[int, int, int, int]]:
    return [(_source_hash(source), first, last, events + 1 + at) for source, at, first, last in _file_runs(batch)]


def _share_a_source(runs: list[tuple[Source, int, int, int]]) -> bool:
    return len(runs) > 1 and len({source for source, _, _, _ in runs}) < len(runs)


def _same_columns(one: Batch, other: Batch) -> bool:
    names = (
        "seconds",
        "nanos",
        "amounts",
        "methods",
        "merchants",
        "positions",
        "name_ends",
        "name_bytes",
        "id_ends",
        "runs",
    )
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _source_hash(source: Source) -> int:
    return kernel.hash_name(source.kind, source.value.encode(), 0)


def _next_hash(number: int) -> int:
    return (number + 1 + _HASH_SPAN // 2) % _HASH_SPAN - _HASH_SPAN // 2
