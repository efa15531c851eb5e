"""A small file beside the SQLite file that says how far the journal had come: so that the loss of its end is seen.

SQLite takes a log that was cut, damaged or left behind for one that ends earlier, and says nothing. The head is written
after a commit and never before it: behind the journal it is raised by the next writer, ahead of it events are missing.
Every commit writes it, without a sync of its own; it is synced once a second. So after a power cut, and only then, it
may know up to a second less than was acknowledged. A commit does not wait for a lock on it: of two processes that
commit at once the one that knows less may write last, which the next commit, or fold, sets right.

    offset  size
    0       8     b"TRLHEAD1"
    8       8     number of the journal's last event
    16      32    hash of its last chunk
    48      4     CRC-32 of all before
    52      52    the same again, in case one is damaged
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.stores.sqlite.chunks import GENESIS
from tillroll.stores.sqlite.damage import DamageError

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "tillroll.head"
_MAGIC: Final = b"TRLHEAD1"
_BODY: Final = struct.Struct("<8sq32s")
_CRC: Final = struct.Struct("<I")
_COPY_BYTES: Final = _BODY.size + _CRC.size
_SYNC_EVERY_S: Final = 1.0
_MODE: Final = 0o600
_REMEDY: Final = (
    "Restore the directory from a copy; or, if this is the copy and it may end earlier, run: tillroll restored"
)


class Head(NamedTuple):
    """How far the journal had come."""

    events: int
    chain: bytes  # of the last chunk


NOTHING: Final = Head(0, GENESIS)


def compare(head: Head | None, events: int, chain: bytes) -> None:
    """Compare a head, read before the transaction began, with the journal's end in that transaction.

    Raises:
        DamageError: the journal ends before the head, or at it with other chunks; or there is no head.
    """
    if head is None:
        if events:
            problem = f"{FILE_NAME}, which records the end of the journal, is missing or damaged"
            raise DamageError(f"{problem}: it is unknown whether events are missing", _REMEDY)
    elif head.events > events:
        missing = head.events - events
        problem = f"{missing} events that were acknowledged are missing: the journal ends at event {events}"
        raise DamageError(f"{problem}; it had reached {head.events}", _REMEDY)
    elif head.events == events and head.chain != chain:
        raise another(head)


def another(head: Head) -> DamageError:
    """Return the error for a journal that has other chunks than the head was written for."""
    problem = f"the journal is not the one that {FILE_NAME} was written for: event {head.events} is not its own"
    return DamageError(problem, _REMEDY)


class HeadFile:
    """The head of one journal, shared by every process that writes it."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made, empty, when there is none."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        self._synced_at = time.monotonic()
        self._unsynced = False
        self._known: tuple[bytes, Head | None] = (b"", None)  # what was read or written last: bytes and meaning

    def read(self) -> Head | None:
        """Return the head, None where there is none, or none that can be read."""
        data = os.pread(self._descriptor, 2 * _COPY_BYTES, 0)
        known, head = self._known
        if data != known:
            copies = [_decoded(data[at : at + _COPY_BYTES]) for at in (0, _COPY_BYTES)]
            head = max((copy for copy in copies if copy is not None), default=None)
            self._known = (data, head)
        return head

    def begin(self) -> None:
        """Say that there is nothing yet, unless something is said, and have that survive a power cut."""
        if self.read() is None:
            self.raise_to(NOTHING)
            self.sync()
            sync(self.path.parent)

    def raise_to(self, head: Head) -> None:
        """Say that the journal has come so far, which must be committed, unless more was said, or read, before."""
        known = self._known[1]
        if known is None or known.events < head.events:
            self._write(head)
        self.sync_if_due()

    def replace(self, head: Head) -> None:
        """Say that the journal ends here, whatever was said before."""
        self._write(head)
        self.sync()

    def sync_if_due(self) -> None:
        """Do as `sync`, a second or more after the last time. Call now and then: what was said last may be unsynced."""
        if self._unsynced and time.monotonic() - self._synced_at >= _SYNC_EVERY_S:
            self.sync()

    def sync(self) -> None:
        """Have what was said survive a power cut."""
        if self._unsynced:
            self._synced_at = time.monotonic()  # where that fails too: it is tried again in a second
            os.fdatasync(self._descriptor)
            self._unsynced = False

    def close(self) -> None:
        """Sync, and release the file."""
        self.sync()
        os.close(self._descriptor)

    def _write(self, head: Head) -> None:
        body = _BODY.pack(_MAGIC, *head)
        copy = body + zlib.crc32(body).to_bytes(4, "little")
        data = copy + copy
        os.pwrite(self._descriptor, data, 0)
        self._known = (data, head)
        self._unsynced = True


def sync(path: Path) -> None:
    """Have a file, or the names in a directory, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _decoded(copy: bytes) -> Head | None:
    if len(copy) < _COPY_BYTES:
        return None
    magic, events, chain = _BODY.unpack_from(copy)
    if magic != _MAGIC or _CRC.unpack_from(copy, _BODY.size) != (zlib.crc32(copy[: _BODY.size]),):
        return None
    return Head(events, chain)
