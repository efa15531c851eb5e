"""Sums by key that may outgrow memory: sorted runs on disk, merged at the end."""

from __future__ import annotations

import heapq
import tempfile
from collections import Counter
from itertools import groupby
from operator import itemgetter
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEYS_MAX: Final = 400_000  # in memory, some 100 MB
_RUNS_MAX: Final = 200  # open files; more are merged into one

Line = tuple[str, int, int]  # key, position, sum


class Spill:
    """Sums by (key, position). Nothing touches the disk until `keys_max` of them are held."""

    def __init__(self, keys_max: int = _KEYS_MAX) -> None:
        self._keys_max = keys_max
        self._sums: Counter[tuple[str, int]] = Counter()
        self._runs: list[IO[str]] = []

    def add(self, key: str, position: int, number: int) -> None:
        """Add a number. The key must hold no tab or line break."""
        self._sums[key, position] += number
        if len(self._sums) >= self._keys_max:
            self._write(self._sorted())
            self._sums.clear()
            if len(self._runs) >= _RUNS_MAX:
                merged = self._merge()
                runs = self._runs
                self._runs = []
                self._write(merged)
                for run in runs:
                    run.close()

    def lines(self) -> Iterator[Line]:
        """Yield (key, position, sum), sorted by key, then position."""
        for (key, position), lines in groupby(self._merge(), itemgetter(0, 1)):
            yield key, position, sum(line[2] for line in lines)

    def _merge(self) -> Iterator[Line]:
        return heapq.merge(self._sorted(), *map(_read, self._runs))

    def _sorted(self) -> Iterator[Line]:
        return ((key, position, number) for (key, position), number in sorted(self._sums.items()))

    def _write(self, lines: Iterator[Line]) -> None:
        run = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115 closed by `close`
        run.writelines(f"{key}\t{position}\t{number}\n" for key, position, number in lines)
        self._runs.append(run)

    def close(self) -> None:
        """Drop everything."""
        for run in self._runs:
            run.close()
        self._runs.clear()
        self._sums.clear()


def _read(run: IO[str]) -> Iterator[Line]:
    run.seek(0)
    for line in run:
        key, position, number = line.rstrip("\n").split("\t")
        yield key, int(position), int(number)
