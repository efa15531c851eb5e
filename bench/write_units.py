"""Write units an event on DynamoDB, by the billing rules, beside what no design can beat and what others cost.

The store's own protocols run on a model of the two tables; every call is billed by bench.billing. An
hour from noon: the merchants are known, and the day's events until noon are counted. Events come evenly, each in a
message of its own, dated as it is sent; a worker takes what has come every so many seconds (at most 5,000 messages at a
time, as many as a Lambda batch holds), commits and folds.
"""

from __future__ import annotations

import random
import uuid
from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.billing import Units
from bench.measure import show

from tillroll.core.batch import Batch, NameKind, Run, Source
from tillroll.core.fold import codes_of, fold
from tillroll.core.limits import METHODS
from tillroll.core.report import FIVE
from tillroll.stores.dynamodb.calls import (
    BatchGet,
    BatchReply,
    Context,
    Count,
    Get,
    PutState,
    QueryReply,
    QueryTable,
    TransactWrite,
)
from tillroll.stores.dynamodb.commit import TRANSACTION_ACTIONS_MAX, KnownLogs, commit
from tillroll.stores.dynamodb.fold import fold_ledger

if TYPE_CHECKING:
    from tillroll.stores.dynamodb.calls import Call, Item, Procedure

RATES: Final = (1, 10, 100, 1_000)
EVERY_S: Final = (10, 60)
MERCHANTS: Final = 10_000
BATCH_EVENTS_MAX: Final = 5_000
NOON: Final = 1_322_913_600 // 86_400 * 86_400 + 43_200
HOUR_S: Final = 3_600


class Model:
    """The two tables, as far as commit and fold use them, without faults."""

    def __init__(self, known: set[str]) -> None:
        self.units = Units()
        self.logs: dict[str, list[Item]] = {}
        self.counters = known
        self.state: dict[str, Item] = {}
        self.counted = 0

    def run(self, protocol: Procedure[Any]) -> Any:
        """Drive a protocol to its end."""
        try:
            wanted = next(protocol)
            while True:
                if isinstance(wanted, list):
                    wanted = protocol.send([self._do(call) for call in wanted])
                else:
                    wanted = protocol.send(self._do(wanted))
        except StopIteration as stop:
            return stop.value

    def _do(self, call: Call) -> Any:
        reply: Any = None
        is_new = False
        match call:
            case Count():
                is_new = call.datapoint not in self.counters
                self.counters.add(call.datapoint)
                self.counted += 1
            case QueryTable():
                log = self.logs.get(call.log, [])
                reply = QueryReply(log[-1:] if call.falling else log[call.after :], None)
            case TransactWrite():
                for write in call.writes:
                    self.logs.setdefault(str(write.item["log"]), []).append(write.item)  # type: ignore[union-attr]
            case BatchGet():
                if call.table == "aggregates":
                    reply = BatchReply([self.state[key] for key in call.keys if key in self.state], ())
                else:
                    reply = BatchReply([self.logs[log][number - 1] for log, number in call.keys], ())
            case Get():
                reply = self.state.get(call.datapoint)
            case PutState():
                self.state[str(call.item["datapoint"])] = call.item
            case _:
                raise NotImplementedError(type(call).__name__)
        self.units.count([(call, reply, is_new)])
        return reply


class Traffic:
    """Purchases at a rate, by Zipf-distributed merchants."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.chance = random.Random(rate)
        weights = accumulate(1 / rank for rank in range(1, MERCHANTS + 1))
        self.weights = list(weights)
        ids = random.Random(1)
        self.merchants = [str(uuid.UUID(int=ids.getrandbits(128), version=4)) for _ in range(MERCHANTS)]
        self.numbers = {name: number for number, name in enumerate(self.merchants)}

    def pick(self, count: int) -> list[str]:
        """Return merchants for so many purchases."""
        return self.chance.choices(self.merchants, cum_weights=self.weights, k=count)

    def known(self) -> set[str]:
        """Return the datapoints by merchant that a running system has at noon."""
        today = set(self.pick(min(self.rate * 43_200, 1_000_000)))
        day = {f"2011-12-03|{merchant}" for merchant in today}
        return day | {f"{merchant}|{method}" for merchant in self.merchants for method in METHODS}

    def batch(self, first: int, count: int) -> Batch:
        """Return purchases by number since noon."""
        batch = Batch()
        numbers = range(first, first + count)
        batch.seconds = array("q", [NOON + number // self.rate for number in numbers])
        batch.nanos = array("I", [number % self.rate * 1_000 // self.rate * 10**6 for number in numbers])
        batch.amounts = array("q", [min(int(self.chance.lognormvariate(8, 1.2)), 10**9) for _ in numbers])
        batch.methods = array("B", self.chance.choices((0, 1, 2), k=count))
        picked = self.pick(count)
        known = {name: index for index, name in enumerate(dict.fromkeys(picked))}
        batch.merchant_names = list(known)
        batch.merchants = array("I", [known[name] for name in picked])
        batch.positions = array("Q", bytes(8 * count))
        digits = self.chance.randbytes(16 * count).hex()
        texts = (digits[at : at + 32] for at in range(0, 32 * count, 32))
        ids = (f"{x[:8]}-{x[8:12]}-{x[12:16]}-{x[16:20]}-{x[20:]}" for x in texts)
        batch.runs = [Run(Source(NameKind.MESSAGE, message_id), 1) for message_id in ids]
        return batch

    def note(self, batch: Batch, changed: list[set[tuple[int, int]]]) -> None:
        """Add the datapoints of each report that a batch touches, as (window, code)."""
        codes = codes_of(batch, array("I", [self.numbers[name] for name in batch.merchant_names]))
        for counts, datapoints in zip(fold(FIVE, codes), changed, strict=True):
            datapoints.update(zip(counts.windows, counts.codes, strict=True))


class Cost(NamedTuple):
    """Units an event."""

    floor: float
    journal: float
    counters: float
    listed: float
    state: float
    reads: float
    event_bytes: float

    @property
    def total(self) -> float:
        """Return all write units an event."""
        return self.journal + self.counters + self.listed + self.state

    @property
    def ratio(self) -> float:
        """How far above the goal's measure; the goal is 1.15."""
        return self.total / (self.floor + 0.04)


def simulate(rate: int, every_s: int, offset_s: int = 0) -> Cost:
    """Return what an hour at a rate costs when a worker commits and folds every so many seconds.

    It does so on the minute, and then every so many seconds, or a little later.
    """
    traffic = Traffic(rate)
    model = Model(traffic.known())
    now = float(NOON)
    context = Context(lambda: now, traffic.chance.random, lambda: f"{traffic.chance.getrandbits(128):032x}", 30.0, {})
    logs = KnownLogs()
    distinct = done = 0
    for end in range(every_s + offset_s, HOUR_S + offset_s + 1, every_s):
        due = end * rate
        changed: list[set[tuple[int, int]]] = [set() for _ in FIVE]
        while done < due:
            batch = traffic.batch(done, min(BATCH_EVENTS_MAX, due - done))
            done += len(batch)
            now = NOON + done / rate
            traffic.note(batch, changed)
            model.run(commit(context, logs, batch, every_s - 1 if done == due else None))
        model.run(fold_ledger(context))
        distinct += sum(map(len, changed))
    writes = model.units.writes
    chunk_bytes = sum(len(item.get("chunk", b"")) for log in model.logs.values() for item in log)  # type: ignore[arg-type]
    return Cost(
        floor=distinct / done,
        journal=writes["TransactWrite"] / done,
        counters=model.counted / done,
        listed=(writes["Count"] - model.counted) / done,
        state=writes["PutState"] / done,
        reads=model.units.read / done,
        event_bytes=chunk_bytes / done,
    )


def marker_per_event() -> float:
    """Return the write units of an event when transactions put a marker for each and add to the counters they touch.

    A transaction takes 100 actions and costs double; the more events it holds, the more of them share a counter.
    """
    traffic = Traffic(1)
    events = 30
    while True:
        changed: list[set[tuple[int, int]]] = [set() for _ in FIVE]
        traffic.note(traffic.batch(0, events), changed)
        actions = events + sum(map(len, changed))
        if actions <= TRANSACTION_ACTIONS_MAX:
            return 2 * actions / events
        events -= 1


def run() -> None:
    """Print the tables."""
    rows = []
    for every_s in EVERY_S:
        for rate in RATES:
            cost = simulate(rate, every_s)
            rows.append(
                [
                    f"{rate:,}",
                    f"{every_s}",
                    *(f"{value:.3f}" for value in (cost.floor, cost.counters, cost.listed, cost.journal, cost.state)),
                    f"{cost.total:.3f}",
                    f"{cost.ratio:.3f}",
                    f"{cost.event_bytes:.0f}",
                    f"{cost.reads:.2f}",
                ]
            )
    head = ["events/s", "every s", "floor", "counters", "index", "journal", "state", "total"]
    show("Write units an event", [*head, "/ (floor + 0.04)", "bytes", "read units"], rows)
    late = simulate(1, 10, offset_s=3)
    print(
        "The goal is 1.150. A read unit costs a fifth of a write unit.\n"
        "Adding each event to its five counters: 5.000, and wrong after a crash. Transactions with a marker "
        f"for each event: {marker_per_event():.3f}.\n"
        "The worker starts on the minute; starting later, one commit in six "
        f"touches two minutes, and at 1 event/s every 10 s the total is {late.total:.3f} ({late.ratio:.3f})."
    )
