"""Data out: the journal as NDJSON, CSV and Parquet beside importing it; and what kept fields cost."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.imports import read_through
from bench.measure import ROOT, TILLROLL, Run, events_file, interleaved, median_wall, show, timed

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENTS = min(int(os.environ.get("BENCH_EVENTS", "3_000_000")), 3_000_000)
ROUNDS = 3
KEPT = ("country", "currency", "channel")
VALUES = {"country": ("SE", "NO", "DE", "FI", "NL"), "currency": ("EUR", "SEK", "NOK"), "channel": ("web", "app")}
FORMATS = {"ndjson": "journal.ndjson", "csv": "journal.csv", "parquet": "journal.parquet"}


def run() -> None:
    """Print what kept fields cost an import and the store, and how fast a journal comes out."""
    bare, fields = events_file(EVENTS), _with_fields(events_file(EVENTS))
    keeps = {"no field": (), "2 fields": KEPT[:2], "3 fields": KEPT}
    with tempfile.TemporaryDirectory(prefix="tillroll-bench-", dir=ROOT / ".tools") as directory:
        for path in (bare, fields):
            read_through(path)
        _kept(bare, fields, keeps, Path(directory))
        _out(Path(directory))


def _with_fields(path: Path) -> Path:
    """Return the same events with three more fields of few values, made on first use."""
    made = path.with_name(f"fields-{path.name}")
    if not made.exists():
        part = made.with_suffix(".part")
        with path.open("rb") as lines, part.open("wb") as out:
            for number, line in enumerate(lines):
                more = {name: values[number * 7919 % 31 % len(values)] for name, values in VALUES.items()}
                out.write(line.rstrip()[:-1] + b"," + json.dumps(more, separators=(",", ":")).encode()[1:] + b"\n")
        part.rename(made)
    return made


def _import(path: Path, keep: Sequence[str], directory: Path) -> Run:
    shutil.rmtree(directory, ignore_errors=True)
    return timed([*TILLROLL, "import", "--data", str(directory), _keep(keep), str(path)])


def _keep(fields: Sequence[str]) -> str:
    return f"--keep={','.join(fields)}"


def _kept(bare: Path, fields: Path, keeps: dict[str, tuple[str, ...]], room: Path) -> None:
    contenders = {"canonical": lambda: _import(bare, (), room / "canonical")}
    for name, keep in keeps.items():
        contenders[f"7 fields, keeping {name}"] = lambda keep=keep, name=name: _import(fields, keep, room / name)
    runs = interleaved(ROUNDS, **contenders)
    its = median_wall(runs["canonical"])
    rows = [
        (name, f"{median_wall(of):.2f} s", _cpu(of), f"{median_wall(of) / its:.2f}", _bytes(room / _directory(name)))
        for name, of in runs.items()
    ]
    show(f"import of {EVENTS:,} events", ("lines", "wall", "processor", "ratio", "bytes an event"), rows)


def _directory(name: str) -> str:
    return name.rpartition("keeping ")[2]


def _cpu(runs: Sequence[Run]) -> str:
    return f"{statistics.median(one.cpu_s for one in runs):.2f} s"


def _bytes(store: Path) -> str:
    return f"{(store / 'tillroll.db').stat().st_size / EVENTS:.2f}"


def _out(room: Path) -> None:
    store = room / "3 fields"
    contenders = {
        each: lambda each=each, name=name: timed(
            [*TILLROLL, "events", "--data", str(store), "--format", each, _keep(KEPT), str(room / name)]
        )
        for each, name in FORMATS.items()
    }
    contenders["import of its own NDJSON"] = lambda: _import(room / FORMATS["ndjson"], KEPT, room / "again")
    rows = [
        (
            name,
            f"{median_wall(of):.2f} s",
            _cpu(of),
            f"{EVENTS / median_wall(of) / 1e6:.2f} M/s",
            f"{max(one.peak_bytes for one in of) / 2**20:,.0f} MiB",
        )
        for name, of in interleaved(ROUNDS, **contenders).items()
    ]
    show(f"{EVENTS:,} events out, with 3 kept fields", ("", "wall", "processor", "events", "peak memory"), rows)
