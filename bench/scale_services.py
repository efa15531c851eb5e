"""DynamoDB, SQS and Lambda in virtual time, as far as load goes: latencies, limits, conflicts, time-outs, redelivery.

Everything that is assumed of them stands in ASSUMPTIONS, with where it is from. What is not modelled: the network
breaking, a service that is down, and the burst of up to five minutes that DynamoDB may grant.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.billing import Units, item_bytes, read_units, write_units

from tillroll.stores.dynamodb.calls import (
    BatchGet,
    BatchReply,
    ConditionFailed,
    Conflict,
    Count,
    Delete,
    Fault,
    Get,
    Put,
    PutState,
    QueryReply,
    QueryTable,
    Sleep,
    Throttled,
    TransactWrite,
)
from tillroll.stores.dynamodb.http import CONNECTIONS_MAX
from tillroll.stores.dynamodb.schema import OFFERS, shard_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from tillroll.stores.dynamodb.calls import Call, Item, Procedure

_GUIDE: Final = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"
_LAMBDA: Final = "https://docs.aws.amazon.com/lambda/latest/dg/"
_SQS: Final = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/"
_HERE: Final = "measured here, one core of two, 2026-11-27"


class Assumption(NamedTuple):
    """A figure, and where it is from."""

    value: float
    unit: str
    source: str


ASSUMPTIONS: Final[dict[str, Assumption]] = {
    "read": Assumption(4.0, "ms, half of all", f"'single-digit millisecond', {_GUIDE}Introduction.html"),
    "write": Assumption(5.0, "ms, half of all", f"as reads: {_GUIDE}Introduction.html"),
    "transaction": Assumption(
        15.0, "ms, half of all", f"two phases, so three writes in a row, {_GUIDE}transaction-apis.html; an assumption"
    ),
    "tail": Assumption(4.0, "times the half: 1 in 100", "an assumption; CloudWatch's SuccessfulRequestLatency tells"),
    "megabyte": Assumption(20.0, "ms a MB read or written", "an assumption: 50 MB/s for one request"),
    "partition writes": Assumption(1_000, "units/s", f"{_GUIDE}bp-partition-key-design.html"),
    "partition reads": Assumption(3_000, "units/s", f"{_GUIDE}bp-partition-key-design.html"),
    "aggregates' partitions": Assumption(
        16, "", "an assumption: a table warm for 16,000 write units/s; on demand grows to twice its peak"
    ),
    "batch window": Assumption(5.0, "s", "the template's BatchWindowSeconds"),
    "hand over": Assumption(20.0, "ms from the queue to the function", "an assumption"),
    "delete": Assumption(15.0, "ms from the reply until the next batch is asked for", "an assumption"),
    "cold start": Assumption(1_500, "ms", "an assumption: Python with 6 MiB of packages"),
    "one vCPU": Assumption(1_769, "MB of memory", f"{_LAMBDA}configuration-memory.html"),
    "batch memory": Assumption(1_024, "MB", "the template's MemoryMegabytes"),
    "batch time-out": Assumption(60, "s", "the template"),
    "fold time-out": Assumption(300, "s", "the template"),
    "visibility": Assumption(420, "s", f"the template; {_SQS}sqs-visibility-timeout.html"),
    "pollers": Assumption(5, "batches at once at first", f"{_LAMBDA}services-sqs-scaling.html"),
    "pollers more": Assumption(300, "a minute", f"{_LAMBDA}services-sqs-scaling.html"),
    "invoke": Assumption(50, "ms until an invoked function begins", "an assumption"),
    "processor, take": Assumption(4.8, "us an event", f"parse, envelope and rules: {_HERE}"),
    "processor, commit": Assumption(2.9, "us an event", _HERE),
    "processor, known": Assumption(1.5, "us an event that others journaled", _HERE),
    "processor, fold": Assumption(3.0, "us an event", _HERE),
    "processor, call": Assumption(65, "us an update", "python -m bench dynamodb: 15,442 a second"),
}


def assumed(name: str) -> float:
    """Return an assumption; milliseconds and microseconds as seconds."""
    value, unit, _ = ASSUMPTIONS[name]
    return value * {"ms": 1e-3, "us": 1e-6}.get(unit.split(" ", 1)[0].rstrip(","), 1.0)


class Clock:
    """Virtual time: what is to happen, in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._next: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Have something happen, not before now."""
        heapq.heappush(self._next, (max(when, self.now), next(self._order), what))

    def run(self, until: float, every: float, look: Callable[[], None]) -> None:
        """Let things happen until a time, looking at them every so often."""
        look_at = every
        while self._next and self._next[0][0] <= until:
            when, _, what = heapq.heappop(self._next)
            while look_at <= when:
                self.now = look_at
                look()
                look_at += every
            self.now = when
            what()
        self.now = until


class Bucket:
    """The units a second of one partition: what is asked while any are left is given, and owed."""

    def __init__(self, rate: float) -> None:
        self._rate = self._left = rate
        self._at = 0.0

    def has(self, now: float) -> bool:
        """Tell whether any are left."""
        self._left = min(self._rate, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left > 0

    def take(self, units: float) -> None:
        """Use some."""
        self._left -= units


class Machine:
    """One execution environment: its share of a processor, and how many requests it has under way at most."""

    def __init__(self, memory: float) -> None:
        self.share = min(1.0, memory / assumed("one vCPU"))
        self.free_at = 0.0
        self.width = 32.0

    def work(self, now: float, seconds: float) -> float:
        """Use the processor for so long; return when it is done."""
        self.free_at = max(self.free_at, now) + seconds / self.share
        return self.free_at


class Tables:
    """The journal and the aggregates."""

    def __init__(self, clock: Clock, random: Random, is_counted: Callable[[str, str], bool]) -> None:
        self.units = Units()
        self.seen: Counter[str] = Counter()  # transactions, races lost, calls refused for their rate
        self.logs: dict[str, list[Item]] = {}
        self.offers: dict[int, Item] = {}
        self.state: dict[str, Item] = {}
        self.on_state: Callable[[Item], None] = lambda _: None
        self._folds: dict[str, int] = {}
        self._is_counted = is_counted  # whether a datapoint had a counter before
        self._clock = clock
        self._random = random
        self._locked: set[tuple[str, int]] = set()
        self._writes: dict[str, Bucket] = {}
        self._reads: dict[str, Bucket] = {}
        self._spread = math.log(assumed("tail")) / 2.326  # of a lognormal whose hundredth is that much

    def latency(self, kind: str, size: float) -> float:
        """Draw how long a request of so many bytes takes."""
        slow = math.exp(self._random.gauss(0.0, self._spread))
        return assumed(kind) * slow + size / 1e6 * assumed("megabyte")

    def begin(self, call: Call, reply: Callable[[Any], None]) -> None:
        """Do a call; give the reply, or the fault, when it comes."""
        clock = self._clock
        if isinstance(call, Count):
            clock.at(clock.now + self.latency("write", 0), lambda: reply(self._tried(call)))
            return
        if isinstance(call, TransactWrite):
            self._transact(call, reply)
            return
        kind = "write" if isinstance(call, Put | PutState | Delete) else "read"
        took = self.latency(kind, 0)

        def effect() -> None:
            found = self._tried(call)
            size = 0 if kind == "write" or isinstance(found, Fault) else 4_096 * read_units(call, found)
            clock.at(clock.now + took / 2 + size / 1e6 * assumed("megabyte"), lambda: reply(found))

        clock.at(clock.now + took / 2, effect)

    def _transact(self, call: TransactWrite, reply: Callable[[Any], None]) -> None:
        clock = self._clock
        took = self.latency(
            "transaction", sum(item_bytes(write.item) for write in call.writes if isinstance(write, Put))
        )

        def prepare() -> None:
            self.seen["transactions"] += 1
            fault = self._prepare(call)
            if fault is not None:
                self.units.count([(call, fault, False)])
                clock.at(clock.now + took / 3, lambda: reply(fault))
                return
            clock.at(clock.now + took / 3, commit)

        def commit() -> None:
            for write in call.writes:
                assert isinstance(write, Put)
                self.logs.setdefault(str(write.item["log"]), []).append(write.item)
                self._locked.discard(_key(write.item))
            self.units.count([(call, None, False)])
            clock.at(clock.now + took / 3, lambda: reply(None))

        clock.at(clock.now + took / 3, prepare)

    def _prepare(self, call: TransactWrite) -> Fault | None:
        items = [write.item for write in call.writes if isinstance(write, Put)]
        if any(_key(item) in self._locked for item in items):
            self.seen["races lost"] += 1
            return Conflict("another transaction")
        if any(_key(item)[1] <= len(self.logs.get(_key(item)[0], ())) for item in items):
            self.seen["races lost"] += 1
            return ConditionFailed("taken")
        buckets = [self._bucket(self._writes, str(item["log"]), "partition writes") for item in items]
        if not all(bucket.has(self._clock.now) for bucket in buckets):
            self.seen["transactions refused"] += 1
            return Throttled("the partition")
        for bucket, write in zip(buckets, call.writes, strict=True):
            bucket.take(2 * write_units(write))
        self._locked.update(map(_key, items))
        return None

    def _bucket(self, buckets: dict[str, Bucket], partition: str, limit: str) -> Bucket:
        found = buckets.get(partition)
        if found is None:
            found = buckets[partition] = Bucket(assumed(limit))
        return found

    def _tried(self, call: Call) -> Any:
        try:
            return self._count(call) if isinstance(call, Count) else self._do(call)
        except Fault as fault:
            self.units.count([(call, fault, False)])
            if isinstance(fault, Throttled):
                self.seen["calls refused"] += 1
            return fault

    def _count(self, call: Count) -> None:
        found = self._folds.get(call.datapoint)
        is_new = found is None and not self._is_counted(call.report, call.datapoint)
        number = hash(call.datapoint) % int(assumed("aggregates' partitions"))
        buckets = [self._bucket(self._writes, f"aggregates {number}", "partition writes")]
        if is_new:
            buckets += [self._bucket(self._writes, key, "partition writes") for key in index_keys(call)]
        if not all(bucket.has(self._clock.now) for bucket in buckets):
            raise Throttled("the partition")
        for bucket in buckets:
            bucket.take(1)
        if found is not None and (found >= call.fold or call.anew):
            raise ConditionFailed("folded already")
        self._folds[call.datapoint] = call.fold
        self.units.count([(call, None, is_new)])

    def _do(self, call: Call) -> Any:
        reply: Any = None
        if isinstance(call, Put | QueryTable | Delete) and _log_of(call) == OFFERS:
            reply = self._offer(call)
            self.units.count([(call, reply, False)])
            return reply
        match call:
            case QueryTable():
                self._read(call.log)
                log = self.logs.get(call.log, [])
                reply = self._page(call, log)
                self._bucket(self._reads, call.log, "partition reads").take(read_units(call, reply))
            case BatchGet() if call.table == "journal":
                for log in {log for log, _ in call.keys}:
                    self._read(log)
                there = [(log, number) for log, number in call.keys if number <= len(self.logs.get(log, ()))]
                reply = BatchReply([self.logs[log][number - 1] for log, number in there], ())
                for item in reply.items:
                    units = -(-item_bytes(item) // 4_096)
                    self._bucket(self._reads, str(item["log"]), "partition reads").take(units)
            case BatchGet():
                reply = BatchReply([item for key in call.keys if (item := self._aggregate(key)) is not None], ())
            case Get():
                reply = self._aggregate(call.datapoint)
            case PutState():
                self._put_state(call)
            case Put():
                self._put(call)
            case _:
                raise NotImplementedError(type(call).__name__)
        self.units.count([(call, reply, False)])
        return reply

    def _offer(self, call: Put | QueryTable | Delete) -> QueryReply | None:
        if isinstance(call, QueryTable):
            self._read(call.log)
            reply = QueryReply([self.offers[number] for number in sorted(self.offers)[: call.limit]], None)
            self._bucket(self._reads, call.log, "partition reads").take(read_units(call, reply))
            return reply
        bucket = self._bucket(self._writes, OFFERS, "partition writes")
        if not bucket.has(self._clock.now):
            raise Throttled("the partition")
        if isinstance(call, Put):
            bucket.take(write_units(call))
            self.seen["offers"] += 1
            self.offers[_key(call.item)[1]] = call.item
            return None
        found = self.offers.pop(call.number, None)
        units = 1 if found is None else write_units(Put(found))  # a delete is billed by the item's size
        bucket.take(units)
        self.units.writes["Delete"] += units - 1
        return None

    def _page(self, call: QueryTable, log: list[Item]) -> QueryReply:
        if call.falling:
            return QueryReply(log[-1:], None)
        items: list[Item] = []
        size = 0
        for item in log[call.after : None if call.limit is None else call.after + call.limit]:
            items.append(item)
            size += item_bytes(item)
            if size > 1_000_000:
                return QueryReply(items, int(item["number"]))
        return QueryReply(items, None)

    def _read(self, log: str) -> None:
        if not self._bucket(self._reads, log, "partition reads").has(self._clock.now):
            raise Throttled("the partition")

    def _aggregate(self, key: str) -> Item | None:
        if key in self._folds:
            return {"datapoint": key, "fold": self._folds[key]}
        return self.state.get(key)

    def _put(self, call: Put) -> None:
        log, number = _key(call.item)
        if (log, number) in self._locked:
            raise Conflict("a transaction")
        if number <= len(self.logs.get(log, ())):
            raise ConditionFailed("taken")
        self.logs.setdefault(log, []).append(call.item)

    def _put_state(self, call: PutState) -> None:
        key = str(call.item["datapoint"])
        if self.state.get(key) != call.before:
            raise ConditionFailed("written since")
        self.state[key] = call.item
        self.on_state(call.item)


def _log_of(call: Put | QueryTable | Delete) -> str:
    return str(call.item["log"]) if isinstance(call, Put) else call.log


def _key(item: Item) -> tuple[str, int]:
    return str(item["log"]), int(item["number"])


def index_keys(call: Count) -> list[str]:
    """Return the partitions of the indexes that a new counter is written to."""
    return [f"index {shard_of(call.report, call.datapoint)}"]


class Process:
    """A protocol at work on a machine."""

    def __init__(
        self,
        clock: Clock,
        tables: Tables,
        machine: Machine,
        protocol: Procedure[Any],
        cost: Callable[[Call, Any], float],
        done: Callable[[Any, BaseException | None], None],
    ) -> None:
        self._clock = clock
        self._tables = tables
        self._machine = machine
        self._protocol = protocol
        self._cost = cost
        self._done = done
        self.alive = True
        clock.at(clock.now, lambda: self._go_on(None))

    def kill(self) -> None:
        """End it; what is under way has its effect all the same."""
        self.alive = False
        self._protocol.close()

    def _go_on(self, reply: Any) -> None:
        if not self.alive:
            return
        try:
            wanted = self._protocol.throw(reply) if isinstance(reply, Fault) else self._protocol.send(reply)
        except StopIteration as stop:
            self.alive = False
            self._done(stop.value, None)
            return
        except Exception as error:  # noqa: BLE001 an entry loop: whoever started it decides
            self.alive = False
            self._done(None, error)
            return
        if isinstance(wanted, Sleep):
            self._clock.at(self._clock.now + wanted.seconds, lambda: self._go_on(None))
        elif isinstance(wanted, list):
            _Wave(self._clock, self._tables, self._machine, wanted, self._took)
        else:
            _Wave(self._clock, self._tables, self._machine, [wanted], lambda calls, got: self._took(calls, got[0]))

    def _took(self, calls: Sequence[Call], got: Any) -> None:
        """Go on once the processor has dealt with the replies."""
        replies = got if isinstance(got, list) and len(got) == len(calls) else [got]
        seconds = sum(self._cost(call, reply) for call, reply in zip(calls, replies, strict=True))
        at = self._machine.work(self._clock.now, seconds)
        self._clock.at(at, lambda: self._go_on(got))


class _Wave:
    """Some calls, as stores.dynamodb.http makes them: as many under way as the table takes, 2 s for what it refuses."""

    def __init__(
        self,
        clock: Clock,
        tables: Tables,
        machine: Machine,
        calls: Sequence[Call],
        done: Callable[[Sequence[Call], list[Any]], None],
    ) -> None:
        self._clock = clock
        self._tables = tables
        self._machine = machine
        self._calls = calls
        self._done = done
        self._replies: list[Any] = [None] * len(calls)
        self._waiting = deque(range(len(calls)))
        self._under_way = 0
        self._ends_at = clock.now + 2.0 if len(calls) > 1 else 0.0
        self._cut_at = 0.0
        self._send()

    def _send(self) -> None:
        while self._waiting and self._under_way < max(1, int(self._machine.width)):
            index = self._waiting.popleft()
            self._under_way += 1
            at = self._machine.work(self._clock.now, assumed("processor, call"))
            self._clock.at(at, lambda index=index: self._begin(index))  # type: ignore[misc]
        if not self._under_way and not self._waiting:
            self._done(self._calls, self._replies)

    def _begin(self, index: int) -> None:
        self._tables.begin(self._calls[index], lambda reply: self._end(index, reply))

    def _end(self, index: int, reply: Any) -> None:
        self._under_way -= 1
        self._replies[index] = reply
        machine, now = self._machine, self._clock.now
        if not isinstance(reply, Throttled):
            machine.width = min(machine.width + 1 / machine.width, CONNECTIONS_MAX)
        else:
            if now - self._cut_at > 0.005:
                self._cut_at = now
                machine.width = max(1.0, machine.width / 2)
            if now < self._ends_at:
                self._waiting.append(index)
            elif machine.width <= 1:
                for left in self._waiting:
                    self._replies[left] = Throttled("others before it")
                self._waiting.clear()
        self._send()
