"""What every section needs: data made once, commands timed, tables printed."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parents[1]
DATA = ROOT / ".tools" / "bench"
TILLROLL = (sys.executable, "-m", "tillroll")


class Run(NamedTuple):
    """One run of a command: wall and processor seconds, and the most memory it held, in bytes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def timed(command: Sequence[str | os.PathLike[str]]) -> Run:
    """Run a command to its end; raise when it fails. Compiled modules may be kept, as where a package is installed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in {0, 3}:
            output.seek(0)
            raise RuntimeError(f"{command} exited with {process.returncode}: {output.read()[-2000:].decode()}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def events_file(events: int, *options: str, days: int = 30, merchants: int = 10_000) -> Path:
    """Return a file of generated events, made on first use."""
    DATA.mkdir(parents=True, exist_ok=True)
    name = "-".join(
        [str(events), str(days), str(merchants), *(option.strip("-").replace("=", "") for option in options)]
    )
    path = DATA / f"events-{name}.ndjson"
    if not path.exists():
        part = path.with_suffix(".part")
        command = [*TILLROLL, "generate", f"--events={events}", f"--days={days}", f"--merchants={merchants}"]
        timed([*command, "--seed=1", "--from=2026-01-01", *options, str(part)])
        part.rename(path)
    return path


def interleaved(rounds: int, **contenders: Callable[[], Run]) -> dict[str, list[Run]]:
    """Run the contenders in turn, so that a slow moment of the machine meets them all."""
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            runs[name].append(contender())
    return runs


def median_wall(runs: Sequence[Run]) -> float:
    """Return the median of the runs' wall seconds."""
    return statistics.median(run.wall_s for run in runs)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that so large a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left", header_style="")
    for index, column in enumerate(head):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)
