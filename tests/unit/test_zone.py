"""Zones: their offsets are those of zoneinfo, at every change of every zone."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest

from tillroll.core.zone import Zone, find_zone

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def moment(text: str) -> int:
    return int((datetime.datetime.fromisoformat(text) - EPOCH).total_seconds())


def zone_of(name: str) -> Zone:
    zone = find_zone(name)
    assert zone is not None
    return zone


def changes(zone: Zone, first: int, last: int) -> list[int]:
    """Return the moments from which another offset is in force."""
    found = []
    for day in range(first, last, 86_400):
        low, high = day, day + 86_400
        if zone.offset(low) != zone.offset(high):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if zone.offset(middle) == zone.offset(day) else (low, middle)
            found.append(high)
    return found


# Each of its own kind: half hours, quarters, a day left out, changes at midnight, summer time of half an hour, none.
NAMES = [
    "Europe/Stockholm",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Santiago",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Asia/Tehran",
    "America/Sao_Paulo",
    "UTC",
]


@pytest.mark.parametrize("name", NAMES)
def test_offsets_are_those_of_zoneinfo_around_every_change(name: str) -> None:
    zone, info = zone_of(name), zoneinfo.ZoneInfo(name)
    found = changes(zone, 0, moment("2038-01-01T00:00:00+00:00"))
    assert len(found) > 10 or name in {"UTC", "Asia/Kathmandu"}
    for change in found:
        for second in (change - 1, change, change + 1):
            expected = (EPOCH + datetime.timedelta(seconds=second)).astimezone(info).utcoffset()
            assert datetime.timedelta(seconds=zone.offset(second)) == expected


@pytest.mark.parametrize(
    ("name", "local", "first"),
    [
        ("Europe/Stockholm", "2026-03-29T02:00:00", "2026-03-29T01:00:00"),  # left out: the hour after
        ("Europe/Stockholm", "2026-10-25T02:00:00", "2026-10-25T00:00:00"),  # shown twice: the first
        ("Europe/Stockholm", "2026-10-26T00:00:00", "2026-10-25T23:00:00"),
        ("America/Santiago", "2026-09-06T00:00:00", "2026-09-06T04:00:00"),  # a midnight that there is not
        ("Pacific/Apia", "2011-12-30T00:00:00", "2011-12-30T10:00:00"),  # a day that there is not
        ("Asia/Kathmandu", "2026-01-01T00:00:00", "2025-12-31T18:15:00"),
    ],
)
def test_a_local_time_begins_when_clocks_show_it_first(name: str, local: str, first: str) -> None:
    assert zone_of(name).first_at(moment(f"{local}+00:00")) == moment(f"{first}+00:00")


def test_an_hour_of_utc_is_an_hour_there_only_where_it_is_whole() -> None:
    hour = moment("2026-06-01T10:00:00+00:00") // 3_600
    assert zone_of("Europe/Stockholm").hour(hour) == hour + 2
    assert zone_of("America/New_York").hour(hour) == hour - 4
    assert zone_of("Asia/Kolkata").hour(hour) is None
    # Clocks in Moncton went forward a minute after midnight, within an hour of UTC.
    change = moment("2006-04-02T04:00:00+00:00") // 3_600
    assert [zone_of("America/Moncton").hour(hour) for hour in (change - 1, change, change + 1)] == [
        change - 5,
        None,
        change - 2,
    ]


@pytest.mark.parametrize("name", ["", "Nowhere", "europe/stockholm", "../etc/passwd", "Europe", "\0"])
def test_what_is_no_zone_is_none(name: str) -> None:
    assert find_zone(name) is None


def test_the_ends_of_time_have_an_offset() -> None:
    zone = zone_of("Asia/Tokyo")
    assert zone.offset(moment("9999-12-31T23:59:59+00:00")) == 9 * 3_600
    assert isinstance(zone.offset(moment("0001-01-01T00:00:00+00:00")), int)
