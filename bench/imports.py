"""Import of a file into the durable journal and five reports, beside engines that only compute them in memory."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from bench.measure import ROOT, TILLROLL, Run, events_file, interleaved, median_wall, show, timed

COMPARED = ((3_000_000, 5), (30_000_000, 3))  # events, and rounds
GROWTH = (100_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000)
ENGINES = ("duckdb", "polars", "chdb")


def import_once(path: Path, *options: str) -> Run:
    """Import a file into a store of its own, which is removed afterwards."""
    directory = tempfile.mkdtemp(prefix="tillroll-bench-", dir=ROOT / ".tools")
    try:
        return timed([*TILLROLL, "import", "--data", directory, *options, str(path)])
    finally:
        shutil.rmtree(directory)


def engine_once(engine: str, path: Path) -> Run:
    """Compute the five reports of a file with an engine, from a fresh process."""
    return timed([sys.executable, "-m", "bench.engines", engine, str(path)])


def run() -> None:
    """Print the comparison, the growth, and audit and rebuild."""
    limit = int(os.environ.get("BENCH_EVENTS", COMPARED[-1][0]))
    for events, rounds in COMPARED:
        if events <= limit:
            _compare(events, rounds)
    _growth(limit)
    _proofs(events_file(COMPARED[0][0]), COMPARED[0][0])


def _compare(events: int, rounds: int) -> None:
    path = events_file(events)
    read_through(path)  # everyone reads from the page cache
    contenders = {engine: (lambda engine=engine: engine_once(engine, path)) for engine in ENGINES}
    runs = interleaved(rounds, tillroll=lambda: import_once(path), **contenders)
    ratios = [
        min(runs[engine][turn].wall_s for engine in ENGINES) / runs["tillroll"][turn].wall_s for turn in range(rounds)
    ]
    size = path.stat().st_size
    rows = []
    for name, its in runs.items():
        wall = median_wall(its)
        rows.append(
            (
                name,
                f"{wall:.2f} s",
                f"{statistics.median(one.cpu_s for one in its):.2f} s",
                f"{events / wall / 1e6:.2f} M/s",
                f"{size / wall / 1e6:.0f} MB/s",
                f"{max(one.peak_bytes for one in its) / 2**20:,.0f} MiB",
            )
        )
    title = (
        f"{events:,} events, {size / 1e6:,.0f} MB, median of {rounds}: durable import beside computing in memory. "
        f"Against the fastest of the others, round by round: {min(ratios):.1f} to {max(ratios):.1f} times as fast, "
        f"median {statistics.median(ratios):.1f}"
    )
    show(title, ("", "wall", "processor", "events", "bytes", "peak memory"), rows)


def read_through(path: Path) -> None:
    """Read a file, so that it is in the page cache."""
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def _growth(limit: int) -> None:
    rows = []
    for events in GROWTH:
        if events > limit:
            continue
        path = events_file(events)
        read_through(path)
        its = [import_once(path) for _ in range(3)]
        wall = median_wall(its)
        peak = max(one.peak_bytes for one in its)
        per_event = f"{wall / events * 1e9:.0f} ns"
        rows.append((f"{events:,}", f"{wall:.2f} s", per_event, f"{peak / 2**20:.0f} MiB"))
    show("growth of import, start of the process included", ("events", "wall", "an event", "peak memory"), rows)


def _proofs(path: Path, events: int) -> None:
    directory = tempfile.mkdtemp(prefix="tillroll-bench-", dir=ROOT / ".tools")
    try:
        rows, walls = [], {}
        for name in ("import", "audit", "rebuild"):
            command = [*TILLROLL, name, "--data", directory, *([str(path)] if name == "import" else [])]
            one = timed(command)
            walls[name] = one.wall_s
            speed = f"{events / one.wall_s / 1e6:.2f} M/s"
            rows.append((name, f"{one.wall_s:.2f} s", speed, f"{one.peak_bytes / 2**20:.0f} MiB"))
        size = sum(file.stat().st_size for file in Path(directory).iterdir())
        title = (
            f"{events:,} events, {size / events:.1f} bytes of store an event; "
            f"audit takes {walls['audit'] / walls['rebuild']:.1f} times what counting again by the fold does"
        )
        show(title, ("", "wall", "events", "peak memory"), rows)
    finally:
        shutil.rmtree(directory)
