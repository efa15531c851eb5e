"""The one row that says how far the SQLite file has come, under a checksum: every transaction begins by reading it."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.stores.sqlite.chunks import GENESIS
from tillroll.stores.sqlite.damage import DamageError

if TYPE_CHECKING:
    import sqlite3

_REBUILD: Final = "Rebuild it and the aggregates from the journal: tillroll rebuild"
_COLUMNS: Final = "events, folded, last_fold_at, generation, merchants, merchants_crc, chain, definitions"
_READ: Final = f"SELECT {_COLUMNS}, checksum FROM state"  # noqa: S608 names, above
_WRITE: Final = f"INSERT OR REPLACE INTO state (id, {_COLUMNS}, checksum) VALUES (0, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_PACKED: Final = struct.Struct("<qqdqqI32sq")


class StoreState(NamedTuple):
    """Where the file stands."""

    events: int  # in the journal
    folded: int  # of these, how many are in the segments
    folded_at: float | None  # when the last fold finished, seconds since 1970
    generation: int  # rises when a rebuild may have renumbered merchants
    merchants: int  # how many there are
    merchants_crc: int  # of all their names, in order
    chain: bytes  # of the last chunk
    definitions: int = 0  # rises when a version of a report comes, goes or becomes readable

    @property
    def names(self) -> tuple[int, int]:
        """How many merchants there are, and the checksum of their names."""
        return self.merchants, self.merchants_crc


def read_state(connection: sqlite3.Connection) -> StoreState:
    """Return the state. Call in a transaction.

    Raises:
        DamageError: it is not what was written.
    """
    row = connection.execute(_READ).fetchone()
    if row is None:
        raise DamageError("the row that says how far the store has come is missing", _REBUILD)
    state = StoreState(*row[:-1])
    try:
        whole = _checksum(state) == row[-1]
    except (TypeError, struct.error):  # damage may change what type SQLite takes a column for
        whole = False
    if not whole:
        raise DamageError("the row that says how far the store has come is damaged", _REBUILD)
    return state


def doubtful_state(connection: sqlite3.Connection) -> StoreState:
    """Return the state as it stands there, damaged or not, for who looks into the damage. Call in a transaction."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM state").fetchone() or ()  # noqa: S608 names, above
    nothing = StoreState(0, 0, None, 0, 0, 0, GENESIS)
    kinds = (int, int, float, int, int, int, bytes, int)
    if not row:
        return nothing
    values = [it if isinstance(it, kind) else none for it, kind, none in zip(row, kinds, nothing, strict=True)]
    return StoreState(*values)  # type: ignore[arg-type]


def write_state(connection: sqlite3.Connection, state: StoreState) -> None:
    """Replace the state. Call in a transaction."""
    connection.execute(_WRITE, (*state, _checksum(state)))


def _checksum(state: StoreState) -> int:
    if state.folded_at is None:
        state = state._replace(folded_at=-1.0)
    return zlib.crc32(_PACKED.pack(*state))
