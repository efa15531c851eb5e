"""Recounts that may outgrow memory: then they go to files by the texts' hashes, and are compared a file at a time."""

from __future__ import annotations

import struct
from heapq import nsmallest
from operator import attrgetter
from typing import IO, TYPE_CHECKING, Final

from tillroll.core.recount import Differences, Recount

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tillroll.core.batch import Batch
    from tillroll.core.recount import Strings
    from tillroll.core.report import Report

_BYTES_MAX: Final = 4 << 20  # held in memory; as many are on their way to files
_PARTS: Final = 32  # files that what is held goes to
_LENGTH: Final = struct.Struct("<Q")  # of the records that were written together
_LEVELS_MAX: Final = 6  # past which what does not part is held: that takes 32 ** 6 times the memory


class Tallies:
    """A `Recount` whose memory is bounded. Files are made in a directory, which the caller removes."""

    def __init__(
        self, reports: Sequence[Report], directory: Path, *, bytes_max: int = _BYTES_MAX, level: int = 0
    ) -> None:
        self._reports = reports
        self._directory = directory
        self._bytes_max = bytes_max
        self._level = level
        self._recount = Recount(reports)
        self._files: list[IO[bytes]] = []

    def count(self, batch: Batch, wanted: bytes) -> None:
        """See Recount."""
        self._recount.count(batch, wanted)
        self._spill_if_large()

    def add(
        self, side: int, report: int, pieces: Sequence[Strings], events: array[int], lows: array[int], highs: array[int]
    ) -> None:
        """See `core.recount.PlainTally`."""
        self._recount.tally.add(side, report, pieces, events, lows, highs)
        self._spill_if_large()

    def differing(self, amounts: bytes, most: int) -> Differences:
        """See Recount. Nothing is held afterwards."""
        if not self._files:
            return self._recount.differing(amounts, most)
        self._spill()
        datapoints, total, first = 0, 0, []
        for at, file in enumerate(self._files):
            part = Tallies(self._reports, self._directory / str(at), bytes_max=self._bytes_max, level=self._level + 1)
            for records in _blocks(file):
                part.load(records)
            file.close()
            found = part.differing(amounts, most)
            datapoints += found.datapoints
            total += found.total
            first += found.first
        self._files = []
        return Differences(datapoints, total, nsmallest(most, first, key=_ORDER))

    def load(self, records: bytes) -> None:
        """See `core.recount.PlainTally`."""
        self._recount.tally.load(records)
        self._spill_if_large()

    def _spill_if_large(self) -> None:
        if self._recount.tally.size() > self._bytes_max and self._level < _LEVELS_MAX:
            self._spill()

    def _spill(self) -> None:
        if not self._files:
            self._directory.mkdir(exist_ok=True)
            self._files = [(self._directory / f"{part}.tally").open("w+b") for part in range(_PARTS)]
        for file, records in zip(self._files, self._recount.tally.take(_PARTS, self._level), strict=True):
            if records:
                file.write(_LENGTH.pack(len(records)) + records)


_ORDER: Final = attrgetter("report", "text")


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while length := file.read(_LENGTH.size):
        yield file.read(*_LENGTH.unpack(length))
