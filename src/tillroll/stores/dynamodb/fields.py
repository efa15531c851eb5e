"""What fields events bring, on DynamoDB: one item, the last of a log, that each process replaces once in a while.

The next number is put and the last deleted in one transaction. Whoever comes second at one moment is refused, and comes
again a while later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.core.field_tally import FieldTally
from tillroll.errors import StoreError
from tillroll.stores.dynamodb.calls import ConditionFailed, Delete, Put, QueryTable, TransactWrite, run_call

if TYPE_CHECKING:
    from tillroll.stores.dynamodb.calls import Context, Procedure, QueryReply

LOG: Final = "fields"


def read(context: Context) -> Procedure[tuple[FieldTally, int]]:
    """Return what is noted, and the number of its item, 0 when there is none."""
    reply: QueryReply = yield from run_call(context, QueryTable(LOG, limit=1, falling=True))
    if not reply.items:
        return FieldTally(), 0
    item = reply.items[0]
    try:
        text = item["tally"]
        tally = msgspec.json.decode(text if isinstance(text, bytes) else b"{}", type=FieldTally)
        return tally, int(item["number"])
    except (msgspec.MsgspecError, KeyError):  # samples can be spared
        return FieldTally(), int(item["number"])


def note(context: Context, tally: FieldTally) -> Procedure[None]:
    """Count samples in.

    Raises:
        StoreError: another process did so at the same moment.
    """
    total, number = yield from read(context)
    total.add(tally)
    writes: tuple[Put | Delete, ...] = (Put({"log": LOG, "number": number + 1, "tally": msgspec.json.encode(total)}),)
    if number:
        writes += (Delete(LOG, number),)
    try:
        yield from run_call(context, TransactWrite(writes, context.token()))
    except ConditionFailed as fault:
        raise StoreError("another process notes fields at this moment", "They are noted later") from fault
