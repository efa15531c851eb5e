"""Tables restored from backups, simulated: alone, both, to different moments, with items that are not of one instant.

Stores commit and fold for a while, then the tables are what a backup has of them; an operator does what the runbook
says, or nobody does and the fold has to refuse; then what was sent before is sent again. At the end each aggregate is
what plain Python recounts from the journal, and each purchase is in the journal once.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import msgspec
from tests.batches import batch_of
from tests.simulation import oracle
from tests.simulation.dynamodb_model import ModelClient, Tables, key_of
from tests.simulation.own_reports import OWN
from tests.simulation.scheduler import Fault, Scheduler
from tests.simulation.traffic import Traffic
from tests.simulation.witness import WrongError, journaled

from tillroll.core import chunk
from tillroll.core.batch import Event
from tillroll.core.definition import define
from tillroll.errors import StoreError
from tillroll.stores.dynamodb.calls import Call, Context, Count, Delete, Discard, DropState, PutState
from tillroll.stores.dynamodb.schema import FOLD_KEY, STATE_PREFIX, definition_key, version_of
from tillroll.stores.dynamodb.store import DynamoDBStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.oracle import Purchase

    from tillroll.stores.dynamodb.calls import Put

_FAULTS: Final = (Fault.KILL_BEFORE, Fault.KILL_AFTER, Fault.LOSE_REPLY, Fault.LATE_EFFECT, Fault.THROTTLE)
_KILLS: Final = (Fault.KILL_BEFORE, Fault.KILL_AFTER)
_AGGREGATES, _JOURNAL = "aggregates", "journal"


class Mix(NamedTuple):
    """What a run is drawn from. A narrow one meets a certain kind of fault more often."""

    rates: tuple[float, ...] = (0.0, 0.02, 0.1)  # of faults at a call
    rebuilds: float = 0.3  # the chance of a rebuild beside the traffic
    steps: tuple[int, int] = (2, 6)
    restored: tuple[tuple[str, ...], ...] = ((_AGGREGATES,), (_JOURNAL,), (_JOURNAL,), (_AGGREGATES, _JOURNAL))
    skews_s: tuple[float, ...] = (0.9, 20.0, 60.0, 120.0, 300.0, 600.0)  # between items of one backup
    pauses_s: tuple[float, ...] = (0.05, 1.0, 20.0, 400.0)  # between commits
    defines: float = 0.4  # the chance of reports of one's own that come and go
    at_changes: float = 0.0  # the chance that a backup is made just after the state of the fold changed
    unseen: float = 0.3  # the chance that nobody looks before the traffic goes on


EVERYTHING: Final = Mix()
REBUILT: Final = Mix((0.0,), 1.0, (2, 4), ((_AGGREGATES,),), unseen=0.0, at_changes=1.0)
SKEWED: Final = Mix(
    (0.0,), 0.0, (4, 8), ((_AGGREGATES,),), (300.0, 600.0), (20.0, 100.0, 400.0), 0.0, unseen=0.0, at_changes=1.0
)
DEFINED: Final = Mix(
    (0.0,), 0.5, (2, 3), ((_AGGREGATES,),), (120.0, 300.0), (0.05, 1.0, 20.0), 1.0, at_changes=1.0, unseen=0.0
)


class _Version(NamedTuple):
    """A version of a report of one's own, and what it counts a purchase for."""

    name: str
    number: int
    counts_for: Callable[[Purchase], str | None]

    @property
    def key(self) -> str:
        return f"{self.name}.{self.number}"


class RecordedTables(Tables):
    """Tables of which a backup of any moment can be made."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self.history: dict[tuple[str, Any], list[tuple[float, Any]]] = {}
        self.moments: list[float] = []  # at which no transaction was half visible
        self.on_whole = self._note_moment

    def _note_moment(self) -> None:
        if not self.under_way:
            self.moments.append(self._scheduler.now)

    def do(self, call: Call) -> Any:
        """As Tables.do."""
        reply = super().do(call)
        match call:
            case Count() | Discard():
                self._record(_AGGREGATES, call.datapoint, self.aggregates.get(call.datapoint))
            case PutState():
                key = str(call.item["datapoint"])
                self._record(_AGGREGATES, key, self.aggregates.get(key))
            case DropState():
                self._record(_AGGREGATES, call.key, None)
            case _:
                pass
        return reply

    def apply(self, write: Put | Delete) -> None:
        """As Tables.apply."""
        super().apply(write)
        log, number = key_of(write)
        self._record(_JOURNAL, (log, number), self.logs.get(log, {}).get(number))

    def _record(self, table: str, key: Any, item: Any) -> None:
        at = self._scheduler.now
        self.history.setdefault((table, key), []).append((at, None if item is None else dict(item)))

    def changes(self) -> list[float]:
        """Return when what says how far the fold is was written."""
        return [
            at
            for (table, key), versions in self.history.items()
            if table == _AGGREGATES and key.startswith(STATE_PREFIX)
            for at, _ in versions
        ]

    def restored(self, random: Random, moments: dict[str, float], skews_s: dict[str, float]) -> RecordedTables:
        """Return tables as backups of moments have them, each item as it was then or up to a skew before."""
        made = RecordedTables(self._scheduler)
        for (table, key), versions in self.history.items():
            moment = moments[table] - skews_s.get(table, 0.0) * random.random()
            item = next((item for at, item in reversed(versions) if at <= moment), None)
            if item is None:
                continue
            if table == _JOURNAL:
                made.logs.setdefault(key[0], {})[key[1]] = item
                made.written_at[key] = 0.0
            else:
                made.aggregates[key] = item
                made.indexed += [(0.0, item["report"], key)] if "report" in item else []
            made.history[table, key] = [(0.0, item)]
        return made


class _Run:
    """One seed."""

    def __init__(self, random: Random, mix: Mix) -> None:
        self.random = random
        self.mix = mix
        self.scheduler = Scheduler(random, Counter())
        self.tables = RecordedTables(self.scheduler)
        self.traffic = Traffic(random, ids=1.0)
        self.sent: list[Purchase] = []
        self.rate = random.choice(mix.rates)
        self.tokens = 0
        self.alone_again = False
        self.kills_left = 0  # else a long task would never come to its end

    def store(self) -> DynamoDBStore:
        """Return a store as a process opens it."""
        client = ModelClient(self.tables, self.scheduler, self.fault)
        store = DynamoDBStore(cast("Any", client), clock=self.scheduler.clock, freshness_s=20.0)
        store.context = Context(self.scheduler.clock, self.random.random, self.token, 30.0, {})
        return store

    def token(self) -> str:
        self.tokens += 1
        return f"t{self.tokens}"

    def fault(self, call: Call) -> Fault | None:
        """Return what befalls the next call. What a restore deletes is gone when its operator goes on."""
        if self.random.random() >= self.rate:
            return None
        fault = self.random.choice(_FAULTS)
        if (fault in _KILLS and not self.kills_left) or (fault is Fault.LATE_EFFECT and isinstance(call, Delete)):
            return None
        self.kills_left -= fault in _KILLS
        return fault

    def spawn(self, name: str, work: Callable[[], None]) -> None:
        """Run a process until it comes to its end alive."""
        task = self.scheduler.spawn(name, work)
        task.on_death.append(lambda: self.spawn(name, work))

    def traffic_for(self, steps: int) -> None:
        """Commit and fold for so long, by several at once."""
        plans = [
            ("commits", lambda: self.commits(steps)),
            ("commits 2", lambda: self.commits(steps)),
            ("folds", lambda: self.folds(steps)),
            ("folds 2", lambda: self.folds(steps)),
        ]
        if self.random.random() < self.mix.defines:
            plans.append(("defines", lambda: self.defines(steps)))
        if self.random.random() < self.mix.rebuilds:
            plans.append(("rebuilds", lambda: self.wait_and(lambda: self.store().rebuild())))
        self.kills_left = 10
        for name, work in plans:
            self.spawn(name, work)
        self.scheduler.run()

    def commits(self, steps: int) -> None:
        """Journal a few purchases now and then."""
        store = self.store()
        for _ in range(steps):
            purchases = [self.traffic.fresh() for _ in range(self.random.randint(1, 3))]
            self.sent += purchases
            store.journal(batch_of([_event(x) for x in purchases]))
            self.scheduler.step("pause", wait_s=self.random.choice(self.mix.pauses_s))

    def defines(self, steps: int) -> None:
        """Define, change and drop reports now and then, count them, and have the fold shared by more or fewer."""
        store = self.store()
        for _ in range(2 * steps):
            with suppress(StoreError):
                match self.random.randrange(4):
                    case 0:
                        store.apply([define(OWN[self.random.choice(sorted(OWN))].table)])
                    case 1 if self.random.random() < 0.3:
                        store.drop(self.random.choice(("one", "two")))
                    case 1:
                        store.share_fold(self.random.choice((1, 2, 3)))
                    case _:
                        store.count_some(0.0)
            self.scheduler.step("pause", wait_s=self.random.choice((0.05, 1.0, 20.0)))

    def folds(self, steps: int) -> None:
        """Fold now and then; a refusal is what a journal that was restored is to get."""
        store = self.store()
        for _ in range(2 * steps):
            with suppress(StoreError):
                self.random.choice((store.fold, store.fold_if_due))()
            self.scheduler.step("pause", wait_s=self.random.choice((0.05, 1.0, 20.0)))

    def wait_and(self, work: Callable[[], object]) -> None:
        self.scheduler.step("pause", wait_s=self.random.choice((5.0, 50.0)))
        with suppress(StoreError):
            work()

    def alone(self, work: Callable[[], object]) -> None:
        """Have one process do something, killed now and then, with nothing beside it."""
        self.kills_left = 4
        self.spawn("operator", work)  # type: ignore[arg-type]
        self.scheduler.run()

    def restore(self, skew_s: float) -> None:
        """Put backups of earlier moments in the place of one table, or of both."""
        random, now = self.random, self.scheduler.now
        moments = {_AGGREGATES: now, _JOURNAL: now}
        tables = random.choice(self.mix.restored)
        for table in tables:
            moments[table] = random.choice([*self.tables.moments, now])
            if random.random() < self.mix.at_changes:
                moments[table] = random.choice(self.tables.changes())
            if skew_s:
                moments[table] += 2 * skew_s * random.random()
        if len(tables) > 1 and random.random() < 0.2:
            moments[_JOURNAL] = moments[_AGGREGATES]
        self.tables = self.tables.restored(random, moments, dict.fromkeys(tables, skew_s))

    def check(self, *, sent_again: bool) -> None:
        """Recount the journal as it is, and compare."""
        found = [each for data in self._chunks() for each in journaled(chunk.decode(data))]
        seen = Counter(identity for identity, _ in found)
        twice = [identity for identity, times in seen.items() if times > 1]
        if twice:
            raise WrongError(f"journaled twice: {twice}")
        lost = [x for x in self.sent if oracle.identity_of(x, None) not in seen]
        if lost and sent_again:
            raise WrongError(f"sent again, and not journaled: {lost}")
        self._compare([purchase for _, purchase in found])
        read = {version.name: version.number for version in self.readable()}
        for name in ("one", "two"):
            said = self.tables.aggregates.get(f"|{name}|", {"version": 0})["version"]
            if said != read.get(name, 0):
                raise WrongError(f"the table says that {name}.{said} is to be read: there is {read}")

    def _chunks(self) -> list[bytes]:
        items = (item for log in self.tables.logs.values() for item in log.values())
        return [cast("bytes", item["chunk"]) for item in items if "chunk" in item]

    def _compare(self, purchases: list[Purchase]) -> None:
        """Compare what is read with what purchases count."""
        events, amounts = Counter[str](), Counter[str]()
        for purchase in purchases:
            own = ((version, version.counts_for(purchase)) for version in self.readable())
            texts = [f"|{version.key}|{text}" for version, text in own if text is not None]
            for datapoint in (*oracle.datapoints(purchase), *texts):
                events[datapoint] += 1
                amounts[datapoint] += purchase.cents
        counters = {key: item for key, item in self.tables.aggregates.items() if self.is_read(key)}
        wrong = {
            key: (counters.get(key), events[key], amounts[key])
            for key in counters.keys() | events.keys()
            if key not in counters or (counters[key]["events"], counters[key]["amount"]) != (events[key], amounts[key])
        }
        if wrong:
            raise WrongError(f"as (stored, events, amount): {wrong}")

    def readable(self) -> list[_Version]:
        """Return the versions of reports of one's own that are read."""
        root = self.tables.aggregates.get(FOLD_KEY)
        found = []
        for name, number, digest, state, _ in [] if root is None else msgspec.json.decode(root["versions"]):
            if state == "readable":
                title = msgspec.json.decode(self.tables.aggregates[definition_key(digest)]["text"])["title"]
                found.append(_Version(name, number, OWN[title].counts_for))
        return found

    def is_read(self, key: str) -> bool:
        """Tell whether an item is a counter of the five, or of a version that is read."""
        if not key.startswith("|"):
            return not key.startswith(STATE_PREFIX)
        return key.count("|") > 1 and version_of(key) in {version.key for version in self.readable()}


def _event(purchase: Purchase) -> Event:
    method = oracle.METHODS.index(purchase.method)
    return Event(purchase.second, purchase.nanos, purchase.cents, method, purchase.merchant, purchase.id)


def simulate(seed: int, log: list[str] | None = None, mix: Mix = EVERYTHING) -> Scheduler:
    """Run one seed. Raises WrongError when a count is wrong at the end."""
    random = Random(seed)
    run = _Run(random, mix)
    run.scheduler.log = log
    run.traffic_for(random.randint(*mix.steps))
    for _ in range(random.choice((1, 1, 2))):
        if random.random() < mix.unseen:  # nobody looks at first: as if nothing had been restored
            run.restore(0.0)
            run.traffic_for(random.randint(1, 3))
            _accept(run)
        else:
            run.restore(random.choice(mix.skews_s))
            _accept(run)
            run.traffic_for(random.randint(1, 3))
    run.rate = 0.0
    run.alone(lambda: _send_again(run))
    run.check(sent_again=True)
    return run.scheduler


def _accept(run: _Run) -> None:
    """Do what the runbook says; all that is in the journal is right then."""

    def accept() -> None:
        store = run.store()
        try:
            store.accept_end()
        except StoreError as error:
            if not _dropped(store, error) and error.retry_after_s is None:
                raise WrongError(f"after a restore: {error}") from error
            run.alone_again = True

    run.alone_again = True
    while run.alone_again:
        run.alone_again = False
        run.alone(accept)
    run.check(sent_again=False)


def _dropped(store: DynamoDBStore, error: StoreError) -> bool:
    """Do what an error says when the definition of a report is of a later moment than the state, if it is this."""
    missing = re.match(r"the definition of (\w+) is missing .*Drop the report", str(error))
    return missing is not None and store.drop(missing[1])


def _count_all(run: _Run, store: DynamoDBStore) -> None:
    """Count all there is, reports of one's own too."""
    while True:
        try:
            store.fold()
            if not store.count_some(1.0):
                return
        except StoreError as error:
            if not _dropped(store, error):
                raise
        run.scheduler.step("counts", wait_s=1.0)


def _send_again(run: _Run) -> None:
    store = run.store()
    for purchase in list(run.sent):
        store.journal(batch_of([_event(purchase)]))
    _count_all(run, store)
    store.fold()
    found = store.audit()
    if found.differences_total:
        raise WrongError(f"the audit found {found.differences}")
