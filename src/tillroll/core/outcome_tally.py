"""What became of events over time, by the way they came in. Pure.

The same counts stand by the minute, by the quarter of an hour and by the day, each for as long as somebody looks at it
so: two tallies add to a third without a rule for when a minute becomes a part of an hour.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from tillroll.core.outcome_counts import NOTHING, OutcomeCounts

HTTP: Final = "http"
IMPORT: Final = "import"
QUEUE: Final = "queue"


class Grain(NamedTuple):
    """A length of window, and how many of them are kept."""

    seconds: int
    kept: int


GRAINS: Final = {"minute": Grain(60, 60), "quarter": Grain(900, 96), "day": Grain(86_400, 90)}


class OutcomeRow(msgspec.Struct, frozen=True):
    """The events of a way in within a window."""

    start: int  # seconds since 1970
    way: str
    counts: OutcomeCounts


class OutcomeTally(msgspec.Struct):
    """Outcomes by grain, by way in, by number of the window since 1970."""

    grains: dict[str, dict[str, dict[int, OutcomeCounts]]] = {}

    def note(self, way: str, at_s: float, counts: OutcomeCounts) -> None:
        """Count events of one moment in."""
        for grain, (seconds, _) in GRAINS.items():
            self._count(grain, way, int(at_s // seconds), counts)

    def add(self, other: OutcomeTally) -> None:
        """Count another tally in, and forget what is too old by the newest of both."""
        for grain, ways in other.grains.items():
            for way, windows in ways.items():
                for number, counts in windows.items():
                    self._count(grain, way, number, counts)
        for grain, ways in self.grains.items():
            oldest = max((max(windows) for windows in ways.values() if windows), default=0) - GRAINS[grain].kept
            for way, windows in ways.items():
                ways[way] = {number: counts for number, counts in windows.items() if number > oldest}

    def _count(self, grain: str, way: str, number: int, counts: OutcomeCounts) -> None:
        if grain in GRAINS:
            windows = self.grains.setdefault(grain, {}).setdefault(way, {})
            windows[number] = windows.get(number, NOTHING) + counts

    def rows(self, grain: str) -> list[OutcomeRow]:
        """Return the windows of a grain with events in them, oldest first, and by way."""
        found = [
            OutcomeRow(number * GRAINS[grain].seconds, way, counts)
            for way, windows in self.grains.get(grain, {}).items()
            for number, counts in windows.items()
        ]
        return sorted(found, key=lambda row: (row.start, row.way))

    def __bool__(self) -> bool:
        return bool(self.grains)
