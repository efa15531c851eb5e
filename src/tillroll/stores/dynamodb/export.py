"""Reading the journal out of DynamoDB, by the ledger. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tillroll.core.batch import Batch
from tillroll.core.export import named
from tillroll.core.own_names import Piece
from tillroll.errors import StoreError
from tillroll.ports import JournalPart
from tillroll.stores.dynamodb.calls import QueryTable, run_call
from tillroll.stores.dynamodb.ledger import damaged, decode_chunk, decode_entry, read_chunks, read_head
from tillroll.stores.dynamodb.schema import LEDGER, LedgerEntry

if TYPE_CHECKING:
    from tillroll.core.export import Chosen
    from tillroll.stores.dynamodb.calls import Context, Procedure, QueryReply

_ENTRIES_AT_ONCE: Final = 100
_EVENTS_AT_ONCE: Final = 1 << 16  # of whole entries
_INDEX_BITS: Final = 16  # of the position by which an entry names an event that nothing else does


def end_of(context: Context, after: int, upto: int | None) -> Procedure[int]:
    """Return up to which ledger entry is read.

    Raises:
        StoreError: the ledger does not go so far.
    """
    head = yield from read_head(context)
    upto = head.number if upto is None else upto
    if max(after, upto) > head.number:
        problem = f"the journal ends at position {head.number:,}: there is no position {max(after, upto):,}"
        raise StoreError(problem, "Give a position that this store has told; after a restore begin anew")
    return upto


def before_last(context: Context, events: int) -> Procedure[int]:
    """Return the last ledger entry after which there are so many events, 0 where there are fewer in all."""
    head = yield from read_head(context)
    last: int | None = 0
    while last is not None:
        reply: QueryReply = yield from run_call(context, QueryTable(LEDGER, last, limit=_ENTRIES_AT_ONCE, falling=True))
        for number, entry in map(decode_entry, reply.items):
            if head.entry.events - entry.events >= events:
                return number
        last = reply.last
    return 0


def read_some(context: Context, after: int, upto: int, chosen: Chosen) -> Procedure[list[JournalPart]]:
    """Return the events of some ledger entries after one, in parts of one chunk, or of none.

    Raises:
        StoreError: a chunk or an entry is missing or damaged.
    """
    reply: QueryReply = yield from run_call(context, QueryTable(LEDGER, after, limit=_ENTRIES_AT_ONCE))
    parts: list[JournalPart] = []
    events = 0
    for number, entry in map(decode_entry, reply.items):
        if number != after + 1:
            raise damaged(f"ledger entry {after + 1} is missing")
        if number > upto or events >= _EVENTS_AT_ONCE:
            break
        parts += yield from _parts_of(context, number, entry, chosen)
        after = number
        events += sum(len(part.batch) for part in parts)
    if not parts:
        raise damaged(f"ledger entry {after + 1} is missing")
    return parts


def _parts_of(context: Context, number: int, entry: LedgerEntry, chosen: Chosen) -> Procedure[list[JournalPart]]:
    """Return the events of an entry; only with the last of its parts is its position reached."""
    wanted = [ref for ref in entry.chunks if chosen.may_hold(ref.minute * 60, ref.minute * 60 + 59)]
    found = yield from read_chunks(context, wanted)
    batches = []
    first = number << _INDEX_BITS
    for ref in entry.chunks:
        if ref in wanted:
            if ref not in found:
                raise damaged(f"chunk {ref.number} of {ref.log} is missing from the journal")
            batches.append(chosen.of(named(decode_chunk(found[ref]), entry.token, first)))
        first += ref.events
    parts = [JournalPart(batch, number - 1) for batch in batches or [Batch()]]
    parts[-1] = JournalPart(parts[-1].batch, number)
    return parts


def piece_of(context: Context, token: str, number: int) -> Procedure[Piece | None]:
    """Return the chunk that holds an event by the name that its entry gave it, None where there is no such entry.

    Raises:
        StoreError: the chunk is missing or damaged.
    """
    entry_number = number >> _INDEX_BITS
    reply: QueryReply = yield from run_call(context, QueryTable(LEDGER, entry_number - 1, limit=1))
    found_number, entry = decode_entry(reply.items[0]) if reply.items else (0, LedgerEntry())
    if found_number != entry_number or entry.token != token:
        return None
    first = entry_number << _INDEX_BITS
    for ref in entry.chunks:
        if number < first + ref.events:
            found = yield from read_chunks(context, [ref])
            if ref not in found:
                raise damaged(f"chunk {ref.number} of {ref.log} is missing from the journal")
            return Piece(decode_chunk(found[ref]), first)
        first += ref.events
    return None
