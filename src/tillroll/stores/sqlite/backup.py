"""A copy of the SQLite file: made beside traffic by SQLite's own backup, and checked before it gets its name."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tillroll.errors import StoreError
from tillroll.ports import Backup
from tillroll.stores.sqlite import head as head_module
from tillroll.stores.sqlite import schema
from tillroll.stores.sqlite.chunks import chain_at
from tillroll.stores.sqlite.damage import DamageError
from tillroll.stores.sqlite.head import Head, HeadFile, sync
from tillroll.stores.sqlite.locks import locked
from tillroll.stores.sqlite.schema import transaction, translated
from tillroll.stores.sqlite.state import StoreState, read_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tillroll.ports import Progress

_PAGES_AT_ONCE: Final = 8_192
_BESIDE: Final = ("", "-wal", "-shm", "-journal")
_PART: Final = (".tillroll-copy-", ".part")  # as a copy is called until it is whole, whatever its name will be
_MAGIC: Final = b"SQLite format 3\0"
_NAME_A_COPY: Final = "Name what `tillroll backup`, or litestream, made"
_REMEDY: Final = "Check the disk under it, and copy the store again"


def copy(connection: sqlite3.Connection, target: Path, progress: Progress | None) -> Backup:
    """Copy what a connection sees in its transaction to a file that is there whole or not at all.

    Raises:
        StoreError: the copy is not whole.
        OSError: the file cannot be written.
    """
    with _part_of(target) as made:
        _copy_pages(connection, made, progress)
        events, _ = _checked(made)
        _put(made, target)
    return Backup(events, target.stat().st_size)


def restore(source: Path, directory: Path, progress: Progress | None) -> Backup:
    """Make a store in a directory out of a copy, which stays as it is.

    Raises:
        StoreError: there is a store in the directory already, or the copy is not whole.
        OSError: the directory cannot be written.
    """
    directory.mkdir(0o700, parents=True, exist_ok=True)
    target = directory / schema.FILE_NAME
    for suffix in _BESIDE:
        if Path(f"{target}{suffix}").exists():
            raise _taken(Path(f"{target}{suffix}"))
    if not source.is_file():
        raise StoreError(f"there is no file {source}", _NAME_A_COPY)
    with source.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise StoreError(f"{source} is not a copy of a store: it is not an SQLite file", _NAME_A_COPY)
    with _part_of(target) as made:
        with translated(source), closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as copied:
            schema.version(copied, source)
            _copy_pages(copied, made, progress)
        events, state = _checked(made)
        _put_new(made, target)
        if state is not None:  # a file without one gets its head when it is first opened
            with closing(HeadFile(directory / head_module.FILE_NAME)) as head:
                head.replace(Head(state.events, state.chain))
            sync(directory)
    return Backup(events, target.stat().st_size)


def _copy_pages(connection: sqlite3.Connection, made: Path, progress: Progress | None) -> None:
    def tell(_: int, left: int, total: int) -> None:
        if progress is not None:
            progress(total - left, total)

    with closing(schema.connect(made)) as other:
        connection.backup(other, pages=_PAGES_AT_ONCE, progress=tell)


def _checked(path: Path) -> tuple[int, StoreState | None]:
    """Open a copy and see that it is whole; return how many events it has, and where it stands.

    Raises:
        StoreError: it is not.
    """
    with translated(path), closing(schema.connect(path)) as connection:
        version = schema.version(connection, path)
        for _, found in schema.problems(connection, "quick_check"):
            raise StoreError(f"the copy is damaged ({' '.join(found.split())})", _REMEDY)
        try:
            with transaction(connection, "DEFERRED"):
                if version < schema.VERSION_READ:
                    (events,) = connection.execute("SELECT events FROM state").fetchone()
                    return int(events), None
                state = read_state(connection)
                if chain_at(connection, state.events) != state.chain:
                    raise StoreError("the copy is incomplete: its journal does not end where it says", _REMEDY)
        except DamageError as error:
            raise StoreError(f"the copy is damaged ({error.problem})", _REMEDY) from error
        return state.events, state


@contextmanager
def _part_of(target: Path) -> Iterator[Path]:
    """Lend the name of a new file beside a target, of which nothing is left unless `_put` has put it in its place."""
    prefix, suffix = _PART
    descriptor, name = tempfile.mkstemp(suffix, prefix, target.parent)
    os.close(descriptor)
    made = Path(name)
    with ExitStack() as held:
        held.callback(_remove, made)
        with suppress(OSError):  # a network's file system may have no such locks: nothing is removed there
            held.enter_context(locked(made))
            for left in target.parent.glob(f"{prefix}*{suffix}"):  # by a process that was killed
                with suppress(OSError), locked(left, wait=False):
                    _remove(left)
        yield made


def _remove(made: Path) -> None:
    for suffix in _BESIDE:
        with suppress(OSError):
            os.unlink(f"{made}{suffix}")  # noqa: PTH108


def _put(made: Path, target: Path) -> None:
    sync(made)
    os.replace(made, target)  # noqa: PTH105
    sync(target.parent)


def _put_new(made: Path, target: Path) -> None:
    """Put a copy where no store is. Raises StoreError where one is by now: a server may have been started."""
    sync(made)
    try:
        os.link(made, target)
    except FileExistsError as error:
        raise _taken(target) from error
    except OSError:  # a file system without links
        os.replace(made, target)  # noqa: PTH105
    sync(target.parent)


def _taken(path: Path) -> StoreError:
    problem = f"there is a store in {path.parent} already ({path.name})"
    return StoreError(problem, "Move its contents away, or name another directory with --data")
