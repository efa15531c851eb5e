"""The fold as release 0.1.0 does it, by the calls that we have now: for what happens beside it during an upgrade."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tillroll.core.report import FIVE
from tillroll.stores.dynamodb.calls import ConditionFailed, Count, Get, PutState, run_call, run_calls
from tillroll.stores.dynamodb.fold import Share, Totals, count_chunks
from tillroll.stores.dynamodb.ledger import append_mark, read_ledger
from tillroll.stores.dynamodb.schema import FOLD_KEY

if TYPE_CHECKING:
    from tillroll.stores.dynamodb.calls import Item


class FencedError(Exception):
    """It cannot read the state."""


def state(upto: int, at: float = 0.0) -> Item:
    """Return its state of the fold."""
    return {"datapoint": FOLD_KEY, "upto": upto, "folded_at": at}


def fold(context: Any) -> Any:
    """Fold everything; returns the folded position. Raises FencedError where 0.1.0 raises ValueError."""
    to_head = True
    while True:
        upto = yield from _read_upto(context)
        entries = yield from read_ledger(context, upto)
        end = next((number for number, entry in entries if entry.mark), None)
        if end is not None:
            yield from _fold_range(context, upto, end, entries)
        elif to_head and entries:
            yield from append_mark(context)
            to_head = False
        else:
            return upto


def _read_upto(context: Any) -> Any:
    item = yield from run_call(context, Get(FOLD_KEY))
    if item is None:
        return 0
    if not isinstance(item["upto"], int):
        raise FencedError
    return item["upto"]


def _fold_range(context: Any, start: int, upto: int, entries: Any) -> Any:
    totals: Totals = {}
    refs = [ref for number, entry in entries if number <= upto for ref in entry.chunks]
    yield from count_chunks(context, totals, refs, FIVE, Share())
    # Its condition is that `fold` is absent or less, which is what epoch 0 asks for.
    yield from run_calls(context, [Count(key, x.report, x.events, None, upto, 0) for key, x in totals.items()])
    before: Item = {"datapoint": FOLD_KEY, "upto": start}  # at the start the simulator has put a state with 0
    with suppress(ConditionFailed):
        yield from run_call(context, PutState(state(upto, context.clock()), before))
