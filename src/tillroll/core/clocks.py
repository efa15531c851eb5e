"""Clocks: a zone's offsets from UTC as a value, which a definition of a report holds.

Two processes with two editions of the zone data count alike so: they read the offsets from the definition.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, Final

from tillroll.core import kernel
from tillroll.core.zone import DAY_S, FIRST_LOCAL_S, HOUR_S, LAST_LOCAL_S, UTC

if TYPE_CHECKING:
    from collections.abc import Iterable


class Clocks:
    """A zone's clocks: `offsets[i]` seconds to the east of UTC from the moment `starts[i]` on.

    Moments are seconds since 1970 in UTC; local times are what the clocks show, counted likewise. The first start is
    for ever before. Local times outside the years 1 to 9999 count on the day at the edge.
    """

    def __init__(self, name: str, changes: Iterable[tuple[int, int]]) -> None:
        """Take the offset at first, which has any start, and each change; a change to the same offset is none."""
        self.name = name
        self.starts: list[int] = []
        self.offsets: list[int] = []
        for start, offset in changes:
            if not self.offsets or self.offsets[-1] != offset:
                self.starts.append(start)
                self.offsets.append(offset)
        self.key = f"{name} {hashlib.sha256(repr(self.changes()).encode()).hexdigest()}"

    @property
    def is_utc(self) -> bool:
        """Whether an hour of these clocks needs no offset to be told from another."""
        return self.name == UTC

    def changes(self) -> list[tuple[int, int]]:
        """Return the changes that these clocks are made from."""
        return list(zip(self.starts, self.offsets, strict=True))

    def piece(self, moment: int) -> int:
        """Return which offset is in force at a moment, by its index."""
        return max(0, bisect_right(self.starts, moment) - 1)

    def local(self, moment: int) -> int:
        """Return what the clocks show at a moment."""
        return within_years(moment + self.offsets[self.piece(moment)])

    def locals(self, seconds: array[int]) -> array[int]:
        """Return what the clocks show at each of some moments (q)."""
        return _all_within_years(kernel.shift(seconds, *self._shifts(self.offsets)))

    def hours(self, seconds: array[int]) -> array[int]:
        """Return the same with each hour told from every other, see `hour`: the seconds of code after code."""
        shifts = [offset + extra * HOUR_S for offset, extra in zip(self.offsets, self._extra, strict=True)]
        shown = kernel.shift(seconds, *self._shifts(self.offsets))
        low, high = kernel.bounds(shown) if shown else (0, 0)
        if low < FIRST_LOCAL_S or high >= LAST_LOCAL_S:
            return array("q", [self.hour(second) * HOUR_S for second in seconds])
        return kernel.shift(seconds, *self._shifts(shifts))

    def _shifts(self, offsets: list[int]) -> tuple[array[int], array[int]]:
        return array("q", self.starts), array("q", offsets)

    # Hours as codes: by local time, but rising with each hour that the clocks show once more, or in part.

    @cached_property
    def _extra(self) -> list[int]:
        """How many hours more than shown a code is, by piece: the hours that were shown again until then."""
        extra = [0]
        for at in range(1, len(self.starts)):
            last = (self.starts[at] - 1 + self.offsets[at - 1]) // HOUR_S + extra[-1]
            first = (self.starts[at] + self.offsets[at]) // HOUR_S
            extra.append(max(extra[-1], last + 1 - first))
        return extra

    def hour(self, moment: int) -> int:
        """Return the code of the hour at a moment: later hours have greater codes."""
        at = self.piece(moment)
        return within_years(moment + self.offsets[at]) // HOUR_S + self._extra[at]

    def shown_hour(self, code: int) -> tuple[int, int]:
        """Return (the hour that the clocks show, counted from 1970; the offset) of an hour's code."""
        at = bisect_right(self._first_codes, code) - 1
        return code - self._extra[max(0, at)], self.offsets[max(0, at)]

    def code_of_hour(self, hour: int, offset: int) -> int | None:
        """Return the code of an hour that the clocks show at an offset, None when they never do."""
        for at, each in enumerate(self.offsets):
            code = hour + self._extra[at]
            if each == offset and self.shown_hour(code) == (hour, offset):
                return code if self.hour(self.first_of_hour(code)) == code else None
        return None

    def first_of_hour(self, code: int) -> int:
        """Return the first moment of the hour of a code, or of a later one where the clocks leave it out."""
        at = max(0, bisect_right(self._first_codes, code) - 1)
        found = (code - self._extra[at]) * HOUR_S - self.offsets[at]
        found = found if at == 0 else max(found, self.starts[at])
        return found if at + 1 == len(self.starts) else min(found, self.starts[at + 1])

    @cached_property
    def _first_codes(self) -> list[int]:
        starts = zip(self.starts, self.offsets, self._extra, strict=True)
        return [(start + offset) // HOUR_S + extra for start, offset, extra in starts]

    def first_at(self, local: int) -> int:
        """Return the first moment at which the clocks show a local time, or a later one where they leave it out."""
        for at in range(self.piece(local - DAY_S), len(self.starts)):
            found = local - self.offsets[at] if at == 0 else max(self.starts[at], local - self.offsets[at])
            if at + 1 == len(self.starts) or found < self.starts[at + 1]:
                return found
        raise ValueError(local)

    def changes_near(self, moment: int, seconds: int) -> list[int]:
        """Return the moments of the changes at most so many seconds away."""
        first, last = bisect_right(self.starts, moment - seconds), bisect_right(self.starts, moment + seconds)
        return self.starts[max(1, first) : last]


UTC_CLOCKS: Final = Clocks(UTC, [(0, 0)])


def within_years(local: int) -> int:
    """Return a local time, on the day at the edge if it is outside the years 1 to 9999."""
    if local < FIRST_LOCAL_S:
        return FIRST_LOCAL_S + local % DAY_S
    return local if local < LAST_LOCAL_S else LAST_LOCAL_S - DAY_S + local % DAY_S


def _all_within_years(shown: array[int]) -> array[int]:
    low, high = kernel.bounds(shown) if shown else (0, 0)
    if low >= FIRST_LOCAL_S and high < LAST_LOCAL_S:
        return shown
    return array("q", map(within_years, shown))
