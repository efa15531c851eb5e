"""A model of DynamoDB's two tables: what the protocols' calls do, at which moment, and what may befall them.

Modelled after the Developer Guide ("Amazon DynamoDB Transactions: How it works", "Read consistency"): a transaction's
conditions are decided at one moment, its items become visible one by one until the reply, a write that meets an item of
a transaction under way is refused, a client token makes a repeat within ten minutes a success without effect, and the
index follows the table late.
"""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.scheduler import Fault as Befalls

from tillroll.stores.dynamodb.calls import (
    BatchGet,
    BatchReply,
    Call,
    ChunksReply,
    ConditionFailed,
    Conflict,
    Count,
    Delete,
    Discard,
    DropState,
    Get,
    IndexReply,
    Item,
    Put,
    PutState,
    QueryIndex,
    QueryReply,
    QueryTable,
    ReplyLost,
    Scan,
    ScanChunks,
    ScanReply,
    Sleep,
    Throttled,
    TransactWrite,
)
from tillroll.stores.dynamodb.schema import shard_key, shard_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from tests.simulation.scheduler import Fault, Scheduler

Key = tuple[str, int]
_TOKEN_S: Final = 600.0
_PAGE: Final = 3  # items of a page, so that paging happens
_REFUSED: Final = (Befalls.KILL_BEFORE, Befalls.LOSE_REQUEST, Befalls.THROTTLE, Befalls.PAUSE_BEFORE)


class Unconditional(Put, frozen=True):
    """A put that does not look whether its key is free: planted."""


class Unguarded(Count, frozen=True):
    """A count that does not look whether the counter has it: planted."""


class Tables:
    """The journal and the aggregates, and what was written when."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.logs: dict[str, dict[int, Item]] = {}
        self.written_at: dict[Key, float] = {}
        self.aggregates: dict[str, dict[str, Any]] = {}
        self.earlier: dict[str, Item | None] = {}  # what an item was before its last write
        self.indexed: list[tuple[float, str, str]] = []  # from when on, report, datapoint
        self.under_way: set[Key] = set()  # keys of transactions that are decided and not yet whole
        self.tokens: dict[str, float] = {}
        self.on_write: Callable[[Call], None] = lambda _: None
        self.on_whole: Callable[[], None] = lambda: None
        self.stale = False  # planted: strong reads are not

    def do(self, call: Call) -> Any:
        """Do a call of one item, or a read, at this moment. Raises what the service answers instead."""
        reply: Any = None
        match call:
            case Get():
                return self._read_aggregate(call.datapoint)
            case BatchGet():
                return BatchReply([item for key in call.keys if (item := self._read(call.table, key)) is not None], ())
            case QueryTable():
                return self._query(call)
            case QueryIndex():
                return self._query_index(call)
            case Scan() | ScanChunks():
                return self._scan(call) if isinstance(call, Scan) else self._scan_chunks(call)
            case Put() | Delete():
                self._refuse_under_way([call])
                self._check(call)
                self.apply(call)
            case Count():
                reply = self._count(call)
            case PutState() | DropState():
                self._write_state(call)
            case Discard():
                self._discard(call)
            case _:
                raise AssertionError(f"the model does not know {call}")
        return reply

    def decide(self, call: TransactWrite) -> bool:
        """Decide a transaction; False when the token says that it was done. Its writes are to be applied then."""
        done_at = self.tokens.get(call.token)
        if done_at is not None and self._scheduler.now - done_at < _TOKEN_S:
            return False
        keys = [key_of(write) for write in call.writes]
        if len(keys) > 100 or len({*keys}) < len(keys):
            raise AssertionError("DynamoDB refuses a transaction of more than 100 writes, or of one item twice")
        self._refuse_under_way(call.writes)
        for write in call.writes:
            self._check(write)
        self.tokens[call.token] = self._scheduler.now
        self.under_way.update(keys)
        return True

    def apply(self, write: Put | Delete) -> None:
        """Make one write visible."""
        log, number = key_of(write)
        self.under_way.discard((log, number))
        if isinstance(write, Delete):
            self.logs.get(log, {}).pop(number, None)
            return
        self.logs.setdefault(log, {})[number] = dict(write.item)
        self.written_at[log, number] = self._scheduler.now
        self.on_write(write)

    def _refuse_under_way(self, writes: Sequence[Put | Delete]) -> None:
        if self.under_way and any(key_of(write) in self.under_way for write in writes):
            raise Conflict("another transaction holds the item")

    def _check(self, write: Put | Delete) -> None:
        if type(write) is Put and key_of(write)[1] in self.logs.get(key_of(write)[0], ()):
            raise ConditionFailed("the key is taken")
        if isinstance(write, Delete) and write.must_be and write.number not in self.logs.get(write.log, ()):
            raise ConditionFailed("the item is gone")

    def _read(self, table: str, key: Any) -> Item | None:
        if table == "aggregates":
            return self._read_aggregate(key)
        return self.logs.get(key[0], {}).get(key[1])

    def _read_aggregate(self, datapoint: str) -> Item | None:
        if self.stale and self._scheduler.random.random() < 0.3:
            return self.earlier.get(datapoint)
        found = self.aggregates.get(datapoint)
        return None if found is None else dict(found)

    def _query(self, call: QueryTable) -> QueryReply:
        log = self.logs.get(call.log, {})
        if call.falling:
            numbers = sorted((n for n in log if not call.after or n < call.after), reverse=True)
        else:
            numbers = sorted(n for n in log if n > call.after)
        if self.stale and self._scheduler.random.random() < 0.3:
            seen = self._scheduler.now - 0.3
            numbers = [n for n in numbers if self.written_at[call.log, n] <= seen]
        page = min(call.limit or _PAGE, _PAGE)
        last = numbers[page - 1] if len(numbers) > page else None
        numbers = numbers[:page]
        return QueryReply([log[n] for n in numbers], last)

    def _query_index(self, call: QueryIndex) -> IndexReply:
        self.indexed = [entry for entry in self.indexed if entry[2] in self.aggregates]
        found = sorted(
            {
                datapoint
                for since, report, datapoint in self.indexed
                if since <= self._scheduler.now
                and report == call.report
                and call.low <= datapoint <= call.high
                and (call.shard is None or shard_of(report, datapoint) == shard_key(report, call.shard))
            }
        )
        return IndexReply(found[:_PAGE], found[_PAGE - 1] if len(found) > _PAGE else None)

    def _scan(self, call: Scan) -> ScanReply:
        keys = sorted(self.aggregates)
        keys = keys[bisect_right(keys, call.after) :] if call.after is not None else keys
        items: list[Item] = [dict(self.aggregates[key]) for key in keys[:_PAGE]]
        return ScanReply(items, keys[_PAGE - 1] if len(keys) > _PAGE else None)

    def _scan_chunks(self, call: ScanChunks) -> ChunksReply:
        keys = sorted(
            (log, number)
            for log, items in self.logs.items()
            for number, item in items.items()
            if "chunk" in item and int(item["entry"]) > call.entry
        )
        keys = keys[bisect_right(keys, call.after) :] if call.after is not None else keys
        return ChunksReply(keys[:_PAGE], keys[_PAGE - 1] if len(keys) > _PAGE else None)

    def _count(self, call: Count) -> bool:
        found = self.aggregates.get(call.datapoint)
        if found is not None and type(call) is Count and "fold" in found:
            passes = found["fold"] < call.epoch if call.anew else call.epoch <= found["fold"] < call.fold
            if not passes:
                raise ConditionFailed("folded already, or of another epoch")
        if found is None:
            late = self._scheduler.now + self._scheduler.random.random()
            self.indexed.append((late, call.report, call.datapoint))
        before = {} if found is None else found
        item = {**before, "datapoint": call.datapoint, "report": call.report, "fold": call.fold}
        item["events"] = call.events if call.anew else before.get("events", 0) + call.events
        if call.amount is not None:
            item["amount"] = call.amount if call.anew else before.get("amount", 0) + call.amount
        if call.text is not None:
            item["text"] = call.text
        self._put_aggregate(call.datapoint, item)
        self.on_write(call)
        return found is None

    def _write_state(self, call: PutState | DropState) -> None:
        key = call.key if isinstance(call, DropState) else str(call.item["datapoint"])
        found = self.aggregates.get(key)
        if call.before is None:
            as_before = found is None
        else:
            held = found or {}
            as_before = all(held.get(name) == value for name, value in call.before.items())
        if not as_before:
            raise ConditionFailed("written since")
        if isinstance(call, DropState):
            self.aggregates.pop(key, None)
        else:
            self._put_aggregate(key, dict(call.item))
        self.on_write(call)

    def _discard(self, call: Discard) -> None:
        found = self.aggregates.get(call.datapoint)
        if found is not None and found.get("fold", 0) >= call.epoch:
            raise ConditionFailed("counted anew since")
        self.earlier[call.datapoint] = self.aggregates.pop(call.datapoint, None)
        self.on_write(call)

    def _put_aggregate(self, key: str, item: dict[str, Any]) -> None:
        self.earlier[key] = self.aggregates.get(key)
        self.aggregates[key] = item


def key_of(write: Put | Delete) -> Key:
    """Return the log and number that a write concerns."""
    if isinstance(write, Delete):
        return write.log, write.number
    return str(write.item["log"]), int(write.item["number"])


class ModelClient:
    """Drives protocols as `stores.dynamodb_client.Client` does, each call a step, against the model."""

    def __init__(self, tables: Tables, scheduler: Scheduler, faults: Callable[[Call], Fault | None]) -> None:
        self.tables = tables
        self._scheduler = scheduler
        self._faults = faults
        self.counts = 0  # of counters that took a sum, or were asked to

    def run(self, protocol: Any) -> Any:
        """Drive a protocol to its end and return what it returns."""
        try:
            wanted = next(protocol)
            while True:
                if isinstance(wanted, list):
                    wanted = protocol.send(self._make(wanted))
                    continue
                (reply,) = self._make([wanted])
                wanted = protocol.throw(reply) if isinstance(reply, Exception) else protocol.send(reply)
        except StopIteration as stop:
            return stop.value

    def close(self) -> None:
        """Nothing is open."""

    def _make(self, calls: list[Call]) -> list[Any]:
        replies: list[Any] = [None] * len(calls)
        order = list(range(len(calls)))
        if len(calls) > 1:
            self._scheduler.random.shuffle(order)  # they are under way at the same time
        for index in order:
            try:
                replies[index] = self._call(calls[index])
            except (ConditionFailed, Conflict, Throttled, ReplyLost) as fault:
                replies[index] = fault
        return replies

    def _call(self, call: Call) -> Any:
        scheduler = self._scheduler
        name = type(call).__name__
        self.counts += isinstance(call, Count)
        if isinstance(call, Sleep):
            scheduler.step(name, wait_s=call.seconds)
            return None
        fault = self._faults(call)
        scheduler.step(name)
        if fault is not None:
            scheduler.draw(name, fault)
        if fault in _REFUSED:
            self._refuse(fault)
        if fault is Befalls.CONFLICT and isinstance(call, TransactWrite | Put | Count | PutState | Discard):
            raise Conflict("injected")
        if fault is Befalls.LATE_EFFECT:
            self._later(call)
            raise ReplyLost("injected, effect to come")
        reply = self._effect(call)
        if fault is not None:
            reply = self._after(call, fault, reply)
        return reply

    def _refuse(self, fault: Fault | None) -> None:
        scheduler = self._scheduler
        if fault is Befalls.KILL_BEFORE:
            scheduler.die()
        if fault is Befalls.LOSE_REQUEST:
            raise ReplyLost("injected, no effect")
        if fault is Befalls.THROTTLE:
            raise Throttled("injected")
        scheduler.step("paused", wait_s=_pause(scheduler.random))

    def _after(self, call: Call, fault: Fault, reply: Any) -> Any:
        scheduler = self._scheduler
        if fault is Befalls.KILL_AFTER:
            scheduler.die()
        if fault is Befalls.LOSE_REPLY:
            raise ReplyLost("injected, with effect")
        if fault is Befalls.REPEAT:
            self._later(call)
            return self._effect(call)
        if fault is Befalls.PARTIAL:
            return _partial(call, reply)
        if fault is Befalls.PAUSE_AFTER:
            scheduler.step("paused", wait_s=_pause(scheduler.random))
        return reply

    def _later(self, call: Call) -> None:
        """A request that is still on its way has its effect some time from now, whatever became of its sender."""
        scheduler = self._scheduler

        def arrive() -> None:
            scheduler.step("on its way", wait_s=_pause(scheduler.random))
            with suppress(ConditionFailed, Conflict):
                self._effect(call)

        scheduler.spawn(f"late {type(call).__name__}", arrive)

    def _effect(self, call: Call) -> Any:
        if not isinstance(call, TransactWrite):
            return self.tables.do(call)
        if not self.tables.decide(call):
            return None
        writes = list(call.writes)
        self._scheduler.random.shuffle(writes)
        if self._scheduler.random.random() < 0.5:
            for write in writes:
                self.tables.apply(write)
            self.tables.on_whole()
            return None
        self._apply_slowly(writes)
        return None

    def _apply_slowly(self, writes: list[Put | Delete]) -> None:
        """The service makes the parts visible one by one; it goes on when its client dies."""
        scheduler = self._scheduler
        left = list(writes)

        def apply() -> None:
            while left:
                scheduler.step("becomes visible")
                self.tables.apply(left.pop())
            if not self.tables.under_way:
                self.tables.on_whole()

        scheduler.spawn("service", apply)
        while left:
            scheduler.step("awaits the service")


def _pause(random: Random) -> float:
    return random.choice((0.05, 0.5, 5.0, 100.0, 700.0))


def _partial(call: Call, reply: Any) -> Any:
    """Return less than was asked, as the service may."""
    if isinstance(call, BatchGet) and len(call.keys) > 0:
        kept = call.keys[: len(call.keys) // 2]
        wanted = {key if isinstance(key, str) else tuple(key) for key in kept}
        items = [item for item in reply.items if _item_key(item) in wanted]
        return BatchReply(items, call.keys[len(kept) :])
    if isinstance(call, QueryTable) and len(reply.items) > 1:
        return QueryReply(reply.items[:1], int(reply.items[0]["number"]))
    return reply


def _item_key(item: Item) -> Any:
    return (item["log"], item["number"]) if "log" in item else item["datapoint"]
