"""Several processes over one SQLite file, interleaved at every statement and killed anywhere. SQLite is real.

The simulated processes share one thread, so a writer that would have to wait for another's commit waits in the
scheduler. A statement can fail (disk full), and a kill closes the process's connections without a commit, which is what
the kernel does to a process that is killed.
"""

from __future__ import annotations

import datetime
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from contextlib import contextmanager
from functools import cache, partial
from multiprocessing.util import Finalize
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from tests.oracle import EPOCH, REPORTS, events_of
from tests.simulation.deliveries import Delivery, Senders
from tests.simulation.oracle import Ledger
from tests.simulation.scheduler import Fault, Scheduler, Task
from tests.simulation.witness import Witness, WrongError

from tillroll.core.definition import define
from tillroll.core.query import Query
from tillroll.core.report import FIVE
from tillroll.errors import CountingError, QueryError, StoreError
from tillroll.ingest.take import take
from tillroll.stores.sqlite import files, head, schema
from tillroll.stores.sqlite.head import HeadFile
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tillroll.core.accept import Rejection
    from tillroll.core.query import Page
    from tillroll.core.report import Report

_SHARED_MEMORY: Final = Path(
    "/dev/shm"
)  # where there is one: the simulation loses no unsynced writes, and need not sync
ROOT: Final = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
OWN: Final = ("own-one", "own-two")  # reports of one's own that come, change and go
BY: Final[tuple[list[str], ...]] = ([], ["method"], ["day", "method"], ["merchant"], ["merchant", "day"])
DISK_FULL: Final = "disk full at a statement"
Plan = dict[int, Fault]  # which fault befalls which statement, counted over the whole run


class Mix(NamedTuple):
    """What a run is drawn from. A narrow one meets a certain kind of fault more often."""

    operations: tuple[str, ...] = (
        *("fold", "fold", "page", "get", "audit", "rebuild"),
        *("apply", "drop", "count", "count", "count", "own_page"),
    )
    extras: tuple[float, ...] = (0.15, 0.5)  # the chance of one more operation before a delivery is taken
    rates: tuple[float, ...] = (0.0, 0.01, 0.03, 0.08)  # of faults at a statement
    faults: tuple[Fault, ...] = (Fault.KILL_BEFORE, Fault.KILL_AFTER, Fault.PARTIAL, Fault.PAUSE_BEFORE)
    deliveries: tuple[int, int] = (4, 10)
    processes: tuple[int, int] = (1, 3)


EVERYTHING: Final = Mix()
OWN_REPORTS: Final = Mix(
    ("apply", "drop", "count", "count", "count", "own_page"), (0.5, 0.7), (0.0, 0.01), processes=(2, 3)
)
READERS: Final = Mix(("page", "page", "get", "get", "fold"), (0.5, 0.7), (0.0, 0.01), processes=(2, 3))
REBUILDS: Final = Mix(("rebuild", "page", "fold"), (0.5, 0.6), (0.0, 0.02), deliveries=(8, 12), processes=(3, 4))
FULL_DISK: Final = Mix(("page", "fold"), (0.3, 0.5), (0.1, 0.2), (Fault.PARTIAL,), (6, 10), (1, 2))


class World:
    """One file, its processes, and what is known about it from outside."""

    def __init__(self, random: Random, *, plan: Plan | None = None, mix: Mix | None = None) -> None:
        self.random = random
        self.injected: Counter[str] = Counter()
        self.scheduler = Scheduler(random, self.injected)
        self.ledger = Ledger()
        self.refused: set[bytes] = set()  # texts that must be among the rejected
        self.statements = 0
        self.plan = plan or {}
        self.rate = random.choice(mix.rates) if mix else 0.0
        self.faults = mix.faults if mix else ()
        self.storm = True
        self.writer: Task | None = None
        self.directory = Path(tempfile.mkdtemp(prefix="tillroll-sim-", dir=ROOT))
        for name in (schema.FILE_NAME, head.FILE_NAME):
            shutil.copy(_empty_store() / name, self.directory / name)
        self.witness = Witness(self.directory / schema.FILE_NAME, self.ledger)

    def close(self) -> None:
        """Remove the file."""
        self.witness.connection.close()
        shutil.rmtree(self.directory)

    def fault(self) -> Fault | None:
        """Return what befalls the next statement."""
        self.statements += 1
        if self.plan:
            return self.plan.get(self.statements)
        if not self.storm or self.random.random() >= self.rate:
            return None
        return self.random.choice(self.faults)


class Connection(sqlite3.Connection):
    """A connection of a simulated process."""

    world: World

    def __init__(self, world: World, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings | {"timeout": 0})
        self.world = world
        self.task = world.scheduler.current
        self.task.on_death.append(self.close)

    def close(self) -> None:
        """Close, as a kill does."""
        if self.world.writer is self.task:
            self.world.writer = None
        super().close()

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Execute a statement as one step."""
        return self._step(sql, partial(super().execute, sql, *values))

    def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Execute a statement for many values as one step."""
        return self._step(sql, partial(super().executemany, sql, *values))

    def _step(self, sql: str, effect: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        scheduler = self.world.scheduler
        if sql.startswith("PRAGMA") or not self.task.alive:
            scheduler.step(sql[:12])
            return effect()
        scheduler.step(sql[:24])
        fault = self.world.fault()
        self._before(sql, fault)
        if sql == "BEGIN IMMEDIATE":
            while self.world.writer is not None:
                scheduler.step("wait for the lock")
            self.world.writer = self.task
        cursor = effect()
        if sql in {"COMMIT", "ROLLBACK"} and self.world.writer is self.task:
            self.world.writer = None
            if sql == "COMMIT":
                self.world.witness.look()
        if fault is Fault.KILL_AFTER:
            scheduler.draw(sql[:24], fault)
            scheduler.die()
        return cursor

    def _before(self, sql: str, fault: Fault | None) -> None:
        scheduler = self.world.scheduler
        if fault is Fault.KILL_BEFORE:
            scheduler.draw(sql[:24], fault)
            scheduler.die()
        elif fault is Fault.PAUSE_BEFORE and self.world.writer is not self.task:
            scheduler.draw(sql[:24], fault)
            scheduler.step("paused", wait_s=self.world.random.random())
        elif fault is Fault.PARTIAL and sql.startswith(("INSERT", "UPDATE", "COMMIT", "DELETE")):
            self.world.injected[DISK_FULL] += 1
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error


class Head(HeadFile):
    """The head's file of a simulated process, closed by a kill without a sync."""

    def __init__(self, world: World, path: Path) -> None:
        super().__init__(path)
        self._is_open = True
        world.scheduler.current.on_death.append(self._release)

    def close(self) -> None:
        """Close it, as the process does."""
        super().close()
        self._is_open = False

    def _release(self) -> None:
        if self._is_open:
            os.close(self._descriptor)


@contextmanager
def connected(world: World) -> Iterator[None]:
    """Have every connection and head that the product opens belong to a simulated process."""
    connect = sqlite3.connect

    def simulated(*args: Any, **settings: Any) -> sqlite3.Connection:
        return Connection(world, *args, **settings)

    sqlite3.connect = cast("Any", simulated)
    module = cast("Any", files)
    module.HeadFile = partial(Head, world)
    try:
        yield
    finally:
        sqlite3.connect = connect
        module.HeadFile = HeadFile


@cache
def _empty_store() -> Path:
    """Return a directory as the store makes it, to be copied for every run: making it takes longer than a run."""
    directory = Path(tempfile.mkdtemp(prefix="tillroll-sim-", dir=ROOT))
    Finalize(None, shutil.rmtree, args=(directory,), exitpriority=0)  # at exit, of a worker process as well
    SqliteStore(directory).close()
    return directory


class Process:
    """What one process does: takes deliveries, folds, reads, audits; begun anew when it is killed."""

    def __init__(self, world: World, name: str, todo: list[Delivery], mix: Mix = EVERYTHING) -> None:
        self._world = world
        self._name = name
        self._todo = todo
        self._extras = world.random.choice(mix.extras)
        self._operations = [getattr(self, f"_{name}") for name in mix.operations]
        self._store: SqliteStore
        self._in_hand: list[Delivery] = []
        self._spawn()

    def _spawn(self) -> None:
        error = self._world.random.choice((0.0, -60.0, 60.0))
        task = self._world.scheduler.spawn(self._name, self._run, clock_error_s=error)
        task.on_death.append(self._begin_anew)

    def _begin_anew(self) -> None:
        """Its senders saw the connection break: they send again what is named."""
        self._todo.extend(delivery for delivery in self._in_hand if delivery.source.value)
        self._in_hand = []
        self._spawn()

    def _open(self) -> None:
        """Open the store, again where a full disk keeps it from that."""
        while True:
            try:
                self._store = SqliteStore(self._world.directory, self._world.scheduler.clock)
            except StoreError as error:
                if "is full" not in str(error):
                    raise WrongError(f"an error that no fault explains: {error}") from error
            else:
                return

    def _run(self) -> None:
        self._open()
        random = self._world.random
        while self._todo:
            while random.random() < self._extras:
                self._guarded(random.choice(self._operations))
            self._guarded(self._take)
        self._guarded(self._page)
        self._store.close()

    def _guarded(self, operation: Callable[[], None]) -> None:
        """Do something that a full disk may stop."""
        try:
            operation()
        except StoreError as error:
            if "is full" not in str(error):
                raise WrongError(f"an error that no fault explains: {error}") from error
            self._todo.extend(delivery for delivery in self._in_hand if delivery.source.value)
            self._in_hand = []

    def _take(self) -> None:
        random = self._world.random
        count = min(len(self._todo), random.randint(1, 3))
        self._in_hand = [self._todo.pop(int(random.random() * len(self._todo))) for _ in range(count)]
        self._take_in_hand()

    def _take_in_hand(self) -> None:
        now = self._world.scheduler.clock()

        def set_aside(rejections: list[list[Rejection]]) -> int:
            return self._store.set_aside([each for part in rejections for each in part], now)

        bodies = [delivery.body for delivery in self._in_hand]
        receipts = take(self._store, bodies, now, set_aside)
        for delivery, receipt in zip(self._in_hand, receipts, strict=True):
            if receipt.events != len(delivery.texts):
                raise WrongError(f"a receipt speaks of {receipt.events} events of {len(delivery.texts)}")
            delivery.acknowledged(self._world.ledger)
            self._world.refused.update(delivery.texts[x.index - delivery.first_position] for x in receipt.not_accepted)
        self._in_hand = []

    def _fold(self) -> None:
        self._store.fold()

    def _page(self) -> None:
        """What a reader sees is the fold of a prefix that held everything acknowledged before it asked."""
        report = self._world.random.choice(FIVE)
        least = self._world.witness.events
        page = self._store.page(Query(report=report))
        seen = events_of(page.aggregates)
        if page.totals is None or page.totals.events != sum(seen.values()):
            raise WrongError(f"the totals of {report.name} are not its sum")
        of_report = {
            key: {dp: n for dp, n in counts.items() if _report_of(dp) == report.name}
            for key, counts in self._since(least)
        }
        if seen not in of_report.values():
            raise WrongError(f"{report.name} shows {seen}, which is no prefix: {of_report}")

    def _get(self) -> None:
        least = self._world.witness.events
        wanted = sorted(self._world.witness.prefixes[least]) or ["10-50|PAY_NOW"]
        found = [each.events for each in self._store.get(wanted)]
        if not any(found == [counts[dp] for dp in wanted] for _, counts in self._since(least)):
            raise WrongError(f"{wanted} are answered as {found}, which is no prefix")

    def _since(self, least: int) -> Iterator[tuple[int, Counter[str]]]:
        return ((events, counts) for events, counts in self._world.witness.prefixes.items() if events >= least)

    def _audit(self) -> None:
        found = self._store.audit(repair=self._world.random.random() < 0.3)
        if found.differences_total:
            raise WrongError(f"an audit found {found.differences}")

    def _rebuild(self) -> None:
        self._store.rebuild()

    # Reports of one's own.

    def _apply(self) -> None:
        random = self._world.random
        self._store.apply([define({"name": random.choice(OWN), "by": random.choice(BY)})])

    def _drop(self) -> None:
        self._store.drop(self._world.random.choice(OWN))

    def _count(self) -> None:
        self._store._definitions.stride = self._world.random.choice((1, 3, 100))
        self._store.count_some(self._world.random.choice((0.0, 1.0)))

    def _own_page(self) -> None:
        """What can be read of a report of one's own is the fold of a prefix that held everything acknowledged."""
        least = self._world.witness.events
        report = self._store.catalogue().get(self._world.random.choice(OWN))
        if report is None:
            return
        try:
            page = self._store.page(Query(report=report))
        except (CountingError, QueryError):  # another process has dropped or changed it meanwhile
            return
        check_own(self._world, report, page, (events for events, _ in self._since(least)))


def _day(second: int) -> str:
    return f"{EPOCH + datetime.timedelta(seconds=second):%Y-%m-%d}"


def check_own(world: World, report: Report, page: Page, prefixes: Iterable[int]) -> None:
    """Compare a page of a report of one's own with what the purchases of each prefix say. Raises WrongError."""
    seen = {each.datapoint: (each.events, each.amount) for each in page.aggregates}
    wanted = {}
    for events in prefixes:
        counted: dict[str, tuple[int, int]] = {}
        for _, purchase in world.witness.purchases[:events]:
            texts = {"method": purchase.method, "merchant": purchase.merchant, "day": _day(purchase.second)}
            key = f"|{report.name}|" + "|".join(texts[name] for name in report.dimensions)
            count, amount = counted.get(key, (0, 0))
            counted[key] = (count + 1, amount + purchase.cents)
        if seen == counted:
            return
        wanted[events] = counted
    raise WrongError(f"{report.key} by {report.dimensions} shows {seen}, which is no prefix: {wanted}")


@cache
def _report_of(datapoint: str) -> str:
    coordinates = REPORTS.place(datapoint)
    assert coordinates is not None
    return coordinates.report.name


def _settle_own(world: World, store: SqliteStore) -> None:
    """Check the reports of one's own at rest, and an audit that sees them whole."""
    while store.count_some(1.0):
        pass
    for own in store.catalogue():
        if own.is_own:
            check_own(world, own, store.page(Query(report=own)), [world.witness.events])
    found = store.audit()
    if found.differences_total or any(not each.readable for each in store.report_states()):
        raise WrongError(f"the audit of all reports at rest found {found}")


def settle(world: World) -> None:
    """Check the file at rest: the oracle's reports, the rejected, and an audit, by a process that starts cold."""

    def run() -> None:
        store = SqliteStore(world.directory, world.scheduler.clock)
        if store.fold() != world.witness.events:
            raise WrongError("a fold at rest leaves something unfolded")
        world.witness.look()
        found = store.audit()
        if found.differences_total or found.events != world.witness.events:
            raise WrongError(f"the audit at rest found {found}")
        kept = {each.rejection.body for each in store.rejected(limit=10_000)}
        missing = world.refused - kept
        if missing:
            raise WrongError(f"not among the rejected: {missing}")
        shown: Counter[str] = Counter()
        for report in REPORTS:
            shown.update(events_of(store.page(Query(report=report)).aggregates))
        if shown != world.witness.prefixes[world.witness.events]:
            raise WrongError(f"the reports at rest show {shown}")
        _settle_own(world, store)
        store.close()

    world.storm = False
    world.plan = {}
    world.scheduler.spawn("at rest", run)
    try:
        world.scheduler.run()
    except StoreError as error:
        raise WrongError(f"at rest the store refuses: {error}") from error


def lost_conflicts(world: World) -> list[str]:
    """Return the identities of which another content was acknowledged and is not among what must be rejected."""
    counted = {identity: purchase for identity, purchase in world.witness.purchases if identity is not None}
    return [
        f"{identity}: {purchase}"
        for identity, contents in world.ledger.acknowledged.items()
        for purchase in contents
        if purchase != counted.get(identity) and purchase.text() not in world.refused
    ]


def simulate(seed: int, log: list[str] | None = None, mix: Mix = EVERYTHING) -> Scheduler:
    """Run one seed. Raises WrongError when a promise is broken."""
    random = Random(seed)
    world = World(random, mix=mix)
    world.scheduler.log = log
    try:
        with connected(world):
            senders = Senders(random)
            todo = [senders.draw() for _ in range(random.randint(*mix.deliveries))]
            todo += [random.choice(todo) for _ in range(random.randint(0, 4))]
            todo = [
                delivery for index, delivery in enumerate(todo) if delivery.source.value or delivery not in todo[:index]
            ]
            for delivery in todo:
                delivery.sent(world.ledger)
            for number in range(random.randint(*mix.processes)):
                Process(world, f"process {number}", todo, mix)
            world.scheduler.run()
            settle(world)
            lost = lost_conflicts(world)
            if lost:
                raise WrongError(f"conflicts that nobody kept: {lost}")
    finally:
        world.close()
    return world.scheduler
