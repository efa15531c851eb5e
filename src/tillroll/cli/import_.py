"""`tillroll import`: take events from files or from standard input."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from tillroll import config
from tillroll.cli.options import EventsKeep, Json, LocalOptions, opened
from tillroll.cli.output import explained, write_json
from tillroll.cli.progress import import_progress
from tillroll.core import kernel
from tillroll.core.batch import NameKind, Source
from tillroll.core.kept import Keep
from tillroll.core.text import visible
from tillroll.errors import ConfigError
from tillroll.ingest.by_date import Pace
from tillroll.ingest.field_watch import FieldWatch
from tillroll.ingest.files import Input, InputError, Listed, Tally, import_events, read_ahead
from tillroll.ingest.imports import Imports, RunLog, name_of
from tillroll.ingest.take import CONFLICT
from tillroll.ports import ImportList, Store


class FileFormat(StrEnum):
    """What a file of events may be."""

    JSON = "json"
    CSV = "csv"


_REJECTED_CODE = 3
_STDIN = "-"


def run(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Files of JSON or CSV, plain, gzip or zstd; - reads standard input."),
    ],
    *,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="Name of this import, for a single file; by default the file's path."
        ),
    ] = None,
    file_format: Annotated[
        FileFormat | None,
        typer.Option("--format", help="Format of the files; by default detected from their beginning."),
    ] = None,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway",
            help="Import even if name and content do not match an earlier import, or the file seems to have no events.",
        ),
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="EVENTS", min=1, help="Maximum events a second; unlimited by default."),
    ] = None,
    events_keep: EventsKeep = None,
    where: LocalOptions,
    json: Json = False,
) -> int:
    """Import events from files, or from standard input: JSON lines, a JSON array, or CSV with a header.

    An import has a name. The name and a line's number identify an event that has no id of its own.
    Run again, or after a kill, it continues where it was and counts nothing twice. Events that are not accepted are
    kept: see `tillroll rejected`. Then the exit code is 3. A file without an event at its beginning is refused.
    """
    if name is not None and len(files) > 1:
        raise ConfigError("--name", f"one name cannot be that of {len(files)} files", "Import them one by one")
    if name is not None and not (name and name.isprintable()):
        raise ConfigError("--name", f"{name!r} is not a valid name", "Give printable characters, such as 2026-11")
    kernel.keep_memory()
    started = time.monotonic()
    tallies = {}
    settings = config.load(where._asdict() | {"events_keep": events_keep}).settings
    fields = FieldWatch(Keep(settings.events_keep))
    pace = None if rate is None else Pace(rate)
    with ExitStack() as stack:
        store = cache(lambda: stack.enter_context(opened(settings, make=True)))
        for file in files:
            tallies[file] = _import_file(store, file, name, file_format, fields, pace, anyway=anyway, quiet=json)
            if not json:
                _print_tally(file, tallies[file])
    seconds = time.monotonic() - started
    if json:
        write_json([_summary(file, tally) for file, tally in tallies.items()])
    else:
        events = sum(tally.counts.events for tally in tallies.values())
        _say(f"{events:,} events in {seconds:.1f} s, {events / max(seconds, 1e-9):,.0f} a second")
    return _REJECTED_CODE if any(tally.counts.refused for tally in tallies.values()) else 0


def _import_file(
    store: Callable[[], Store],
    file: str,
    name: str | None,
    file_format: FileFormat | None,
    fields: FieldWatch,
    pace: Pace | None,
    *,
    anyway: bool,
    quiet: bool,
) -> Tally:
    """Import a file; the store is opened when it is first called for, while a regular file is read already."""
    with _opened_file(file) as raw:
        if not raw.seekable():
            store()  # whoever sends the lines hears at once of a store that cannot be opened
        content = Input(file, raw, None if file_format is None else file_format.value)
        if name is None:
            name = name_of(content.head) if file == _STDIN else _path_of(file)
        try:
            with (
                read_ahead(content, Source(NameKind.FILE, name), time.time, fields) as stretches,
                import_progress(file, None if file == _STDIN else raw) as on_commit,
            ):
                checked = stretches if anyway else content.check_kind(stretches)
                opened_store = store()
                fields.attach(opened_store)
                if isinstance(opened_store, ImportList):
                    imports = Imports(opened_store)
                    if not anyway:
                        imports.check(name, content.head)
                    imports.add(name, content.head)
                with RunLog(opened_store, name, time.time) as run_log:
                    note = _both(run_log.note, on_commit)
                    tally = import_events(opened_store, checked, time.time, note, fields, content.header, pace)
                    run_log.note(tally, done=True)
        except KeyboardInterrupt:
            _say(f"{visible(file)}: interrupted. Import it again to continue; nothing is counted twice")
            raise
    if not quiet:
        _tell_not_accepted(visible(file), tally)
    return tally


def _both(note: Callable[[Tally], None], show: Callable[[Tally], None] | None) -> Callable[[Tally], None]:
    def on_commit(tally: Tally) -> None:
        note(tally)
        if show is not None:
            show(tally)

    return on_commit


def _path_of(file: str) -> str:
    """Return the path of a file, which is what an import of it is called.

    Raises:
        InputError: it is no text.
    """
    path = str(Path(file).resolve())
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InputError(file, "the file's name is not UTF-8", "Give the import another with --name NAME") from error
    return path


def _tell_not_accepted(file: str, tally: Tally) -> None:
    for listed in tally.listed:
        _say(f"{_place(file, listed)}: {visible(explained(listed.rejection.reason))}")
    more = tally.counts.refused - len(tally.listed)
    if more:
        _say(f"{file}: {more:,} more were not accepted; `tillroll rejected list` has what is kept")
    if tally.not_kept:
        _say(
            f"{file}: {tally.not_kept:,} of them are not kept: there is no room (rejected_max, rejected_bytes_max)"
            "; make room with `tillroll rejected drop`, and import the file again"
        )


def _place(file: str, listed: Listed) -> str:
    rejection = listed.rejection
    if listed.is_line:
        return f"{file}:{rejection.position + 1}"
    return f"{file}: event {rejection.position + 1}, at byte {rejection.byte}"


@contextmanager
def _opened_file(file: str) -> Iterator[Any]:
    try:
        raw = open(0, "rb", closefd=False) if file == _STDIN else Path(file).open("rb")  # noqa: SIM115 closed below
    except OSError as error:
        remedy = "Name the files in it" if isinstance(error, IsADirectoryError) else "Check the name"
        raise InputError(file, f"cannot be opened ({error.strerror})", remedy) from error
    try:
        yield raw
    finally:
        if raw.seekable():  # to close a pipe is to wait for the thread that reads it
            raw.close()


def _summary(file: str, tally: Tally) -> dict[str, object]:
    return {
        "file": file,
        "lines": tally.lines,
        **tally.counts.plain(),
        "not_kept": tally.not_kept,
        "not_accepted": [_summary_of(each) for each in tally.listed],
    }


def _summary_of(listed: Listed) -> dict[str, object]:
    rejection = listed.rejection
    line = {"line": rejection.position + 1} if listed.is_line else {}
    return line | {
        "index": rejection.position,
        "byte": rejection.byte,
        "outcome": "conflict" if rejection.reason is CONFLICT else "rejected",
        **msgspec.structs.asdict(rejection.reason),
    }


def _print_tally(file: str, tally: Tally) -> None:
    parts = [f"{count:,} {name}" for name, count in tally.counts.plain().items() if count or name != "conflicts"]
    typer.echo(f"{visible(file)}: {', '.join(parts)}")


def _say(message: str) -> None:
    typer.echo(message, err=True)
