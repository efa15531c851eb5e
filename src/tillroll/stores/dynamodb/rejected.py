"""Rejected events in the journal table: kept once and compressed, listed by arrival, found by id, discarded. No I/O.

The log `rejected/groups` has an item for each group (core.rejection), by time of arrival, that says what is in it. The
log `rejected/part/NUMBER` holds its bytes, in parts since an item takes 400 KB. The log `rejected/source/HASH` says
under which numbers the groups of a named source are: whoever adds one takes the next number there, so two that add the
same at once find each other. A group is never changed: what is left of it is put under the next number, in the
transaction that deletes it, and that only while it is there.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from tillroll.core import rejection as groups
from tillroll.core.accept import Rejection
from tillroll.core.batch import NameKind, Source
from tillroll.core.decode import Reason  # noqa: TC001 msgspec reads it
from tillroll.core.rejection import Capacity, RejectedFilter, RejectedSummary, SourceCount, place_of
from tillroll.errors import StoreError
from tillroll.ports import StoredRejection
from tillroll.stores.dynamodb.calls import (
    ConditionFailed,
    Delete,
    Put,
    QueryTable,
    TransactWrite,
    read_batch,
    read_log,
    run_call,
    run_calls,
)
from tillroll.stores.dynamodb.schema import REJECTED, REJECTED_GROUPS, rejected_log, rejected_parts, rejected_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tillroll.core.rejection import Group
    from tillroll.stores.dynamodb.calls import Context, Item, Procedure, QueryReply

_T = TypeVar("_T")
_PART_BYTES: Final = 300_000
_TRANSACTION_BYTES_MAX: Final = 3_000_000  # of parts that are put together with what lists them
_VERSIONS: Final = 10**6  # of a group, one for each time that something of it is discarded
_CHANCES: Final = 10**6
_PER_MICROSECOND: Final = _VERSIONS * _CHANCES
_READ_BYTES_MAX: Final = 16 * 2**20  # of groups as they are stored that are read at once, save that one may be larger
_PAGE: Final = 100
_COUNTED_S: Final = 300.0  # for so long is a count of what is kept taken for right
_OLD_POINTER: Final = 10**6  # where `rejected/ID` says which group has what release 0.1.0 kept there


class Listed(NamedTuple):
    """What the list says of a group."""

    number: int
    source: Source
    waiting: int
    size: int
    codes: dict[str, int]
    parts: int

    @property
    def place(self) -> str:
        """The group's place, which its ids are made of."""
        return f"{self.number // _VERSIONS:x}"


class Room:
    """How much may still be kept, as far as this process knows: counted now and then, for counting reads the list."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.refused = False  # something was not kept for want of room, and nothing was discarded since
        self._waiting = self._size = 0
        self._counted_at: float | None = None

    def takes(self, context: Context, waiting: int, size: int) -> Procedure[bool]:
        """Tell whether there is room for so many rejections in so many bytes, and if so take it."""
        now = context.clock()
        if self._counted_at is None or not 0 <= now - self._counted_at < _COUNTED_S:
            listed = yield from _listed(context)
            self._waiting, self._size = sum(each.waiting for each in listed), sum(each.size for each in listed)
            self._counted_at = now
        self.refused = (
            self._waiting + waiting > self.capacity.rejections or self._size + size > self.capacity.stored_bytes
        )
        if not self.refused:
            self._waiting += waiting
            self._size += size
        return not self.refused

    def count_again(self) -> None:
        """Forget what was counted, after something was discarded."""
        self._counted_at = None
        self.refused = False


def set_aside(context: Context, rejections: Sequence[Rejection], now_s: float, room: Room) -> Procedure[int]:
    """Keep rejections from the first on while there is room; return how many are kept now, or were before."""
    yield from convert(context)
    done = 0
    for index, some in enumerate(groups.in_groups(rejections)):
        took = yield from _keep(context, groups.once(some), now_s, index, room)
        if not took:
            break
        done += len(some)
    return done


def _keep(context: Context, rejections: list[Rejection], now_s: float, index: int, room: Room) -> Procedure[bool]:
    """Keep what is not kept yet of some rejections of one source; False for want of room."""
    backoff = context.backoff()
    source = rejections[0].source
    is_named = source.kind is not NameKind.NONE
    last = 0
    took = False
    while True:
        if is_named:
            rejections, last = yield from _new(context, source, rejections)
        if not rejections:
            return True
        group = groups.group_of(rejections, now_s)
        payload = group.encode()
        if not took:
            took = yield from room.takes(context, len(group), len(payload))
        if not took:
            return False
        chance = int(context.draw() * _CHANCES) % _CHANCES
        number = (int(now_s * 10**6) + index) * _PER_MICROSECOND + chance * _VERSIONS
        writes = yield from _writes(context, number, group, payload)
        if is_named:
            writes.append(_pointer(source, last + 1, number, group))
        try:
            yield from run_call(context, TransactWrite(tuple(writes), context.token()))
        except ConditionFailed as fault:  # another took a number: perhaps for the same rejections
            yield backoff.wait(fault)
        else:
            return True


def _pointer(source: Source, at: int, number: int, group: Group) -> Put:
    positions = group.positions
    place = str(number // _VERSIONS)
    return Put({"log": _log_of(source), "number": at, "place": place, "low": min(positions), "high": max(positions)})


def _log_of(source: Source) -> str:
    digest = hashlib.blake2b(msgspec.json.encode([source.kind, source.value]), digest_size=16)
    return rejected_source(digest.hexdigest())


def _new(context: Context, source: Source, rejections: list[Rejection]) -> Procedure[tuple[list[Rejection], int]]:
    """Return those of some rejections that are not kept, and the last number in the log of their source."""
    low = min(rejection.position for rejection in rejections)
    high = max(rejection.position for rejection in rejections)
    reply: QueryReply = yield from run_call(context, QueryTable(_log_of(source), falling=True, limit=groups.SOUGHT_MAX))
    last = int(reply.items[0]["number"]) if reply.items else 0
    places = [int(each["place"]) for each in reply.items if int(each["low"]) <= high and int(each["high"]) >= low]
    left = groups.SOUGHT_BYTES_MAX
    for at in range(0, len(places), _PAGE):
        listed = yield from _find(context, [place * _VERSIONS for place in places[at : at + _PAGE]])
        while listed and rejections:
            some = _enough(listed, sys.maxsize)
            found = yield from _read(context, some)
            del listed[: len(some)]
            for each, payload in found:
                left -= _read_as(groups.size_of, each, payload)
                if left < 0:
                    return rejections, last
                rejections = _group(each, payload).new(rejections)
    return rejections, last


def _writes(context: Context, number: int, group: Group, payload: bytes) -> Procedure[list[Put | Delete]]:
    """Return the puts of a group under a number. What is too large for one transaction is put before it."""
    parts = [payload[at : at + _PART_BYTES] for at in range(0, len(payload), _PART_BYTES)]
    writes: list[Put | Delete] = [
        Put(
            {
                "log": REJECTED_GROUPS,
                "number": number,
                "received_at": group.received_at,
                "kind": int(group.kind),
                "source": group.source,
                "waiting": group.waiting_count,
                "size": len(payload),
                "codes": json.dumps(group.codes()),
                "parts": len(parts),
            }
        )
    ]
    puts = [Put({"log": rejected_parts(number), "number": part, "body": data}) for part, data in enumerate(parts)]
    if len(payload) <= _TRANSACTION_BYTES_MAX:
        return [*writes, *puts]
    yield from run_calls(context, puts)  # a put that finds its place taken by itself has had its effect
    return writes


def _find(context: Context, numbers: Sequence[int]) -> Procedure[list[Listed]]:
    """Return what is listed of groups under their newest numbers; what there is not is left out."""
    places = [number // _VERSIONS for number in numbers]
    calls = [QueryTable(REJECTED_GROUPS, place * _VERSIONS - 1, limit=1) for place in places]
    replies: list[QueryReply] = yield from run_calls(context, calls)
    found = [_decode(reply.items[0]) for reply in replies if reply.items]
    return [listed for listed in found if listed.number // _VERSIONS in places]


def _decode(item: Item) -> Listed:
    return Listed(
        int(item["number"]),
        Source(NameKind(int(item["kind"])), str(item["source"])),
        int(item["waiting"]),
        int(item["size"]),
        json.loads(str(item["codes"])),
        int(item["parts"]),
    )


def _read(context: Context, listed: Sequence[Listed]) -> Procedure[list[tuple[Listed, bytes]]]:
    """Return the bytes of groups as they are now, in order. What was replaced since is looked for again."""
    found: dict[str, tuple[Listed, bytes]] = {}
    waiting = list(listed)
    while waiting:
        keys = [(rejected_parts(each.number), part) for each in waiting for part in range(each.parts)]
        items = yield from read_batch(context, "journal", keys)
        bodies = {(str(item["log"]), int(item["number"])): item["body"] for item in items}
        replaced = []
        for each in waiting:
            parts = [bodies.get((rejected_parts(each.number), part)) for part in range(each.parts)]
            if None in parts:
                replaced.append(each)
            else:
                found[each.place] = (each, b"".join(part for part in parts if isinstance(part, bytes)))
        waiting = (yield from _find(context, [each.number for each in replaced])) if replaced else []
        for each in replaced:
            if each in waiting:
                raise _damaged(each.place)
    return [found[each.place] for each in listed if each.place in found]


def _group(listed: Listed, payload: bytes) -> Group:
    return _read_as(groups.decode, listed, payload)


def _read_as(read: Callable[[bytes], _T], listed: Listed, payload: bytes) -> _T:
    try:
        return read(payload)
    except groups.GroupError as error:
        raise _damaged(listed.place) from error


def _damaged(place: str) -> StoreError:
    return StoreError(f"the rejected events {place} are damaged", "Restore the table; no count is concerned")


def rejected(
    context: Context, after: str | None, limit: int, which: RejectedFilter
) -> Procedure[list[StoredRejection]]:
    """Return what is waiting, oldest first, after an id."""
    yield from convert(context)
    number, after_index = (0, -1) if after is None else (yield from _place(context, after))
    place = number // _VERSIONS
    kept: list[StoredRejection] = []
    left = groups.PAGE_BYTES_MAX
    last: int | None = max(place * _VERSIONS - 1, 0)
    while last is not None and len(kept) < limit:
        reply: QueryReply = yield from run_call(context, QueryTable(REJECTED_GROUPS, last, limit=_PAGE))
        listed = [each for each in map(_decode, reply.items) if _is_wanted(each, which)]
        while listed and len(kept) < limit:
            some = _enough(listed, limit - len(kept))
            found = yield from _read(context, some)
            del listed[: len(some)]
            for each, payload in found:
                group = _group(each, payload)
                past = after_index if each.number // _VERSIONS == place else -1
                for index, rejection in group.waiting():
                    if index > past and which.code in {None, rejection.reason.code}:
                        left -= len(rejection.body)
                        if kept and left < 0:
                            return kept[:limit]
                        kept.append(_kept(each, group, index, rejection))
        last = reply.last
    return kept[:limit]


def _is_wanted(listed: Listed, which: RejectedFilter) -> bool:
    is_coded = which.code is None or which.code in listed.codes
    return bool(listed.waiting) and which.takes_source(listed.source.value) and is_coded


def _enough(listed: Sequence[Listed], rejections: int) -> Sequence[Listed]:
    """Return the first groups that may hold so many rejections, or as many bytes as are held at once."""
    size = 0
    for index, each in enumerate(listed, 1):
        rejections -= each.waiting
        size += each.size
        if rejections <= 0 or size >= _READ_BYTES_MAX:
            return listed[:index]
    return listed


def _kept(listed: Listed, group: Group, index: int, rejection: Rejection) -> StoredRejection:
    name = group.id_of(listed.place, index)
    return StoredRejection(id=name, received_at=group.received_at, rejection=rejection)


def find(context: Context, wanted: str) -> Procedure[StoredRejection | None]:
    """Return one rejection that is waiting, None when there is none of this id."""
    yield from convert(context)
    number, wanted_index = yield from _place(context, wanted)
    listed = yield from _find(context, [number])
    found = yield from _read(context, listed)
    for each, payload in found:
        group = _group(each, payload)
        for index, rejection in group.waiting():
            if index == wanted_index:
                return _kept(each, group, index, rejection)
    return None


def _place(context: Context, wanted: str) -> Procedure[tuple[int, int]]:
    """Return (number, index) of an id, whether there is such or not."""
    place = place_of(wanted)
    if place is None:  # as release 0.1.0 named them
        items = yield from read_batch(context, "journal", [(rejected_log(wanted), _OLD_POINTER)])
        return (int(items[0]["place"]) * _VERSIONS, 0) if items else (0, -1)
    try:
        return min(int(place[0], 16), 10**30) * _VERSIONS, place[1]
    except ValueError:
        return 0, -1


def discard(context: Context, wanted: Sequence[str], room: Room) -> Procedure[None]:
    """Forget rejections, those that there are: of each only a hash stays, by which a repeat is known."""
    yield from convert(context)
    places = []
    for each in wanted:
        places.append((yield from _place(context, each)))  # noqa: PERF401 a comprehension cannot yield from
    for number, some in groupby(sorted(places), key=lambda place: place[0]):
        if number:
            yield from _discard(context, number, [index for _, index in some], room)


def _discard(context: Context, number: int, indexes: Sequence[int], room: Room) -> Procedure[None]:
    backoff = context.backoff()
    while True:
        listed = yield from _find(context, [number])
        found = yield from _read(context, listed)
        if not found:
            return
        before, payload = found[0]
        group = _group(before, payload)
        if not group.discard(indexes):
            return
        deletes = [Delete(rejected_parts(before.number), part) for part in range(before.parts)]
        writes = yield from _writes(context, before.number + 1, group, group.encode())
        # Twice replaced since, its next number is free again: what others discarded would come back.
        replaced = Delete(REJECTED_GROUPS, before.number, must_be=True)
        call = TransactWrite((*writes, replaced, *deletes), context.token())
        try:
            yield from run_call(context, call)
        except ConditionFailed as fault:  # another discards of it at the same time
            yield backoff.wait(fault)
        else:
            room.count_again()
            return


def summary(context: Context) -> Procedure[RejectedSummary]:
    """Return how many are waiting, by reason and of the sources with the most."""
    yield from convert(context)
    listed = yield from _listed(context)
    codes: dict[str, int] = {}
    sources: dict[Source, dict[str, int]] = {}
    for each in listed:
        for code, count in each.codes.items():
            for total in (codes, sources.setdefault(each.source, {})):
                total[code] = total.get(code, 0) + count
    most = sorted(sources.items(), key=lambda item: (-sum(item[1].values()), item[0].value, item[0].kind))
    return RejectedSummary(
        sum(codes.values()),
        groups.falling(codes),
        [
            SourceCount(source.kind.name.lower(), source.value, sum(total.values()), groups.falling(total))
            for source, total in most[: groups.SOURCES_MAX]
        ],
        len(sources),
    )


def count(context: Context) -> Procedure[int]:
    """Return how many are waiting."""
    listed = yield from _listed(context)
    old = yield from read_log(context, REJECTED, 0)
    return sum(each.waiting for each in listed) + len(old)


def _listed(context: Context) -> Procedure[list[Listed]]:
    items = yield from read_log(context, REJECTED_GROUPS, 0)
    return [listed for listed in map(_decode, items) if listed.waiting]


def drop_partial(context: Context) -> Procedure[None]:
    """Drop groups of which a restored journal lacks bytes, and the older of two that were one when it was copied.

    What is lost with one is kept anew when it comes again.
    """
    listed = [_decode(item) for item in (yield from read_log(context, REJECTED_GROUPS, 0))]
    listed.sort(key=lambda each: -each.number)  # of a place the newest first
    whole: set[str] = set()
    while listed:
        some = list(_enough(listed, sys.maxsize))
        del listed[: len(some)]
        keys = [(rejected_parts(each.number), part) for each in some for part in range(each.parts)]
        items = yield from read_batch(context, "journal", keys)
        parts = Counter(str(item["log"]) for item in items)
        for each in some:
            if each.place not in whole and parts[rejected_parts(each.number)] == each.parts:
                whole.add(each.place)
            else:
                gone = [Delete(rejected_parts(each.number), part) for part in range(each.parts)]
                yield from run_calls(context, [Delete(REJECTED_GROUPS, each.number), *gone])


# What release 0.1.0 kept: the log `rejected` listed it, and `rejected/ID` held the bytes.


class _Old(msgspec.Struct, array_like=True):
    """What the list of release 0.1.0 said of a rejection, besides when it came."""

    id: str
    kind: int
    source: str
    position: int
    reason: Reason
    parts: int


_decode_old: Final = msgspec.json.Decoder(_Old).decode


def convert(context: Context) -> Procedure[None]:
    """Bring what release 0.1.0 kept into groups, under its ids. Each is moved in a transaction."""
    shift = 0
    while True:
        reply: QueryReply = yield from run_call(context, QueryTable(REJECTED, 0, limit=1))
        if not reply.items:
            return
        shift += not (yield from _convert(context, reply.items[0], shift))


def _convert(context: Context, item: Item, shift: int) -> Procedure[bool]:
    """Convert one; False when another did, or has the number."""
    old = _decode_old(str(item["rejected"]))
    parts = yield from read_log(context, rejected_log(old.id), -1)
    body = b"".join(part["body"] for part in parts if isinstance(part["body"], bytes))
    source = Source(NameKind(old.kind), old.source)
    group = groups.group_of([Rejection(source, old.position, body, old.reason)], float(item["received_at"]), [old.id])
    number = (int(item["number"]) // _VERSIONS + shift) * _VERSIONS
    place = str(number // _VERSIONS)
    writes = yield from _writes(context, number, group, group.encode())
    writes.append(Put({"log": rejected_log(old.id), "number": _OLD_POINTER, "place": place}))
    if source.kind is not NameKind.NONE:
        reply: QueryReply = yield from run_call(context, QueryTable(_log_of(source), falling=True, limit=1))
        last = int(reply.items[0]["number"]) if reply.items else 0
        writes.append(_pointer(source, last + 1, number, group))
    writes += [Delete(rejected_log(old.id), part) for part in range(old.parts)]
    writes.append(Delete(REJECTED, int(item["number"])))
    try:
        yield from run_call(context, TransactWrite(tuple(writes), context.token()))
    except ConditionFailed:
        return False
    return True
