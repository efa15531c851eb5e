"""Progress of long work, for whoever watches on a terminal."""
# ruff: noqa: PLC0415 rich is only imported where it draws

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tillroll.cli.output import messages
from tillroll.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, ProgressColumn

    from tillroll import ports
    from tillroll.ingest.files import Tally


def _drawn(*columns: ProgressColumn) -> Progress:
    """Return a bar with what it is of before it, and columns and the time left behind it."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    what = TextColumn("{task.description}", markup=False)
    around = (what, BarColumn(), TaskProgressColumn(), *columns, TimeRemainingColumn())
    return Progress(*around, console=messages(), transient=True)


@contextmanager
def event_progress(what: str, unit: str = "events") -> Iterator[ports.Progress | None]:
    """Show the progress of something that counts events, or pages, on a terminal; elsewhere yield None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import TextColumn

    with _drawn(TextColumn(f"{{task.completed:,.0f}} of {{task.total:,.0f}} {unit}")) as progress:
        task = progress.add_task(what, total=1)

        def update(done: int, of: int) -> None:
            progress.update(task, completed=done, total=max(of, 1))

        yield update


@contextmanager
def import_progress(file: str, raw: BinaryIO | None) -> Iterator[Callable[[Tally], None] | None]:
    """Show how much of a file is imported, at what rate, and the time left; on a terminal, elsewhere yield None.

    `raw` is the file itself; None where nobody knows how long it is.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import DownloadColumn, TextColumn

    size = None if raw is None else os.fstat(raw.fileno()).st_size
    with _drawn(DownloadColumn(), TextColumn("{task.fields[rate]}")) as progress:
        task = progress.add_task(visible(Path(file).name), total=size, rate="")
        started = time.monotonic()

        def on_commit(tally: Tally) -> None:
            rate = tally.counts.events / max(time.monotonic() - started, 1e-9)
            read = 0 if raw is None else raw.tell()
            progress.update(task, completed=read, rate=f"{rate:,.0f} events/s")

        yield on_commit
