"""Hours added up to days, as one reader read them last: of 400 days of hours, whoever asks again reads 400 segments.

They are held for as long as nothing in the file changes, and for reports without an open dimension, whose segments are
small. Weeks, months and all time are added up of them.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.stores.sqlite.layout import layout_of
from tillroll.stores.sqlite.segments import Segments, Window, sum_rows, together

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from tillroll.core.report import Report

_DAYS_MAX: Final = 20_000  # that are held of one report
_SINGLE_MAX: Final = 20_000  # and so many single counters
_REPORTS_MAX: Final = 8  # and so many reports, by so many clocks
DAY_HOURS: Final = 24


class _Held(NamedTuple):
    version: int  # of the file
    days: list[Window]


class Days:
    """What is held for one connection. Use within a transaction that has read something."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._held: dict[tuple[Report, str], _Held] = {}

    def held(self, report: Report, clocks: str) -> list[Window] | None:
        """Return all that is stored of a report by hours, by rising day by the clocks named, if it is held."""
        held = self._held.get((report, clocks))
        return held.days if held is not None and held.version == self._version() else None

    def _version(self) -> int:
        """Return what changes with every commit of others; in a transaction, with those that it sees."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def read(self, segments: Segments, report: Report, clocks: str, hour: Callable[[int], int]) -> list[Window]:
        """Return the same, read and held unless it is held; `hour` tells a window's by these clocks.

        Raises:
            DamageError: a segment is not what was written.
        """
        held = self.held(report, clocks)
        if held is not None:
            return held
        days = _read(segments, report, hour)
        self._held.pop((report, clocks), None)
        if len(days) <= _DAYS_MAX and sum(len(day.codes) for day in days) <= _SINGLE_MAX:
            while len(self._held) >= _REPORTS_MAX:
                del self._held[next(iter(self._held))]
            self._held[report, clocks] = _Held(self._version(), days)
        return days


def _read(segments: Segments, report: Report, hour: Callable[[int], int]) -> list[Window]:
    size = layout_of(report).size
    rows, single = segments.stored(report, None, None, None)
    days: dict[int, list[Window]] = {}
    for day, some in groupby(rows, key=lambda row: hour(row[0]) // DAY_HOURS):
        days.setdefault(day, []).append(Window.of_rows(day, sum_rows(list(some), size)))
    for day, windows in groupby(single, key=lambda one: hour(one.window) // DAY_HOURS):
        days.setdefault(day, []).extend(windows)
    return [together(day, days[day]) for day in sorted(days)]
