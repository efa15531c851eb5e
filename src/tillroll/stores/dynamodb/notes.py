"""Tallies that can be spared, on DynamoDB: each is one item, the last of a log, that processes replace once in a while.

The next number is put and the last deleted in one transaction, while it is there. Whoever comes second, however late,
is refused, and comes again a while later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from tillroll.core.field_tally import FieldTally
from tillroll.core.outcome_tally import OutcomeTally
from tillroll.errors import StoreError
from tillroll.stores.dynamodb.calls import ConditionFailed, Delete, Put, QueryTable, TransactWrite, run_call

if TYPE_CHECKING:
    from tillroll.stores.dynamodb.calls import Context, Procedure, QueryReply

FIELDS: Final = "fields"
OUTCOMES: Final = "outcomes"
_Tally = TypeVar("_Tally", FieldTally, OutcomeTally)


def read(context: Context, log: str, kind: type[_Tally]) -> Procedure[tuple[_Tally, int]]:
    """Return what is noted, and the number of its item, 0 when there is none."""
    reply: QueryReply = yield from run_call(context, QueryTable(log, limit=1, falling=True))
    if not reply.items:
        return kind(), 0
    item = reply.items[0]
    try:
        text = item["tally"]
        tally = msgspec.json.decode(text if isinstance(text, bytes) else b"{}", type=kind)
        return tally, int(item["number"])
    except (msgspec.MsgspecError, KeyError):
        return kind(), int(item["number"])


def note(context: Context, log: str, tally: _Tally) -> Procedure[None]:
    """Count a tally in.

    Raises:
        StoreError: another process did so at the same moment.
    """
    total, number = yield from read(context, log, type(tally))
    total.add(tally)
    writes: tuple[Put | Delete, ...] = (Put({"log": log, "number": number + 1, "tally": msgspec.json.encode(total)}),)
    if number:
        writes += (Delete(log, number, must_be=True),)  # else others noted, and the next is free again
    try:
        yield from run_call(context, TransactWrite(writes, context.token()))
    except ConditionFailed as fault:
        raise StoreError(f"another process notes {log} at this moment", "They are noted later") from fault
