"""What calls cost by DynamoDB's billing rules, counted here since not every server counts right.

A write is billed by the kilobyte of the item, twice in a transaction, and once more in an index that it changes; a
write whose condition fails as if it had been done. A strongly consistent read is billed by 4 KB, an eventual one half.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from tillroll.stores.dynamodb.calls import (
    BatchGet,
    ConditionFailed,
    Count,
    Delete,
    Discard,
    DropState,
    Fault,
    Get,
    Put,
    PutState,
    QueryIndex,
    QueryTable,
    Scan,
    TransactWrite,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tillroll.stores.dynamodb.calls import Call, Item, Value
    from tillroll.stores.dynamodb.client import Client

_WRITE_BYTES: Final = 1_024
_READ_BYTES: Final = 4_096
_INDEX_ENTRY_BYTES: Final = 100  # besides its keys; the service adds it to each


def value_bytes(value: Value) -> int:
    """Return the bytes an attribute's value is billed as."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    return (len(repr(value)) + 1) // 2 + 1


def item_bytes(item: Item) -> int:
    """Return the bytes an item is billed as."""
    return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())


def write_units(call: Call, *, is_new: bool = False) -> int:
    """Return the write units of a call. `is_new` says that a Count made its counter, and so an index entry."""
    match call:
        case Put() | PutState():
            return _written(item_bytes(call.item))
        case TransactWrite():
            return 2 * sum(write_units(write) for write in call.writes)
        case Count():
            return 2 if is_new else 1
        case Discard():
            return 2
        case DropState() | Delete():
            return 1
        case _:
            return 0


def read_units(call: Call, reply: Any) -> float:
    """Return the read units of a call that succeeded."""
    match call:
        case Get():
            return _read(item_bytes(reply or {}))
        case BatchGet():
            absent = len(call.keys) - len(reply.items) - len(reply.unprocessed)
            return float(sum(_read(item_bytes(item)) for item in reply.items) + absent)
        case QueryTable() | Scan():
            return _read(sum(map(item_bytes, reply.items)))
        case QueryIndex():
            entries = reply.datapoints
            return _read(sum(len(x.encode()) + len(call.report) + _INDEX_ENTRY_BYTES for x in entries)) / 2
        case _:
            return 0.0


def _written(size: int) -> int:
    return max(1, -(-size // _WRITE_BYTES))


def _read(size: int) -> float:
    return float(max(1, -(-size // _READ_BYTES)))


class Units:
    """Units used so far, by kind of call. Safe to use from any number of threads."""

    def __init__(self) -> None:
        self.writes: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()
        self._read_halves: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, calls: Iterable[tuple[Call, Any, bool]]) -> None:
        """Count calls, each with its reply or fault, and whether it made a counter."""
        with self._lock:
            for call, reply, is_new in calls:
                kind = type(call).__name__
                if isinstance(reply, Fault):
                    if isinstance(reply, ConditionFailed):
                        self.writes[kind] += write_units(call)
                    continue
                self.writes[kind] += write_units(call, is_new=is_new)
                self._read_halves[kind] += round(2 * read_units(call, reply))

    @property
    def written(self) -> int:
        """All write units."""
        return sum(self.writes.values())

    @property
    def read(self) -> float:
        """All read units."""
        return sum(self._read_halves.values()) / 2


def bill(client: Client) -> Units:
    """Return the units that a client's calls take from now on."""
    units, make = Units(), client.make

    def billed(calls: Sequence[Call]) -> list[Any]:
        replies = make(calls)
        units.count((call, reply, reply is True) for call, reply in zip(calls, replies, strict=True))
        return replies

    client.make = billed  # type: ignore[method-assign]
    return units
