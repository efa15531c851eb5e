"""Bit rot, lost writes and misdirected writes in a store's files: no answer is wrong, and audit names what changed.

Run it for long: python -m tests.simulation.bit_rot --rounds 10000
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from array import array
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.batches import batch_of
from tests.oracle import REPORTS

from tillroll.core import columns
from tillroll.core.accept import Body
from tillroll.core.batch import Event, KeptColumn, NameKind, Source
from tillroll.core.definition import define
from tillroll.core.field_tally import FieldTally
from tillroll.core.outcome_counts import OutcomeCounts
from tillroll.core.outcome_tally import HTTP, OutcomeTally
from tillroll.core.query import Order, Page, Query
from tillroll.core.rejection import RejectedFilter
from tillroll.definitions import find_places, find_readable
from tillroll.errors import CountingError, QueryError, StoreError
from tillroll.ingest.take import take
from tillroll.ports import ImportHead, ImportRun, Outcome
from tillroll.stores.sqlite import head, schema
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tillroll.core.accept import Rejection
    from tillroll.core.batch import Batch

SHARED_MEMORY: Final = Path("/dev/shm") if Path("/dev/shm").is_dir() else None  # files there need no disk
_FILE: Final = schema.FILE_NAME
_NAMES: Final = (_FILE, head.FILE_NAME)
_NOON: Final = 1_322_913_600  # 2011-12-03T12:00:00Z
_NOW: Final = 1_700_000_000.0
_PAGE: Final = 8_192
_IMPORT: Final = Source(NameKind.FILE, "november.ndjson")
_DATAPOINT: Final = "2011-12-03|m5"
_ORDERS: Final[tuple[Order, ...]] = ("datapoint", "-events")
_COLLECTED: Final = 10  # rounds
_REPAIRED: Final = 7  # one round of so many
KINDS: Final = ("bit rot", "lost write", "misdirected write")
_OWN: Final = (
    {"name": "local-days", "by": ["day", "method"], "zone": "Europe/Stockholm"},
    {"name": "countries", "by": ["hour", "country"]},
    {"name": "shops", "by": ["merchant", "country", "method"]},
)
_OWN_DATAPOINTS: Final = [
    "|local-days|2011-12-03|PAY_NOW",
    "|countries|2011-12-03:12|SE",
    "|countries|2011-12-03:12|DK",
    "|shops|m0|DK|PAY_NOW",
    "|shops|m0|SE|PAY_NOW",
    "|shops|m99|IS|PAY_NOW",
]
_LATER: Final = {"name": "later", "by": ["month", "country"]}  # of which nothing is counted
_SPARED: Final = {"fields": repr(FieldTally()), "outcomes": repr(OutcomeTally())}  # begun anew where they are damaged
# What a repair goes on with as far as it is left, having told of the damage.
_ANEW: Final = {"rejected", "rejected, summed up", "rejected of a reason", "imports", "reports"}
_JOURNAL: Final = "journal"
_UNREAD: Final = "sqlite_%"  # what SQLite keeps for itself and checks


class Found(NamedTuple):
    """What became of one damage."""

    wrong: list[str]  # answers that are not right
    noticed: bool  # by audit
    changed: bool  # whether anything that is stored differs


class Figures(NamedTuple):
    """What a campaign found."""

    rounds: int
    noticed: int
    harmless: int  # in bytes that hold nothing
    failures: list[str]

    def __str__(self) -> str:
        """Return it in a line."""
        left = f"{self.noticed} noticed, {self.harmless} where nothing is stored"
        return f"{self.rounds} damages, {left}, {len(self.failures)} wrong or unnoticed"


def _events(count: int, merchants: int, start: int = 0, own: str = "") -> list[Event]:
    return [
        Event(_NOON + 977 * i, 0, i * 7919 % 60_000, i % 3, f"m{i % merchants}", own and f"{own}{i}")
        for i in range(start, start + count)
    ]


def _fill(store: SqliteStore) -> None:
    store.journal(batch_of(_events(600, 560), _IMPORT))
    store.apply([define(table) for table in _OWN])
    for number in range(3):
        store.note_import(ImportHead(f"{number}.ndjson", 1_000, hashlib.sha256(b"%d" % number).hexdigest()))
        counts = {"accepted": number, "duplicates": 2, "conflicts": 3, "rejected": 4}
        store.note_run(ImportRun(name=f"{number}", began_at=_NOW + number, noted_at=_NOW, done=number == 1, **counts))
    fields, outcomes = FieldTally(), OutcomeTally()
    fields.look(b'{"basket":{"items":3},"coupon":"no"}')
    store.note_fields(fields)
    outcomes.note(HTTP, _NOW, OutcomeCounts(5, 4, 3, 2))
    store.note_outcomes(outcomes)

    def set_aside(refused: list[list[Rejection]]) -> int:
        return store.set_aside([each for some in refused for each in some], _NOW)

    for number in range(10):
        lines = [b'{"date":"2011-12-03T10:15:30Z","amount":%d}' % amount for amount in range(5)]
        take(store, [Body(b"\n".join(lines), Source(NameKind.KEY, f"key {number}"))], _NOW, set_aside)
        store.journal(_in_countries(batch_of(_events(20, 7, 20 * number, "p")), "SE", "NO", "(absent)"))


def _in_countries(batch: Batch, *countries: str) -> Batch:
    indexes = array("I", [index % len(countries) for index in range(len(batch))])
    batch.kept["country"] = KeptColumn(indexes, *columns.join_strings(countries))
    return batch


def _count(store: SqliteStore) -> None:
    store.fold()
    while store.count_some(1.0):
        pass


def _journal_more(store: SqliteStore) -> None:
    """Journal events of the windows that are there, and of others."""
    store.journal(_in_countries(batch_of(_events(40, 7, 0, "q")), "DK", "SE"))
    store.journal(_in_countries(batch_of(_events(30, 900, 5_000, "q")), "NO", "FI"))


def _discard(store: SqliteStore) -> None:
    store.discard([each.id for each in store.rejected(limit=3)])
    store.journal(_in_countries(batch_of(_events(30, 900, 6_000, "r")), "IS", "SE"))  # not folded


def _apply_later(store: SqliteStore) -> None:
    store.apply([define(_LATER)])


class Pristine:
    """A store that is right, its files as they are and as they were some steps ago, and every answer it gives."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.earlier: list[dict[str, bytes]] = []  # by step: the content of each file
        for step in (_fill, _count, _journal_more, SqliteStore.fold, _count, _discard, _apply_later):
            with closing(self._open()) as store:
                step(store)
            self.earlier.append({name: (directory / name).read_bytes() for name in _NAMES})
        self.content = self.earlier.pop()
        with closing(self._open()) as store:
            self.answers = {name: repr(ask()) for name, ask in _questions(store).items()}
        self.rows = _rows(directory / _FILE)

    def _open(self) -> SqliteStore:
        return SqliteStore(self.directory, lambda: _NOW)


def _questions(store: SqliteStore) -> dict[str, Callable[[], object]]:
    questions: dict[str, Callable[[], object]] = {}
    for report in REPORTS:
        for order in _ORDERS[: 2 if report.opens else 1]:
            query = Query(report=report, order=order, limit=10_000)
            questions[f"{report.name} {order}"] = lambda query=query: store.page(query)  # type: ignore[misc]
    for table in _OWN:
        questions[f"{table['name']}"] = lambda name=table["name"]: _own_page(store, name)  # type: ignore[misc]
    questions["reports"] = lambda: [
        (each.report.key, each.readable, each.position, each.datapoints) for each in store.report_states()
    ]
    day = REPORTS["day-merchant"]
    one = Query(report=day, filters={"merchant": frozenset({"m5", "m550"})})
    questions["two merchants"] = lambda: store.page(one)
    questions["get"] = lambda: store.get([_DATAPOINT, "10-50|SLICE_IT", "2011-12-09:01|10-50", "2031-12-09|m3"])
    questions["get of one's own"] = lambda: (
        find_places(store, _OWN_DATAPOINTS) and store.get(_OWN_DATAPOINTS, amounts=True)
    )
    questions["merchants"] = lambda: store.merchants("m5", 100)
    questions[_JOURNAL] = lambda: [tuple(part.batch.events()) for part in store.read()]
    questions["events"] = lambda: store.status().events
    questions["rejected"] = lambda: store.rejected(after=None, limit=1_000, which=RejectedFilter())
    questions["rejected, summed up"] = store.rejected_summary
    questions["rejected of a reason"] = lambda: store.rejected(limit=1_000, which=RejectedFilter(code="missing_field"))
    questions["imports"] = lambda: [store.imports(), store.import_runs(10)]
    questions["fields"] = store.noted_fields
    questions["outcomes"] = store.noted_outcomes
    questions["explain"] = lambda: list(store.trace(_DATAPOINT))
    return questions


def _own_page(store: SqliteStore, name: str) -> Page:
    return store.page(Query(report=find_readable(store, name), limit=10_000))


def _rows(path: Path) -> Any:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE ? ORDER BY name"
        tables = [name.lower() for (name,) in connection.execute(query, (_UNREAD,))]  # SQLite minds no case either
        rows = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
        rows["state"] = connection.execute(
            "SELECT events, folded, merchants, merchants_crc, chain FROM state"
        ).fetchall()
        return rows


def damage(pristine: Pristine, kind: str, chance: random.Random, directory: Path) -> str:
    """Damage a copy in a directory; return what was done."""
    name = chance.choices(_NAMES, (50, 1))[0]
    content = bytearray(pristine.content[name])
    pages = len(content) // _PAGE
    if kind == "bit rot" or not pages:
        at = chance.randrange(len(content))
        content[at] ^= 1 << chance.randrange(8)
        done = f"a bit of byte {at} of {name}"
    elif kind == "lost write":
        step = chance.randrange(len(pristine.earlier))
        before = pristine.earlier[step][name]
        changed = [page for page in range(len(before) // _PAGE) if _page(before, page) != _page(content, page)]
        page = chance.choice(changed)
        content[page * _PAGE : (page + 1) * _PAGE] = _page(before, page)
        done = f"page {page} of {name} as it was after step {step}"
    else:
        return move(pristine, directory, name, *chance.sample(range(pages), 2))
    (directory / name).write_bytes(content)
    return done


def move(pristine: Pristine, directory: Path, name: str, source: int, target: int) -> str:
    """Write a page of a file where another belongs; return what was done."""
    content = bytearray(pristine.content[name])
    content[target * _PAGE : (target + 1) * _PAGE] = _page(content, source)
    (directory / name).write_bytes(content)
    return f"page {source} written at {target} of {name}"


def _page(content: bytes | bytearray, page: int) -> bytes | bytearray:
    return content[page * _PAGE : (page + 1) * _PAGE]


def judge(pristine: Pristine, directory: Path, *, repair: bool = False) -> Found:
    """Ask a damaged store everything, audit it, and send it repeats; or repair it, and ask it once more."""
    wrong: list[str] = []
    try:
        changed = _rows(directory / _FILE) != pristine.rows
    except (sqlite3.Error, UnicodeError, OverflowError):
        changed = True
    try:
        store = SqliteStore(directory, lambda: _NOW)
    except StoreError:
        return Found(wrong, noticed=True, changed=True)
    try:
        refused = _ask(pristine, store, wrong)
        changed = changed or bool(refused)
        try:
            noticed = bool(store.audit().differences_total)
        except StoreError:
            noticed = True
        if noticed and repair:
            with suppress(StoreError):
                store.audit(repair=True)
            if _JOURNAL in _ask(pristine, store, wrong, repaired=True) - refused:
                wrong.append("the repair lost the journal")
        if not noticed:
            wrong += _repeats(store)
    finally:
        store.close()
    return Found(wrong, noticed, changed)


def _ask(pristine: Pristine, store: SqliteStore, wrong: list[str], *, repaired: bool = False) -> set[str]:
    """Ask everything, and add to what is wrong; return what was refused."""
    refused: set[str] = set()
    for name, ask in _questions(store).items():
        if repaired and name in _ANEW:
            continue
        try:
            answer = repr(ask())
        except StoreError:
            refused.add(name)
        except (CountingError, QueryError):  # a repair may have reports counted again, or go on without them
            if not repaired:
                wrong.append(name)
        else:
            if answer not in {pristine.answers[name], _SPARED.get(name)}:
                wrong.append(name)
    return refused


def _repeats(store: SqliteStore) -> list[str]:
    """Return which batches that are journaled are not known when they come again."""
    again = {"import": batch_of(_events(600, 560), _IMPORT), "ids": batch_of(_events(200, 7, 0, "p"))}
    wrong = []
    for name, batch in again.items():
        try:
            if set(store.journal(batch)) != {Outcome.DUPLICATE}:
                wrong.append(f"repeats of {name}")
        except StoreError:
            wrong.append(f"repeats of {name} fail, and audit passed")
    return wrong


def campaign(rounds: int, seed: int) -> Figures:
    """Damage a store so many times, each time from anew."""
    noticed = harmless = 0
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="tillroll-rot-", dir=SHARED_MEMORY) as name:
        pristine = Pristine(Path(name) / "pristine")
        directory = Path(name) / "damaged"
        for number in range(rounds):
            chance = random.Random(f"{seed} {number}")
            kind = KINDS[0] if number % 10 < 8 else KINDS[number % 10 - 7]
            if number % _COLLECTED == 0:
                gc.collect()  # an error holds what read the file, and that the file
            shutil.rmtree(directory, ignore_errors=True)
            shutil.copytree(pristine.directory, directory)
            done = damage(pristine, kind, chance, directory)
            try:
                found = judge(pristine, directory, repair=number % _REPAIRED == 0)
            except Exception as error:  # noqa: BLE001 whatever it is, it is no answer with a remedy
                failures.append(f"seed {seed}, round {number}: {done}: {error!r}")
                continue
            if found.wrong or (found.changed and not found.noticed):
                told = "wrong: " + ", ".join(found.wrong) if found.wrong else "unnoticed by audit"
                failures.append(f"seed {seed}, round {number}: {done}: {told}")
            noticed += found.noticed
            harmless += not found.noticed and not found.changed
    return Figures(rounds, noticed, harmless, failures)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    started = time.monotonic()
    workers = os.cpu_count() or 1
    share = -(-options.rounds // workers)
    with ProcessPoolExecutor(workers) as pool:
        parts = list(pool.map(campaign, [share] * workers, range(options.seed, options.seed + workers)))
    failures = [failure for part in parts for failure in part.failures]
    total = Figures(
        sum(p.rounds for p in parts), sum(p.noticed for p in parts), sum(p.harmless for p in parts), failures
    )
    print("\n".join([*failures[:50], f"{total}, in {time.monotonic() - started:.0f} s"]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
