"""The list of imports in a data directory: which content came in under which name, by its first 64 KiB.

A line is named by its import's name and its number. So the same content under a second name would be counted again, and
other content under a name that was used would be told from the first only by its dates. Both are asked about here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.errors import TillrollError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_NAME: Final = "imports.ndjson"


class ImportNameError(TillrollError):
    """An import's name and its content do not go together as they did before."""

    exit_code = 2


class _Import(msgspec.Struct, frozen=True):
    """An import: its name, and the hash of so many bytes at the beginning of its content."""

    name: str
    head_bytes: int
    sha256: str

    def begins(self, head: bytes) -> bool:
        """Tell whether content with this head begins as this import's did."""
        return len(head) >= self.head_bytes and _hash(head[: self.head_bytes]) == self.sha256


class Imports:
    """The imports of one data directory, each one a line of a file there. Any number of processes may add to it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    def check(self, name: str, head: bytes) -> None:
        """Refuse a name that content of this head should not have.

        Raises:
            ImportNameError: the content came in under another name, or other content under this name.
        """
        known = list(self._read())
        mine = [one for one in known if one.name == name]
        if any(one.begins(head) for one in mine):
            return
        if mine:
            raise ImportNameError(
                f"{name}: content that begins otherwise was imported under this name. "
                "Give this content a name of its own with --name NAME, or import it as more of the same with --anyway"
            )
        for other in known:
            if other.begins(head):
                raise ImportNameError(
                    f"{name}: content of the same first {other.head_bytes:,} bytes was imported under the name "
                    f"{other.name}. To go on with that import, which counts nothing twice: --name '{other.name}'. "
                    "To count these purchases as well: --anyway"
                )

    def add(self, name: str, head: bytes) -> None:
        """Note durably enough that content of this head comes in under a name. A repeat is not noted again."""
        if not head or any(one.name == name and one.begins(head) for one in self._read()):
            return
        line = msgspec.json.encode(_Import(name, len(head), _hash(head))) + b"\n"
        with open(self._path, "ab", opener=_open_privately) as file:
            file.write(line)

    def _read(self) -> Iterator[_Import]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                yield msgspec.json.decode(line, type=_Import)
            except msgspec.DecodeError:  # a line torn by a power cut: at worst a question is not asked
                continue


def _open_privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def name_of(head: bytes) -> str:
    """Return a name for content that came without one, from standard input: the same for the same beginning."""
    return f"sha256:{_hash(head)}"


def _hash(data: bytes) -> str:
    import hashlib  # noqa: PLC0415 it takes a while, in which an import reads its file already

    return hashlib.sha256(data).hexdigest()
