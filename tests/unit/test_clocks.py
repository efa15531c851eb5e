"""Clocks and windows: every boundary is where the standard library says it is."""

from __future__ import annotations

import datetime
import zoneinfo
from array import array
from functools import lru_cache

import pytest

from tillroll.core.clocks import Clocks
from tillroll.core.dimension import Window, dimension
from tillroll.core.spans import WEEKDAYS
from tillroll.core.zone import find_zone

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
FIRST_S, LAST_S = 0, int(datetime.datetime(2038, 1, 1, tzinfo=datetime.UTC).timestamp())
# A clock that goes back over midnight, one that leaves it out, half and quarter hours, seconds, a day that was left out
# and one that came twice; and twice a year in Ramadan.
ZONES = (
    "Europe/Stockholm",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "America/Santiago",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Monrovia",
    "Africa/Casablanca",
    "Antarctica/Troll",
)


@lru_cache
def clocks_of(name: str) -> Clocks:
    zone = find_zone(name)
    assert zone is not None
    return Clocks(name, zone.changes())


def window(name: str, clocks: Clocks) -> Window:
    found = dimension(name, clocks)
    assert isinstance(found, Window)
    return found


def texts(moment: int, info: zoneinfo.ZoneInfo) -> dict[str, str]:
    """Return what each window and span of a moment is called, by the standard library alone."""
    local = (EPOCH + datetime.timedelta(seconds=moment)).astimezone(info)
    offset = local.utcoffset()
    assert offset is not None
    sign, seconds = ("-" if offset.days < 0 else "+"), abs(int(offset.total_seconds()))
    shown = f"{sign}{seconds // 3600:02}:{seconds % 3600 // 60:02}" + (f":{seconds % 60:02}" if seconds % 60 else "")
    iso = local.isocalendar()
    return {
        "hour": f"{local:%Y-%m-%d:%H}{shown}",
        "day": f"{local:%Y-%m-%d}",
        "week": f"{iso.year:04}-W{iso.week:02}",
        "month": f"{local:%Y-%m}",
        "weekday": WEEKDAYS[local.weekday()],
        "hour-of-day": f"{local:%H}",
    }


def check(name: str) -> int:
    """Compare every boundary of a zone from 1970 to 2037; return how many moments were looked at."""
    clocks, info = clocks_of(name), zoneinfo.ZoneInfo(name)
    changes = [start for start in clocks.starts[1:] if FIRST_S <= start < LAST_S]
    near = (-90_000, -3_601, -3_600, -1, 0, 1, 1_799, 1_800, 3_599, 3_600, 7_200, 90_000)
    moments = array("q", sorted({change + step for change in changes for step in near} | {FIRST_S, LAST_S}))
    windows = [window(each, clocks) for each in ("hour", "day", "week", "month")]
    hours, shown = clocks.hours(moments), clocks.locals(moments)
    for moment, hour, local in zip(moments, hours, shown, strict=True):
        expected = texts(moment, info)
        assert {each.name: each.text(each.at(moment)) for each in windows} == {
            each.name: expected[each.name] for each in windows
        }, (name, moment)
        assert all(each.parse(each.text(each.at(moment))) == each.at(moment) for each in windows), (name, moment)
        assert (hour // 3_600, local) == (windows[0].at(moment), clocks.local(moment))
    assert list(map(windows[0].at, moments)) == sorted(map(windows[0].at, moments))
    return len(moments)


@pytest.mark.parametrize("name", ZONES)
def test_every_boundary_is_that_of_the_standard_library(name: str) -> None:
    assert check(name) > 2


@pytest.mark.long
def test_every_boundary_of_every_zone_is_that_of_the_standard_library() -> None:
    for name in sorted(zoneinfo.available_timezones() - {"UTC"}):  # whose hours are written without an offset
        assert check(name) >= 2, name


@pytest.mark.parametrize("name", ZONES)
def test_a_cut_parts_what_is_before_from_what_is_after(name: str) -> None:
    clocks = clocks_of(name)
    for each in (window(kind, clocks) for kind in ("hour", "day", "month")):
        for change in [start for start in clocks.starts[1:] if FIRST_S <= start < LAST_S][-6:]:
            for moment in range(change - 7_200, change + 7_201, 900):
                cut = each.cut(moment)
                around = range(moment - 200_000, moment + 200_000, 900)
                if cut is not None:
                    assert all((each.at(other) >= cut) == (other >= moment) for other in around)
                low, high = each.cuts_near(moment)
                assert low <= moment < high


def test_a_day_that_does_not_exist_is_skipped_and_one_that_comes_twice_is_one() -> None:
    samoa, kwajalein = window("day", clocks_of("Pacific/Apia")), window("day", clocks_of("Pacific/Kwajalein"))
    noon = int(datetime.datetime(2011, 12, 29, 22, tzinfo=datetime.UTC).timestamp())
    assert [samoa.text(samoa.at(noon + hours * 3_600)) for hours in (0, 12, 24)] == [
        "2011-12-29",
        "2011-12-31",
        "2011-12-31",
    ]
    before = int(datetime.datetime(1993, 8, 21, 11, tzinfo=datetime.UTC).timestamp())
    assert kwajalein.text(kwajalein.at(before)) == "1993-08-20"
    assert kwajalein.text(kwajalein.at(before + 86_400)) == "1993-08-22"


def test_an_hour_that_the_clocks_show_twice_is_two() -> None:
    hour = window("hour", clocks_of("Europe/Stockholm"))
    first = int(datetime.datetime(2026, 10, 25, 0, tzinfo=datetime.UTC).timestamp())
    assert [hour.text(hour.at(first + each * 3_600)) for each in range(3)] == [
        "2026-10-25:02+02:00",
        "2026-10-25:02+01:00",
        "2026-10-25:03+01:00",
    ]
    assert hour.parse("2026-03-29:02+01:00") is None  # the clocks leave it out


def test_purchases_of_years_that_dates_have_not_count_on_the_edge_day() -> None:
    clocks = clocks_of("America/New_York")
    first = int((datetime.datetime(1, 1, 1, tzinfo=datetime.UTC) - EPOCH).total_seconds())
    for name, text in (("day", "0001-01-01"), ("week", "0001-W01"), ("month", "0001-01")):
        assert window(name, clocks).text(window(name, clocks).at(first)) == text
    hour = window("hour", clocks)
    assert hour.text(hour.at(first)) == "0001-01-01:19-04:56:02"
    assert clocks.hours(array("q", [first]))[0] // 3_600 == hour.at(first)
