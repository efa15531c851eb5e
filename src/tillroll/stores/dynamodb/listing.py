"""What the index lists: the datapoints of a report, in order. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tillroll.errors import StoreError
from tillroll.stores.dynamodb.calls import NoIndex, QueryIndex, run_calls
from tillroll.stores.dynamodb.schema import INDEX, OLD_INDEX
from tillroll.stores.dynamodb.state import read_least, read_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tillroll.stores.dynamodb.calls import Context, IndexReply, Procedure

_KEYS_A_SHARD: Final = 10  # at least, in one request
_OLD: Final = (None,)


class Listing:
    """The datapoints of a report between two texts, in order, some at a time."""

    def __init__(self, context: Context, report: str, low: str, high: str) -> None:
        self.done = False
        self._context = context
        self._report = report
        self._low = low
        self._high = high
        self._shards: Sequence[int | None] = ()

    def next(self, wanted: int | None = None) -> Procedure[list[str]]:
        """Return those that come next, about as many as wanted; `done` says whether these were the last.

        Raises:
            StoreError: no index has them all.
        """
        if not self._shards:
            self._shards = yield from _shards(self._context)
        limit = None if wanted is None else max(_KEYS_A_SHARD, wanted // len(self._shards))
        calls = [QueryIndex(self._report, self._low, self._high, shard, limit) for shard in self._shards]
        replies: list[IndexReply | NoIndex] = yield from run_calls(self._context, calls)
        found = [reply for reply in replies if not isinstance(reply, NoIndex)]
        if len(found) < len(calls):
            self._fall_back()
            return []
        upto = min((reply.last for reply in found if reply.last is not None), default=self._high)
        self.done = upto >= self._high
        self._low = upto + "\0"  # no datapoint has it
        return sorted(key for reply in found for key in reply.datapoints if key <= upto)

    def _fall_back(self) -> None:
        """Take the index of 0.1.0, which lists whatever the other does; where there is only that."""
        if self._shards == _OLD:
            remedy = f"Run tillroll rebuild, which completes {INDEX}; without that index, tillroll aws deploy makes it"
            raise StoreError(f"{OLD_INDEX} was dropped, and {INDEX} does not list all datapoints yet", remedy)
        self._shards = _OLD


def _shards(context: Context) -> Procedure[Sequence[int | None]]:
    """Return the shards of the index, if each counter is in it, else what stands for the index of 0.1.0."""
    state = yield from read_state(context)
    least = yield from read_least(context, state.main)
    is_complete = least.position >= state.main.first
    return range(state.shards) if state.shards and is_complete else _OLD


def list_keys(context: Context, report: str, low: str, high: str) -> Procedure[list[str]]:
    """Return the datapoints of a report between two texts."""
    listing = Listing(context, report, low, high)
    found: list[str] = []
    while not listing.done:
        found += yield from listing.next()
    return found
