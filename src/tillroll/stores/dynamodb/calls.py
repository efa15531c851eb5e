"""The calls that the DynamoDB protocols make, what comes back, and what can go wrong. No I/O.

A protocol (commit, fold, audit, ...) is a generator. It yields a call, or a list of calls that may be made at the same
time, and is resumed with the reply, or the list of replies. Whoever drives it, the client or a simulator, does what the
call says. A fault of a single call is thrown into the generator; in the reply to a list the fault stands in its place.
A driver may stop resuming a generator at any yield: that is a kill, before the call or after its effect. Each class
says what it does, what it replies and which faults mean something; Throttled and ReplyLost may befall any call.

The protocols together, and what each step is for:

1. *The journal is partitioned by the minute of an event's date*, so a repeat of any age is looked for in one log, which
   is read strongly to its end: what is known of it from before is a prefix that cannot have changed.
2. *Each new chunk takes the next number of its log, on condition that it is free.* Whoever committed to that minute in
   between took the number; then the transaction fails, and the log is read again. So an identity is journaled once.
3. *The same transaction takes the next number of the ledger, on condition that it is free.* So every chunk is in
   exactly one entry, the entries have no gaps, and a transaction whose reply was lost cannot take effect after another
   has taken its number: the token in the entry then tells whose it is.
4. *A range of the fold is declared before any counter is touched*: it lies between two marks, and a mark is part of a
   ledger entry. It could be an item of its own, but so it costs nothing, and can be neither moved nor lost.
5. *A counter takes a range on condition that its `fold` is of this epoch and before the range's end.* A repeat, a
   second worker and a late worker all find the condition false. One of an older epoch is set.
6. *The position moves when every counter has taken the range*, and only from its start. So what is half done is done
   again, by anyone, from the same declared range, with the same sums.
7. *The state keeps the token of the entry at its position, and of the one that ends the range under way.* Another
   journal, or one that was restored to an earlier moment, has other tokens there, and is refused.

Nothing here depends on a clock, on a lease, or on the parts of a transaction becoming visible at one moment. Clocks
decide only when a mark is made, that is, how fresh reports are.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

import msgspec

from tillroll.errors import BusyError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tillroll.stores.dynamodb.pace import Pace

Table = Literal["aggregates", "journal"]
Value = str | int | float | bytes
Item = Mapping[str, Value]
T = TypeVar("T")
Procedure = Generator[Any, Any, T]  # yields Call or list[Call]; returns T


class Fault(Exception):  # noqa: N818 what befell a call, not yet an error of the operation
    """What befell a call."""


class ConditionFailed(Fault):
    """The condition of the call, or of one part of a transaction, did not hold. Nothing was written."""


class Conflict(Fault):
    """Another transaction holds one of the items. Nothing was written."""


class Throttled(Fault):
    """The service or the connection refused the call before it had an effect."""


class Unreachable(Throttled):
    """No connection could be made."""


class NoIndex(Fault):
    """The table has not the index, or it is still being made."""


class ReplyLost(Fault):
    """No reply came. The call has had its effect, or has it later, or never."""


class Call(msgspec.Struct, frozen=True):
    """Something to be asked of the service."""


class Get(Call, frozen=True):
    """Read one item of the aggregates strongly; replies Item or None."""

    datapoint: str


class BatchGet(Call, frozen=True):
    """Read up to 100 items, strongly; replies BatchReply. Keys are a datapoint, or a pair (log, number)."""

    table: Table
    keys: tuple[Any, ...]


class BatchReply(NamedTuple):
    """The items found, in any order, and the keys that the service did not get to. A key in neither has no item."""

    items: list[Item]
    unprocessed: tuple[Any, ...]


class QueryTable(Call, frozen=True):
    """Read a log of the journal strongly, from a number on, rising (or falling from the end); replies QueryReply."""

    log: str
    after: int = 0  # numbers greater than this; when falling: less than this, and 0 is from the end
    limit: int | None = None
    falling: bool = False


class QueryReply(NamedTuple):
    """Items of one page in order. `last` is where the next page begins (its `after`), None when there is none."""

    items: list[Item]
    last: int | None


class QueryIndex(Call, frozen=True):
    """Read datapoints of a report from an index, between two texts inclusive, eventually; replies IndexReply.

    From the index by report, or of one shard from the one by shard; else NoIndex.
    """

    report: str
    low: str
    high: str
    shard: int | None = None
    limit: int | None = None


class IndexReply(NamedTuple):
    """Datapoints of one page in order, and where the next begins, None when there is none."""

    datapoints: list[str]
    last: str | None


class Scan(Call, frozen=True):
    """Read a page of the aggregates strongly in no order; replies ScanReply."""

    after: str | None = None


class ScanReply(NamedTuple):
    """Items of one page, and where the next begins, None when there is none."""

    items: list[Item]
    last: str | None


class ScanChunks(Call, frozen=True):
    """Read a page of the keys of those chunks whose entry comes after one, in no order; replies ChunksReply."""

    entry: int
    after: tuple[str, int] | None = None


class ChunksReply(NamedTuple):
    """Pairs (log, number) of one page, and where the next begins, None when there is none."""

    keys: list[tuple[str, int]]
    last: tuple[str, int] | None


class Put(Call, frozen=True):
    """Write an item to the journal if its key is free, else ConditionFailed; replies None."""

    item: Item


class Delete(Call, frozen=True):
    """Delete an item of the journal; replies None. If there is none, ConditionFailed where it `must_be`."""

    log: str
    number: int
    must_be: bool = False


class TransactWrite(Call, frozen=True):
    """Do all puts and deletes or none; replies None. ConditionFailed when any condition fails; Conflict.

    A call repeated with the same client token within ten minutes has no further effect and succeeds. Its items do not
    become visible to other reads at one moment.
    """

    writes: tuple[Put | Delete, ...]
    token: str


class Count(Call, frozen=True):
    """Give a counter the sum of a range, with its fold, report and shard, unless it has it; else ConditionFailed.

    ADD events and amount if the counter has no fold, or one from `epoch` on and less; with `anew` SET them if it has
    none, or one before `epoch`. `amount` None leaves that attribute alone. Replies whether there was no such counter.
    """

    datapoint: str
    report: str
    events: int
    amount: int | None
    fold: int
    epoch: int  # the least fold of the epoch
    text: str | None = None  # set beside them
    anew: bool = False


class PutState(Call, frozen=True):
    """Write an item of the aggregates if its attributes are those of `before` (None: there is no item, or attribute).

    Else ConditionFailed. Replies None.
    """

    item: Item
    before: Mapping[str, Value | None] | None


class Discard(Call, frozen=True):
    """Delete a counter whose fold is absent or before `epoch`, else ConditionFailed. Replies None."""

    datapoint: str
    epoch: int


class DropState(Call, frozen=True):
    """Delete an item of the aggregates, if its attributes are those of `before`; else ConditionFailed. Replies None."""

    key: str
    before: Mapping[str, Value | None] = {}


class Sleep(Call, frozen=True):
    """Wait; replies None."""

    seconds: float


BATCH_KEYS_MAX: Final = 100  # the service's own bound on BatchGetItem
_BACKOFF_S: Final = 0.02
_BACKOFF_S_MAX: Final = 3.0
_RACE_S_MAX: Final = 0.1  # after a lost race: the winner is done already, and who waits long loses again


class Backoff:
    """Doubling waits with full jitter (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter).

    `draw` returns a number from 0 to 1. When the waits add up to more than `patience_s` it gives up.
    """

    def __init__(self, draw: Callable[[], float], patience_s: float) -> None:
        self._draw = draw
        self._patience_s = self._left_s = patience_s
        self._wait_s = _BACKOFF_S

    def wait(self, why: Fault, *, in_time: bool = True) -> Sleep:
        """Return the next wait, if there is time for one.

        Raises:
            BusyError: it has waited long enough, and lost a race again.
            StoreError: it has waited long enough.
        """
        lost_race = isinstance(why, ConditionFailed | Conflict)
        given_up = self._left_s <= 0 or not in_time
        if given_up and lost_race:
            remedy = "Nothing acknowledged is lost; send it again, and let fewer write at once"
            raise BusyError("others committed first, every time", remedy, retry_after_s=_RACE_S_MAX) from why
        if given_up:
            problem = f"DynamoDB refused the write, last because of {why!r}"
            remedy = "Nothing acknowledged is lost; send it again later, and check throttling in CloudWatch"
            if isinstance(why, Unreachable):
                remedy = "Check the network, and the region or endpoint in the store's address"
            raise StoreError(problem, remedy, retry_after_s=_BACKOFF_S_MAX) from why
        seconds = min(self._wait_s, _RACE_S_MAX if lost_race else _BACKOFF_S_MAX) * (0.1 + 0.9 * self._draw())
        self._left_s -= seconds
        self._wait_s = min(2 * self._wait_s, _BACKOFF_S_MAX)
        return Sleep(seconds)

    def be_patient(self) -> None:
        """Start to count anew what it has waited, since some of what was asked is done."""
        self._left_s = self._patience_s
        self._wait_s = _BACKOFF_S


class Context(NamedTuple):
    """What a protocol needs of the world: a clock, chance, and how long to be patient.

    `definitions` are the texts of definitions that were read, by digest: they never change. `pace` is that of counting
    reports of one's own.
    """

    clock: Callable[[], float]
    draw: Callable[[], float]
    token: Callable[[], str]
    patience_s: float
    definitions: dict[str, str]
    pace: Pace | None = None

    def backoff(self) -> Backoff:
        """Return fresh patience."""
        return Backoff(self.draw, self.patience_s)


def run_call(context: Context, call: Call) -> Procedure[Any]:
    """Make a call that may safely be made again, until there is a reply or a condition fails."""
    (reply,) = yield from run_calls(context, [call])
    if isinstance(reply, ConditionFailed):
        raise reply
    return reply


def run_calls(
    context: Context, calls: Sequence[Call], may_go_on: Callable[[], bool] = lambda: True
) -> Procedure[list[Any]]:
    """Make calls that may safely be made again; return their replies in order. A failed condition is a reply.

    Once `may_go_on` says no, what the service refused stays a Throttled, or what else it was.
    """
    replies: list[Any] = [None] * len(calls)
    waiting = list(range(len(calls)))
    backoff = context.backoff()
    while True:
        got = yield [calls[index] for index in waiting]
        again = []
        fault: Fault | None = None
        for index, reply in zip(waiting, got, strict=True):
            replies[index] = reply
            if is_passing(reply):
                again.append(index)
                fault = reply
        if fault is None or not may_go_on():
            return replies
        if len(again) < len(waiting):
            backoff.be_patient()
        waiting = again
        yield backoff.wait(fault)


def is_passing(reply: object) -> bool:
    """Tell whether a reply is a fault after which the call may be made again."""
    return isinstance(reply, Throttled | ReplyLost | Conflict)


def read_batch(context: Context, table: Table, keys: Sequence[Any]) -> Procedure[list[Item]]:
    """Read items by key, in any order; those that do not exist are left out."""
    found: list[Item] = []
    backoff = context.backoff()
    left = list(keys)
    while left:
        calls = [BatchGet(table, tuple(left[at : at + BATCH_KEYS_MAX])) for at in range(0, len(left), BATCH_KEYS_MAX)]
        replies: list[BatchReply] = yield from run_calls(context, calls)
        progress = len(left)
        left = []
        for reply in replies:
            found.extend(reply.items)
            left.extend(reply.unprocessed)
        if left and len(left) == progress:
            yield backoff.wait(Throttled("the service returned every key unprocessed"))
    return found


def read_log(context: Context, log: str, after: int) -> Procedure[list[Item]]:
    """Read a whole log strongly after a number."""
    items: list[Item] = []
    last: int | None = after
    while last is not None:
        reply: QueryReply = yield from run_call(context, QueryTable(log, last))
        items.extend(reply.items)
        last = reply.last
    return items
