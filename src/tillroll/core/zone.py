"""Time zones: by how much a zone's clocks are ahead of UTC, from the IANA database by the standard library's zoneinfo.

zoneinfo says what the offset is at a moment, and not when it changes; so changes are looked for, a stretch of days at a
time, when a moment there is asked for first.
"""

from __future__ import annotations

import datetime
from array import array
from bisect import bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import zoneinfo

HOUR_S: Final = 3_600
UTC: Final = "UTC"
DAY_S: Final = 86_400
_STRETCH_S: Final = 100 * DAY_S
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# zoneinfo reckons in years 1 to 9999 of local time: what lies nearer to their ends has the offset of a day further in.
_FIRST_S: Final = int((datetime.datetime(1, 1, 3, tzinfo=datetime.UTC) - _EPOCH).total_seconds())
_LAST_S: Final = int((datetime.datetime(9999, 12, 29, tzinfo=datetime.UTC) - _EPOCH).total_seconds())
FIRST_LOCAL_S: Final = int((datetime.datetime(1, 1, 1, tzinfo=datetime.UTC) - _EPOCH).total_seconds())
LAST_LOCAL_S: Final = int((datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC) - _EPOCH).total_seconds()) + DAY_S
_ZONES_KEPT: Final = 64
# No zone's clocks changed before, and no purchase that is counted now is later.
_FIRST_CHANGE_S: Final = int((datetime.datetime(1800, 1, 1, tzinfo=datetime.UTC) - _EPOCH).total_seconds())
_LAST_CHANGE_S: Final = int((datetime.datetime(2200, 1, 1, tzinfo=datetime.UTC) - _EPOCH).total_seconds())

_Offsets = tuple[
    "array[int]", "array[int]"
]  # seconds to the east of UTC, behind the seconds from which each is in force


class Zone:
    """A zone's clocks. Moments are seconds since 1970 in UTC; local times are what clocks show, counted likewise."""

    def __init__(self, info: zoneinfo.ZoneInfo) -> None:
        self.name = info.key
        self._info = info
        self._stretches: dict[int, _Offsets] = {}

    def offset(self, moment: int) -> int:
        """Return by how many seconds clocks are ahead of UTC at a moment."""
        starts, offsets = self._stretch(moment)
        return offsets[bisect_right(starts, moment) - 1]

    def changes(self) -> list[tuple[int, int]]:
        """Return (moment, offset from then on) of every change of the years 1800 to 2200, first the one in force."""
        found: list[tuple[int, int]] = []
        for moment in range(_FIRST_CHANGE_S, _LAST_CHANGE_S, _STRETCH_S):
            for start, offset in zip(*self._stretch(moment), strict=True):
                if not found or found[-1][1] != offset:
                    found.append((start, offset))
        return found

    def hour(self, window: int) -> int | None:
        """Return which hour of local time an hour of UTC is, both counted from 1970; None when it is parts of two."""
        first = window * HOUR_S
        starts, offsets = self._stretch(first)
        at = bisect_right(starts, first) - 1
        hours, rest = divmod(offsets[at], HOUR_S)
        stays = at + 1 == len(starts) or starts[at + 1] >= first + HOUR_S
        return window + hours if stays and not rest else None

    def first_at(self, local: int) -> int:
        """Return the first moment at which clocks show a local time, or one after it where they leave it out."""
        day_before, day_after = local - DAY_S, local + DAY_S  # no clocks are further from UTC
        changes = [day_before]
        for moment in range(day_before, day_after + _STRETCH_S, _STRETCH_S):
            changes += [start for start in self._stretch(moment)[0] if day_before < start <= day_after]
        for start, stop in zip(changes, [*changes[1:], day_after + 1], strict=True):
            found = max(start, local - self.offset(start))
            if found < stop:
                return found
        return day_after

    def _stretch(self, moment: int) -> _Offsets:
        number = moment // _STRETCH_S
        found = self._stretches.get(number)
        if found is None:
            found = self._stretches[number] = self._look(number * _STRETCH_S)
        return found

    def _look(self, first: int) -> _Offsets:
        """Look for the changes in the stretch that begins at a moment, taking it that each lasts for a day."""
        starts, offsets = array("q", [first]), array("q", [self._ask(first)])
        for day in range(first + DAY_S, first + _STRETCH_S + 1, DAY_S):
            later = self._ask(day - 1)
            if later != offsets[-1]:
                low, high = day - DAY_S, day - 1  # at `low` the offset is the one before, at `high` the later
                if self._ask(low) == later:
                    high = low
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (low, middle) if self._ask(middle) == later else (middle, high)
                starts.append(high)
                offsets.append(later)
        return starts, offsets

    def _ask(self, moment: int) -> int:
        at = _EPOCH + datetime.timedelta(seconds=min(max(moment, _FIRST_S), _LAST_S))
        offset = at.astimezone(self._info).utcoffset()
        return 0 if offset is None else round(offset.total_seconds())


@lru_cache(_ZONES_KEPT)
def find_zone(name: str) -> Zone | None:
    """Return the zone of an IANA name, None when there is none."""
    import zoneinfo  # noqa: PLC0415 it loads how Python was built, and a start without a zone needs neither

    return Zone(zoneinfo.ZoneInfo(name)) if name in _names() else None


def zone_remedy(name: object) -> str:
    """Return what to do about a name that is none, with the zones that it is the last part of, or but for its case."""
    remedy = "Give an IANA name, such as Europe/Stockholm, or UTC"
    wanted = str(name).lower().replace(" ", "_")
    near = sorted(each for each in _names() if wanted in {each.lower(), each.lower().rpartition("/")[2]})
    return f"{remedy}. Did you mean {' or '.join(near[:3])}?" if near else remedy


@lru_cache(1)
def _names() -> frozenset[str]:
    import zoneinfo  # noqa: PLC0415 as above

    return frozenset(zoneinfo.available_timezones())
