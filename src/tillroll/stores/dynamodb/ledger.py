"""The ledger, the one sequence of all commits: reading it, decoding what it lists, appending to it. No I/O.

Entry n+1 is written only while it does not exist, by a worker that has read entry n. So whatever an entry says of the
whole journal (how many events, where the last range of the fold ended) was true when it was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tillroll.core import chunk
from tillroll.errors import LaterFormatError, StoreError
from tillroll.stores.dynamodb.calls import Fault, Put, QueryTable, Throttled, read_batch, read_log, run_call
from tillroll.stores.dynamodb.schema import JOURNAL_FORMAT, LEDGER, ChunkRef, LedgerEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tillroll.core.batch import Batch
    from tillroll.stores.dynamodb.calls import Context, Item, Procedure, QueryReply

EVENTS_MAX: Final = 40_000  # in one commit; one transaction holds about 100,000
RANGE_EVENTS_MAX: Final = (
    5_000_000  # a range ends when this is reached, though it is fresh: the fold reads it in slices
)

_LOOKS: Final = 8  # some 2 s, for a chunk that the ledger lists and that is not there


class Head(NamedTuple):
    """The last ledger entry; number 0 and an empty entry when there is none."""

    number: int
    entry: LedgerEntry


def next_entry(
    head: LedgerEntry, refs: tuple[ChunkRef, ...], now: float, token: str, freshness_s: float | None
) -> LedgerEntry:
    """Return the entry of a commit that follows the head of the ledger."""
    events = head.events + sum(ref.events for ref in refs)
    due = freshness_s is not None and abs(now - head.marked_at) >= freshness_s
    mark = due or events - head.marked_events + EVENTS_MAX > RANGE_EVENTS_MAX
    return LedgerEntry(
        chunks=refs,
        at=now,
        token=token,
        events=events,
        mark=mark,
        marked_at=now if mark else head.marked_at,
        marked_events=events if mark else head.marked_events,
        format=head.format,
        needs=head.needs,
    )


def decode_chunk(item: Item) -> Batch:
    """Return the batch in a chunk item.

    Raises:
        StoreError: it is damaged.
        LaterFormatError: a later tillroll wrote it.
    """
    try:
        data = item["chunk"]
        return chunk.decode(data if isinstance(data, bytes) else b"")
    except chunk.LaterChunkError as error:
        raise LaterFormatError(f"chunk {int(item['number'])} of {item['log']!s}: {error}") from error
    except (chunk.ChunkError, KeyError) as error:
        raise damaged(f"chunk {int(item['number'])} of {item['log']!s}: {error}") from error


def damaged(problem: str) -> StoreError:
    """Return the error that says the journal is not as it was written."""
    return StoreError(problem, "Run tillroll audit, and restore the journal table to a point in time before the damage")


def missing_entry(number: int) -> StoreError:
    """Return the error for an entry that the ledger lacks."""
    return damaged(f"ledger entry {number} is missing")


def missing_chunk(log: str, number: int) -> StoreError:
    """Return the error for a chunk that the journal lacks."""
    return damaged(f"chunk {number} of {log} is missing from the journal")


def read_head(context: Context) -> Procedure[Head]:
    """Read the last ledger entry, strongly."""
    return head_of((yield from run_call(context, HEAD)))


HEAD: Final = QueryTable(LEDGER, limit=1, falling=True)  # what `head_of` takes the reply to


def head_of(reply: QueryReply) -> Head:
    """Return the last ledger entry, as HEAD found it."""
    return Head(*decode_entry(reply.items[0])) if reply.items else Head(0, LedgerEntry())


def read_entry(context: Context, number: int) -> Procedure[LedgerEntry | None]:
    """Read one ledger entry strongly; None when there is none of that number."""
    if number < 1:
        return None
    reply: QueryReply = yield from run_call(context, QueryTable(LEDGER, number - 1, limit=1))
    found = [decode_entry(item) for item in reply.items]
    return found[0][1] if found and found[0][0] == number else None


def read_ledger(context: Context, after: int) -> Procedure[list[tuple[int, LedgerEntry]]]:
    """Read all ledger entries after a number, strongly."""
    items = yield from read_log(context, LEDGER, after)
    return [decode_entry(item) for item in items]


def read_page(
    context: Context, after: int, limit: int | None = None
) -> Procedure[tuple[list[tuple[int, LedgerEntry]], int | None]]:
    """Read a page of the ledger after an entry; return its entries, and where the next begins, None at the end.

    Raises:
        StoreError: one is missing.
    """
    reply: QueryReply = yield from run_call(context, QueryTable(LEDGER, after, limit))
    entries = [decode_entry(item) for item in reply.items]
    for expected, (number, _) in enumerate(entries, after + 1):
        if number != expected:
            raise missing_entry(expected)
    return entries, reply.last


def read_end(context: Context, first: int) -> Procedure[list[tuple[int, LedgerEntry]]]:
    """Read the ledger from the entry before a number on, of which `last_of` is the head.

    In one reading, so that an attempt on its way cannot arrive unseen between looking for it and looking for the head.
    """
    return (yield from read_ledger(context, max(first - 2, 0)))


def last_of(entries: Sequence[tuple[int, LedgerEntry]]) -> Head:
    """Return the head of a ledger that ends with these."""
    return Head(*entries[-1]) if entries else Head(0, LedgerEntry())


def decode_entry(item: Item) -> tuple[int, LedgerEntry]:
    """Return the number of a ledger item and what it says.

    Raises:
        StoreError: it is damaged.
        LaterFormatError: a later tillroll wrote it.
    """
    number = int(item["number"])
    try:
        entry = _decode_entry(str(item["entry"]))
    except (msgspec.MsgspecError, KeyError) as error:
        raise damaged(f"ledger entry {number}: {error}") from error
    if entry.format > JOURNAL_FORMAT:
        raise LaterFormatError(f"this journal is of tillroll {entry.needs} or later, from ledger entry {number} on")
    if entry.lanes:
        problem = f"from ledger entry {number} on the journal's minutes are split into lanes, as 0.1.0 could be made to"
        raise StoreError(problem, "Export it with 0.1.0, and import it into new tables")
    return number, entry


_decode_entry: Final = msgspec.json.Decoder(LedgerEntry).decode


def ledger_item(number: int, entry: LedgerEntry) -> Item:
    """Return a ledger entry as an item of the journal table."""
    return {"log": LEDGER, "number": number, "entry": msgspec.json.encode(entry).decode()}


def append_entry(context: Context, change: Callable[[LedgerEntry], LedgerEntry | None]) -> Procedure[Head]:
    """Append an entry made from the head of the ledger, unless `change` returns None; returns the new head."""
    token = context.token()
    backoff = context.backoff()
    first: int | None = None
    while True:
        if first is None:
            head: Head = yield from read_head(context)
        else:
            entries = yield from read_end(context, first)
            for number, entry in entries:
                if entry.token == token:
                    return Head(number, entry)
            head = last_of(entries)
        changed = change(head.entry)
        if changed is None:
            return head
        first = first or head.number + 1
        changed = msgspec.structs.replace(changed, token=token)
        try:
            yield Put(ledger_item(head.number + 1, changed))
        except Fault as fault:
            yield backoff.wait(fault)
        else:
            return Head(head.number + 1, changed)


def append_mark(context: Context, *, even_at_0: bool = False, anew: bool = False) -> Procedure[Head]:
    """Let a range of the fold end at the head of the ledger; returns the head, which is then marked.

    A ledger without an event has no use for a mark: it gets one only with `even_at_0`. With `anew` a head that is a
    mark is followed by another.
    """

    def mark(head: LedgerEntry) -> LedgerEntry | None:
        now = context.clock()
        is_enough = head.mark or not (head.events or even_at_0)
        return None if is_enough and not anew else next_entry(head, (), now, "", 0)

    return (yield from append_entry(context, mark))


def read_chunks(context: Context, refs: Sequence[ChunkRef]) -> Procedure[dict[ChunkRef, Item]]:
    """Read chunks strongly, by where they are. One that is missing is looked for again, then left out.

    Again, since the parts of a transaction need not become visible at one moment.
    """
    found: dict[ChunkRef, Item] = {}
    waiting = {(ref.log, ref.number): ref for ref in refs}
    backoff = context.backoff()
    for attempt in range(_LOOKS):
        items = yield from read_batch(context, "journal", list(waiting))
        for item in items:
            ref = waiting.pop((str(item["log"]), int(item["number"])), None)
            if ref is not None:
                found[ref] = item
        if not waiting:
            break
        if attempt < _LOOKS - 1:
            yield backoff.wait(Throttled("chunks are not visible yet"))
    return found


def require_chunks(context: Context, refs: Sequence[ChunkRef]) -> Procedure[Iterator[tuple[ChunkRef, Batch]]]:
    """Read chunks; return each with its events, in the order of the ledger.

    Raises:
        StoreError: one is missing, or, when its turn comes, damaged.
    """
    found = yield from read_chunks(context, refs)
    for ref in refs:
        if ref not in found:
            raise missing_chunk(ref.log, ref.number)
    return ((ref, decode_chunk(found[ref])) for ref in refs)
