"""Reading the journal out of SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tillroll.core.batch import Batch
from tillroll.core.export import end_of, named
from tillroll.core.own_names import Piece
from tillroll.ports import JournalPart
from tillroll.stores.sqlite.chunks import chunk_of, read_chunks
from tillroll.stores.sqlite.state import read_state

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tillroll.core.export import Chosen
    from tillroll.stores.sqlite.chunks import Chunk

    Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]

_STRIDE_EVENTS: Final = 1 << 17  # read in one transaction: a reader that stays would keep the log from being emptied
_TOKEN_BYTES: Final = 16


def read(begin: Transaction, after: int, upto: int | None, chosen: Chosen) -> Iterator[JournalPart]:
    """See ports.Journal. `begin` lends a connection in a read transaction.

    Raises:
        DamageError: a chunk is missing, or not what was written.
    """
    with begin() as connection:
        end = read_state(connection).events
        upto = end_of(end, after, upto)
        before = chunk_of(connection, after + 1).first - 1 if after < upto else after
    chain: bytes | None = None
    while before < upto:
        with begin() as connection:
            rows = list(read_chunks(connection, before, end, chain=chain, upto=min(upto, before + _STRIDE_EVENTS)))
        for row in rows:
            yield _part(row, after, upto, chosen)
        before, chain = rows[-1].last, rows[-1].chain


def _part(row: Chunk, after: int, upto: int, chosen: Chosen) -> JournalPart:
    if not chosen.may_hold(row.low, row.high):
        return JournalPart(Batch(), min(row.last, upto))
    batch = named(row.batch(), row.chain[:_TOKEN_BYTES].hex(), row.first)
    start, stop = max(after + 1 - row.first, 0), min(row.events, upto + 1 - row.first)
    if (start, stop) != (0, row.events):
        batch = batch.slice(start, stop)
    return JournalPart(chosen.of(batch), min(row.last, upto))


def piece_of(connection: sqlite3.Connection, token: str, number: int) -> Piece | None:
    """Return the chunk of a token that holds an event, None where the journal has no such chunk.

    Raises:
        DamageError: it is not what was written.
    """
    query = "SELECT first, events, chain FROM chunk WHERE first <= ? ORDER BY first DESC LIMIT 1"
    first, events, chain = connection.execute(query, (number,)).fetchone() or (1, 0, b"")
    if number >= first + events or chain[:_TOKEN_BYTES].hex() != token:
        return None
    return Piece(chunk_of(connection, number).batch(), first)
