"""The files of a store as one process has them open: the database with its log, and the head of the journal."""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from tillroll.errors import StoreError
from tillroll.stores.sqlite import head as head_module
from tillroll.stores.sqlite import imports, reindex, rejected, schema
from tillroll.stores.sqlite.chunks import chain_where_one_ends
from tillroll.stores.sqlite.damage import DamageError
from tillroll.stores.sqlite.head import Head, HeadFile
from tillroll.stores.sqlite.place import Place
from tillroll.stores.sqlite.schema import transaction, translated
from tillroll.stores.sqlite.state import read_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tillroll.stores.sqlite.state import StoreState

_log: Final = logging.getLogger(__name__)
_READERS_S: Final = 5.0  # that the end waits for who reads what was erased; nobody can commit meanwhile


class Files:
    """The files of one store, upgraded to today's format. `connection` is the one that writes; `lock` guards it."""

    def __init__(self, directory: Path) -> None:
        """Open the files in the directory; all are made when missing.

        Raises:
            StoreError: the directory cannot be written, or holds something else.
        """
        self.path = directory / schema.FILE_NAME
        self.lock = threading.RLock()
        self._log_holds_erased: bool | None = None  # unknown: a process that was killed may have left some there
        try:
            directory.mkdir(0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{directory} cannot be made ({error.strerror})", "Name another with --data") from error
        with translated(self.path), ExitStack() as opened:
            self.connection = opened.enter_context(closing(schema.connect(self.path)))
            before = schema.version(self.connection, self.path)
            self.head = opened.enter_context(
                closing(_open_head(directory / head_module.FILE_NAME, make=before < schema.VERSION_WITH_HEAD))
            )
            schema.migrate(self.connection, self.path)
            imports.remove_file(directory)
            rejected.convert(self.connection)
            reindex.index_again(self.connection, self.path)
            self.place = Place(self.path, self.head.path)
            self._loss = self._find_loss()
            opened.pop_all()  # `close` closes them

    def _find_loss(self) -> DamageError | None:
        """Compare the whole journal with its head, and raise a head that is behind."""
        with translated(self.path):
            try:
                head = self.head.read()
                with transaction(self.connection, "DEFERRED"):
                    state = read_state(self.connection)
                    head_module.compare(head, state.events, state.chain)
                    if head is not None and chain_where_one_ends(self.connection, head.events) != head.chain:
                        return head_module.another(head)
            except DamageError as error:
                return error
        self.raise_head(state, unless_more=True)
        return None

    def refuse_loss(self) -> None:
        """Refuse to go on with a journal that lost something, until another process has accepted where it ends.

        Raises:
            DamageError: it did.
        """
        if self._loss is None:
            return
        with self.lock:
            self._loss = self._find_loss()
            if self._loss is not None:
                raise self._loss

    def accept_end(self) -> int:
        """See ports.Restorable."""
        with self.lock, translated(self.path):
            with transaction(self.connection):
                head = self.head.read()
                state = read_state(self.connection)
                self.head.replace(Head(state.events, state.chain))
            self._loss = self._find_loss()
        return 0 if head is None else max(0, head.events - state.events)

    def raise_head(self, state: StoreState, *, unless_more: bool = False) -> None:
        """Say how far the journal has come. Call after the commit: a head that is ahead means loss."""
        with self._writing_head():
            if unless_more:
                self.head.read()
            self.head.raise_to(Head(state.events, state.chain))

    @contextmanager
    def _writing_head(self) -> Iterator[None]:
        try:
            with self.lock:
                yield
        except OSError as error:  # the events are committed; a head that is behind heals itself
            _log.warning("%s cannot be written: %s", self.head.path, error)

    @contextmanager
    def at_one_moment(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """Lend a connection in a read transaction on a journal that lost nothing."""
        with translated(self.path):
            self.refuse_loss()
            head = self.head.read()  # before the transaction, which then sees all that the head knows
            with transaction(connection, "DEFERRED"):
                state = read_state(connection)
                head_module.compare(head, state.events, state.chain)
                self.place.check_now_and_then()
                yield connection

    def empty_log(self, patience_s: float = 0.0) -> None:
        """Empty the log of erased bytes, now or, where somebody reads, at `finish` or at the end."""
        self._log_holds_erased = not rejected.empty_log(self.connection, patience_s)

    def finish(self) -> None:
        """Do what commits have left: sync the head, and empty the log of erased bytes. Call every second or so."""
        with self._writing_head():
            self.head.sync_if_due()
        if self._log_holds_erased is not False:
            with self.lock, translated(self.path):
                self.empty_log()

    def close(self) -> None:
        """Release them; where the log still holds erased bytes, once nobody reads them or in some seconds."""
        with self.lock:
            if self._log_holds_erased:
                with suppress(sqlite3.Error):  # a disk that is full, or a file that is damaged: others have said so
                    self.empty_log(_READERS_S)
            if self._log_holds_erased:
                _log.warning(
                    "%s-wal still has bytes of rejected events that were erased, since another process reads there;"
                    " a later `tillroll rejected drop` removes them",
                    self.path,
                )
            self.connection.close()
            self.head.close()


def _open_head(path: Path, *, make: bool) -> HeadFile:
    """Return the head's file. Made for a file that had none before it is written to: behind it heals itself."""
    try:
        head = HeadFile(path)
        if make:
            head.begin()
    except OSError as error:
        problem = f"{path} cannot be written ({error.strerror})"
        raise StoreError(problem, "Check the disk and the permissions") from error
    return head
