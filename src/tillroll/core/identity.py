"""Identities of many events at once: their rows in an index of names, and whether pairs of events are the same.

Two events have one identity when date and name are equal, and one content when amount, method and merchant are too
(the date is the fourth field). `Batch.identity` says the same of one event.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from tillroll.core import kernel
from tillroll.core.batch import NameKind

if TYPE_CHECKING:
    from tillroll.core.batch import Batch, Source

KEY_BYTES: Final = 16  # of the secret under which a store hashes names
ROW_ITEMS: Final = 3
# (index in the batch, minute, hash of date and name) of each event, one after another (q), sorted by the last two, then
# the first.
IdentityRows: TypeAlias = "array[int]"
INDEXED: Final = frozenset({NameKind.ID, NameKind.KEY, NameKind.MESSAGE})
_TURNED: Final = bytes([1, 0]) + bytes(254)  # by which a mask is translated to the mask of all others
_EMPTY: Final = (array("I", [0]), b"")  # a string column of one string


class Same(NamedTuple):
    """A byte for each pair of events: 1 where identity, or content, is the same, else 0."""

    identity: bytes
    content: bytes


def identity_rows(batch: Batch, key: bytes) -> IdentityRows:
    """Return the rows of the events that an id, a key or a message names, under a store's key."""
    if not batch.id_ends and all(run.source.kind not in INDEXED for run in batch.runs):
        return array("q")
    return kernel.name_rows(key, batch.seconds, batch.nanos, *batch.name_columns())


def named_events(batch: Batch) -> bytes:
    """Return a byte for each event: 1 where anything names it, else 0."""
    named = b"".join(bytes([run.source.kind is not NameKind.NONE]) * run.events for run in batch.runs)
    with_id = bytes(len(batch))
    if batch.id_ends:
        with_id = without_id(batch, array("I", range(len(batch)))).translate(_TURNED)
    return (_mask(named) | _mask(with_id)).to_bytes(len(batch), "little")


def source_at(batch: Batch, index: int) -> Source:
    """Return the source of one event."""
    stops = list(accumulate(run.events for run in batch.runs))
    return batch.runs[bisect_right(stops, index)].source


def compare(one: Batch, at: array[int], other: Batch, other_at: array[int]) -> Same:
    """Compare the events of one batch at some places (I) with those of another, pair by pair."""
    pairs = len(at)
    alike = _mask(kernel.equal_at(one.seconds, at, other.seconds, other_at))
    alike &= _mask(kernel.equal_at(one.nanos, at, other.nanos, other_at))
    alike &= _named_alike(one, at, other, other_at)
    content = _mask(kernel.equal_at(one.amounts, at, other.amounts, other_at))
    content &= _mask(kernel.equal_at(one.methods, at, other.methods, other_at))
    merchants, other_merchants = kernel.pick(one.merchants, at), kernel.pick(other.merchants, other_at)
    content &= _mask(
        kernel.equal_strings_at(
            one.name_ends, one.name_bytes, merchants, other.name_ends, other.name_bytes, other_merchants
        )
    )
    return Same(alike.to_bytes(pairs, "little"), content.to_bytes(pairs, "little"))


def without_id(batch: Batch, at: array[int]) -> bytes:
    """Return a byte for each of some events (I): 1 where it has no id of its own, else 0."""
    if not batch.id_ends:
        return b"\x01" * len(at)
    return kernel.equal_strings_at(batch.id_ends, batch.id_bytes, at, *_EMPTY, array("I", bytes(4 * len(at))))


def _mask(each: bytes) -> int:
    """Return a mask as a number, by which masks are combined."""
    return int.from_bytes(each, "little")


def _named_alike(one: Batch, at: array[int], other: Batch, other_at: array[int]) -> int:
    """Return the mask of the pairs that have the same name: one id, or no id and one place in one source."""
    everywhere = _mask(b"\x01" * len(at))
    ids = everywhere
    if one.id_ends or other.id_ends:
        ids = _mask(kernel.equal_strings_at(*_ids(one), at, *_ids(other), other_at))
    unnamed = _mask(without_id(one, at))
    if not ids & unnamed:
        return ids
    numbers: dict[Source, int] = {}
    places = _mask(kernel.equal_at(one.positions, at, other.positions, other_at))
    places &= _mask(kernel.equal_at(*_sources(one, at, numbers), *_sources(other, other_at, numbers)))
    return ids & (unnamed ^ everywhere | places)


def _ids(batch: Batch) -> tuple[array[int], bytes]:
    return (batch.id_ends, batch.id_bytes) if batch.id_ends else (array("I", bytes(4 * len(batch))), b"")


def _sources(batch: Batch, at: array[int], numbers: dict[Source, int]) -> tuple[array[int], array[int]]:
    """Return a column of sources by number, and where in it those of some events are."""
    runs = batch.runs
    column: array[int] = array("I")
    if len(runs) <= len(at):
        for run in runs:
            column.extend(array("I", [numbers.setdefault(run.source, len(numbers))]) * run.events)
        return column, at
    stops = list(accumulate(run.events for run in runs))
    for index in at:
        source = runs[bisect_right(stops, index)].source
        column.append(numbers.setdefault(source, len(numbers)))
    return column, array("I", range(len(at)))
