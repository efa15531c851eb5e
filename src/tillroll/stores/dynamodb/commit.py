"""Commit: put a batch's new events into the journal and the ledger, each identity once. No I/O.

A commit reads the chunks of the minutes concerned, drops the identities that are there, and writes the rest in one
transaction: new chunks, each under the next number of its minute's log, and the next ledger entry, every one on
condition that its key is free. So whoever read before somebody else wrote fails, reads again and tries again: an
identity is in the journal at most once, and each chunk is in exactly one ledger entry. It does not matter in which
order the parts of a transaction become visible to others.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections import OrderedDict
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import chunk, kernel, limits
from tillroll.core.batch import Run
from tillroll.ports import Outcome
from tillroll.stores.dynamodb.calls import (
    ConditionFailed,
    Conflict,
    Fault,
    Put,
    QueryTable,
    ReplyLost,
    Throttled,
    TransactWrite,
    run_calls,
)
from tillroll.stores.dynamodb.ledger import (
    EVENTS_MAX,
    Head,
    damaged,
    decode_chunk,
    last_of,
    ledger_item,
    next_entry,
    read_end,
    read_head,
)
from tillroll.stores.dynamodb.schema import ChunkRef, minute_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tillroll.core.batch import Batch, Identity
    from tillroll.stores.dynamodb.calls import Context, Item, Procedure, QueryReply
    from tillroll.stores.dynamodb.schema import Lanes, LedgerEntry

TRANSACTION_ACTIONS_MAX: Final = 100  # the service's own bounds on TransactWriteItems
TRANSACTION_BYTES_MAX: Final = 4_000_000
_ITEM_OVERHEAD_BYTES: Final = 256  # keys and attribute names of a chunk item and its part of the entry, amply
PARTITIONS_MAX: Final = 90  # in one commit: leaves room for chunks that are split
_THROTTLED_MAX: Final = 3  # then a commit of several chunks is cut in two
_CACHED_EVENTS_MAX: Final = 400_000
_HASH_MULTIPLIER: Final = 0x9E3779B97F4A7C15
_WORD: Final = (1 << 64) - 1

Partition = tuple[int, int]  # minute since 1970, lane


class Committed(NamedTuple):
    """An outcome for each event, and whether a range of the fold ends with this commit."""

    outcomes: bytes
    marked: bool


class Known:
    """What a log holds, as far as this worker has read it: its identities and its last number."""

    __slots__ = ("events", "identities", "last")

    def __init__(self) -> None:
        self.identities: dict[Identity, tuple[Batch, int]] = {}
        self.last = 0
        self.events = 0

    def add(self, number: int, batch: Batch) -> None:
        """Take note of the next chunk."""
        for index, identity in enumerate(batch.identities()):
            if identity is not None:
                self.identities[identity] = (batch, index)
        self.last = number
        self.events += len(batch)


class KnownLogs:
    """The logs that this worker has read, the least recently used forgotten first.

    Keeping them is safe: a chunk never changes, and what is newer than the last one known is read at every commit.
    """

    def __init__(self, events_max: int = _CACHED_EVENTS_MAX) -> None:
        self._logs: OrderedDict[Partition, Known] = OrderedDict()
        self._events_max = events_max

    def of(self, partition: Partition) -> Known:
        """Return what is known of a log."""
        known = self._logs.setdefault(partition, Known())
        self._logs.move_to_end(partition)
        return known

    def trim(self) -> None:
        """Forget until the bound is kept."""
        events = sum(known.events for known in self._logs.values())
        while events > self._events_max and self._logs:
            _, known = self._logs.popitem(last=False)
            events -= known.events


def commit(context: Context, logs: KnownLogs, batch: Batch, freshness_s: float | None) -> Procedure[Committed]:
    """Journal a batch, in several transactions when it does not fit one; returns an outcome for each event.

    The commit is marked as the end of a range of the fold when the last mark is older than `freshness_s`.
    """
    outcomes = bytearray(len(batch))
    marked = False
    waiting = list(_pieces(batch))
    waiting.reverse()
    while waiting:
        piece = waiting.pop()
        done = yield from _Attempt(context, logs, batch, piece, freshness_s).run()
        if done is None:
            middle = len(piece) // 2
            waiting += [piece[middle:], piece[:middle]]
            continue
        for index, outcome in zip(piece, done.outcomes, strict=True):
            outcomes[index] = outcome
        marked = marked or done.marked
    logs.trim()
    return Committed(bytes(outcomes), marked)


def _pieces(batch: Batch) -> Iterator[list[int]]:
    """Cut a batch by minutes into parts that likely fit a transaction; indexes of one minute keep their order."""
    by_minute: dict[int, list[int]] = {}
    for index, second in enumerate(batch.seconds):
        by_minute.setdefault(second // 60, []).append(index)
    piece: list[int] = []
    minutes = 0
    for indexes in by_minute.values():
        if piece and (minutes == PARTITIONS_MAX or len(piece) + len(indexes) > EVENTS_MAX):
            yield sorted(piece)
            piece, minutes = [], 0
        while len(indexes) > EVENTS_MAX:
            yield indexes[:EVENTS_MAX]
            indexes = indexes[EVENTS_MAX:]  # noqa: PLW2901 what is left of it
        piece += indexes
        minutes += 1
    if piece:
        yield sorted(piece)


class _Written(NamedTuple):
    """A transaction to be tried: its call, whether it marks, and the chunks by partition and number."""

    call: TransactWrite
    mark: bool
    chunks: list[tuple[Partition, int, Batch]]


class _Attempt:
    """The attempts to commit one piece. All carry one token, since at most one of them can succeed."""

    def __init__(
        self, context: Context, logs: KnownLogs, batch: Batch, piece: list[int], freshness_s: float | None
    ) -> None:
        self.context = context
        self.logs = logs
        self.batch = batch
        self.piece = piece
        self.freshness_s = freshness_s
        self.token = context.token()
        self.throttled = 0
        self.lost: dict[int, Committed] = {}  # what each attempt without a reply would have done, by its number

    def run(self) -> Procedure[Committed | None]:
        """Commit; None when the piece is too large for one transaction."""
        backoff = self.context.backoff()
        while True:
            head = yield from self._read_head()
            if isinstance(head, Committed):
                return head
            groups = self._group(head.entry)
            if len(groups) > PARTITIONS_MAX and len(self.piece) > 1:
                return None
            yield from read_logs(self.context, self.logs, groups)
            outcomes, fresh = self._classify(groups)
            if not any(fresh.values()):
                return Committed(outcomes, marked=False)
            written = self._transaction(head, fresh)
            if written is None:
                return None
            done = Committed(outcomes, written.mark)
            fault = yield from self._write(written)
            if fault is None:
                return done
            if isinstance(fault, ReplyLost):
                self.lost[head.number + 1] = done
            elif self._is_too_much(fault, written):
                return None
            yield backoff.wait(fault)

    def _is_too_much(self, fault: Fault, written: _Written) -> bool:
        """Tell whether a smaller transaction may pass: a log takes 1,000 write units a second."""
        self.throttled += isinstance(fault, Throttled) and len(written.chunks) > 1
        return self.throttled >= _THROTTLED_MAX and len(self.piece) > 1 and not self.lost

    def _write(self, written: _Written) -> Procedure[Fault | None]:
        """Try once to commit; return what went wrong."""
        try:
            yield written.call
        except (ConditionFailed, Conflict, Throttled, ReplyLost) as fault:
            return fault
        for partition, number, part in written.chunks:
            self.logs.of(partition).add(number, part)
        return None

    def _read_head(self) -> Procedure[Head | Committed]:
        """Read the end of the ledger; when it shows that an attempt whose reply was lost succeeded, return that."""
        if not self.lost:
            return (yield from read_head(self.context))
        entries: list[tuple[int, LedgerEntry]] = yield from read_end(self.context, min(self.lost))
        for number, entry in entries:
            if entry.token == self.token:
                return self.lost[number]
        return last_of(entries)

    def _group(self, head: LedgerEntry) -> dict[Partition, list[int]]:
        groups: dict[Partition, list[int]] = {}
        seconds = self.batch.seconds
        if not head.lanes:
            for index in self.piece:
                groups.setdefault((seconds[index] // 60, 0), []).append(index)
            return groups
        sources = list(self.batch.sources())
        for index in self.piece:
            minute = seconds[index] // 60
            identity = self.batch.identity(index, sources[index])
            lane = lane_of(identity, index, head.lanes_of(minute))
            groups.setdefault((minute, lane), []).append(index)
        return groups

    def _classify(self, groups: dict[Partition, list[int]]) -> tuple[bytes, dict[Partition, list[int]]]:
        """Return an outcome for each event of the piece, and the new ones of each partition."""
        batch = self.batch
        sources = list(batch.sources())
        outcomes = dict.fromkeys(self.piece, Outcome.ACCEPTED)
        fresh: dict[Partition, list[int]] = {}
        for partition, indexes in groups.items():
            known = self.logs.of(partition).identities
            here: dict[Identity, tuple[Batch, int]] = {}
            new = fresh[partition] = []
            for index in indexes:
                identity = batch.identity(index, sources[index])
                found = None if identity is None else known.get(identity) or here.get(identity)
                if found is None:
                    new.append(index)
                    if identity is not None:
                        here[identity] = (batch, index)
                else:
                    same = found[0].event(found[1]) == batch.event(index)
                    outcomes[index] = Outcome.DUPLICATE if same else Outcome.CONFLICT
        return bytes(outcomes[index] for index in self.piece), fresh

    def _transaction(self, head: Head, fresh: dict[Partition, list[int]]) -> _Written | None:
        """Return the call that commits the new events, or None when they do not fit it."""
        number = head.number + 1
        chunks: list[tuple[Partition, int, Batch]] = []
        writes: list[Put] = []
        size = 0
        for partition, indexes in fresh.items():
            last = self.logs.of(partition).last
            for part, data in encode_chunks(self.batch, indexes):
                last += 1
                writes.append(Put({"log": minute_log(*partition), "number": last, "chunk": data, "entry": number}))
                chunks.append((partition, last, part))
                size += len(data) + _ITEM_OVERHEAD_BYTES
        too_large = len(writes) >= TRANSACTION_ACTIONS_MAX or size > TRANSACTION_BYTES_MAX
        if too_large and len(self.piece) > 1:
            return None
        refs = tuple(ChunkRef(minute, lane, last, len(part)) for (minute, lane), last, part in chunks)
        entry = next_entry(head.entry, refs, self.context.clock(), self.token, self.freshness_s)
        writes.append(Put(ledger_item(number, entry)))
        return _Written(TransactWrite(tuple(writes), self.context.token()), entry.mark, chunks)


def encode_chunks(batch: Batch, indexes: list[int]) -> Iterator[tuple[Batch, bytes]]:
    """Yield events of a batch as chunks of at most CHUNK_BYTES_MAX, each with the batch it holds."""
    if not indexes:
        return
    part = batch if len(indexes) == len(batch) else _pick(batch, indexes)
    data = chunk.encode(part)
    if len(data) <= limits.CHUNK_BYTES_MAX or len(indexes) == 1:
        yield part, data
        return
    middle = len(indexes) // 2
    yield from encode_chunks(batch, indexes[:middle])
    yield from encode_chunks(batch, indexes[middle:])


def _pick(batch: Batch, indexes: list[int]) -> Batch:
    """Return some events of a batch. Its cost is theirs, where `Batch.select` walks the whole batch."""
    part = batch.pick(array("I", indexes))
    ends = list(accumulate(run.events for run in batch.runs))
    for run, events in groupby(bisect_right(ends, index) for index in indexes):
        part.runs.append(Run(batch.runs[run].source, sum(1 for _ in events)))
    return part


def lane_of(identity: Identity | None, index: int, lanes: Lanes) -> int:
    """Return the lane of an identity. What nothing names may be in any."""
    if identity is None:
        return index % lanes.lanes
    value = identity.value.encode()
    if lanes.key is None:
        return _unkeyed_hash(identity.kind, value, identity.position) % lanes.lanes
    at = (identity.seconds, identity.nanos)
    return kernel.hash_name(lanes.key, *at, identity.kind, value, identity.position) % lanes.lanes


def _unkeyed_hash(kind: int, value: bytes, position: int) -> int:
    """Return the hash by which tillroll 0.1.0 chose lanes. Anybody can make names that share one."""
    padded = value + bytes(-len(value) % 8)
    state = (_HASH_MULTIPLIER * (kind + 1) ^ len(value)) & _WORD
    for word in (*struct.unpack(f"<{len(padded) // 8}Q", padded), position):
        state = (state ^ word) * _HASH_MULTIPLIER & _WORD
        state ^= state >> 32
    return state - (1 << 64) if state >> 63 else state


def read_logs(context: Context, logs: KnownLogs, partitions: Iterable[Partition]) -> Procedure[None]:
    """Bring what is known of some logs up to date, strongly."""
    waiting = list(partitions)
    while waiting:
        calls = [QueryTable(minute_log(*partition), logs.of(partition).last) for partition in waiting]
        replies: list[QueryReply] = yield from run_calls(context, calls)
        for partition, reply in zip(waiting, replies, strict=True):
            _take(logs.of(partition), minute_log(*partition), reply.items)
        waiting = [partition for partition, reply in zip(waiting, replies, strict=True) if reply.last is not None]


def _take(known: Known, log: str, items: Sequence[Item]) -> None:
    for item in items:
        number = int(item["number"])
        if number <= known.last:
            continue
        if number != known.last + 1:
            raise damaged(f"chunk {known.last + 1} of {log} is missing from the journal")
        known.add(number, decode_chunk(item))
