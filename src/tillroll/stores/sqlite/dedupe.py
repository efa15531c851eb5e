"""Telling repeats from new events in SQLite, inside the transaction that journals them.

An event named by an id, a key or a message has a row in `identity`, found by its minute and the hash of its date and
name: rows of one time lie together, so the table may grow without bound. A named import has a row in `run` for each
stretch of its lines instead. A hash only finds candidates; the event in the chunk decides. Hashes are made under a
secret of the file, so that nobody who sends can choose names that share one.

All is done in columns: candidates are found by statements over many rows, and compared chunk by chunk.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from itertools import accumulate, compress
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tillroll.core import kernel
from tillroll.core.batch import Batch, NameKind, Source
from tillroll.core.identity import ROW_ITEMS, IdentityRows, compare, identity_rows, source_at, without_id
from tillroll.errors import StoreError
from tillroll.ports import Outcome
from tillroll.stores.sqlite.chunks import chunk_of
from tillroll.stores.sqlite.naming import read_naming

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

_CHUNKS_CACHED: Final = 8
_HASH_SPAN: Final = 1 << 64
_CHAIN_MAX: Final = 64  # names in a row that took each other's hash: with a secret key not even two are to be expected
_ROWS_AT_ONCE: Final = 100  # in one statement: after each, Python's lock is given away and waited for
_ITEMS_AT_ONCE: Final = ROW_ITEMS * _ROWS_AT_ONCE
_ROW: Final = "(?, ?, ?)"
_ROWS: Final = ", ".join([_ROW] * _ROWS_AT_ONCE)
# The first value is the number of the batch's first event.
_ADD_ROW: Final = (
    "INSERT INTO identity (event, minute, hash) SELECT ? + column1, column2, column3 FROM (VALUES (?, ?, ?))"
    " WHERE true ON CONFLICT DO NOTHING"
)
_ADD_ROWS: Final = _ADD_ROW.replace(_ROW, _ROWS)
_COUNT_ROWS: Final = (
    "WITH named AS (SELECT ? + column1 AS event, column2 AS minute, column3 AS hash FROM (VALUES (?, ?, ?)))"
    " SELECT count(*) FROM named CROSS JOIN identity USING (minute, hash, event)"
).replace(_ROW, _ROWS)
_FIND_ROW: Final = (
    "WITH named AS (SELECT column1 AS at, column2 AS minute, column3 AS hash FROM (VALUES (?, ?, ?)))"
    " SELECT json_group_array(event << 20 | at) FROM named CROSS JOIN identity USING (minute, hash)"
)
_FIND_ROWS: Final = _FIND_ROW.replace(_ROW, _ROWS)
_numbers: Final = msgspec.json.Decoder(list[int]).decode  # of one text, as SQLite gives many in one step
_AT_BITS: Final = 20  # of what _FIND_ROW gives: an index in a batch of at most limits.CHUNK_EVENTS_MAX events
_AT_MASK: Final = (1 << _AT_BITS) - 1
_ADD_RUN: Final = "INSERT INTO run VALUES (?, ?, ?, ?)"
IS_NEW: Final = bytes([1] + [0] * 255)  # by which outcomes are translated to a mask
Slot = tuple[int, int]  # minute and hash: the key of an identity


class Tried(NamedTuple):
    """Whether a batch was indexed, since all of it is new; else how many rows, from the first, are not stored."""

    all_new: bool
    free: int


class Classified(NamedTuple):
    """What a batch's events are, and the slots of those new ones whose own slot another name has."""

    outcomes: bytes
    moved: dict[int, Slot]  # by the event's index in the batch


class Missing(NamedTuple):
    """The rows that the index should have for a chunk and has not: of `identity`, and of `run`."""

    names: list[tuple[int, int, int]]  # minute, hash, event
    runs: list[tuple[int, int, int, int]]  # source, first line, last line, event


class _Run(NamedTuple):
    """A stretch of a named import in a batch."""

    source: Source
    start: int  # index of its first event, and of the one after its last
    stop: int
    first: int  # lines
    last: int

    def indexes(self, places: array[int]) -> array[int]:
        """Return the indexes in the batch of places in the stretch (I)."""
        return kernel.pick(array("I", range(self.start, self.stop)), places) if self.start else places


class _Verdicts:
    """What has been found out about the events of a batch."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.outcomes = bytes(len(batch))
        self.collided: list[int] = []  # those whose slot another name has

    def judge(self, at: array[int], other: Batch, other_at: array[int], *, by_slot: bool) -> None:
        """Compare events (I) that are new so far with what may be the first of their identity, pair by pair."""
        same = compare(self.batch, at, other, other_at)
        repeats = int.from_bytes(same.identity, "little")
        conflicts = repeats & ~int.from_bytes(same.content, "little")
        found = (repeats * Outcome.DUPLICATE + conflicts * (Outcome.CONFLICT - Outcome.DUPLICATE)).to_bytes(
            len(at), "little"
        )
        placed = int.from_bytes(kernel.place(len(self.batch), at, found), "little")
        self.outcomes = (int.from_bytes(self.outcomes, "little") | placed).to_bytes(len(self.batch), "little")
        if by_slot and 0 in same.identity:
            self.collided.extend(compress(at, (not each for each in same.identity)))


class Dedupe:
    """Finds repeats through one connection, of which the file is of the current version."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._chunks: OrderedDict[int, Batch] = OrderedDict()
        self._drawn: bytes | None = None

    @property
    def _key(self) -> bytes:
        """The key of the file, read when it is first needed: it may be damaged, and all else can be read without."""
        if self._drawn is None:
            self._drawn = read_naming(self._connection).key
        return self._drawn

    def rows(self, batch: Batch) -> IdentityRows:
        """Return the rows of a batch's events under the key of the file.

        Raises:
            DamageError: the key is not what was written.
        """
        return identity_rows(batch, self._key)

    def add_all_new(self, batch: Batch, rows: IdentityRows, events: int) -> Tried:
        """Index a batch that will be events `events` + 1 onward, if none of it can be a repeat.

        If any can, the transaction's savepoint must be rolled back.
        """
        runs = _file_runs(batch)
        if len(rows) < ROW_ITEMS * len(batch) and (_share_a_source(runs) or any(map(self._overlapping, *_lines(runs)))):
            return Tried(all_new=False, free=0)
        self.add_runs(batch, events)
        free = self._add_rows(rows, events, all_new=True)
        return Tried(free * ROW_ITEMS == len(rows), free)

    def add_new(self, fresh: Batch, classified: Classified, events: int) -> None:
        """Index the new events of a batch that was classified, which will be events `events` + 1 onward.

        Raises:
            StoreError: what was classified as new has an entry.
        """
        self.add_runs(fresh, events)
        rows = self.rows(fresh)
        before = self._connection.total_changes
        self._add_rows(rows, events, all_new=False)
        if classified.moved:
            new = [index for index, outcome in enumerate(classified.outcomes) if outcome == Outcome.ACCEPTED]
            numbers = {index: number for number, index in enumerate(new, events + 1)}
            moved = [(*slot, numbers[index]) for index, slot in classified.moved.items()]
            self._connection.executemany("INSERT INTO identity VALUES (?, ?, ?)", moved)
        if self._connection.total_changes - before != len(rows) // ROW_ITEMS:
            raise StoreError("the index of names contradicts itself", "Run tillroll audit, and tillroll rebuild")

    def _add_rows(self, rows: IdentityRows, events: int, *, all_new: bool) -> int:
        """Add rows whose slots are free; return how many. With `all_new`, stop at a statement that finds one taken."""
        connection = self._connection
        before = connection.total_changes
        first = array("q", [events + 1])
        whole = len(rows) // _ITEMS_AT_ONCE * _ITEMS_AT_ONCE
        for at in range(0, whole, _ITEMS_AT_ONCE):
            connection.execute(_ADD_ROWS, first + rows[at : at + _ITEMS_AT_ONCE])
            if all_new and connection.total_changes - before != at // ROW_ITEMS + _ROWS_AT_ONCE:
                return at // ROW_ITEMS
        connection.executemany(_ADD_ROW, ((events + 1, *row) for row in _each(rows[whole:])))
        added = connection.total_changes - before
        return added if not all_new or added * ROW_ITEMS == len(rows) else whole // ROW_ITEMS

    def add_runs(self, batch: Batch, events: int) -> None:
        """Index the named imports of a batch that will be events `events` + 1 onward."""
        self._connection.executemany(_ADD_RUN, self._run_rows(batch, events))

    def index(self, batch: Batch, events: int) -> None:
        """Index a batch that is stored as events `events` + 1 onward, of which the index has nothing."""
        self.add_runs(batch, events)
        rows = self.rows(batch)
        if self._add_rows(rows, events, all_new=False) * ROW_ITEMS < len(rows):
            self.restore(batch, events)  # names that share a hash

    def missing(self, batch: Batch, events: int) -> Missing:
        """Return what the index lacks of a batch that is stored as events `events` + 1 onward."""
        rows, first = self.rows(batch), array("q", [events + 1])
        doubtful: list[tuple[int, int, int]] = []
        for at in range(0, len(rows), _ITEMS_AT_ONCE):
            some = rows[at : at + _ITEMS_AT_ONCE]
            all_there = (_ROWS_AT_ONCE,)
            if (
                len(some) < _ITEMS_AT_ONCE
                or self._connection.execute(_COUNT_ROWS, first + some).fetchone() != all_there
            ):
                doubtful += [(minute, hashed, events + 1 + index) for index, minute, hashed in _each(some)]
        names = self._missing_names(doubtful)
        query = "SELECT 1 FROM run WHERE source = ? AND first = ? AND last = ? AND event = ?"
        runs = [row for row in self._run_rows(batch, events) if self._connection.execute(query, row).fetchone() is None]
        return Missing(names, runs)

    def _missing_names(self, rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """Return the rows that are not there, each with the hash that is free for it."""
        taken: set[Slot] = set()
        missing = []
        for minute, hashed, event in rows:
            for slot in _chain(minute, hashed):
                held = self._event_at(slot)
                if held == event:
                    break
                if held is None and slot not in taken:
                    missing.append((*slot, event))
                    taken.add(slot)
                    break
        return missing

    def restore(self, batch: Batch, events: int) -> None:
        """Add what the index lacks of a batch that is stored as events `events` + 1 onward."""
        missing = self.missing(batch, events)
        self._connection.executemany("INSERT INTO identity VALUES (?, ?, ?)", missing.names)
        self._connection.executemany(_ADD_RUN, missing.runs)

    def _event_at(self, slot: Slot) -> int | None:
        found = self._connection.execute("SELECT event FROM identity WHERE minute = ? AND hash = ?", slot).fetchone()
        return None if found is None else int(found[0])

    def classify(self, batch: Batch, rows: IdentityRows, free: int = 0) -> Classified:
        """Return what each event of a batch is, whatever repeats there are. Indexes nothing.

        `free` is how many of the rows, from the first, are known not to be stored.
        """
        verdicts = _Verdicts(batch)
        stored = self._judge_stored(verdicts, rows[free * ROW_ITEMS :] if free else rows)
        if len(rows) < ROW_ITEMS * len(batch):
            self._judge_lines(verdicts)
        later, first = kernel.same_slots(rows)
        if later:
            known = kernel.place(len(batch), stored, b"\x01" * len(stored))
            inside = [(one, other) for one, other in zip(later, first, strict=True) if not known[one]]
            if inside:
                at, first_at = (array("I", column) for column in zip(*inside, strict=True))
                verdicts.judge(at, batch, first_at, by_slot=True)
        if not verdicts.collided:
            return Classified(verdicts.outcomes, {})
        return self._follow_chains(verdicts, rows)

    def _judge_stored(self, verdicts: _Verdicts, rows: IdentityRows) -> array[int]:
        """Judge the events whose slot a stored one has; return them."""
        found = self._stored(rows)
        everything = at = array("I", [each & _AT_MASK for each in found])
        while found:
            first, stored = self._chunk_of(min(found) >> _AT_BITS)
            after = (first + len(stored)) << _AT_BITS
            rest: list[int] = []
            if max(found) >= after:
                rest = [each for each in found if each >= after]
                found = [each for each in found if each < after]
                at = array("I", [each & _AT_MASK for each in found])
            verdicts.judge(at, stored, array("I", [(each >> _AT_BITS) - first for each in found]), by_slot=True)
            found = rest
            at = array("I", [each & _AT_MASK for each in found])
        return everything

    def _stored(self, rows: IdentityRows) -> list[int]:
        """Return the number of the stored event, and in the lowest bits the index, for each row whose slot is taken."""
        found: list[int] = []
        whole = len(rows) // _ITEMS_AT_ONCE * _ITEMS_AT_ONCE
        for at in range(0, whole, _ITEMS_AT_ONCE):
            found += _numbers(*self._connection.execute(_FIND_ROWS, rows[at : at + _ITEMS_AT_ONCE]).fetchone())
        for row in _each(rows[whole:]):
            found += _numbers(*self._connection.execute(_FIND_ROW, row).fetchone())
        return found

    def _judge_lines(self, verdicts: _Verdicts) -> None:
        """Judge the events that a named import names, by the lines that are stored, then by those of the batch."""
        batch = verdicts.batch
        before: dict[Source, list[_Run]] = {}
        for run in _file_runs(batch):
            for _, _, event in self._overlapping(run.source, run.first, run.last):
                first, stored = self._chunk_of(event)
                for other in _file_runs(stored):
                    if other.source == run.source and other.start == event - first:
                        _judge_run(verdicts, run, stored, other)
            for other in before.setdefault(run.source, []):
                _judge_run(verdicts, run, batch, other)
            before[run.source].append(run)

    def _follow_chains(self, verdicts: _Verdicts, rows: IdentityRows) -> Classified:
        """Judge one by one the events whose slot another name has: theirs is the next free one after it."""
        batch, outcomes = verdicts.batch, bytearray(verdicts.outcomes)
        collided = set(verdicts.collided)
        natural = {index: (minute, hashed) for index, minute, hashed in _each(rows)}
        taken = {slot: at for at, slot in natural.items() if at not in collided and outcomes[at] == Outcome.ACCEPTED}
        moved: dict[int, Slot] = {}
        for index in sorted(collided):
            identity = batch.identity(index, source_at(batch, index))
            for slot in _chain(*natural[index]):
                held = (batch, taken[slot]) if slot in taken else self._located(slot)
                if held is None:
                    moved[index] = slot
                    taken[slot] = index
                    break
                other, at = held
                if other.identity(at, source_at(other, at)) == identity:
                    same = other.event(at) == batch.event(index)
                    outcomes[index] = Outcome.DUPLICATE if same else Outcome.CONFLICT
                    break
        return Classified(bytes(outcomes), moved)

    def _located(self, slot: Slot) -> tuple[Batch, int] | None:
        event = self._event_at(slot)
        if event is None:
            return None
        first, stored = self._chunk_of(event)
        return stored, event - first

    def _overlapping(self, source: Source, first: int, last: int) -> list[tuple[int, int, int]]:
        query = "SELECT first, last, event FROM run WHERE source = ? AND first <= ? AND last >= ? ORDER BY first"
        return list(self._connection.execute(query, (self._source_hash(source), last, first)))

    def _run_rows(self, batch: Batch, events: int) -> list[tuple[int, int, int, int]]:
        runs = _file_runs(batch)
        return [(self._source_hash(run.source), run.first, run.last, events + 1 + run.start) for run in runs]

    def _source_hash(self, source: Source) -> int:
        return kernel.hash_name(self._key, 0, 0, source.kind, source.value.encode(), 0)

    def _chunk_of(self, event: int) -> tuple[int, Batch]:
        """Return the number of the first event of the chunk that holds an event, and the chunk as a batch."""
        query = "SELECT first FROM chunk WHERE first <= ? ORDER BY first DESC LIMIT 1"
        (first,) = self._connection.execute(query, (event,)).fetchone() or (0,)
        batch = self._chunks.get(first)
        if batch is None or event - first >= len(batch):
            batch = self._chunks[first] = chunk_of(self._connection, event).batch()
            if len(self._chunks) > _CHUNKS_CACHED:
                self._chunks.popitem(last=False)
        self._chunks.move_to_end(first)
        return first, batch

    def forget(self) -> None:
        """Drop what is cached: numbers may be given anew after a rollback."""
        self._chunks.clear()


def may_repeat(batch: Batch, rows: IdentityRows) -> bool:
    """Tell whether any event of a batch, whose identity rows these are, has a name."""
    return bool(rows) or any(run.source.kind is NameKind.FILE for run in batch.runs)


def _judge_run(verdicts: _Verdicts, run: _Run, other: Batch, other_run: _Run) -> None:
    """Judge the events of a named import that are new so far by the same lines in another stretch of it."""
    batch = verdicts.batch
    lines, other_lines = batch.positions[run.start : run.stop], other.positions[other_run.start : other_run.stop]
    places, other_places = kernel.intersect(lines, other_lines)
    at = run.indexes(places)
    new = kernel.pick(array("B", verdicts.outcomes), at).tobytes().translate(IS_NEW)
    named = int.from_bytes(new, "little") & int.from_bytes(without_id(batch, at), "little")
    wanted = kernel.indexes_of(named.to_bytes(len(new), "little"))
    if wanted:
        other_at = other_run.indexes(kernel.pick(other_places, wanted))
        verdicts.judge(kernel.pick(at, wanted), other, other_at, by_slot=False)


def _each(rows: IdentityRows) -> Iterator[tuple[int, int, int]]:
    items = iter(rows)
    return zip(items, items, items, strict=True)


def _file_runs(batch: Batch) -> list[_Run]:
    """Return the stretches of named imports in a batch."""
    stops = accumulate(run.events for run in batch.runs)
    return [
        _Run(run.source, stop - run.events, stop, batch.positions[stop - run.events], batch.positions[stop - 1])
        for run, stop in zip(batch.runs, stops, strict=True)
        if run.source.kind is NameKind.FILE
    ]


def _lines(runs: list[_Run]) -> tuple[list[Source], list[int], list[int]]:
    return [run.source for run in runs], [run.first for run in runs], [run.last for run in runs]


def _share_a_source(runs: Sequence[_Run]) -> bool:
    return len(runs) > 1 and len({run.source for run in runs}) < len(runs)


def _chain(minute: int, hashed: int) -> Iterator[Slot]:
    """Yield the slots that a name may have: its own, and those that follow.

    Raises:
        StoreError: there are too many of them.
    """
    for step in range(_CHAIN_MAX):
        yield minute, (hashed + step + _HASH_SPAN // 2) % _HASH_SPAN - _HASH_SPAN // 2
    problem = f"{_CHAIN_MAX} names of one minute have taken each other's hash, as if a sender knew the key of the index"
    raise StoreError(problem, "Import its purchases into a new store, which has another key")
