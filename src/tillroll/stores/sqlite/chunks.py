"""The chunks in SQLite as a chain: each row's hash covers the row, its payload and the hash of the row before.

So a chunk that is lost, damaged, or in another's place is seen by whoever reads it, and the hash of the last chunk
stands for the whole journal.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tillroll.core import chunk, kernel
from tillroll.errors import LaterFormatError
from tillroll.stores.sqlite.damage import DamageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from tillroll.core.batch import Batch

GENESIS: Final = bytes(32)  # the hash before the first chunk
_ROW: Final = struct.Struct("<qqqqd")
_COLUMNS: Final = "first, events, low, high, committed_at, payload, chain"
_RESTORE: Final = "Run tillroll audit, and restore the file from a copy"


class Chunk(NamedTuple):
    """One row of the journal."""

    first: int  # number of its first event, from 1 without a gap
    events: int
    low: int  # the least and the greatest second of its events
    high: int
    committed_at: float
    payload: bytes
    chain: bytes = b""

    @staticmethod
    def encoded(first: int, batch: Batch, committed_at: float) -> tuple[Chunk, bytes]:
        """Return the row of a batch, which is not linked yet, and the digest of its payload, that it is linked by."""
        payload = chunk.encode(batch)
        row = Chunk(first, len(batch), *kernel.bounds(batch.seconds), committed_at, payload)
        return row, hashlib.sha256(payload).digest()

    @property
    def last(self) -> int:
        """The number of its last event."""
        return self.first + self.events - 1

    def linked(self, before: bytes, digest: bytes | None = None) -> bytes:
        """Return the hash that this row must have after a chunk of that hash; `digest` is its payload's, if known."""
        head = before + _ROW.pack(self.first, self.events, self.low, self.high, self.committed_at)
        return hashlib.sha256(head + (digest or hashlib.sha256(self.payload).digest())).digest()

    def batch(self) -> Batch:
        """Return its events.

        Raises:
            DamageError: the payload cannot be read.
            LaterFormatError: a later tillroll wrote it.
        """
        try:
            return chunk.decode(self.payload)
        except chunk.LaterChunkError as error:
            raise LaterFormatError(f"the chunk of events {self.first} to {self.last}: {error}") from error
        except chunk.ChunkError as error:
            raise DamageError(f"the chunk of events {self.first} to {self.last}: {error}", _RESTORE) from error


def append(connection: sqlite3.Connection, row: Chunk, digest: bytes, before: bytes) -> bytes:
    """Add a chunk, of which the payload has a digest, after the one of that hash; return its own. In a transaction."""
    chain = row.linked(before, digest)
    connection.execute("INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?)", row._replace(chain=chain))
    return chain


def read_chunks(
    connection: sqlite3.Connection, after: int, last: int, *, chain: bytes | None = None, upto: int | None = None
) -> Iterator[Chunk]:
    """Yield the chunks of the events from `after` + 1 to `last`; of those that begin by `upto`, when it is given.

    `chain` is the hash of the chunk that ends at `after`, looked up when not given.

    Raises:
        DamageError: a chunk is missing, or not what was written.
    """
    chain = chain_at(connection, after) if chain is None else chain
    upto = last if upto is None else min(upto, last)
    query = f"SELECT {_COLUMNS} FROM chunk WHERE first > ? AND first <= ? ORDER BY first"  # noqa: S608 names, above
    for found in connection.execute(query, (after, upto)):
        row = _row(found)
        if row.first != after + 1:
            raise hole(after + 1, row.first - 1)
        chain = _checked(row, chain)
        after = row.last
        yield row
    if after < upto:
        raise hole(after + 1, last)


def doubtful_chunks(connection: sqlite3.Connection, last: int) -> Iterator[Chunk]:
    """Yield the chunks that begin by an event as they stand there, for who looks into damage."""
    query = f"SELECT {_COLUMNS} FROM chunk WHERE first <= ? ORDER BY first"  # noqa: S608 names, above
    return (_row(found) for found in connection.execute(query, (last,)))


def chunk_of(connection: sqlite3.Connection, event: int) -> Chunk:
    """Return the chunk that holds an event.

    Raises:
        DamageError: it is missing, or not what was written.
    """
    query = f"SELECT {_COLUMNS} FROM chunk WHERE first <= ? ORDER BY first DESC LIMIT 1"  # noqa: S608 names, above
    found = connection.execute(query, (event,)).fetchone()
    if found is None:
        raise hole(event, event)
    row = _row(found)
    _checked(row, chain_at(connection, row.first - 1))
    if event > row.last:
        raise hole(row.last + 1, event)
    return row


def chunk_start(connection: sqlite3.Connection, after: int) -> int:
    """Return the number before the first event of the chunk that holds the one after a number."""
    row = connection.execute("SELECT max(first) FROM chunk WHERE first <= ?", (after + 1,)).fetchone()
    return (row[0] or 1) - 1


def chain_at(connection: sqlite3.Connection, last: int) -> bytes:
    """Return the hash of the chunk that ends with an event; of event 0, that before the first chunk."""
    chain = chain_where_one_ends(connection, last)
    if chain is None:
        raise _no_end(last)
    return chain


def chain_where_one_ends(connection: sqlite3.Connection, last: int) -> bytes | None:
    """Return the same, None where the event is within a chunk."""
    if not last:
        return GENESIS
    query = "SELECT first, events, chain FROM chunk WHERE first <= ? ORDER BY first DESC LIMIT 1"
    first, events, chain = connection.execute(query, (last,)).fetchone() or (1, 0, b"")
    end = first + events - 1 if isinstance(events, int) else None
    if end is not None and end < last:
        raise hole(end + 1, last)
    if end is None or not isinstance(chain, bytes):
        raise _no_end(last)
    return chain if end == last else None


def _no_end(last: int) -> DamageError:
    return DamageError(f"no chunk of the journal ends with event {last}, as it should", _RESTORE)


def hole(first: int, last: int) -> DamageError:
    """Return the error for events that are missing from the journal."""
    return DamageError(f"the events from {first} to {last} are missing from the journal", _RESTORE)


def broken_end(last: int) -> DamageError:
    """Return the error for a last chunk that is another than the one recorded."""
    return DamageError(f"the last chunk of the journal, which ends at event {last}, is not the one recorded", _RESTORE)


def _row(found: Any) -> Chunk:
    """Return a row as it stands there; of 0 events where damage has SQLite take their number for something else."""
    first, events, *others = found
    return Chunk(first, events if isinstance(events, int) else 0, *others)


def is_linked(row: Chunk, before: bytes) -> bool:
    """Tell whether a row is what was written there after a chunk of that hash."""
    try:
        return row.linked(before) == row.chain
    except (TypeError, struct.error):  # damage may change what type SQLite takes a column for
        return False


def _checked(row: Chunk, before: bytes) -> bytes:
    if not is_linked(row, before):
        raise DamageError(f"the chunk of events {row.first} to {row.last} is not what was written there", _RESTORE)
    return row.chain
