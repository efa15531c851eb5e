"""A file that is written: whole under its name, or not there at all."""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from tillroll.core.text import visible
from tillroll.errors import OutputError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterator

STDOUT: Final = "-"
_MODE: Final = 0o666  # less what the umask says, as for any file


@contextmanager
def output_file(target: str) -> Iterator[BinaryIO]:
    """Lend a file to write to, compressed as its name ends, or standard output for `-`.

    What had the name before is replaced at the end, in one step and for good; if the body raises, it stays.

    Raises:
        OutputError: the file cannot be written there.
    """
    if target == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    with ExitStack() as stack:
        try:
            special = path.exists() and not path.is_file()  # a pipe, or /dev/null
            file = stack.enter_context(path.open("wb") if special else replaced(path))
        except OSError as error:
            raise OutputError(visible(target), error.strerror or str(error)) from error
        yield stack.enter_context(packed(file, target))


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """Lend a new file, and give it the name once the body has written it; else nothing changes."""
    descriptor, made = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), _MODE & ~_umask())
            os.fsync(file.fileno())
        os.replace(made, path)  # noqa: PTH105 a name, and a path
        sync_directory(path.parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(made)  # noqa: PTH108
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_directory(directory: Path) -> None:
    """Have the names in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def packed(file: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """Lend a file to write through, which compresses as the name ends: .gz or .zst."""
    if name.endswith(".gz"):
        with gzip.GzipFile("", "wb", 3, file, mtime=0) as out:
            yield cast("BinaryIO", out)
    elif name.endswith(".zst"):
        with zstd.ZstdFile(file, "wb") as out:
            yield cast("BinaryIO", out)
    else:
        yield file
