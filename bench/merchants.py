"""A million merchants: memory, pages and posts beside them, in one process with eight readers."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from array import array
from pathlib import Path

from bench.measure import ROOT, percentile, show

from tillroll.core.batch import UNNAMED, Batch, Run
from tillroll.core.query import Query
from tillroll.core.report import FIVE, Reports
from tillroll.stores.sqlite.store import SqliteStore

FIRST_DAY = 20_454  # 2026-01-01
DAYS = 7
EVENTS_EACH = 3
BATCH = 250_000
READERS = 8
READ_S = 15.0


def run() -> None:
    """Print what a million merchants take. In a process of its own, whose memory is nothing else's."""
    subprocess.run([sys.executable, "-c", "import bench.merchants as its; its.measure()"], check=True)


def memory() -> int:
    """Return the bytes of its own that this process holds now; files that are mapped are the kernel's to take back."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024


def fill(store: SqliteStore, merchants: int) -> None:
    """Journal the purchases of so many merchants."""
    source = random.Random(1)
    names = [str(uuid.UUID(int=source.getrandbits(128))) for _ in range(merchants)]
    for start in range(0, merchants * EVENTS_EACH, BATCH):
        batch = Batch()
        numbers = [source.randrange(merchants) if at >= merchants else at for at in range(start, start + BATCH)]
        batch.seconds = array("q", [FIRST_DAY * 86_400 + source.randrange(DAYS * 86_400) for _ in numbers])
        batch.nanos = array("I", bytes(4 * BATCH))
        batch.amounts = array("q", [source.randrange(60_000) for _ in numbers])
        batch.methods = array("B", [source.randrange(3) for _ in numbers])
        batch.merchants = array("I", range(BATCH))
        batch.merchant_names = [names[number] for number in numbers]
        distinct = dict.fromkeys(batch.merchant_names)
        places = dict(zip(distinct, range(len(distinct)), strict=True))
        batch.merchants = array("I", [places[name] for name in batch.merchant_names])
        batch.merchant_names = list(distinct)
        batch.positions = array("Q", range(BATCH))
        batch.runs = [Run(UNNAMED, BATCH)]
        store.journal(batch)
    store.fold()


def one(source: random.Random) -> Batch:
    """Return a batch of one purchase by one of ten merchants."""
    batch = Batch()
    batch.seconds, batch.nanos = array("q", [FIRST_DAY * 86_400]), array("I", [0])
    batch.amounts, batch.methods, batch.merchants = array("q", [1_000]), array("B", [1]), array("I", [0])
    batch.merchant_names = [f"shop-{source.randrange(10)}"]
    batch.positions, batch.runs = array("Q", [0]), [Run(UNNAMED, 1)]
    return batch


def questions() -> dict[str, object]:
    """Return what is asked, by what it is called."""
    reports = Reports(FIVE)
    by_day, by_method = reports["day-merchant"], reports["merchant-method"]
    return {
        "merchant-method, the busiest 100": Query(report=by_method, order="-events", limit=100),
        "merchant-method, 1,000 from the middle": Query(report=by_method, after="80", totals=False),
        "the busiest 100 merchants of a week": Query(report=by_day, by=("merchant",), order="-events", limit=100),
        "day-merchant of a week, the busiest 100": Query(report=by_day, order="-events", limit=100),
        "a day of day-merchant, 1,000 and totals": Query(report=by_day, start=FIRST_DAY, stop=FIRST_DAY + 1),
        "merchant-method of one method": Query(report=by_method, filters={"method": frozenset({"PAY_NOW"})}),
        "totals by day": Query(report=by_day, by=("day",)),
        "a search": "c0ffee",
    }


def seconds_of(store: SqliteStore, question: object) -> float:
    """Return how long an answer took, in milliseconds."""
    started = time.perf_counter()
    if isinstance(question, Query):
        store.page(question)
    else:
        store.merchants(str(question), 20)
    return (time.perf_counter() - started) * 1e3


def measure(merchants: int = 1_000_000) -> None:
    """Fill a store and ask it."""
    with tempfile.TemporaryDirectory(dir=ROOT / ".tools") as directory:
        store = SqliteStore(Path(directory))
        started = time.perf_counter()
        fill(store, merchants)
        filled = time.perf_counter() - started
        store.close()
        _ask_all(SqliteStore(Path(directory)), merchants, filled)


def _ask_all(store: SqliteStore, merchants: int, filled: float) -> None:
    opened = memory()
    rows = []
    for name, question in questions().items():
        first, times = seconds_of(store, question), sorted(seconds_of(store, question) for _ in range(9))
        rows.append((name, f"{first:.0f} ms", f"{times[4]:.1f} ms", f"{times[-1]:.1f} ms"))
    show(f"{merchants:,} merchants, {merchants * EVENTS_EACH:,} events", ("", "first", "median", "worst of 9"), rows)
    alone = memory()
    quiet = posts(store, 5.0)
    stop = threading.Event()
    readers = [threading.Thread(target=_read, args=(store, seed, stop)) for seed in range(READERS)]
    for reader in readers:
        reader.start()
    beside = posts(store, READ_S)
    busy = memory()
    stop.set()
    for reader in readers:
        reader.join()
    store.close()
    rows = [
        ("a post alone, p50, p99, worst", *(f"{percentile(quiet, share):.1f} ms" for share in (0.5, 0.99, 1))),
        (f"a post beside {READERS} readers", *(f"{percentile(beside, share):.1f} ms" for share in (0.5, 0.99, 1))),
        ("MiB opened, after one reader, with all", *(f"{held / 2**20:.0f}" for held in (opened, alone, busy))),
    ]
    show(f"Filled in {filled:.1f} s", ("", "", "", ""), rows)


def _read(store: SqliteStore, seed: int, stop: threading.Event) -> None:
    source = random.Random(seed)
    asked = list(questions().values())
    while not stop.is_set():
        seconds_of(store, source.choice(asked))


def posts(store: SqliteStore, seconds: float) -> list[float]:
    """Return how long each of some posts took, in milliseconds."""
    source, times = random.Random(2), []
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        started = time.perf_counter()
        store.journal(one(source))
        times.append((time.perf_counter() - started) * 1e3)
        time.sleep(0.005)
    return times
