"""Progress of what counts events, for whoever watches on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tillroll import ports
from tillroll.cli.output import messages


@contextmanager
def event_progress(what: str) -> Iterator[ports.Progress | None]:
    """Show the progress of something that counts events, on a terminal; elsewhere yield None."""
    shown = messages()
    if not shown.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} events"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=shown, transient=True) as progress:
        task = progress.add_task(what, total=1)

        def update(done: int, of: int) -> None:
            progress.update(task, completed=done, total=max(of, 1))

        yield update
