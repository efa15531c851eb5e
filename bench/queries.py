"""Questions to a store of ten million datapoints."""

from __future__ import annotations

import os
import random
import tempfile
import time
from array import array
from pathlib import Path

from bench.measure import ROOT, percentile, show

from tillroll.core.batch import UNNAMED, Batch, Run
from tillroll.core.query import Query
from tillroll.core.report import FIVE, Report, Reports
from tillroll.stores.sqlite.store import SqliteStore

FIRST_DAY = 20_454  # 2026-01-01
DAYS = 400
SIZES = (100_000, 1_000_000, 10_000_000, 100_000_000)
ASKED = 200


def fill(store: SqliteStore, datapoints: int) -> int:
    """Journal one event for each day and merchant; return how many merchants there are."""
    merchants = datapoints // DAYS
    names = [f"merchant-{number:06}" for number in range(merchants)]
    for day in range(FIRST_DAY, FIRST_DAY + DAYS):
        batch = Batch()
        batch.seconds = array("q", [day * 86_400 + number % 86_400 for number in range(merchants)])
        batch.nanos = array("I", bytes(4 * merchants))
        batch.amounts = array("q", [number * 7919 % 60_000 for number in range(merchants)])
        batch.methods = array("B", [number % 3 for number in range(merchants)])
        batch.merchants = array("I", range(merchants))
        batch.merchant_names = names
        batch.positions = array("Q", range(merchants))
        batch.runs = [Run(UNNAMED, merchants)]
        store.journal(batch)
    store.fold()
    return merchants


def run() -> None:
    """Print p50 and p99 of each kind of question, for stores of growing size."""
    sizes = [int(text) for text in os.environ.get("BENCH_DATAPOINTS", "").split(",") if text] or SIZES
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=ROOT / ".tools") as directory:
            store = SqliteStore(Path(directory))
            merchants = fill(store, size)
            stored = sum(file.stat().st_size for file in Path(directory).iterdir())
            _ask(store, size, merchants, stored)
            store.close()


def _ask(store: SqliteStore, size: int, merchants: int, stored: int) -> None:
    source = random.Random(1)
    reports = Reports(FIVE)
    by_day, by_hour = reports["day-merchant"], reports["hour-bracket-method"]
    by_merchant = reports["merchant-method"]

    def day() -> int:
        return FIRST_DAY + source.randrange(DAYS)

    def merchant() -> frozenset[str]:
        return frozenset({f"merchant-{source.randrange(merchants):06}"})

    def span() -> Query:
        first = day()
        return Query(report=by_day, start=first, stop=first + 1)

    questions = {
        "a day of day-merchant, first 1,000": span,
        "a day of hour-bracket-method": lambda: _hours(by_hour, day()),
        "a merchant's 400 days": lambda: Query(report=by_day, filters={"merchant": merchant()}),
        "a merchant's methods": lambda: Query(report=by_merchant, filters={"merchant": merchant()}),
        "30 days, top 10 merchants": lambda: _top(by_day, day()),
        "400 days, totals by day": lambda: Query(report=by_day, by=("day",)),
        "merchant-method, a page at random": lambda: _page(by_merchant, source.randrange(merchants)),
    }
    rows = []
    for name, question in questions.items():
        times = []
        deadline = time.perf_counter() + 20
        while len(times) < ASKED and time.perf_counter() < deadline:
            query = question()
            started = time.perf_counter()
            store.page(query)
            times.append((time.perf_counter() - started) * 1e3)
        rows.append((name, f"{percentile(times, 0.5):.2f} ms", f"{percentile(times, 0.99):.2f} ms", str(len(times))))
    started = time.perf_counter()
    points = [
        f"2026-0{month}-1{digit}|merchant-{source.randrange(merchants):06}"
        for month in range(1, 10)
        for digit in range(10)
    ]
    store.get(points)
    each = (time.perf_counter() - started) / len(points) * 1e3
    rows.append(("one aggregate by its datapoint", f"{each:.3f} ms", "", str(len(points))))
    title = f"{size:,} datapoints of day-merchant, {stored / 2**20:.0f} MiB with their journal"
    show(title, ("", "p50", "p99", "asked"), rows)


def _hours(report: Report, day: int) -> Query:
    return Query(report=report, start=day * 24, stop=day * 24 + 24)


def _top(report: Report, day: int) -> Query:
    return Query(report=report, start=day, stop=day + 30, by=("merchant",), order="-events", limit=10)


def _page(report: Report, number: int) -> Query:
    return Query(report=report, after=f"merchant-{number:06}|", totals=False)
