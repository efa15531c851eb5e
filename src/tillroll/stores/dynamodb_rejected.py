"""Rejected events in the journal table: kept once, listed by arrival, found by id, forgotten. No I/O.

The log `rejected` lists them by time, without their bytes; the log `rejected/ID` holds the bytes, in parts since an
item takes 400 KB and an event may have 1 MiB, and in part 0 the number under which it is listed.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.core.accept import Reason, Rejection
from tillroll.core.batch import NameKind, Source
from tillroll.ports import Kept
from tillroll.stores.dynamodb_protocol import (
    ConditionFailed,
    Delete,
    Put,
    Query,
    TransactWrite,
    ask,
    ask_all,
    read_batch,
    read_log,
)
from tillroll.stores.dynamodb_schema import REJECTED, rejected_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tillroll.stores.dynamodb_protocol import Context, Item, Protocol, QueryReply

_ID_BYTES: Final = 12
_PART_BYTES: Final = 300_000
_AT_ONCE: Final = 64
_PER_MICROSECOND: Final = 10**12


class _Listed(msgspec.Struct, array_like=True):
    """What the list says of a rejection, besides when it came."""

    id: str
    kind: int
    source: str
    position: int
    reason: Reason
    parts: int


def set_aside(context: Context, rejections: Sequence[Rejection], now_s: float) -> Protocol[None]:
    """Keep rejections; those that are kept already stay as they are."""
    waiting = [(index, rejected_id(rejection), rejection) for index, rejection in enumerate(rejections)]
    while waiting:
        some, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
        calls = [_keep(context, index, name, rejection, now_s) for index, name, rejection in some]
        replies = yield from ask_all(context, calls)
        refused = {
            (rejected_log(name), 0): (index, name, rejection)
            for (index, name, rejection), reply in zip(some, replies, strict=True)
            if isinstance(reply, ConditionFailed)
        }
        # Refused means that it is kept, or that another was listed under the same number, which is tried again.
        found = yield from read_batch(context, "journal", list(refused))
        for item in found:
            refused.pop((str(item["log"]), int(item["number"])), None)
        waiting += refused.values()


def _keep(context: Context, index: int, name: str, rejection: Rejection, now_s: float) -> TransactWrite:
    chance = int(context.draw() * 10**6) % 10**6
    number = int(now_s * 10**6) * _PER_MICROSECOND + index % 10**6 * 10**6 + chance
    body = rejection.body
    parts = [body[at : at + _PART_BYTES] for at in range(0, len(body), _PART_BYTES)] or [b""]
    source = rejection.source
    listed = _Listed(name, source.kind, source.value, rejection.position, rejection.reason, len(parts))
    text = msgspec.json.encode(listed).decode()
    writes = [Put({"log": REJECTED, "number": number, "received_at": now_s, "rejected": text})]
    for part, data in enumerate(parts):
        item: Item = {"log": rejected_log(name), "number": part, "body": data}
        writes.append(Put({**item, "listed": number} if part == 0 else item))
    return TransactWrite(tuple(writes), context.token())


def rejected_id(rejection: Rejection) -> str:
    """Return an id that the same bytes at the same place of a named source always get."""
    source = rejection.source
    if source.kind is NameKind.NONE:
        return secrets.token_hex(_ID_BYTES)
    digest = hashlib.blake2b(digest_size=_ID_BYTES)
    digest.update(msgspec.json.encode([source.kind, source.value, rejection.position]))
    digest.update(rejection.body)
    return digest.hexdigest()


def rejected(context: Context, after: str | None, limit: int) -> Protocol[list[Kept]]:
    """Return what is kept, oldest first, after an id."""
    start = 0
    if after is not None:
        pointer = yield from _pointer(context, after)
        start = int(pointer["listed"]) if pointer else 0
    kept: list[Kept] = []
    while len(kept) < limit:
        reply: QueryReply = yield from ask(context, Query(REJECTED, start, limit=limit - len(kept)))
        kept += yield from _with_bodies(context, reply.items)
        if reply.last is None:
            break
        start = reply.last
    return kept


def find(context: Context, wanted: str) -> Protocol[Kept | None]:
    """Return one kept rejection, None when there is none."""
    pointer = yield from _pointer(context, wanted)
    if not pointer:
        return None
    items = yield from read_batch(context, "journal", [(REJECTED, int(pointer["listed"]))])
    kept: list[Kept] = yield from _with_bodies(context, items)
    return kept[0] if kept else None


def settle(context: Context, wanted: str) -> Protocol[None]:
    """Forget a rejection, if there is such."""
    parts = yield from read_log(context, rejected_log(wanted), -1)
    if parts:
        deletes = [Delete(rejected_log(wanted), int(part["number"])) for part in parts]
        deletes.append(Delete(REJECTED, int(parts[0]["listed"])))
        yield from ask(context, TransactWrite(tuple(deletes), context.token()))


def count(context: Context) -> Protocol[int]:
    """Return how many are kept."""
    total = 0
    last: int | None = 0
    while last is not None:
        reply: QueryReply = yield from ask(context, Query(REJECTED, last, count=True))
        total += reply.counted
        last = reply.last
    return total


def _pointer(context: Context, wanted: str) -> Protocol[Item | None]:
    items = yield from read_batch(context, "journal", [(rejected_log(wanted), 0)])
    return items[0] if items else None


def _with_bodies(context: Context, items: Sequence[Item]) -> Protocol[list[Kept]]:
    listed = [(float(item["received_at"]), _decode(str(item["rejected"]))) for item in items]
    keys = [(rejected_log(each.id), part) for _, each in listed for part in range(each.parts)]
    bodies: dict[tuple[str, int], bytes] = {}
    found = yield from read_batch(context, "journal", keys)
    for item in found:
        body = item["body"]
        bodies[str(item["log"]), int(item["number"])] = body if isinstance(body, bytes) else b""
    kept = []
    for received_at, each in listed:
        parts = [bodies.get((rejected_log(each.id), part)) for part in range(each.parts)]
        if None not in parts:  # else settled meanwhile
            body = b"".join(part for part in parts if part)
            source = Source(NameKind(each.kind), each.source)
            kept.append(
                Kept(id=each.id, received_at=received_at, rejection=Rejection(source, each.position, body, each.reason))
            )
    return kept


_decode: Final = msgspec.json.Decoder(_Listed).decode
