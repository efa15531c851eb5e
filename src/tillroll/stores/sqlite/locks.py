"""Locks that end with the process: so what a killed one left behind is known from what is in use."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Have a file or a directory locked.

    A file is locked as long as SQLite has it open: a descriptor that is closed takes SQLite's locks with it.

    Raises:
        OSError: it cannot be opened; or, without `wait`, it is locked.
    """
    held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(held)
