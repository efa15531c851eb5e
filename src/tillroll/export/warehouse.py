"""A directory of exported events, by day, which grows with the journal: for a warehouse that takes each file once.

    manifest.json                                         what is in it, and up to which position
    day=2011-12-03/000000000001-000000524288.parquet      the events of a day from one position to another

A file is there whole or not at all, never changes, and shares no event with another. Before files of a range are
written the manifest says so: who is killed in between writes the same files again, and no others.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from tillroll.core import export
from tillroll.errors import ConfigError
from tillroll.export.parquet import EventTables, EventWriter
from tillroll.export.whole_file import replaced, sync_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from tillroll.core.batch import Batch
    from tillroll.core.export import Chosen
    from tillroll.ports import Journal, Progress

MANIFEST: Final = "manifest.json"
_LOCK: Final = ".lock"
_RANGE_EVENTS: Final = 1 << 19  # of the files that are written at once; so many are held in memory
_EPOCH: Final = date(1970, 1, 1)
Format = Literal["ndjson", "csv", "parquet"]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a directory of events."""

    format: Format
    fields: tuple[str, ...]  # kept ones that have columns
    start: int | None  # which events were chosen: from a second since 1970
    stop: int | None  # to another
    merchants: tuple[str, ...] | None
    after: int  # the position after which they begin
    position: int  # and the one up to which all are there
    events: int  # how many
    writing: int | None = None  # the position up to which files are being written


class Warehouse:
    """One directory of exported events. Use it within `opened`."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self._directory = directory
        self.manifest = manifest
        self._write = _writer(manifest.format, manifest.fields)

    def catch_up(self, journal: Journal, upto: int, chosen: Chosen, progress: Progress | None = None) -> None:
        """Write what the journal has up to a position, and is not there yet.

        Raises:
            StoreError: the journal cannot be read.
            FieldsError: a field was kept with an event and has no column.
        """
        first = self.manifest.position
        if self.manifest.writing is not None:  # somebody was killed: the same files again
            self._remove_parts()
            self._take(journal, self.manifest.writing, chosen)
        waiting: list[Batch] = []
        events, position = 0, self.manifest.position
        for part in journal.read(position, max(upto, position), chosen):
            waiting.append(part.batch)
            events += len(part.batch)
            if part.position > position and (events >= _RANGE_EVENTS or part.position == upto):
                self._add(waiting, part.position)
                waiting, events = [], 0
            position = part.position
            if progress is not None:
                progress(position - first, upto - first)

    def _take(self, journal: Journal, upto: int, chosen: Chosen) -> None:
        self._add([part.batch for part in journal.read(self.manifest.position, upto, chosen)], upto)

    def _add(self, batches: list[Batch], upto: int) -> None:
        """Write the files of the range up to a position."""
        days: dict[int, list[Batch]] = {}
        for batch in batches:
            for day, some in export.by_day(batch).items():
                days.setdefault(day, []).append(some)
        if days:
            self._note(writing=upto)
        name = f"{self.manifest.position + 1:012}-{upto:012}.{self.manifest.format}"
        for day, events_of_day in sorted(days.items()):
            directory = self._directory / f"day={_EPOCH + timedelta(day)}"
            if not directory.exists():
                directory.mkdir()
                sync_directory(self._directory)
            with replaced(directory / name) as file:
                self._write(file, events_of_day)
        events = sum(map(len, batches))
        self._note(position=upto, events=self.manifest.events + events, writing=None)

    def _note(self, **changes: int | None) -> None:
        self.manifest = msgspec.structs.replace(self.manifest, **changes)
        _put_manifest(self._directory, self.manifest)

    def _remove_parts(self) -> None:
        for part in self._directory.glob("day=*/.*.part"):
            part.unlink()


@contextmanager
def opened(directory: Path, wanted: Manifest) -> Iterator[Warehouse]:
    """Open a directory for what is wanted to be in it, which is made, or goes on where it was. One at a time.

    Raises:
        ConfigError: there is something else in it, or another process writes to it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            problem = "another process is writing events there"
            raise ConfigError(str(directory), problem, "Name another directory, or stop that one") from error
        for part in directory.glob(f".{MANIFEST}.*.part"):  # of whoever was killed
            part.unlink()
        yield Warehouse(directory, _manifest(directory, wanted))
    finally:
        os.close(lock)


def _manifest(directory: Path, wanted: Manifest) -> Manifest:
    try:
        data = (directory / MANIFEST).read_bytes()
    except FileNotFoundError:
        others = [path.name for path in directory.iterdir() if path.name != _LOCK and not path.name.endswith(".part")]
        if others:
            problem = f"there is something else in it ({others[0]})"
            raise ConfigError(str(directory), problem, "Name an empty directory, or one of events") from None
        _put_manifest(directory, wanted)
        return wanted
    try:
        found = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        problem = f"its {MANIFEST} was not written by tillroll ({error})"
        raise ConfigError(str(directory), problem, "Name another directory") from error
    for name in ("format", "fields", "start", "stop", "merchants"):
        there, asked = getattr(found, name), getattr(wanted, name)
        if there != asked:
            problem = f"its events were chosen with {name} {there!r}, and not {asked!r}"
            raise ConfigError(str(directory), problem, "Choose as before, or name another directory")
    if wanted.after not in {0, found.after}:
        problem = f"its events begin after position {found.after}, and not {wanted.after}"
        raise ConfigError(str(directory), problem, "Leave out --after, or name another directory")
    return found


def _put_manifest(directory: Path, manifest: Manifest) -> None:
    with replaced(directory / MANIFEST) as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")


def _writer(form: Format, fields: Sequence[str]) -> Callable[[BinaryIO, list[Batch]], None]:
    """Return what writes batches to a new file of a format."""
    if form == "parquet":
        tables = EventTables(fields)

        def write_parquet(file: BinaryIO, batches: list[Batch]) -> None:
            writer = EventWriter(file, tables)
            for batch in batches:
                writer.write(batch)
            writer.close()

        return write_parquet

    def write_lines(file: BinaryIO, batches: list[Batch]) -> None:
        file.write(export.csv_head(fields) if form == "csv" else b"")
        for batch in batches:
            file.writelines(export.csv(batch, fields) if form == "csv" else export.ndjson(batch))

    return write_lines
