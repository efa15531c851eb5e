"""The connections that read, lent one at a time: each keeps what it has read while nothing changes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tillroll.stores.sqlite import head as head_module
from tillroll.stores.sqlite import schema
from tillroll.stores.sqlite.damage import damaged
from tillroll.stores.sqlite.reader import Reader
from tillroll.stores.sqlite.schema import translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tillroll.stores.sqlite.files import Files
    from tillroll.stores.sqlite.merchants import SharedNames
    from tillroll.stores.sqlite.reports import Catalogue


class Readers:
    """The readers of one store. Safe to use from any thread."""

    def __init__(self, files: Files, names: SharedNames, catalogue: Catalogue) -> None:
        self._files = files
        self._names = names
        self._catalogue = catalogue
        self._idle: list[Reader] = []

    @contextmanager
    def lend(self) -> Iterator[Reader]:
        """Lend a reader in one read transaction: everything it reads is of one moment."""
        files = self._files
        with translated(files.path):
            with files.lock:
                reader = self._idle.pop() if self._idle else None
            if reader is None:
                reader = Reader(schema.connect(files.path), self._names, self._catalogue)
            whole = True
            try:
                files.refuse_loss()
                head = files.head.read()  # before the transaction, which then sees all that the head knows
                with reader.transaction() as state:
                    head_module.compare(head, state.events, state.chain)
                    files.place.check_now_and_then()
                    yield reader
            except Exception as error:
                whole = False  # what the reader keeps between transactions may be
                if isinstance(error, ValueError):
                    raise damaged(files.path, error) from error
                raise
            finally:
                if whole:
                    with files.lock:
                        self._idle.append(reader)
                else:
                    reader.close()

    def close(self) -> None:
        """Close those that are not lent."""
        with self._files.lock:
            for reader in self._idle:
                reader.close()
            self._idle.clear()
