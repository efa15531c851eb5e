"""Commit: put a batch's new events into the journal and the ledger, each identity once. No I/O.

A commit reads the chunks of the minutes concerned, drops the identities that are there, and writes the rest in one
transaction: new chunks, each under the next number of its minute's log, and the next ledger entry, every one on
condition that its key is free. So whoever read before somebody else wrote fails, reads again and tries again: an
identity is in the journal at most once, and each chunk is in exactly one ledger entry. It does not matter in which
order the parts of a transaction become visible to others.
"""

from __future__ import annotations

import secrets
from array import array
from bisect import bisect_right
from collections import OrderedDict
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import chunk, kernel, limits
from tillroll.core.batch import NameKind, Run, joined
from tillroll.core.identity import KEY_BYTES
from tillroll.ports import Outcome
from tillroll.stores.dynamodb import offers
from tillroll.stores.dynamodb.calls import (
    ConditionFailed,
    Conflict,
    Delete,
    Fault,
    Put,
    QueryTable,
    ReplyLost,
    Sleep,
    Throttled,
    TransactWrite,
    run_calls,
)
from tillroll.stores.dynamodb.ledger import (
    EVENTS_MAX,
    HEAD,
    Head,
    decode_chunk,
    head_of,
    last_of,
    ledger_item,
    missing_chunk,
    next_entry,
    read_end,
    require_chunks,
)
from tillroll.stores.dynamodb.offers import (
    FIRST_OFFERS,
    READ_OFFERS,
    OwnOffers,
    list_numbers,
    listed_numbers,
    offers_of,
)
from tillroll.stores.dynamodb.schema import OFFERS, ChunkRef, minute_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tillroll.core.batch import Batch, Event, Identity
    from tillroll.stores.dynamodb.calls import Backoff, Context, Item, Procedure, QueryReply
    from tillroll.stores.dynamodb.offers import Offer
    from tillroll.stores.dynamodb.schema import LedgerEntry

TRANSACTION_ACTIONS_MAX: Final = 100  # the service's own bounds on TransactWriteItems
TRANSACTION_BYTES_MAX: Final = 4_000_000
_ITEM_OVERHEAD_BYTES: Final = 256  # keys and attribute names of a chunk item and its part of the entry, amply
MINUTES_MAX: Final = 90  # in one commit: leaves room for chunks that are split
_THROTTLED_MAX: Final = 3  # then a commit of several chunks is cut in two
_KNOWN_EVENTS_MAX: Final = 1_500_000  # some 100 bytes each
_FIRSTS_AT_ONCE: Final = 25  # chunks, of at most limits.CHUNK_BYTES_MAX each, that repeats are compared with
# The kernel hashes no names of imports: they take the kind of a message's. What shares a hash is compared anyway.
_AS_INDEXED: Final = bytes(NameKind.MESSAGE if kind == NameKind.FILE else kind for kind in range(256))


Fresh = dict[int, list[int]]  # the indexes of new events, by minute


class Committed(NamedTuple):
    """An outcome for each event, and whether a range of the fold ends with this commit."""

    outcomes: bytes
    marked: bool


class Known:
    """What a log holds, as far as this worker has read it: its last number, and hashes of the names in each chunk."""

    __slots__ = ("chunks", "events", "last", "shared")

    def __init__(self) -> None:
        self.chunks: dict[int, int] = {}  # the first chunk that has a name of this hash
        self.shared: dict[int, set[int]] = {}  # and others, if another name has it: hardly ever
        self.last = 0
        self.events = 0

    def add(self, number: int, batch: Batch, key: bytes) -> None:
        """Take note of the next chunk."""
        for _, _, hashed in hash_names(batch, key):
            if self.chunks.setdefault(hashed, number) != number:
                self.shared.setdefault(hashed, set()).add(number)
        self.last = number
        self.events += len(batch)

    def find(self, hashes: Iterable[int]) -> dict[int, set[int]]:
        """Return the numbers of the chunks that may hold what has one of these hashes, with those."""
        found: dict[int, set[int]] = {}
        for hashed in hashes:
            number = self.chunks.get(hashed)
            if number is not None:
                for each in (number, *self.shared.get(hashed, ())):
                    found.setdefault(each, set()).add(hashed)
        return found


def hash_names(batch: Batch, key: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield index, minute and hash (below 2^64) of each event that anything names, by minute, then hash, then index."""
    ids, heap, positions, events, kinds, ends, values = batch.name_columns()
    columns = ids, heap, positions, events, kinds.translate(_AS_INDEXED), ends, values
    rows = kernel.name_rows(key, batch.seconds, batch.nanos, *columns)
    hashes = array("Q", rows[2::3].tobytes())
    return zip(rows[::3], rows[1::3], hashes, strict=True)


class KnownLogs:
    """The logs that this worker has read, the least recently used forgotten first, but never the last one.

    Keeping them is safe: a chunk never changes, and what is newer than the last one known is read at every commit. A
    name is kept as its hash: what has a known one is looked for in the chunk. The key is drawn, so nobody can choose
    names that share a hash.
    """

    def __init__(self, events_max: int = _KNOWN_EVENTS_MAX) -> None:
        self.key = secrets.token_bytes(KEY_BYTES)
        self.taken: set[int] = set()  # the offers that are journaled, as far as was read since the last `trim`
        self._logs: OrderedDict[int, Known] = OrderedDict()
        self._events_max = events_max

    def of(self, minute: int) -> Known:
        """Return what is known of the log of a minute."""
        known = self._logs.setdefault(minute, Known())
        self._logs.move_to_end(minute)
        return known

    def add(self, minute: int, number: int, batch: Batch) -> None:
        """Take note of the next chunk of a minute."""
        self.of(minute).add(number, batch, self.key)

    def trim(self) -> None:
        """Forget until the bound is kept."""
        self.taken.clear()
        events = sum(known.events for known in self._logs.values())
        while events > self._events_max and len(self._logs) > 1:
            _, known = self._logs.popitem(last=False)
            events -= known.events


def commit(
    context: Context,
    logs: KnownLogs,
    batch: Batch,
    freshness_s: float | None,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Procedure[Committed]:
    """Journal a batch, in several transactions when it does not fit one; returns an outcome for each event.

    The commit is marked as the end of a range of the fold when the last mark is older than `freshness_s`. Once
    `may_go_on` says no, what cannot be done at once is given up; some of the batch may be journaled by then.

    Raises:
        BusyError: it was given up, and others were first.
        StoreError: it was given up.
    """
    outcomes = bytearray(len(batch))
    marked = False
    waiting = list(_pieces(batch))
    waiting.reverse()
    while waiting:
        piece = waiting.pop()
        done = yield from _Attempt(context, logs, batch, piece, freshness_s, may_go_on).run()
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
        if piece and (minutes == MINUTES_MAX or len(piece) + len(indexes) > EVENTS_MAX):
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
    """A transaction to be tried: its call, whether it marks, and the chunks by minute and number."""

    call: TransactWrite
    mark: bool
    chunks: list[tuple[int, int, Batch]]
    spent: list[int]  # offers that nobody needs then


class _Attempt:
    """The attempts to commit one piece. All carry one token, since at most one of them can succeed."""

    def __init__(
        self,
        context: Context,
        logs: KnownLogs,
        batch: Batch,
        piece: list[int],
        freshness_s: float | None,
        may_go_on: Callable[[], bool],
    ) -> None:
        self.context = context
        self.logs = logs
        self.batch = batch
        self.piece = piece
        self.freshness_s = freshness_s
        self.may_go_on = may_go_on
        self.token = context.token()
        self.throttled = 0
        self.groups: dict[int, list[int]] = {}  # the piece by minutes
        for index in piece:
            self.groups.setdefault(batch.seconds[index] // 60, []).append(index)
        self.named = self._named()
        self.lost: dict[int, Committed] = {}  # what each attempt without a reply would have done, by its number
        self.offered = OwnOffers(context)
        self.others: list[Offer] = []  # that wait, as far as was read
        self.others_known = True  # whether these are all that one commit may take

    def run(self) -> Procedure[Committed | None]:
        """Commit; None when the piece is too large for one transaction."""
        backoff = self.context.backoff()
        while True:
            head = yield from self._read_in_time(backoff)
            if isinstance(head, Committed):
                return head
            self._leave_out_taken()
            outcomes, fresh = yield from self._classify()
            if not any(fresh.values()):
                return Committed(outcomes, marked=False)
            written = self._transaction(head, fresh)
            if written is None:
                return None
            if (yield from self._waits(fresh)):
                continue
            done = Committed(outcomes, written.mark)
            fault = yield from self._write(written)
            if fault is None:
                return done
            if isinstance(fault, ReplyLost):
                self.lost[head.number + 1] = done
            elif self._is_too_much(fault, written):
                return None
            yield from self._wait_after(fault, fresh, backoff)

    def _read_in_time(self, backoff: Backoff) -> Procedure[Head | Committed]:
        while True:
            try:
                return (yield from self._read())
            except Fault as refused:
                yield backoff.wait(refused, in_time=self.may_go_on())

    def _wait_after(self, fault: Fault, fresh: Fresh, backoff: Backoff) -> Procedure[None]:
        if isinstance(fault, ConditionFailed | Conflict) and self._may_offer(fresh):
            yield from self._offer(fresh)
        else:
            yield backoff.wait(fault, in_time=self.may_go_on())

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
        for chunk_ in written.chunks:
            self.logs.add(*chunk_)
        if spent := [*written.spent, *self.offered.numbers.values()]:
            # Whether it has its effect does not matter: whoever is next does it.
            yield [Delete(OFFERS, number) for number in spent]
        return None

    def _read(self) -> Procedure[Head | Committed]:
        """Read the logs and the end of the ledger; when that shows that an attempt succeeded, return what it did.

        At the same time, where no attempt may be on its way: the sooner who reads writes, the fewer are first.
        """
        self.others = []
        if not self.lost:
            beside = [HEAD, READ_OFFERS if self.others_known else FIRST_OFFERS]
            head, found = yield from read_logs(self.context, self.logs, self.groups, beside, self.may_go_on)
            self.others_known |= len(found.items) < (FIRST_OFFERS.limit or 0)
            self.others = [each for each in offers_of(found.items) if each.number not in self.offered.numbers.values()]
            return head_of(head)
        entries: list[tuple[int, LedgerEntry]] = yield from read_end(self.context, min(self.lost))
        for number, entry in entries:
            if entry.token == self.token:
                return self.lost[number]
        yield from read_logs(self.context, self.logs, self.groups)
        return last_of(entries)

    def _waits(self, fresh: Fresh) -> Procedure[bool]:
        """Wait, if it is another's turn, and tell whether everything is to be read again before the attempt."""
        waiting = [offer.number for offer in self.others if offer.number not in self.logs.taken]
        if self.offered.is_its_turn(waiting):
            known, self.others_known = self.others_known, True
            return not known and not self.lost
        if self._may_offer(fresh):
            yield from self._offer(fresh)
            return True
        if not self.offered.numbers:
            return False
        self.others_known = False
        yield Sleep(self.offered.wait_s())
        return True

    def _may_offer(self, fresh: Fresh) -> bool:
        """Tell whether others may be asked to commit the piece: all of it is new and named, and no reply is awaited."""
        return (
            not self.offered.are_made
            and not self.lost
            and len(self.piece) <= offers.EVENTS_MAX
            and len(self.groups) <= offers.MINUTES_MAX
            and sum(map(len, fresh.values())) == len(self.piece)
            and sum(len(same) for named in self.named.values() for same in named.values()) == len(self.piece)
        )

    def _offer(self, fresh: Fresh) -> Procedure[None]:
        """Ask whoever commits next to commit the piece, and give others the time to do so."""
        chunks = {minute: chunk.encode(_part_of(self.batch, indexes)) for minute, indexes in fresh.items()}
        calls = self.offered.make({minute: data for minute, data in chunks.items() if len(data) <= offers.BYTES_MAX})
        if calls:
            yield calls
        self.others_known = False
        yield Sleep(self.offered.wait_s())

    def _leave_out_taken(self) -> None:
        """Leave out what others have committed: all of it was new."""
        for minute, number in self.offered.numbers.items():
            if number in self.logs.taken:
                self.groups.pop(minute, None)
                self.named.pop(minute, None)

    def _named(self) -> dict[int, dict[int, list[int]]]:
        """Return the piece's events that anything names, by minute, then hash."""
        inside = set(self.piece)
        named: dict[int, dict[int, list[int]]] = {}
        for index, minute, hashed in hash_names(self.batch, self.logs.key):
            if index in inside:
                named.setdefault(minute, {}).setdefault(hashed, []).append(index)
        return named

    def _classify(self) -> Procedure[tuple[bytes, Fresh]]:
        """Return an outcome for each event of the piece, and the new ones of each minute."""
        held: dict[tuple[int, int], set[int]] = {}  # hashes by minute and number of the chunk
        doubtful: list[int] = []
        for minute, named in self.named.items():
            found = self.logs.of(minute).find(named)
            held.update({(minute, number): hashes for number, hashes in found.items()})
            known = set().union(*found.values())
            doubtful += [x for hashed, same in named.items() if hashed in known or len(same) > 1 for x in same]
        firsts = yield from self._read_firsts(held)
        outcomes = dict.fromkeys(self.piece, Outcome.ACCEPTED) | self._judge(sorted(doubtful), firsts)
        fresh = {
            minute: [index for index in indexes if outcomes[index] == Outcome.ACCEPTED]
            for minute, indexes in self.groups.items()
        }
        return bytes(outcomes.values()), fresh

    def _read_firsts(self, held: dict[tuple[int, int], set[int]]) -> Procedure[dict[Identity, Event]]:
        """Read the events whose names have some hashes, from the chunks that hold them."""
        firsts: dict[Identity, Event] = {}
        wanted = list(held)
        for at in range(0, len(wanted), _FIRSTS_AT_ONCE):
            refs = [ChunkRef(minute, 0, number, 0) for minute, number in wanted[at : at + _FIRSTS_AT_ONCE]]
            for ref, batch in (yield from require_chunks(self.context, refs)):
                sources = list(batch.sources())
                for index, _, hashed in hash_names(batch, self.logs.key):
                    identity = batch.identity(index, sources[index])
                    if identity is not None and hashed in held[ref.minute, ref.number]:
                        firsts[identity] = batch.event(index)
        return firsts

    def _judge(self, doubtful: list[int], firsts: dict[Identity, Event]) -> dict[int, Outcome]:
        """Compare events with the first of their identity, in the journal or before them in the batch."""
        outcomes = {}
        sources = list(self.batch.sources()) if doubtful else []
        for index in doubtful:
            event = self.batch.event(index)
            identity = self.batch.identity(index, sources[index])
            first = None if identity is None else firsts.setdefault(identity, event)
            if first is not None and first is not event:
                outcomes[index] = Outcome.DUPLICATE if first == event else Outcome.CONFLICT
        return outcomes

    def _transaction(self, head: Head, fresh: Fresh) -> _Written | None:
        """Return the call that commits the new events, and others' with them; None when they do not fit it."""
        number = head.number + 1
        chunks: list[tuple[int, int, Batch]] = []
        writes: list[Put] = []
        size = 0
        taken, spent = self._sort_offers()
        for minute, indexes in fresh.items():
            last = self.logs.of(minute).last
            for part, data, beside in self._chunks(indexes, taken.get(minute, [])):
                last += 1
                item: Item = {"log": minute_log(minute), "number": last, "chunk": data, "entry": number}
                writes.append(Put({**item, "offers": list_numbers(beside)} if beside else item))
                chunks.append((minute, last, part))
                size += len(data) + _ITEM_OVERHEAD_BYTES
                spent += [offer.number for offer in beside]
        too_large = len(writes) >= TRANSACTION_ACTIONS_MAX or size > TRANSACTION_BYTES_MAX
        if too_large and len(self.piece) > 1:
            return None
        refs = tuple(ChunkRef(minute, 0, last, len(part)) for minute, last, part in chunks)
        entry = next_entry(head.entry, refs, self.context.clock(), self.token, self.freshness_s)
        writes.append(Put(ledger_item(number, entry)))
        return _Written(TransactWrite(tuple(writes), self.context.token()), entry.mark, chunks, spent)

    def _chunks(self, indexes: list[int], taken: list[Offer]) -> Iterator[tuple[Batch, bytes, list[Offer]]]:
        """Yield the chunks of a minute, each with the offers in it.

        With offers it is one chunk: the parts of a transaction become visible one by one, and a log has no gaps.
        """
        own = list(encode_chunks(self.batch, indexes))
        room = offers.TAKEN_BYTES_MAX - sum(len(data) for _, data in own)
        beside = [each for each, end in zip(taken, accumulate(x.size for x in taken), strict=True) if end <= room]
        if not beside:
            yield from ((part, data, []) for part, data in own)
            return
        part = joined([*(part for part, _ in own), *(offer.batch for offer in beside if offer.batch is not None)])
        yield part, chunk.encode(part), beside

    def _sort_offers(self) -> tuple[dict[int, list[Offer]], list[int]]:
        """Return the offers that can be taken, by minute, and the numbers of those that nobody needs any more."""
        now = self.context.clock()
        names = {minute: set(named) for minute, named in self.named.items()}
        taken: dict[int, list[Offer]] = {}
        spent: list[int] = []
        for offer in self.others:
            if offer.batch is None or offer.minute not in self.groups:
                spent += [offer.number] if offer.is_old(now) else []
                continue
            hashes = {hashed for _, _, hashed in hash_names(offer.batch, self.logs.key)}
            there = names.setdefault(offer.minute, set())
            if self.logs.of(offer.minute).find(hashes) or not there.isdisjoint(hashes):
                spent.append(offer.number)  # a repeat, or what may be one: who made it finds out
                continue
            there |= hashes
            taken.setdefault(offer.minute, []).append(offer)
        return taken, spent


def encode_chunks(batch: Batch, indexes: list[int]) -> Iterator[tuple[Batch, bytes]]:
    """Yield events of a batch as chunks of at most CHUNK_BYTES_MAX, each with the batch it holds."""
    if not indexes:
        return
    part = _part_of(batch, indexes)
    data = chunk.encode(part)
    if len(data) <= limits.CHUNK_BYTES_MAX or len(indexes) == 1:
        yield part, data
        return
    middle = len(indexes) // 2
    yield from encode_chunks(batch, indexes[:middle])
    yield from encode_chunks(batch, indexes[middle:])


def _part_of(batch: Batch, indexes: list[int]) -> Batch:
    return batch if len(indexes) == len(batch) else _pick(batch, indexes)


def _pick(batch: Batch, indexes: list[int]) -> Batch:
    """Return some events of a batch. Its cost is theirs, where `Batch.select` walks the whole batch."""
    part = batch.pick(array("I", indexes))
    ends = list(accumulate(run.events for run in batch.runs))
    for run, events in groupby(bisect_right(ends, index) for index in indexes):
        part.runs.append(Run(batch.runs[run].source, sum(1 for _ in events)))
    return part


def read_logs(
    context: Context,
    logs: KnownLogs,
    minutes: Iterable[int],
    beside: Sequence[QueryTable] = (),
    may_go_on: Callable[[], bool] = lambda: True,
) -> Procedure[list[QueryReply]]:
    """Bring what is known of the logs of some minutes up to date, strongly; return the replies to other queries.

    Raises:
        Fault: a query was refused, and `may_go_on` says no.
    """
    waiting = list(minutes)
    others: list[QueryReply] = []
    first = list(beside)
    while waiting or first:
        calls = [QueryTable(minute_log(minute), logs.of(minute).last) for minute in waiting]
        replies: list[QueryReply] = yield from run_calls(context, [*first, *calls], may_go_on)
        for reply in replies:
            if isinstance(reply, Fault):
                raise reply
        others += replies[: len(first)]
        replies = replies[len(first) :]
        first = []
        for minute, reply in zip(waiting, replies, strict=True):
            _take(logs, minute, reply.items)
        waiting = [minute for minute, reply in zip(waiting, replies, strict=True) if reply.last is not None]
    return others


def _take(logs: KnownLogs, minute: int, items: Sequence[Item]) -> None:
    for item in items:
        number, last = int(item["number"]), logs.of(minute).last
        if number <= last:
            continue
        if number != last + 1:
            raise missing_chunk(minute_log(minute), last + 1)
        logs.taken.update(listed_numbers(item))
        logs.add(minute, number, decode_chunk(item))
