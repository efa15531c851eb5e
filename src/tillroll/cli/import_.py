"""`tillroll import`: take events from files or from standard input."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from tillroll import config
from tillroll.cli.options import ConfigFile, Data, Json, opened
from tillroll.cli.output import explained, write_json
from tillroll.cli.progress import import_progress
from tillroll.core import kernel
from tillroll.core.batch import NameKind, Source
from tillroll.errors import ConfigError
from tillroll.importer import Input, InputError, Tally, import_lines, read_ahead
from tillroll.imports import Imports, name_of
from tillroll.ports import Store

_REJECTED_CODE = 3
_STDIN = "-"


def run(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Files of one event a line, plain, gzip or zstd; - reads standard input."
        ),
    ],
    *,
    name: Annotated[
        str | None,
        typer.Option("--name", help="What this import is called, for a single file; a file's path unless given."),
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Import although this name and content do not go together as before.")
    ] = False,
    data: Data = None,
    config_file: ConfigFile = None,
    json: Json = False,
) -> int:
    """Take events from files, or from standard input.

    An import has a name, and a line is known by that name and its number (an event with an id of its own, by the id).
    Run again, or after it was killed, it goes on where it was and counts nothing twice. Lines that are not accepted
    are kept: see `tillroll rejected`. Exits with 3 when there were any.
    """
    if name is not None and len(files) > 1:
        raise ConfigError("--name", f"one name cannot be that of {len(files)} files", "Import them one by one")
    if name is not None and not (name and name.isprintable()):
        raise ConfigError("--name", f"{name!r} is no name", "Give printable characters, such as 2026-11")
    kernel.keep_memory()
    started = time.monotonic()
    tallies = {}
    settings = config.load({"data": data, "config": config_file}).settings
    imports = None if "://" in settings.data else Imports(Path(settings.data))
    with ExitStack() as stack:
        store = cache(lambda: stack.enter_context(opened(settings.data, config_file, make=True)))
        for file in files:
            tallies[file] = _import_file(store, imports, file, name, anyway=anyway, quiet=json)
            if not json:
                _tell(file, tallies[file])
    seconds = time.monotonic() - started
    if json:
        write_json([_summary(file, tally) for file, tally in tallies.items()])
    else:
        events = sum(tally.events for tally in tallies.values())
        _say(f"{events:,} events in {seconds:.1f} s, {events / max(seconds, 1e-9):,.0f} a second")
    return _REJECTED_CODE if any(tally.rejected or tally.conflicts for tally in tallies.values()) else 0


def _import_file(
    store: Callable[[], Store], imports: Imports | None, file: str, name: str | None, *, anyway: bool, quiet: bool
) -> Tally:
    """Import a file; the store is opened when it is first called for, while a regular file is read already."""
    with _opened_file(file) as raw:
        if not raw.seekable():
            store()  # whoever sends the lines hears at once of a store that cannot be opened
        content = Input(file, raw)
        if name is None:
            name = name_of(content.head) if file == _STDIN else str(Path(file).resolve())
        try:
            with (
                read_ahead(content, Source(NameKind.FILE, name), time.time) as lines,
                import_progress(file, None if file == _STDIN else raw) as on_commit,
            ):
                opened_store = store()
                if imports is not None:
                    if not anyway:
                        imports.check(name, content.head)
                    imports.add(name, content.head)
                tally = import_lines(opened_store, lines, time.time, on_commit)
        except KeyboardInterrupt:
            _say(f"{file}: interrupted. Import it again to go on; nothing is counted twice")
            raise
    if not quiet:
        for rejection in tally.listed:
            _say(f"{file}:{rejection.position + 1}: {explained(rejection.reason)}")
        more = tally.rejected + tally.conflicts - len(tally.listed)
        if more:
            _say(f"{file}: {more:,} more lines were not accepted; `tillroll rejected list` has them all")
    return tally


@contextmanager
def _opened_file(file: str) -> Iterator[Any]:
    try:
        raw = open(0, "rb", closefd=False) if file == _STDIN else Path(file).open("rb")  # noqa: SIM115 closed below
    except OSError as error:
        raise InputError(file, f"cannot be opened ({error.strerror})", "Check the name") from error
    try:
        yield raw
    finally:
        if raw.seekable():  # to close a pipe is to wait for the thread that reads it
            raw.close()


def _summary(file: str, tally: Tally) -> dict[str, object]:
    return {
        "file": file,
        "lines": tally.lines,
        "accepted": tally.accepted,
        "duplicates": tally.duplicates,
        "conflicts": tally.conflicts,
        "rejected": tally.rejected,
        "not_accepted": [
            {
                "line": one.position + 1,
                "code": one.reason.code,
                "field": one.reason.field,
                "message": one.reason.message,
            }
            for one in tally.listed
        ],
    }


def _tell(file: str, tally: Tally) -> None:
    parts = [f"{tally.accepted:,} accepted", f"{tally.duplicates:,} duplicates"]
    if tally.conflicts:
        parts.append(f"{tally.conflicts:,} conflicts")
    parts.append(f"{tally.rejected:,} rejected")
    typer.echo(f"{file}: {', '.join(parts)}")


def _say(message: str) -> None:
    typer.echo(message, err=True)
