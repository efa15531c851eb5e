"""A batch: valid events in the order they came, as columns, with where each event's name comes from.

Columns and not objects because a year of purchases passes through here: folding, deduplicating, journaling and
recounting all work on whole columns, in the compiled kernel where there is one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from enum import IntEnum
from itertools import repeat
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tillroll.core import kernel
from tillroll.core.columns import column_of
from tillroll.core.kept import ABSENT, UNKEPT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NANOS: Final = 10**9


class NameKind(IntEnum):
    """What names an event, so that a repeat can be told from a second purchase. Stored; never renumber."""

    NONE = 0  # nothing does: counted once per accepted request
    ID = 1  # its own id
    KEY = 2  # the idempotency key that came with it, and its position in that body
    MESSAGE = 3  # the queue's message id, and its position in that message
    FILE = 4  # a named import, and the line in it


class Source(msgspec.Struct, frozen=True):
    """What a body of events came with. A kind of NONE has an empty value."""

    kind: NameKind
    value: str


UNNAMED: Final = Source(NameKind.NONE, "")


class Event(msgspec.Struct, frozen=True):
    """One purchase. An id of "" is no id; `method` is an index into limits.METHODS."""

    seconds: int  # since 1970-01-01T00:00:00Z, rounded down
    nanos: int  # 0 to 999,999,999
    amount: int  # cents
    method: int
    merchant: str
    id: str = ""


class Identity(msgspec.Struct, frozen=True):
    """What makes two events the same one: the instant and the name. `kind` is never NONE."""

    seconds: int
    nanos: int
    kind: NameKind
    value: str
    position: int  # 0 for an own id

    @property
    def minute(self) -> int:
        """The minute since 1970 in which a repeat is looked up."""
        return self.seconds // 60


def told(identity: Identity | None) -> str:
    """Return an identity as people are told it by `trace`: `id ID`, `key KEY at POSITION`, or `unnamed` for None."""
    if identity is None:
        return "unnamed"
    position = "" if identity.kind is NameKind.ID else f" at {identity.position}"
    return f"{identity.kind.name.lower()} {identity.value}{position}"


class Run(msgspec.Struct):
    """Consecutive events of a batch that came in one body. Their positions in it rise strictly."""

    source: Source
    events: int


class KeptColumn(NamedTuple):
    """A kept field of a batch: for each event the index (I) of its value among the distinct ones.

    These are a string column in order of first appearance, each as `core.kept` spells it, ABSENT too.
    """

    indexes: array[int]
    ends: array[int]
    heap: bytes

    @property
    def values(self) -> list[str]:
        """The distinct values, made anew each time."""
        return kernel.split_strings(self.ends, self.heap)

    def pick(self, indexes: array[int]) -> KeptColumn:
        """Return the column of the events at some indexes (I)."""
        picked, used = kernel.renumber(kernel.pick(self.indexes, indexes), len(self.ends))
        return KeptColumn(picked, *kernel.pick_strings(self.ends, self.heap, used))


class Batch:
    """Valid events as columns of one length, in input order.

    `seconds` (q), `nanos` (I), `amounts` (q, cents), `methods` (B, index into METHODS), `merchants` (I, index into the
    list of merchants), `positions` (Q, line or element of the body, from 0). Merchant i's name is
    `name_bytes[name_ends[i-1]:name_ends[i]]` in UTF-8. `id_ends` (I) is empty when no event has an id of its own; else
    event i's id is found likewise in `id_bytes`, empty for none. `runs` says which source each stretch of events came
    from. `kept` has a column for each field that was to be kept when the events came, by its name; `unkept` the rising
    indexes (I) of those events whose value could not be, by the names of the fields that have such: they are absent.
    """

    __slots__ = (
        "amounts",
        "id_bytes",
        "id_ends",
        "kept",
        "merchants",
        "methods",
        "name_bytes",
        "name_ends",
        "nanos",
        "positions",
        "runs",
        "seconds",
        "unkept",
    )

    def __init__(self) -> None:
        self.seconds: array[int] = array("q")
        self.nanos: array[int] = array("I")
        self.amounts: array[int] = array("q")
        self.methods: array[int] = array("B")
        self.merchants: array[int] = array("I")
        self.name_ends: array[int] = array("I")
        self.name_bytes: bytes = b""
        self.positions: array[int] = array("Q")
        self.id_ends: array[int] = array("I")
        self.id_bytes: bytes = b""
        self.runs: list[Run] = []
        self.kept: dict[str, KeptColumn] = {}
        self.unkept: dict[str, array[int]] = {}

    def __len__(self) -> int:
        return len(self.seconds)

    def id_of(self, index: int) -> str:
        """Return an event's own id, "" for none."""
        return _text(self.id_ends, self.id_bytes, index) if self.id_ends else ""

    def name_columns(self) -> tuple[array[int], bytes, array[int], array[int], bytes, array[int], bytes]:
        """Return what names the events, as the kernel takes it.

        The ids and the positions; of each run how many events it has (Q), its source's kind in a byte, and the sources'
        values as a string column.
        """
        ends, heap = kernel.join_strings([run.source.value for run in self.runs])
        events = array("Q", [run.events for run in self.runs])
        kinds = bytes(run.source.kind for run in self.runs)
        return self.id_ends, self.id_bytes, self.positions, events, kinds, ends, heap

    def kept_column(self, name: str) -> KeptColumn:
        """Return the column of a field, which is absent throughout where it was not kept."""
        column = self.kept.get(name)
        if column is not None:
            return column
        return KeptColumn(array("I", bytes(4 * len(self))), *kernel.join_strings([ABSENT] if len(self) else []))

    def kept_of(self, index: int) -> dict[str, str]:
        """Return the values of an event's kept fields as they are spelled, ABSENT too."""
        return {name: _text(column.ends, column.heap, column.indexes[index]) for name, column in self.kept.items()}

    @property
    def merchant_names(self) -> list[str]:
        """The list of merchants, made anew each time."""
        return kernel.split_strings(self.name_ends, self.name_bytes)

    @merchant_names.setter
    def merchant_names(self, names: Sequence[str]) -> None:
        self.name_ends, self.name_bytes = kernel.join_strings(names)

    def event(self, index: int) -> Event:
        """Return one event."""
        return Event(
            self.seconds[index],
            self.nanos[index],
            self.amounts[index],
            self.methods[index],
            _text(self.name_ends, self.name_bytes, self.merchants[index]),
            self.id_of(index),
        )

    def events(self) -> Iterator[Event]:
        """Yield every event, in order."""
        return (self.event(index) for index in range(len(self)))

    def sources(self) -> Iterator[Source]:
        """Yield the source of every event, in order."""
        for run in self.runs:
            for _ in range(run.events):
                yield run.source

    def identities(self) -> Iterator[Identity | None]:
        """Yield the identity of every event in order, None for an event that nothing names."""
        for index, source in enumerate(self.sources()):
            yield self.identity(index, source)

    def identity(self, index: int, source: Source) -> Identity | None:
        """Return the identity of an event that came from a source, None when nothing names it."""
        own = self.id_of(index)
        seconds, nanos = self.seconds[index], self.nanos[index]
        if own:
            return Identity(seconds, nanos, NameKind.ID, own, 0)
        if source.kind is NameKind.NONE:
            return None
        return Identity(seconds, nanos, source.kind, source.value, self.positions[index])

    def select(self, indexes: Iterable[int]) -> Batch:
        """Return a batch of the events at these indexes, in the order of this batch."""
        mask = bytearray(len(self))
        for index in indexes:
            mask[index] = 1
        return self.masked(mask)

    def masked(self, mask: bytes | bytearray) -> Batch:
        """Return a batch of the events whose byte in the mask is not 0, in order, with the merchants they need."""
        return self._rising(kernel.indexes_of(mask))

    def slice(self, start: int, stop: int) -> Batch:
        """Return a batch of the events from index `start` up to `stop`."""
        return self._rising(array("I", range(start, min(stop, len(self)))))

    def _rising(self, indexes: array[int]) -> Batch:
        batch = self.pick(indexes)
        stop = first = 0
        for run in self.runs:
            stop += run.events
            last = bisect_left(indexes, stop, first)
            if last > first:
                batch.runs.append(Run(run.source, last - first))
            first = last
        return batch

    def pick(self, indexes: array[int]) -> Batch:
        """Return a batch of the events at these indexes (I), in their order, without runs: the caller knows those.

        It lists the merchants it needs, by first appearance.
        """
        batch = Batch()
        batch.seconds = kernel.pick(self.seconds, indexes)
        batch.nanos = kernel.pick(self.nanos, indexes)
        batch.amounts = kernel.pick(self.amounts, indexes)
        batch.methods = kernel.pick(self.methods, indexes)
        batch.positions = kernel.pick(self.positions, indexes)
        batch.merchants, used = kernel.renumber(kernel.pick(self.merchants, indexes), len(self.name_ends))
        batch.name_ends, batch.name_bytes = kernel.pick_strings(self.name_ends, self.name_bytes, used)
        if self.id_ends:
            ends, heap = kernel.pick_strings(self.id_ends, self.id_bytes, indexes)
            if heap:
                batch.id_ends, batch.id_bytes = ends, heap
        if self.kept:
            self._pick_kept(batch, indexes)
        return batch

    def _pick_kept(self, batch: Batch, indexes: array[int]) -> None:
        zeros = array("I", bytes(4 * len(indexes)))  # of all fields that have one value: they may be many
        for name, column in self.kept.items():
            same = len(column.ends) == 1 and len(indexes) > 0
            batch.kept[name] = column._replace(indexes=zeros) if same else column.pick(indexes)
        for name, unkept in self.unkept.items():
            mask = kernel.place(len(self), unkept, b"\x01" * len(unkept))
            left = kernel.indexes_of(kernel.pick(array("B", mask), indexes).tobytes())
            if left:
                batch.unkept[name] = left


def _text(ends: array[int], heap: bytes, index: int) -> str:
    start = ends[index - 1] if index else 0
    return heap[start : ends[index]].decode()


class KeptBuilder:
    """Collects the values of a kept field one by one."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._indexes: array[int] = array("I")
        self._unkept: array[int] = array("I")

    def add(self, value: str) -> None:
        """Append an event's value as it is spelled, ABSENT or UNKEPT."""
        if value == UNKEPT:
            self._unkept.append(len(self._indexes))
            value = ABSENT
        self._indexes.append(self._numbers.setdefault(value, len(self._numbers)))

    def extend(self, column: KeptColumn, unkept: array[int]) -> None:
        """Append a column, of which some events' values (I) were not kept."""
        numbers = array("I", [self._numbers.setdefault(value, len(self._numbers)) for value in column.values])
        self._unkept.extend(array("I", [len(self._indexes) + index for index in unkept]))
        self._indexes.extend(kernel.pick(numbers, column.indexes))

    def put_into(self, batch: Batch, name: str) -> None:
        """Make it the column of a field of a batch. The builder is spent."""
        batch.kept[name] = KeptColumn(self._indexes, *kernel.join_strings(list(self._numbers)))
        if self._unkept:
            batch.unkept[name] = self._unkept


def joined(batches: Sequence[Batch]) -> Batch:
    """Return all events of some batches, in order. A field that only some of them kept is absent in the others."""
    batch = Batch()
    merchants: dict[str, int] = {}
    kept = {name: KeptBuilder() for each in batches for name in each.kept}
    with_ids = any(each.id_ends for each in batches)
    for each in batches:
        batch.seconds += each.seconds
        batch.nanos += each.nanos
        batch.amounts += each.amounts
        batch.methods += each.methods
        batch.positions += each.positions
        numbers = array("I", [merchants.setdefault(name, len(merchants)) for name in each.merchant_names])
        batch.merchants += kernel.pick(numbers, each.merchants)
        if with_ids:
            end, ends = len(batch.id_bytes), each.id_ends or array("I", bytes(4 * len(each)))
            batch.id_ends += array("I", [end + x for x in ends]) if end else ends
            batch.id_bytes += each.id_bytes
        batch.runs += [Run(run.source, run.events) for run in each.runs]
        for name, builder in kept.items():
            builder.extend(each.kept_column(name), each.unkept.get(name, array("I")))
    batch.merchant_names = list(merchants)
    for name, builder in kept.items():
        builder.put_into(batch, name)
    return batch


class BatchBuilder:
    """Collects events one by one into a batch. `keep` names the kept fields."""

    def __init__(self, keep: Sequence[str] = ()) -> None:
        self._batch = Batch()
        self._kept = {name: KeptBuilder() for name in keep}
        self._merchants: dict[str, int] = {}
        self._ids: list[bytes] = []
        self._any_id = False

    def __len__(self) -> int:
        return len(self._batch)

    def add(self, event: Event, source: Source = UNNAMED, position: int = 0, kept: Sequence[str] | None = None) -> None:
        """Append an event that came at a position of a source's body, with its kept values, else ABSENT."""
        if self._kept:
            for builder, value in zip(self._kept.values(), kept or repeat(ABSENT), strict=False):
                builder.add(value)
        batch = self._batch
        batch.seconds.append(event.seconds)
        batch.nanos.append(event.nanos)
        batch.amounts.append(event.amount)
        batch.methods.append(event.method)
        index = self._merchants.setdefault(event.merchant, len(self._merchants))
        batch.merchants.append(index)
        batch.positions.append(position)
        self._ids.append(event.id.encode())
        self._any_id = self._any_id or bool(event.id)
        runs = batch.runs
        if runs and runs[-1].source == source and batch.positions[-2] < position:
            runs[-1].events += 1
        else:
            runs.append(Run(source, 1))

    def build(self) -> Batch:
        """Return the batch. The builder is spent."""
        batch = self._batch
        for name, builder in self._kept.items():
            builder.put_into(batch, name)
        batch.merchant_names = list(self._merchants)
        if self._any_id:
            batch.id_ends, batch.id_bytes = column_of(self._ids)
        return batch
