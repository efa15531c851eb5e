"""Import of a file into the durable journal and five reports, beside engines that only compute them in memory."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from bench.measure import ROOT, TILLROLL, Run, events_file, interleaved, median_wall, show, timed

ROUNDS = 5
EVENTS = 3_000_000
GROWTH = (100_000, 1_000_000, 10_000_000)
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
    events = int(os.environ.get("BENCH_EVENTS", EVENTS))
    path = events_file(events)
    path.read_bytes()  # everyone reads from the page cache
    contenders = {engine: (lambda engine=engine: engine_once(engine, path)) for engine in ENGINES}
    runs = interleaved(ROUNDS, tillroll=lambda: import_once(path), **contenders)
    fastest = min(median_wall(runs[engine]) for engine in ENGINES)
    size = path.stat().st_size
    rows = []
    for name, its in runs.items():
        wall = median_wall(its)
        peak = max(one.peak_bytes for one in its)
        rows.append(
            (
                name,
                f"{wall:.2f} s",
                f"{events / wall / 1e6:.2f} M/s",
                f"{size / wall / 1e6:.0f} MB/s",
                f"{peak / 2**20:.0f} MiB",
                f"{fastest / wall:.1f} x",
            )
        )
    title = f"{events:,} events, {size / 1e6:.0f} MB, median of {ROUNDS}: durable import beside computing in memory"
    show(title, ("", "wall", "events", "bytes", "peak memory", "of the fastest engine"), rows)
    _growth()
    _proofs(path, events)


def _growth() -> None:
    rows = []
    for events in GROWTH:
        path = events_file(events)
        path.read_bytes()
        its = [import_once(path) for _ in range(3)]
        wall = median_wall(its)
        peak = max(one.peak_bytes for one in its)
        per_event = f"{wall / events * 1e9:.0f} ns"
        rows.append((f"{events:,}", f"{wall:.2f} s", per_event, f"{peak / 2**20:.0f} MiB"))
    show("growth of import, start of the process included", ("events", "wall", "an event", "peak memory"), rows)


def _proofs(path: Path, events: int) -> None:
    directory = tempfile.mkdtemp(prefix="tillroll-bench-", dir=ROOT / ".tools")
    try:
        rows = []
        for name in ("import", "audit", "rebuild"):
            command = [*TILLROLL, name, "--data", directory, *([str(path)] if name == "import" else [])]
            one = timed(command)
            speed = f"{events / one.wall_s / 1e6:.2f} M/s"
            rows.append((name, f"{one.wall_s:.2f} s", speed, f"{one.peak_bytes / 2**20:.0f} MiB"))
        size = sum(file.stat().st_size for file in Path(directory).iterdir())
        title = f"{events:,} events, {size / events:.1f} bytes of store an event"
        show(title, ("", "wall", "events", "peak memory"), rows)
    finally:
        shutil.rmtree(directory)
