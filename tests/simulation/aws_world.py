"""Tillroll on AWS, simulated: the real functions, worker, redrive, store and protocols over models of DynamoDB and SQS.

Everything that a promise speaks of is checked where it happens: at each write to the tables, at each answer a reader
gets, and at rest against the oracle.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import contextmanager, nullcontext, suppress
from itertools import takewhile
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from tests.oracle import REPORTS, events_of
from tests.simulation import older, sqs_model
from tests.simulation.deliveries import Delivery, Senders
from tests.simulation.dynamodb_model import ModelClient, Tables
from tests.simulation.dynamodb_watch import Watch
from tests.simulation.oracle import Ledger, Name, Purchase
from tests.simulation.own_reports import OWN
from tests.simulation.scheduler import Fault, Scheduler
from tests.simulation.sqs_model import DEAD_LETTERS, QUEUE, ModelSqsClient
from tests.simulation.traffic import SECONDS, Traffic
from tests.simulation.witness import WrongError

from tillroll.aws import functions
from tillroll.aws import redrive as redrive_module
from tillroll.aws.redrive import look, redrive
from tillroll.core.definition import define
from tillroll.core.query import Query
from tillroll.core.report import FIVE
from tillroll.errors import CountingError, QueryError, QueueError, StoreError
from tillroll.ingest import worker as worker_module
from tillroll.ingest.field_watch import NO_WATCH
from tillroll.ingest.take import take
from tillroll.ingest.worker import Taken, Worker, count_some, fold_if_due
from tillroll.queues.sqs import queue as queue_module
from tillroll.queues.sqs.queue import SqsQueue
from tillroll.stores.dynamodb import fold as fold_module
from tillroll.stores.dynamodb import store as store_module
from tillroll.stores.dynamodb.calls import Context, Count, Discard, Put, PutState, TransactWrite
from tillroll.stores.dynamodb.pace import Pace
from tillroll.stores.dynamodb.schema import FOLD_KEY, key_of
from tillroll.stores.dynamodb.state import Folder, open_state, read_folders, read_state, take_epoch
from tillroll.stores.dynamodb.store import DynamoDBStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tillroll.core.accept import Rejection
    from tillroll.core.report import Report
    from tillroll.ports import Message

FRESHNESS_S: Final = 20.0
_MINUTES: Final = [*sorted({second // 60 for second in SECONDS}), max(SECONDS) // 60 + 1]
# A fold that has a few hundred counters notes its progress as one of a million would.
_SMALL: Final = {"_UPDATES_AT_ONCE": 3, "_UPDATES_AT_ONCE_MAX": 6, "_NOTE_S": 0.1, "_SLICE_EVENTS": 3}
_UNITS_S: Final = 5
_COUNTS_A_CALL: Final = 5
_RECOUNTED: Final = 0.2  # the chance that all is counted anew at rest, by calls of so many counters
Plan = dict[int, Fault]


class Mix(NamedTuple):
    """What a run is drawn from. A narrow one meets a certain kind of fault more often."""

    rates: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1)  # of faults at a call
    faults: tuple[Fault, ...] = tuple(Fault)
    impatient: float = 0.3  # the chance of a store that gives up after a second
    messages: tuple[int, int] = (3, 8)
    pollers: tuple[int, int] = (1, 3)
    serves: float = 0.5  # the chance of a server, and so on
    older: float = 0.2
    workers: float = 0.3
    schedules: tuple[float, ...] = (0.6, 0.3)
    readers: float = 0.3
    auditors: float = 0.2
    redrivers: float = 0.3
    movers: float = 0.2
    rebuilders: float = 0.25
    definers: tuple[float, ...] = (0.5, 0.2)
    counters: float = 0.4
    sharers: float = 0.3
    paced: float = 0.3  # the chance of a store that counts reports of one's own at a pace


EVERYTHING: Final = Mix()
_QUIET: Final = Mix(
    serves=0,
    older=0,
    workers=0,
    schedules=(0,),
    readers=0,
    auditors=0,
    redrivers=0,
    movers=0,
    rebuilders=0,
    definers=(),
    counters=0,
    sharers=0,
    paced=0,
)
FOLDS: Final = _QUIET._replace(rates=(0.0,), impatient=0, messages=(8, 12), pollers=(2, 3), schedules=(1,) * 6)
REFUSALS: Final = _QUIET._replace(
    rates=(0.15,), faults=(Fault.THROTTLE, Fault.LOSE_REQUEST), impatient=1, messages=(3, 5)
)
KILLED_WORKERS: Final = _QUIET._replace(
    rates=(0.1, 0.2), faults=(Fault.THROTTLE, Fault.KILL_BEFORE, Fault.KILL_AFTER), messages=(5, 10), workers=1
)
LOST_REPLIES: Final = _QUIET._replace(
    rates=(0.1,), faults=(Fault.LOSE_REPLY, Fault.LATE_EFFECT, Fault.REPEAT), pollers=(1, 2), serves=1
)
DEFINITIONS: Final = FOLDS._replace(definers=(1, 1), counters=1, paced=0.3)
SHARED: Final = FOLDS._replace(sharers=1, rates=(0.0, 0.05))
RECOUNTS: Final = FOLDS._replace(rates=(0.0, 0.05), auditors=0.5, rebuilders=1, sharers=0.5)
REDRIVES: Final = _QUIET._replace(rates=(0.0, 0.05), messages=(5, 10), redrivers=1, movers=1)
CROWDED: Final = _QUIET._replace(rates=(0.0, 0.05), messages=(8, 12), pollers=(3, 5), serves=1, workers=1)


class World:
    """The services, what is known about them from outside, and the processes at work."""

    store_class: type[DynamoDBStore] = DynamoDBStore  # a planted fault may change it

    def __init__(self, random: Random, *, plan: Plan | None = None, mix: Mix = EVERYTHING) -> None:
        self.random = random
        self.injected: Counter[str] = Counter()
        self.scheduler = Scheduler(random, self.injected)
        self.tables = Tables(self.scheduler)
        self.service = sqs_model.Service(self.scheduler)
        self.ledger = Ledger()
        self.watch = Watch(self.tables, self.ledger, self.fail)
        self.bad: dict[str, Name] = {}  # texts that must end in the dead-letter queue, and where they first came
        self.sending = False
        self.pollers = 0  # that are not through
        self.traffic = Traffic(random)
        self.plan = plan
        self.mix = mix
        self.rate = random.choice(mix.rates)
        self.calls = 0
        self.storm = True
        self._tokens = 0
        self._bad_texts = 0

    def fail(self, problem: str) -> None:
        """A promise is broken: end the run, whatever the code of the product does with an exception."""
        self.scheduler.error = self.scheduler.error or WrongError(problem)

    def fault(self, call: object) -> Fault | None:
        """Return what befalls the next call: writes more often than reads."""
        self.calls += 1
        if self.plan is not None:
            return self.plan.get(self.calls)
        rate = 3 * self.rate if isinstance(call, TransactWrite | Put | Count | PutState | Discard) else self.rate
        if not self.storm or self.random.random() >= rate:
            return None
        return self.random.choice(self.mix.faults)

    def store(self) -> DynamoDBStore:
        """Return a store as a process opens it, knowing nothing yet."""
        client = ModelClient(self.tables, self.scheduler, self.fault)
        clock, monotonic = self.scheduler.clock, lambda: self.scheduler.now
        store = self.store_class(cast("Any", client), clock=clock, monotonic=monotonic, freshness_s=FRESHNESS_S)
        patience_s = 1.0 if self.plan is None and self.random.random() < self.mix.impatient else 30.0
        pace = Pace(_UNITS_S, monotonic) if self.plan is None and self.random.random() < self.mix.paced else None
        store.context = Context(self.scheduler.clock, self.random.random, self._token, patience_s, {}, pace)
        return store

    def _token(self) -> str:
        self._tokens += 1
        return f"t{self._tokens}"

    def queue(self, url: str = QUEUE) -> SqsQueue:
        """Return the product's queue over the model."""
        client = ModelSqsClient(self.service, self.fault)
        return SqsQueue(cast("Any", client), url, DEAD_LETTERS, receivers=1)

    def send(self, purchases: Sequence[Purchase | None], event_id: str | None) -> None:
        """Send a message as a producer does; None is an event that is not valid."""
        texts = [self._bad_text() if purchase is None else purchase.text() for purchase in purchases]
        body = texts[0] if len(texts) == 1 else b"[" + b",".join(texts) + b"]"
        message = self.service.put(QUEUE, body.decode(), {} if event_id is None else {"eventId": event_id})
        for position, purchase in enumerate(purchases):
            carrier = ("message", message.id, position) if event_id is None else ("key", event_id, position)
            if purchase is None:
                self.bad[texts[position].decode()] = carrier
                continue
            self.ledger.send(purchase, carrier, sure=True)

    def _bad_text(self) -> bytes:
        bad = self.random.choice((b'{"amount": -%d}', b'"no purchase %d"', b'{"date": %d}'))
        self._bad_texts += 1
        return bad % self._bad_texts

    @property
    def busy(self) -> bool:
        """Whether there is, or may come, a message."""
        return self.sending or bool(self.service.queues[QUEUE])


class _Stopped:
    """A worker's stop flag, whose wait is a step."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def is_set(self) -> bool:
        return False

    def wait(self, seconds: float) -> None:
        self._scheduler.step("waits", wait_s=seconds)


class SimulatedWorker(Worker):
    """The worker without its second thread: nobody keeps messages from coming back, which is the worst case."""

    def __init__(self, world: World, store: DynamoDBStore) -> None:
        super().__init__(store, world.queue(), FRESHNESS_S, world.scheduler.clock)
        self._world = world
        self._stopped = cast("Any", _Stopped(world.scheduler))

    def _folding(self) -> Any:
        return nullcontext()

    def _take(self, messages: list[Message]) -> Taken:
        taken = super()._take(messages)
        fold_if_due(self.store, self._world.random.choice((None, 0.0, 0.1)))
        if self._world.random.random() < 0.2:
            count_some(self.store, self._world.random.choice((0.0, 0.1)))
        return taken


class _Quiet:
    """Takes the place of powertools' logger and metrics: what they print is not simulated."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class _Context:
    """An invocation, which has a minute from its start."""

    aws_request_id = "simulated"

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._until = scheduler.now + 60

    def get_remaining_time_in_millis(self) -> int:
        return int(1_000 * (self._until - self._scheduler.now))


class Processes:
    """Starts processes, and starts them anew, cold, when they are killed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.waiting: list[Delivery] = []
        self.in_hand: list[Delivery] = []
        self._parts: Any = None
        self._ended: dict[int, int] = {}

    def start(
        self, name: str, work: Callable[[DynamoDBStore], None], broken: Callable[[], None] = lambda: None
    ) -> None:
        """Run something in a process of its own until it comes to its end alive."""
        world = self.world

        def run() -> None:
            work(world.store())

        error = world.random.choice((0.0, 0.0, -60.0, 60.0)) if world.plan is None else 0.0
        task = world.scheduler.spawn(name, run, clock_error_s=error)
        task.on_death += [broken, lambda: self.start(name, work, broken)]

    def lambda_function(self, store: DynamoDBStore) -> None:
        """Poll and invoke, as Lambda's event source mapping does, one batch at a time in one environment."""
        world = self.world
        parts = self._open(store)
        while world.busy:
            records = [record for _ in range(world.random.randint(1, 2)) for record in self._poll()]
            if not records:
                world.scheduler.step("polls", wait_s=2.0 + 10.0 * world.random.random())
                continue
            functions._parts = cast("Any", lambda: parts[world.scheduler.current.name])
            try:
                reply = functions.take_batch({"Records": records}, cast("Any", _Context(world.scheduler)))
            except functions.BatchFailedError:
                continue
            failed = {failure["itemIdentifier"] for failure in reply["batchItemFailures"]}
            world.scheduler.step("deletes", wait_s=world.random.choice((0.0, 0.0, 40.0)))
            for record in records:
                if record["messageId"] not in failed and world.random.random() < 0.97:
                    world.service.delete(QUEUE, record["receiptHandle"])
        world.pollers -= 1

    def _poll(self) -> list[dict[str, Any]]:
        self.world.scheduler.step("polls")
        return [sqs_model.record_of(message) for message in self.world.service.receive(QUEUE, 4)]

    def _open(self, store: DynamoDBStore) -> dict[str, Any]:
        """Keep each environment's parts apart: they share this one interpreter."""
        world = self.world
        self._parts = self._parts or {}
        self._parts[world.scheduler.current.name] = SimpleNamespace(
            settings=SimpleNamespace(freshness_s=FRESHNESS_S),
            store=store,
            queue=world.queue(),
            folder=SimpleNamespace(call_if_due=self.call_folder),
            fields=NO_WATCH,
            logger=_Quiet(),
            metrics=_Quiet(),
        )
        parts: dict[str, Any] = self._parts
        return parts

    def call_folder(self, store: DynamoDBStore) -> None:
        """Invoke the fold function when a commit ended a range; it runs by itself, and has little time now and then."""
        if store.ranges_ended == self._ended.get(id(store)):
            return
        self._ended[id(store)] = store.ranges_ended

        def fold() -> None:
            with suppress(StoreError):
                self.world.store().fold_if_due(self.world.random.choice((0.0, 0.05, 0.2, 100.0)))

        self.world.scheduler.spawn("called fold", fold)

    def worker(self, store: DynamoDBStore) -> None:
        """Work in a container until nothing is left."""
        while self.world.busy:
            try:
                SimulatedWorker(self.world, store).run(until_empty=True)
            except (StoreError, QueueError) as error:
                self._expected(error)
            self.world.scheduler.step("idle", wait_s=5.0)

    def work_once(self, store: DynamoDBStore) -> None:
        """Take what there is, and fold."""
        SimulatedWorker(self.world, store).run(until_empty=True)

    def _while_busy(self, most: int) -> Iterator[int]:
        """Count while messages are worked on, and so far at most."""
        return takewhile(lambda _: self.world.pollers > 0, range(most))

    def scheduled_fold(self, store: DynamoDBStore) -> None:
        """Fold once a minute, as the schedule does."""
        parts = self._open(store)
        for _ in self._while_busy(30):
            try:
                seconds = self.world.random.choice((0.0, 0.1, 100.0))
                functions._fold_once(parts[self.world.scheduler.current.name], seconds)
            except StoreError as error:
                self._expected(error)
            self.world.scheduler.step("schedule", wait_s=self.world.random.choice((1.0, 60.0)))

    def reader(self, store: DynamoDBStore) -> None:
        """Read counters and reports: each answer lies between what was folded before and what may be folded after."""
        for _ in self._while_busy(10):
            low = self.world.watch.least_counts()
            try:
                seen, asked = self._read(store)
            except StoreError as error:
                self._expected(error)
            else:
                high = self.world.watch.prefixes[-1]
                wrong = {dp: (low[dp], seen[dp], high[dp]) for dp in asked if not low[dp] <= seen[dp] <= high[dp]}
                if wrong:
                    self.world.fail(f"a reader saw, as (least, seen, most): {wrong}")
            self.world.scheduler.step("reads", wait_s=3.0)

    def _read(self, store: DynamoDBStore) -> tuple[Counter[str], list[str]]:
        if self.world.random.random() < 0.5:
            asked = sorted(self.world.watch.prefixes[-1]) or ["10-50|PAY_NOW"]
            return Counter(events_of(store.get(asked))), asked
        own = [each for each in store.catalogue() if each.is_own]
        if own and self.world.random.random() < 0.5:
            return self._read_own(store, self.world.random.choice(own)), []
        page = store.page(Query(report=self.world.random.choice(FIVE)))
        seen = Counter(events_of(page.aggregates))
        return seen, list(seen)  # the index may not list the newest datapoints yet

    def _read_own(self, store: DynamoDBStore, report: Report) -> Counter[str]:
        """Read a report of one's own, which shows no less than what was folded before."""
        watch = self.world.watch
        low = watch.own_counts(report.key, watch.reached)[0]
        seen = Counter[str]()
        try:
            for each in store.page(Query(report=report)).aggregates:
                seen[key_of(report, each.datapoint)] = each.events
        except (CountingError, QueryError):  # dropped, or changed, meanwhile
            return seen
        high = watch.own_counts(report.key, len(watch.prefixes) - 1)[0]
        wrong = {dp: (low[dp], events, high[dp]) for dp, events in seen.items() if not low[dp] <= events <= high[dp]}
        if wrong:
            self.world.fail(f"a reader saw of a report of one's own, as (least, seen, most): {wrong}")
        return Counter()

    def definer(self, store: DynamoDBStore) -> None:
        """Define, change and drop reports beside the traffic, as operators do; some of it counts what lags."""
        random = self.world.random
        for _ in self._while_busy(8):
            self.world.scheduler.step("operator", wait_s=random.choice((0.1, 5.0, 20.0)))
            try:
                match random.randrange(5):
                    case 0 | 1:
                        titles = random.sample(sorted(OWN), random.choice((1, 1, 2)))
                        by_name = {OWN[title].table["name"]: OWN[title] for title in titles}
                        store.apply([define(own.table) for own in by_name.values()])
                    case 2:
                        store.drop(random.choice(("one", "two")))
                    case _:
                        store.count_some(random.choice((0.0, 1.0)))
            except StoreError as error:
                if "of tillroll 0.1.0" not in str(error):
                    self._expected(error)

    def counter(self, store: DynamoDBStore) -> None:
        """Count what lags, as a server does."""
        for _ in self._while_busy(12):
            try:
                store.count_some(self.world.random.choice((0.0, 0.5)))
            except StoreError as error:
                self._expected(error)
            self.world.scheduler.step("counts", wait_s=self.world.random.choice((0.1, 5.0)))

    def sharer(self, store: DynamoDBStore) -> None:
        """Have the fold shared by more or fewer folders, as an operator may at any time."""
        for _ in self._while_busy(6):
            self.world.scheduler.step("operator", wait_s=self.world.random.choice((0.1, 5.0, 20.0)))
            try:
                store.share_fold(self.world.random.choice((1, 2, 3)))
            except StoreError as error:
                self._expected(error)

    def rebuilder(self, store: DynamoDBStore) -> None:
        """Count everything anew beside the traffic, as an operator may."""
        for _ in self._while_busy(3):
            self.world.scheduler.step("operator", wait_s=20.0)
            try:
                store.rebuild()
            except StoreError as error:
                self._expected(error)

    def older(self, store: DynamoDBStore) -> None:
        """Fold as a worker of release 0.1.0, until a newer one has fenced it out."""
        for _ in self._while_busy(30):
            try:
                store.client.run(older.fold(store.context))
            except older.FencedError:
                return
            except StoreError as error:
                self._expected(error)
            self.world.scheduler.step("schedule", wait_s=self.world.random.choice((1.0, 20.0)))

    def auditor(self, store: DynamoDBStore) -> None:
        """Audit beside the traffic: nothing may differ, ever, so a repair must change nothing."""
        for _ in self._while_busy(4):
            try:
                found = store.audit(repair=self.world.random.random() < 0.3)
            except StoreError as error:
                self._expected(error)
            else:
                if found.differences_total:
                    self.world.fail(f"an audit found {found.differences}")
            self.world.scheduler.step("audits", wait_s=15.0)

    def redriver(self, store: DynamoDBStore) -> None:
        """Redrive dead letters, as an operator does from time to time."""
        for _ in self._while_busy(6):
            self.world.scheduler.step("operator", wait_s=40.0)
            try:
                queue = self.world.queue(DEAD_LETTERS)
                corrections = self._corrections(queue) if self.world.random.random() < 0.5 else None
                redrive(store, queue, self.world.scheduler.clock, corrections)
            except (StoreError, QueueError) as error:
                self._expected(error)

    def _corrections(self, queue: SqsQueue) -> dict[str, bytes] | None:
        """Correct what was buried, each event by itself. Its name stays that of the message it first came in."""
        corrections = {}
        for letter in look(queue).letters:
            message = letter.message
            carrier = self.world.bad.get(message.body.decode())
            if carrier is not None:
                purchase = self.world.traffic.fresh()._replace(id="")
                corrections[letter.id] = purchase.text()
                self.world.ledger.send(purchase, carrier)
        return corrections

    def server(self, store: DynamoDBStore) -> None:
        """Take bodies over HTTP into the same store; a sender whose connection breaks sends what is named again."""
        world = self.world
        while self.waiting:
            self.in_hand = [self.waiting.pop() for _ in range(min(len(self.waiting), world.random.randint(1, 2)))]
            now = world.scheduler.clock()

            def set_aside(rejections: list[list[Rejection]], now: float = now) -> int:
                return store.set_aside([each for part in rejections for each in part], now)

            try:
                take(store, [delivery.body for delivery in self.in_hand], now, set_aside)
            except StoreError as error:
                self._expected(error)
                self._broken()
                world.scheduler.step("refuses", wait_s=1.0)
                continue
            for delivery in self.in_hand:
                delivery.acknowledged(world.ledger)
            self.in_hand = []

    def _broken(self) -> None:
        self.waiting += [delivery for delivery in self.in_hand if delivery.source.value]
        self.in_hand = []

    def serve(self) -> None:
        """Start a server with something to take."""
        senders = Senders(self.world.random, unnamed=0.5)
        self.waiting = [senders.draw() for _ in range(self.world.random.randint(2, 6))]
        for delivery in self.waiting:
            delivery.sent(self.world.ledger)
        self.start("server", self.server, self._broken)

    def mover(self, _: DynamoDBStore) -> None:
        """Let SQS itself redrive what was buried, which gives it a new message id."""
        for _round in self._while_busy(6):
            self.world.scheduler.step("operator", wait_s=60.0)
            letters = self.world.service.queues[DEAD_LETTERS]
            for message in [each for each in letters.values() if "reason" in each.attributes][:1]:
                del letters[message.id]
                self.world.service.put(QUEUE, message.body, message.attributes)

    def _expected(self, error: StoreError | QueueError) -> None:
        """Errors that pass are expected in a storm; that the journal is damaged is not, unless a write is under way."""
        if error.retry_after_s is None and not self.world.tables.under_way:
            self.world.fail(f"an error that no fault explains: {error}")


class _Listener(logging.Handler):
    """Fails the run when the product had to log an exception that it did not expect."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        """Look at what is logged."""
        if record.exc_info and record.exc_info[1] is not None and self._world.scheduler.current.alive:
            self._world.fail(f"{record.getMessage()}: {record.exc_info[1]!r}")


@contextmanager
def simulated_time(world: World) -> Iterator[None]:
    """Have the product's own waits and clocks be the simulation's, and hear what it logs."""
    log = logging.getLogger("tillroll")
    listener = _Listener(world)
    propagate, parts = log.propagate, functions._parts
    log.propagate = False
    log.addHandler(listener)
    clocks = {
        (store_module, "_COUNT_S_MIN"): 0.1,
        (functions, "wall_clock"): world.scheduler.clock,
        (queue_module, "time"): _Time(world.scheduler),
        (redrive_module, "hidden"): lambda *_: nullcontext(),  # by a thread of the real time
        (worker_module, "hidden"): lambda *_: nullcontext(),
    }
    settings: dict[tuple[Any, str], Any] = clocks | {(fold_module, name): value for name, value in _SMALL.items()}
    before = {place: getattr(*place) for place in settings}
    for place, clock in settings.items():
        setattr(*place, clock)
    try:
        yield
    finally:
        for place, clock in before.items():
            setattr(*place, clock)
        functions._parts = parts
        log.removeHandler(listener)
        log.propagate = propagate


class _Time:
    """The part of `time` that the queue uses."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def sleep(self, seconds: float) -> None:
        self._scheduler.step("sleeps", wait_s=seconds)


def send_all(world: World, messages: int) -> None:
    """Send messages from time to time; some of them twice, which are new messages."""
    random = world.random
    sent: list[tuple[list[Purchase | None], str | None]] = []
    for number in range(messages):
        if sent and random.random() < 0.15:
            world.send(*random.choice(sent))
        else:
            count = random.choice((1, 1, 1, 2, 3))
            purchases = [None if random.random() < 0.06 else world.traffic.purchase() for _ in range(count)]
            sent.append((purchases, f"e{number}" if random.random() < 0.3 else None))
            world.send(*sent[-1])
        if random.random() < 0.4:
            world.scheduler.step("sends", wait_s=random.choice((0.01, 1.0, 30.0)))
    world.sending = False


def settle(world: World) -> None:
    """Let the storm end, and check what must be true at rest."""
    world.storm = False
    world.plan = None
    processes = Processes(world)

    def finish(store: DynamoDBStore) -> None:
        redriven = False
        while world.busy or not redriven:
            SimulatedWorker(world, store).run(until_empty=True)
            redriven = not world.busy
            redrive(store, world.queue(DEAD_LETTERS), world.scheduler.clock)
            world.scheduler.step("at rest", wait_s=10.0)
        while store.count_some(1.0):
            world.scheduler.step("counts", wait_s=1.0)
        if world.random.random() < _RECOUNTED:
            _recount_a_few_at_a_time(store)
        store.fold()
        _check_at_rest(world, store)

    processes.start("at rest", finish)
    try:
        world.scheduler.run()
    except (StoreError, QueueError) as error:
        raise WrongError(f"at rest the store refuses: {error}") from error


def _recount_a_few_at_a_time(store: DynamoDBStore) -> None:
    """Count everything anew by calls that stop after a few counters: each goes on from where the last one stopped."""
    client = cast("ModelClient", store.client)
    client.run(take_epoch(store.context, client.run(open_state(store.context))))
    client.counts = 1
    while client.counts:
        before, client.counts = _folders(store), 0
        client.run(fold_module.fold_ledger(store.context, lambda: client.counts < _COUNTS_A_CALL))
        if client.counts and _ways(_folders(store)) == _ways(before):
            raise WrongError(f"a call that stops after {_COUNTS_A_CALL} counters moves nothing on: {before}")


def _ways(folders: Sequence[Folder]) -> list[tuple[int, int, str]]:
    return [(each.position, each.slice, each.after) for each in folders]


def _folders(store: DynamoDBStore) -> list[Folder]:
    state = store.client.run(read_state(store.context))
    return list(store.client.run(read_folders(store.context, state.main)))


def _check_at_rest(world: World, store: DynamoDBStore) -> None:
    watch = world.watch
    watch.check_whole()
    missing = world.ledger.sure.keys() - watch.found.keys()
    if missing:
        raise WrongError(f"sent, taken from the queue, and not journaled: {missing}")
    problems = world.ledger.problems(watch.journal)
    if problems:
        raise WrongError("; ".join(problems))
    if watch.prefixes[watch.folded_position()] != watch.prefixes[-1]:
        raise WrongError(f"a fold at rest reaches {watch.folded_position()} of {len(watch.prefixes) - 1} entries")
    found = store.audit()
    if found.differences_total or found.events != len(watch.journal):
        raise WrongError(f"the audit at rest found {found}")
    world.scheduler.step("index catches up", wait_s=5.0)
    shown: Counter[str] = Counter()
    for report in REPORTS:
        shown.update(events_of(store.page(Query(report=report)).aggregates))
    if shown != watch.prefixes[-1]:
        raise WrongError(f"the reports at rest show {shown}")
    _check_own(world, store)
    dead = [*world.service.buried, *(message.body for message in world.service.queues[DEAD_LETTERS].values())]
    refused = [
        purchase.text().decode()
        for identity, contents in world.ledger.sure.items()
        for purchase in contents
        if purchase != watch.found[identity]
    ]
    lost = [text for text in [*refused, *world.bad] if not any(text in body for body in dead)]
    if lost:
        raise WrongError(f"not in the dead-letter queue: {lost}")


def _check_own(world: World, store: DynamoDBStore) -> None:
    for report in [each for each in store.catalogue() if each.is_own]:
        found = Counter(
            {key_of(report, each.datapoint): each.events for each in store.page(Query(report=report)).aggregates}
        )
        right = world.watch.own_counts(report.key, len(world.watch.prefixes) - 1)[0]
        if found != right:
            raise WrongError(f"{report.key} at rest shows {found}, not {right}")
    read = {report.name: report.version for report in store.catalogue() if report.is_own}
    for name in ("one", "two"):
        said = world.tables.aggregates.get(f"|{name}|", {"version": 0})["version"]
        if said != read.get(name, 0):
            raise WrongError(f"at rest the table says that {name}.{said} is to be read: there is {read}")


def simulate(seed: int, log: list[str] | None = None, mix: Mix = EVERYTHING) -> Scheduler:
    """Run one seed. Raises WrongError when a promise is broken."""
    random = Random(seed)
    world = World(random, mix=mix)
    world.scheduler.log = log
    world.sending = True
    with simulated_time(world):
        processes = Processes(world)
        messages = random.randint(*mix.messages)
        world.scheduler.spawn("sender", lambda: send_all(world, messages))
        world.pollers = random.randint(*mix.pollers)
        for number in range(world.pollers):
            processes.start(f"lambda {number}", processes.lambda_function)
        extras = [
            ("worker", processes.worker, mix.workers),
            *[(f"schedule {number}", processes.scheduled_fold, chance) for number, chance in enumerate(mix.schedules)],
            ("reader", processes.reader, mix.readers),
            ("auditor", processes.auditor, mix.auditors),
            ("redriver", processes.redriver, mix.redrivers),
            ("mover", processes.mover, mix.movers),
            ("rebuilder", processes.rebuilder, mix.rebuilders),
            *[(f"definer {number}", processes.definer, chance) for number, chance in enumerate(mix.definers)],
            ("counter", processes.counter, mix.counters),
            ("sharer", processes.sharer, mix.sharers),
        ]
        if random.random() < mix.serves:
            processes.serve()
        if random.random() < mix.older:
            world.tables.aggregates[FOLD_KEY] = dict(older.state(0))
            processes.start("older", processes.older)
            processes.start("older 2", processes.older)
        for name, work, chance in extras:
            if random.random() < chance:
                processes.start(name, work)
        world.scheduler.run()
        settle(world)
    return world.scheduler
