"""Whether the files that are open are still those of the directory: a tidy-up job may delete or replace them.

SQLite goes on writing to a file that nobody can find any more, and every commit succeeds.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from tillroll.errors import StoreGoneError
from tillroll.ports import Room

if TYPE_CHECKING:
    from pathlib import Path

_CHECK_EVERY_S: Final = 0.02
_BESIDE: Final = ("", "-wal", "-shm")


class Place:
    """The files of one store, as they were when it was opened and a transaction had been begun."""

    def __init__(self, path: Path, *others: Path) -> None:
        self._path = path
        self._paths = [*(f"{path}{suffix}" for suffix in _BESIDE), *(str(other) for other in others)]
        self._checked_at = time.monotonic()
        self._found = [_identity(name) for name in self._paths]

    def check_now_and_then(self) -> None:
        """Find every file where it was, unless that was done a moment ago: a commit must not pay for it every time."""
        if time.monotonic() - self._checked_at >= _CHECK_EVERY_S:
            self.check()

    def check(self) -> None:
        """Find every file where it was.

        Raises:
            StoreGoneError: one was deleted or replaced since.
        """
        self._checked_at = time.monotonic()
        for name, found in zip(self._paths, self._found, strict=True):
            now = _identity(name)
            if now != found:
                raise StoreGoneError(name, "deleted" if now is None else "replaced")

    def room(self) -> Room:
        """Return what the files take, and what is left on their disk.

        Raises:
            OSError: they are not there.
        """
        disk = os.statvfs(self._path.parent)
        return Room(sum(os.stat(name).st_size for name in self._paths), disk.f_bavail * disk.f_frsize)  # noqa: PTH116


def _identity(name: str) -> tuple[int, int] | None:
    try:
        status = os.stat(name)  # noqa: PTH116 this is called at every commit
    except OSError:
        return None
    return status.st_dev, status.st_ino
