"""Power cuts: from a record of writes and syncs, what a disk may hold when the power fails at any of them.

A file holds what was synced; of what was written since, any sectors or none, in any order. A file that was made or
deleted since its directory was synced may be there or not. (A write to the log of acknowledgements is not a write to
the disk: it says when the sender was told.)
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.e2e.power_cut_writer import ACKNOWLEDGEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

_HEAD: Final = struct.Struct("<cHQI")
_SECTOR: Final = 512
_ROOT: Final = Path(__file__).parents[2]


class Record(NamedTuple):
    """One call: W write, T truncate, S sync, U unlink."""

    op: str
    path: str
    offset: int
    data: bytes


def build(directory: Path) -> Path:
    """Compile the recorder."""
    library = directory / "power_cut.so"
    source = Path(__file__).with_suffix(".c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


def record(library: Path, directory: Path, seed: int, synchronous: str = "") -> list[Record]:
    """Run the writer and return what it wrote and synced under the directory."""
    log = directory.parent / f"{directory.name}.log"
    directory.mkdir()
    settings = {"LD_PRELOAD": str(library), "POWER_CUT_ROOT": str(directory), "POWER_CUT_LOG": str(log)}
    path = os.pathsep.join([str(_ROOT), *sys.path])
    subprocess.run(
        [sys.executable, "-m", "tests.e2e.power_cut_writer", str(directory), str(seed), synchronous],
        env=os.environ | settings | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
    )
    return list(_records(log.read_bytes()))


def _records(log: bytes) -> Iterator[Record]:
    at = 0
    while at < len(log):
        op, path_size, offset, size = _HEAD.unpack_from(log, at)
        at += _HEAD.size
        path = log[at : at + path_size].decode()
        at += path_size
        yield Record(op.decode(), path, offset, log[at : at + size])
        at += size


class Disk:
    """What is surely on the disk, and what may be."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self._synced: dict[str, bytearray] = {}
        self._pending: dict[str, list[Record]] = {}
        self._sure: set[str] = set()  # files whose entry in the directory is synced
        self._deleted: dict[str, bytearray] = {}  # since the directory was synced

    def take(self, record: Record) -> None:
        """Take the next call in."""
        path = record.path
        if path == ACKNOWLEDGEMENTS:
            self.acknowledged += record.data
        elif record.op == "S" and path in self._pending:
            for write in self._pending[path]:
                _apply(self._synced[path], write, None)
            self._pending[path].clear()
        elif record.op == "S":  # a directory
            self._sure = {file for file in self._synced if file.startswith(path)}
            self._deleted.clear()
        elif record.op == "U":
            self._pending.pop(path, None)
            self._deleted[path] = self._synced.pop(path, bytearray())
        else:
            self._synced.setdefault(path, bytearray())
            self._pending.setdefault(path, []).append(record)

    def cut(self, directory: Path, random: Random) -> None:
        """Write to a directory what the disk may hold if the power fails now."""
        share = random.choice((0.0, 0.5, 0.9, 1.0))
        files = dict(self._synced)
        for path, content in self._deleted.items():
            if random.random() < 0.5:
                files.setdefault(path, content)
        for path, synced in files.items():
            if path.endswith("-shm") or (path not in self._sure and random.random() < 0.3):
                continue
            content = bytearray(synced)
            for write in self._pending.get(path, ()):
                if random.random() < share:
                    _apply(content, write, random if random.random() < 0.3 else None)
            target = directory / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def _apply(content: bytearray, write: Record, torn: Random | None) -> None:
    """Do a write, or of a torn one only some sectors."""
    if write.op == "T":
        del content[write.offset :]
        content.extend(bytes(write.offset - len(content)))
        return
    for start in range(0, len(write.data), _SECTOR):
        if torn is not None and torn.random() < 0.5:
            continue
        piece = write.data[start : start + _SECTOR]
        at = write.offset + start
        content.extend(bytes(max(0, at - len(content))))
        content[at : at + len(piece)] = piece
