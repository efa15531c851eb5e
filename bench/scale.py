"""What the store on AWS holds, by a simulation of load: the store's own protocols against the services in virtual time.

Purchases come evenly, each in a message of its own unless told, dated as they are sent, by Zipf-distributed merchants.
Lambda's pollers take batches; the functions run `commit` and `fold_ledger` as they are. It is *held* when at the end
less than 15 s of traffic waits and what is sent is readable within twice the freshness for 99 of 100. What is assumed
of the services: bench.scale_services.ASSUMPTIONS, printed with --assumptions.

    python -m bench scale [--quick] [--json FILE] [--rate N,...] [--merchants N,...] [--batch N,...]
        [--functions N,...] [--folders N,...] [--events-a-message N] [--fold-megabytes N] [--seconds N] [--midnight]
        [--assumptions]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import random
import sys
import time
from array import array
from collections import OrderedDict
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from unittest.mock import patch

from bench.measure import show
from bench.scale_services import ASSUMPTIONS, Clock, Machine, Process, Tables, assumed

from tillroll.core import chunk
from tillroll.core.batch import Batch, NameKind, Run, Source
from tillroll.errors import StoreError
from tillroll.ingest.worker import HAND_BACK_S, SLICE_BYTES
from tillroll.stores.dynamodb import commit as commit_module
from tillroll.stores.dynamodb import ledger as ledger_module
from tillroll.stores.dynamodb.calls import BatchGet, Context, QueryTable, TransactWrite
from tillroll.stores.dynamodb.commit import KnownLogs, commit
from tillroll.stores.dynamodb.fold import fold_ledger
from tillroll.stores.dynamodb.ledger import decode_chunk
from tillroll.stores.dynamodb.schema import FOLD_KEY, LEDGER, SHARDS
from tillroll.stores.dynamodb.state import FolderGroup, FoldState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tillroll.stores.dynamodb.calls import Call, Item
    from tillroll.stores.dynamodb.commit import Committed

FRESHNESS_S: Final = 60.0
NOON: Final = 1_322_913_600 // 86_400 * 86_400 + 43_200
MIDNIGHT: Final = NOON + 43_200
EVENT_BYTES: Final = 150  # of a purchase as JSON
RESERVE_S: Final = 30.0  # as functions.COMMIT_RESERVE_S
COMMIT_S: Final = 25.0  # as functions.COMMIT_S
FOLD_RESERVE_S: Final = 20.0
BACKLOG_S: Final = 15.0
_SAMPLES: Final = 8  # of a commit's events, whose times are told
_STEP_S: Final = 1.0
_CHUNKS_KEPT: Final = 4_096


class Load(NamedTuple):
    """What is simulated."""

    rate: int = 10_000
    merchants: int = 10_000
    batch: int = 1_000
    functions: int = 2
    folders: int = 1
    events_a_message: int = 1
    seconds: int = 600
    midnight: bool = False
    fold_megabytes: int = 512  # the template's FoldMemoryMegabytes


class Outcome(NamedTuple):
    """What came of it. Times are from sent to readable."""

    held: bool
    backlog_s: float
    readable_p50_s: float
    readable_p99_s: float
    oldest_s: float  # of what is sent and not readable
    races_lost: float  # of transactions tried
    refused: int
    gave_up: int
    timed_out: int
    units_an_event: float
    commits_s: float


class Traffic:
    """Purchases by number."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.begins = MIDNIGHT if load.midnight else NOON
        self._chance = random.Random(load.rate)
        self._weights = list(accumulate(1 / rank for rank in range(1, load.merchants + 1)))
        self._ranks: dict[str, int] = {}
        self._names: dict[int, str] = {}

    def _name(self, rank: int) -> str:
        found = self._names.get(rank)
        if found is None:
            x = hashlib.blake2b(rank.to_bytes(4, "big"), digest_size=16).hexdigest()
            found = self._names[rank] = f"{x[:8]}-{x[8:12]}-4{x[13:16]}-8{x[17:20]}-{x[20:]}"
            self._ranks[found] = rank
        return found

    def batch(self, ranges: Iterable[tuple[int, int]]) -> Batch:
        """Return the purchases of some ranges of numbers."""
        rate, chance = self.load.rate, self._chance
        numbers = [number for first, last in ranges for number in range(first, last)]
        batch = Batch()
        batch.seconds = array("q", [self.begins + number // rate for number in numbers])
        batch.nanos = array("I", [number % rate * 1_000 // rate * 10**6 for number in numbers])
        batch.amounts = array("q", [int(math.exp(chance.gauss(8, 1.2))) for _ in numbers])
        batch.methods = array("B", chance.choices((0, 1, 2), k=len(numbers)))
        ranks = chance.choices(range(self.load.merchants), cum_weights=self._weights, k=len(numbers))
        known = {rank: index for index, rank in enumerate(dict.fromkeys(ranks))}
        batch.merchant_names = [self._name(rank) for rank in known]
        batch.merchants = array("I", [known[rank] for rank in ranks])
        each = self.load.events_a_message
        batch.positions = array("Q", [number % each for number in numbers])
        ids = (f"{message:032x}" for message in dict.fromkeys(number // each for number in numbers))
        digests = (hashlib.blake2b(x.encode(), digest_size=16).hexdigest() for x in ids)
        names = (f"{x[:8]}-{x[8:12]}-{x[12:16]}-{x[16:20]}-{x[20:]}" for x in digests)
        batch.runs = [Run(Source(NameKind.MESSAGE, name), each) for name in names]
        return batch

    def is_counted(self, report: str, datapoint: str) -> bool:
        """Tell whether a datapoint had a counter before: one that a running system would have by then."""
        if report != "day-merchant":
            return report == "merchant-method" or not self.load.midnight
        if self.load.midnight:
            return False
        weight = 1 / (1 + self._ranks[datapoint.partition("|")[2]]) / self._weights[-1]
        return random.Random(datapoint).random() > math.exp(-weight * self.load.rate * 43_200)


class Queue:
    """Messages by number: those never received, and those that come back."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._next = 0
        self._back: list[tuple[float, tuple[int, int]]] = []  # when, which

    def sent(self, now: float) -> int:
        """Return how many messages were sent."""
        return int(now * self._load.rate) // self._load.events_a_message

    def ready(self, now: float) -> int:
        """Return how many can be received."""
        back = sum(last - first for when, (first, last) in self._back if when <= now)
        return self.sent(now) - self._next + back

    def receive(self, now: float, most: int) -> list[tuple[int, int]]:
        """Receive messages, the oldest first."""
        found: list[tuple[int, int]] = []
        left: list[tuple[float, tuple[int, int]]] = []
        for when, (first, last) in sorted(self._back):
            take = min(most, last - first) if when <= now else 0
            if take:
                found.append((first, first + take))
                most -= take
            if first + take < last:
                left.append((when, (first + take, last)))
        self._back = left
        fresh = min(most, self.sent(now) - self._next)
        if fresh:
            found.append((self._next, self._next + fresh))
            self._next += fresh
        return found

    def hand_back(self, when: float, messages: Iterable[tuple[int, int]]) -> None:
        """Have messages come back at a time."""
        self._back += [(when, each) for each in messages]

    def waiting(self, now: float) -> int:
        """Return how many were not received, or are to come back."""
        return self.sent(now) - self._next + sum(last - first for _, (first, last) in self._back)


class World:
    """Everything of one load."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.chance = random.Random(1)
        self.clock = Clock()
        self.traffic = Traffic(load)
        self.tables = Tables(self.clock, self.chance, self.traffic.is_counted)
        self.queue = Queue(load)
        self.context = Context(self._time, self.chance.random, self._token, 30.0, {})
        self.gave_up = self.timed_out = self.done = 0
        self.in_hand = 0
        self._sent: dict[int, list[tuple[int, int]]] = {}  # the events of a ledger entry that are not readable yet
        self._of_token: dict[str, list[tuple[int, int]]] = {}
        self._positions: dict[str, int] = {}
        self._readable = 0
        self.waits: list[float] = []  # from sent to readable, of a sample
        self.weights: list[float] = []
        self.folds = [Machine(load.fold_megabytes) for _ in range(load.folders + 1)]
        self._folding: set[int] = set()
        self.tables.state[FOLD_KEY] = FoldState(groups=(FolderGroup(1, folders=load.folders),), shards=SHARDS).item()
        self.tables.on_state = self._moved

    def _time(self) -> float:
        return self.traffic.begins + self.clock.now

    def _token(self) -> str:
        return f"{self.chance.getrandbits(128):032x}"

    def start(self) -> None:
        """Start the pollers and the schedule."""
        more_s = 60 / assumed("pollers more")
        for number in range(self.load.functions):
            later = max(0.0, number - assumed("pollers")) * more_s
            self.clock.at(self.chance.random() * 0.2 + later, _Poller(self).wait)
        self.clock.at(60.0, self._on_schedule)

    def _on_schedule(self) -> None:
        self.fold()
        self.clock.at(self.clock.now + 60, self._on_schedule)

    def fold(self) -> None:
        """Invoke the fold function, once a folder."""
        for number in range(self.load.folders):
            if number not in self._folding:  # its lease would send it home
                self._folding.add(number)
                at = self.clock.now + assumed("invoke") * (1 + self.chance.random())
                self.clock.at(at, lambda number=number: self._fold(number))  # type: ignore[misc]

    def _fold(self, number: int) -> None:
        ends_at = self.clock.now + assumed("fold time-out") - FOLD_RESERVE_S

        def done(_: Any, error: BaseException | None) -> None:
            self._folding.discard(number)
            if error is not None:
                raise error

        protocol = fold_ledger(self.context, lambda: self.clock.now < ends_at)
        Process(self.clock, self.tables, self.folds[number], protocol, self._fold_cost, done)

    def _fold_cost(self, call: Call, reply: Any) -> float:
        items = (
            reply.items if isinstance(call, BatchGet) and call.table == "journal" and hasattr(reply, "items") else ()
        )
        return sum(map(_events, items)) * assumed("processor, fold")

    def committed(self, events: list[tuple[int, int]], entry: int) -> None:
        """Note that events were journaled, up to an entry of the ledger."""
        self._sent.setdefault(entry, []).extend(events)

    def _moved(self, item: Item) -> None:
        """Note that what folders have counted is readable."""
        if "position" not in item:
            return
        self._positions[str(item["datapoint"])] = int(item["position"])
        readable = min(self._positions.values()) if len(self._positions) == self.load.folders else 0
        for number in range(self._readable + 1, readable + 1):
            for first, last in self._sent.pop(number, ()):
                for sample in range(_SAMPLES):
                    sent = (first + (last - first) * (sample + 0.5) / _SAMPLES) / self.load.rate
                    self.waits.append(self.clock.now - sent)
                    self.weights.append((last - first) / _SAMPLES)
        self._readable = max(self._readable, readable)

    def oldest(self) -> float:
        """Return how old the oldest event is that is journaled and not readable, or not journaled."""
        firsts = [first for events in self._sent.values() for first, _ in events]
        firsts.append(self.queue.sent(self.clock.now) * self.load.events_a_message)
        return self.clock.now - min(firsts) / self.load.rate

    def outcome(self) -> Outcome:
        """Return what came of it."""
        load, seen = self.load, self.tables.seen
        backlog_s = (self.queue.waiting(self.clock.now) + self.in_hand) * load.events_a_message / load.rate
        p50, p99 = _percentiles(self.waits, self.weights)
        oldest = self.oldest()
        held = backlog_s < BACKLOG_S and p99 < 2 * FRESHNESS_S and oldest < 2 * FRESHNESS_S
        tried = max(1, seen["transactions"])
        return Outcome(
            held=held and not self.gave_up and not self.timed_out,
            backlog_s=round(backlog_s, 1),
            readable_p50_s=round(p50, 1),
            readable_p99_s=round(p99, 1),
            oldest_s=round(oldest, 1),
            races_lost=round(seen["races lost"] / tried, 3),
            refused=seen["transactions refused"] + seen["calls refused"],
            gave_up=self.gave_up,
            timed_out=self.timed_out,
            units_an_event=round(self.tables.units.written / max(1, self.done), 3),
            commits_s=round((tried - seen["races lost"] - seen["transactions refused"]) / self.clock.now, 1),
        )


class _Poller:
    """One of Lambda's pollers, and the environment that it invokes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.machine = Machine(assumed("batch memory"))
        self.logs = KnownLogs()
        self.cold_s = assumed("cold start")
        self.began = 0.0

    def wait(self) -> None:
        """Wait for a batch."""
        self.began = self.world.clock.now
        self._look()

    def _look(self) -> None:
        world, clock, load = self.world, self.world.clock, self.world.load
        ready = world.queue.ready(clock.now)
        if ready >= load.batch or (ready and clock.now - self.began >= assumed("batch window")):
            messages = world.queue.receive(clock.now, load.batch)
            world.in_hand += _size(messages)
            clock.at(clock.now + assumed("hand over") + self.cold_s, lambda: _Invocation(self, messages).start())
            self.cold_s = 0.0
            return
        missing = (load.batch - ready) * load.events_a_message / load.rate / max(1, load.functions)
        left = assumed("batch window") - (clock.now - self.began)
        clock.at(clock.now + max(0.005, min(missing, left if left > 0 else 0.1)), self._look)


class _Invocation:
    """The batch function at work on a batch: commits of 2 MiB, as `take_messages` makes them."""

    def __init__(self, poller: _Poller, messages: list[tuple[int, int]]) -> None:
        self.poller = poller
        self.world = poller.world
        self.received_at = self.world.clock.now
        self.left = messages
        self.marked = False
        self.process: Process | None = None
        self.taking: list[tuple[int, int]] = []
        self.entry = 0  # of the ledger, the last that was written
        self.ended = False

    def start(self) -> None:
        """Begin."""
        clock = self.world.clock
        clock.at(clock.now + assumed("batch time-out"), self._time_out)
        self._next()

    def _next(self) -> None:
        world, clock = self.world, self.world.clock
        if not self.left:
            self._end(0.0)
            return
        if clock.now - self.received_at > assumed("batch time-out") - RESERVE_S:
            self._end(HAND_BACK_S)
            return
        each = world.load.events_a_message
        self.taking, self.left = _cut(self.left, max(1, SLICE_BYTES // EVENT_BYTES // each))
        cpu = _size(self.taking) * each * (assumed("processor, take") + assumed("processor, commit"))
        clock.at(self.poller.machine.work(clock.now, cpu), self._commit)

    def _events(self) -> list[tuple[int, int]]:
        each = self.world.load.events_a_message
        return [(first * each, last * each) for first, last in self.taking]

    def _commit(self) -> None:
        world, clock = self.world, self.world.clock
        if self.ended:
            return
        ends_at = clock.now + COMMIT_S
        self.entry = 0
        batch = world.traffic.batch(self._events())
        protocol = commit(world.context, self.poller.logs, batch, FRESHNESS_S, lambda: clock.now < ends_at)
        self.process = Process(clock, world.tables, self.poller.machine, protocol, self._cost, self._done)

    def _cost(self, call: Call, reply: Any) -> float:
        if isinstance(call, TransactWrite) and reply is None:
            self.entry = int(call.writes[-1].item["number"])  # type: ignore[union-attr]
        if not isinstance(call, QueryTable) or not hasattr(reply, "items"):
            return 0.0
        return sum(map(_events, reply.items)) * assumed("processor, known")

    def _done(self, found: Committed | None, error: BaseException | None) -> None:
        world = self.world
        if found is None:
            if not isinstance(error, StoreError):
                raise error or AssertionError
            world.gave_up += 1
            self.left = self.taking + self.left
            self._end(HAND_BACK_S)
            return
        events = self._events()
        world.done += _size(events)
        world.in_hand -= _size(self.taking)
        world.committed(events, self.entry or len(world.tables.logs[LEDGER]))  # with others': by now at the latest
        self.taking = []
        self.marked = self.marked or found.marked
        self._next()

    def _end(self, back_s: float) -> None:
        """Hand back what is left, and take the next batch."""
        world = self.world
        self.ended = True
        world.in_hand -= _size(self.left)
        world.queue.hand_back(world.clock.now + back_s, self.left)
        self.left = []
        if self.marked:
            world.fold()
        world.clock.at(world.clock.now + assumed("delete"), self.poller.wait)

    def _time_out(self) -> None:
        if self.ended:
            return
        world = self.world
        self.ended = True
        if self.process is not None:
            self.process.kill()
        world.timed_out += 1
        left = self.taking + self.left
        world.in_hand -= _size(left)
        world.queue.hand_back(self.received_at + assumed("visibility"), left)
        self.poller.logs = KnownLogs()
        self.poller.cold_s = assumed("cold start")
        world.clock.at(world.clock.now, self.poller.wait)


def _size(ranges: Iterable[tuple[int, int]]) -> int:
    return sum(last - first for first, last in ranges)


def _cut(ranges: list[tuple[int, int]], most: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return so many of some messages, and the rest."""
    taken: list[tuple[int, int]] = []
    left: list[tuple[int, int]] = []
    for first, last in ranges:
        take = min(most, last - first)
        most -= take
        taken += [(first, first + take)] if take else []
        left += [(first + take, last)] if first + take < last else []
    return taken, left


def _percentiles(values: Sequence[float], weights: Sequence[float]) -> tuple[float, float]:
    """Return what half, and 99 of 100, do not exceed; infinite when there is nothing."""
    rows = sorted(zip(values, weights, strict=True))
    total, done = sum(weights), 0.0
    found = [math.inf, math.inf]
    for value, weight in rows:
        done += weight
        for at, share in enumerate((0.5, 0.99)):
            if found[at] == math.inf and done >= share * total:
                found[at] = value
    return found[0], found[1]


# The same chunk is read by every function: decoded and hashed here once.
@lru_cache(maxsize=_CHUNKS_KEPT)
def _decoded(log: str, number: int, data: bytes) -> Batch:
    return decode_chunk({"log": log, "number": number, "chunk": data})


def _decode(item: Item) -> Batch:
    return _decoded(str(item["log"]), int(item["number"]), item["chunk"])


_hashed: OrderedDict[int, tuple[Batch, list[tuple[int, int, int]]]] = OrderedDict()
_hash_names = commit_module.hash_names


def _rows(batch: Batch, _: bytes) -> list[tuple[int, int, int]]:
    found = _hashed.get(id(batch))
    if found is None:
        found = _hashed[id(batch)] = (batch, list(_hash_names(batch, bytes(16))))
        if len(_hashed) > _CHUNKS_KEPT:
            _hashed.popitem(last=False)
    return found[1]


def _events(item: Item) -> int:
    return len(_decode(item)) if "chunk" in item else len(chunk.decode(item["offer"])) if "offer" in item else 0  # type: ignore[arg-type]


def simulate(load: Load, look: Callable[[float], None] = lambda _: None) -> Outcome:
    """Run a load; `look` is told the seconds simulated."""
    with _remembering():
        world = World(load)
        world.start()
        world.clock.run(load.seconds, _STEP_S, lambda: look(world.clock.now))
        return world.outcome()


@contextmanager
def _remembering() -> Iterator[None]:
    """Have what is decoded and hashed remembered."""
    journal = patch.multiple(commit_module, decode_chunk=_decode, hash_names=_rows)
    with journal, patch.object(ledger_module, "decode_chunk", _decode):
        yield
    _hashed.clear()
    _decoded.cache_clear()


QUICK: Final = (
    Load(1_000, 10_000, 1_000, 2, seconds=110),
    Load(10_000, 10_000, 1_000, 2, seconds=110),
    Load(10_000, 10_000, 1_000, 20, seconds=110),
)


def grid(options: argparse.Namespace) -> Iterator[Load]:
    """Yield the loads asked for."""
    for rate in options.rate:
        for merchants in options.merchants:
            for folders in options.folders:
                for batch in options.batch:
                    for functions in options.functions:
                        yield Load(
                            rate,
                            merchants,
                            batch,
                            functions,
                            folders,
                            options.events_a_message,
                            options.seconds,
                            options.midnight,
                            options.fold_megabytes,
                        )


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench scale")
    parser.add_argument("--quick", action="store_true", help="three loads, under 50 s")
    parser.add_argument("--json", type=Path, help="also write what came of it to a file")
    parser.add_argument("--assumptions", action="store_true", help="print what is assumed, and from where, and no more")
    parser.add_argument("--midnight", action="store_true", help="begin a day instead of an afternoon")
    parser.add_argument("--rate", type=_numbers, default=[10_000])
    parser.add_argument("--merchants", type=_numbers, default=[10_000])
    parser.add_argument("--batch", type=_numbers, default=[100, 1_000], help="messages a batch at most")
    parser.add_argument("--functions", type=_numbers, default=[2, 5, 20])
    parser.add_argument("--folders", type=_numbers, default=[1])
    parser.add_argument("--events-a-message", type=int, default=1)
    parser.add_argument("--fold-megabytes", type=int, default=512)
    parser.add_argument("--seconds", type=int, default=600)
    return parser.parse_args(arguments)


def run(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    options = _options(arguments)
    if options.assumptions:
        show(
            "Assumed",
            ["what", "", "unit", "from"],
            [[name, f"{x.value:g}", x.unit, x.source] for name, x in ASSUMPTIONS.items()],
        )
        return
    loads = list(QUICK if options.quick else grid(options))
    began = time.perf_counter()
    results = []
    with multiprocessing.Pool(min(2, len(loads))) as pool:
        for done, outcome in enumerate(pool.imap(simulate, loads), 1):
            results.append(outcome)
            if sys.stderr.isatty():
                bar = "#" * (40 * done // len(loads))
                print(f"\r[{bar:<40}] {done} of {len(loads)}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    show(
        f"Sent to readable, freshness {FRESHNESS_S:g} s, {loads[0].seconds} s simulated",
        [
            "events/s",
            "merchants",
            "batch",
            "functions",
            "R",
            "held",
            "p50 s",
            "p99 s",
            "backlog s",
            "races lost",
            "refused",
            "units an event",
        ],
        [_row(load, found) for load, found in zip(loads, results, strict=True)],
    )
    print(
        f"{time.perf_counter() - began:.0f} s. Held: less than {BACKLOG_S:g} s of traffic waits at the end, p99 under "
        f"{2 * FRESHNESS_S:g} s, and no function gave up or ran into its time-out."
    )
    if options.json:
        rows = [{**load._asdict(), **found._asdict()} for load, found in zip(loads, results, strict=True)]
        assumptions = {name: x._asdict() for name, x in ASSUMPTIONS.items()}
        options.json.write_text(json.dumps({"assumptions": assumptions, "loads": rows}, indent=1) + "\n")


def _row(load: Load, found: Outcome) -> list[str]:
    lost = f"{found.gave_up} gave up, {found.timed_out} timed out" if found.gave_up + found.timed_out else ""
    held = "yes" if found.held else f"no {lost}".strip()
    return [
        f"{load.rate:,}",
        f"{load.merchants:,}",
        f"{load.batch:,}",
        f"{load.functions}",
        f"{load.folders}",
        held,
        f"{found.readable_p50_s:.1f}",
        f"{found.readable_p99_s:.1f}",
        f"{found.backlog_s:.1f}",
        f"{found.races_lost:.1%}",
        f"{found.refused:,}",
        f"{found.units_an_event:.3f}",
    ]
