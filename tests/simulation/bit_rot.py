"""Bit rot, lost writes and misdirected writes in a store's files: no answer is wrong, and audit names what changed.

Run it for long: python -m tests.simulation.bit_rot --rounds 10000
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.batches import batch_of
from tests.oracle import REPORTS

from tillroll.core.accept import Body
from tillroll.core.batch import Event, NameKind, Source
from tillroll.core.query import Order, Query
from tillroll.core.rejection import RejectedFilter
from tillroll.errors import StoreError
from tillroll.ingest.take import take
from tillroll.ports import Outcome
from tillroll.stores.sqlite import head, schema
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tillroll.core.accept import Rejection

_SHARED_MEMORY: Final = Path("/dev/shm")
_ROOT: Final = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
_FILE: Final = schema.FILE_NAME
_NAMES: Final = (_FILE, head.FILE_NAME)
_NOON: Final = 1_322_913_600  # 2011-12-03T12:00:00Z
_NOW: Final = 1_700_000_000.0
_PAGE: Final = 8_192
_IMPORT: Final = Source(NameKind.FILE, "november.ndjson")
_DATAPOINT: Final = "2011-12-03|m5"
_ORDERS: Final[tuple[Order, ...]] = ("datapoint", "-events")
KINDS: Final = ("bit rot", "lost write", "misdirected write")
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
    store.journal(batch_of(_events(1_300, 1_100), _IMPORT))

    def set_aside(refused: list[list[Rejection]]) -> int:
        return store.set_aside([each for some in refused for each in some], _NOW)

    for number in range(10):
        lines = [b'{"date":"2011-12-03T10:15:30Z","amount":%d}' % amount for amount in range(5)]
        take(store, [Body(b"\n".join(lines), Source(NameKind.KEY, f"key {number}"))], _NOW, set_aside)
        store.journal(batch_of(_events(20, 7, 20 * number, "p")))


class Pristine:
    """A store that is right, its files as they are and as they were some commits ago, and every answer it gives."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "now"
        self.before = directory / "before"
        store = SqliteStore(self.directory, lambda: _NOW)
        _fill(store)
        store.fold()
        store.close()
        shutil.copytree(self.directory, self.before)
        store = SqliteStore(self.directory, lambda: _NOW)
        store.journal(batch_of(_events(30, 900, 5_000, "q")))
        store.fold()
        store.journal(batch_of(_events(30, 900, 6_000, "r")))  # not folded
        store.close()
        self.answers = {name: repr(ask()) for name, ask in _questions(self._open()).items()}
        self.rows = _rows(self.directory / _FILE)

    def _open(self) -> SqliteStore:
        return SqliteStore(self.directory, lambda: _NOW)


def _questions(store: SqliteStore) -> dict[str, Callable[[], object]]:
    questions: dict[str, Callable[[], object]] = {}
    for report in REPORTS:
        for order in _ORDERS:
            query = Query(report=report, order=order, limit=10_000)
            questions[f"{report.name} {order}"] = lambda query=query: store.page(query)  # type: ignore[misc]
    day = REPORTS["day-merchant"]
    one = Query(report=day, filters={"merchant": frozenset({"m5", "m1050"})})
    questions["two merchants"] = lambda: store.page(one)
    questions["get"] = lambda: store.get([_DATAPOINT, "10-50|SLICE_IT", "2011-12-09:01|10-50", "2031-12-09|m3"])
    questions["merchants"] = lambda: store.merchants("m10", 100)
    questions["events"] = lambda: store.status().events
    questions["rejected"] = lambda: store.rejected(after=None, limit=1_000, which=RejectedFilter())
    questions["explain"] = lambda: list(store.trace(_DATAPOINT))
    return questions


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
    content = bytearray((pristine.directory / name).read_bytes())
    pages = len(content) // _PAGE
    if kind == "bit rot" or not pages:
        at = chance.randrange(len(content))
        content[at] ^= 1 << chance.randrange(8)
        done = f"a bit of byte {at} of {name}"
    elif kind == "lost write":
        before = (pristine.before / name).read_bytes()
        changed = [
            page
            for page in range(len(before) // _PAGE)
            if before[page * _PAGE : (page + 1) * _PAGE] != content[page * _PAGE : (page + 1) * _PAGE]
        ]
        page = chance.choice(changed)
        content[page * _PAGE : (page + 1) * _PAGE] = before[page * _PAGE : (page + 1) * _PAGE]
        done = f"page {page} of {name} as it was"
    else:
        source, target = chance.sample(range(pages), 2)
        content[target * _PAGE : (target + 1) * _PAGE] = content[source * _PAGE : (source + 1) * _PAGE]
        done = f"page {source} written at {target} of {name}"
    (directory / name).write_bytes(content)
    return done


def judge(pristine: Pristine, directory: Path) -> Found:
    """Ask a damaged store everything, audit it, and send it repeats."""
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
        for name, ask in _questions(store).items():
            try:
                answer = repr(ask())
            except StoreError:
                changed = True
                continue
            if answer != pristine.answers[name]:
                wrong.append(name)
        try:
            noticed = bool(store.audit().differences_total)
        except StoreError:
            noticed = True
        if not noticed:
            wrong += _repeats(store)
    finally:
        store.close()
    return Found(wrong, noticed, changed)


def _repeats(store: SqliteStore) -> list[str]:
    """Return which batches that are journaled are not known when they come again."""
    again = {"import": batch_of(_events(1_300, 1_100), _IMPORT), "ids": batch_of(_events(200, 7, 0, "p"))}
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
    with tempfile.TemporaryDirectory(prefix="tillroll-rot-", dir=_ROOT) as name:
        pristine = Pristine(Path(name) / "pristine")
        directory = Path(name) / "damaged"
        for number in range(rounds):
            chance = random.Random(f"{seed} {number}")
            kind = KINDS[0] if number % 10 < 8 else KINDS[number % 10 - 7]
            shutil.rmtree(directory, ignore_errors=True)
            shutil.copytree(pristine.directory, directory)
            done = damage(pristine, kind, chance, directory)
            try:
                found = judge(pristine, directory)
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
