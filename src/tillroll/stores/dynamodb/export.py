"""Reading the journal out of DynamoDB, by the ledger. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tillroll.core.batch import Batch
from tillroll.core.export import end_of, named
from tillroll.core.own_names import Piece
from tillroll.ports import JournalPart
from tillroll.stores.dynamodb.calls import QueryTable, run_call
from tillroll.stores.dynamodb.ledger import (
    decode_entry,
    missing_entry,
    read_entry,
    read_head,
    read_page,
    require_chunks,
)
from tillroll.stores.dynamodb.schema import LEDGER

if TYPE_CHECKING:
    from tillroll.core.export import Chosen
    from tillroll.stores.dynamodb.calls import Context, Procedure, QueryReply
    from tillroll.stores.dynamodb.schema import LedgerEntry

_ENTRIES_AT_ONCE: Final = 100
_EVENTS_AT_ONCE: Final = 1 << 16  # of whole entries
_INDEX_BITS: Final = 16  # of the position by which an entry names an event that nothing else does


def read_end(context: Context, after: int, upto: int | None) -> Procedure[int]:
    """Return up to which ledger entry is read.

    Raises:
        StoreError: the ledger does not go so far.
    """
    head = yield from read_head(context)
    return end_of(head.number, after, upto)


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
    entries, _ = yield from read_page(context, after, _ENTRIES_AT_ONCE)
    parts: list[JournalPart] = []
    events = 0
    for number, entry in entries:
        if number > upto or events >= _EVENTS_AT_ONCE:
            break
        some = yield from _parts_of(context, number, entry, chosen)
        parts += some
        events += sum(len(part.batch) for part in some)
    if not parts:
        raise missing_entry(after + 1)
    return parts


def _parts_of(context: Context, number: int, entry: LedgerEntry, chosen: Chosen) -> Procedure[list[JournalPart]]:
    """Return the events of an entry; only with the last of its parts is its position reached."""
    wanted = [ref for ref in entry.chunks if chosen.may_hold(ref.minute * 60, ref.minute * 60 + 59)]
    found = dict((yield from require_chunks(context, wanted)))
    batches = []
    first = number << _INDEX_BITS
    for ref in entry.chunks:
        if ref in found:
            batches.append(chosen.of(named(found[ref], entry.token, first)))
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
    entry = yield from read_entry(context, entry_number)
    if entry is None or entry.token != token:
        return None
    first = entry_number << _INDEX_BITS
    for ref in entry.chunks:
        if number < first + ref.events:
            ((_, batch),) = yield from require_chunks(context, [ref])
            return Piece(batch, first)
        first += ref.events
    return None
