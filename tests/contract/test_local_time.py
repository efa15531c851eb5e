"""Questions by local time: every store answers what counting each event by the standard library's clocks gives."""

from __future__ import annotations

import datetime
import random
from collections import Counter
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from tests.batches import batch_of
from tests.oracle import REPORTS, events_of, rows_of

from tillroll.core.batch import Event, NameKind, Source
from tillroll.core.question import parse_query
from tillroll.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.contract.conftest import Bench

    from tillroll.ports import Store

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def seconds(text: str) -> int:
    return int((datetime.datetime.fromisoformat(text) - EPOCH).total_seconds())


def spans(event: Event, zone: str) -> dict[str, str]:
    at = (EPOCH + datetime.timedelta(seconds=event.seconds)).astimezone(ZoneInfo(zone))
    iso = at.isocalendar()
    return {
        "day": at.date().isoformat(),
        "week": f"{iso.year:04}-W{iso.week:02}",
        "month": at.date().isoformat()[:7],
        "weekday": WEEKDAYS[at.weekday()],
        "hour-of-day": f"{at.hour:02}",
    }


def purchases(around: Sequence[str]) -> list[Event]:
    """Return purchases of some days around each moment, and at its very edges."""
    chance = random.Random(3)
    found = [
        Event(seconds(moment) + offset, 0, chance.choice([5_00, 42_85, 70_00]), chance.randrange(3), f"M{offset % 3}")
        for moment in around
        for offset in (-1, 0, 3_599, 3_600, *(chance.randrange(-4 * 86_400, 4 * 86_400) for _ in range(40)))
    ]
    chance.shuffle(found)
    return found


def shown(store: Store, report: str, **parameters: str) -> dict[str, int]:
    """Return what a question shows, page by page, and see that its totals agree."""
    asked = {name.rstrip("_"): [value] for name, value in parameters.items()}
    found: dict[str, int] = {}
    totals = None
    while True:
        page = store.page(parse_query(REPORTS[report], asked))
        totals = totals or page.totals
        found.update(events_of(page.aggregates))
        if page.next is None:
            break
        asked["cursor"] = [page.next]
    assert totals is not None
    assert (totals.datapoints, totals.events) == (len(found), sum(found.values()))
    return found


CHANGES = {
    "Europe/Stockholm": ["2026-03-29T01:00:00+00:00", "2026-10-25T01:00:00+00:00", "2025-12-31T23:00:00+00:00"],
    "America/Santiago": ["2025-09-07T04:00:00+00:00", "2025-04-06T03:00:00+00:00"],
    "Pacific/Apia": ["2011-12-30T10:00:00+00:00"],
    "America/New_York": ["1999-10-31T06:00:00+00:00", "1969-12-31T23:00:00+00:00"],
}


@pytest.mark.parametrize("zone", CHANGES)
def test_hours_are_added_up_by_a_zones_clocks(bench: Bench, zone: str) -> None:
    store, events = bench.open(), purchases(CHANGES[zone])
    half = len(events) // 2
    store.journal(batch_of(events[:half], Source(NameKind.KEY, "one")))
    store.fold()
    store.journal(batch_of(events[half:], Source(NameKind.KEY, "two")))  # what is not folded, where stores show that
    if shown(store, "hour-bracket", by="bracket") != Counter(rows_of(x)["hour-bracket"][1][14:] for x in events):
        store.fold()
    for span in ("day", "week", "month", "weekday", "hour-of-day"):
        of = [(spans(event, zone)[span], rows_of(event)["hour-bracket-method"][1].split("|")) for event in events]
        assert shown(store, "hour-bracket", zone=zone, by=span, limit="3") == Counter(text for text, _ in of)
        expected = Counter(f"{bracket}|{text}|{method}" for text, (_, bracket, method) in of)
        assert shown(store, "hour-bracket-method", zone=zone, by=f"bracket,{span},method") == expected
        assert shown(store, "hour-bracket-method", zone=zone, by=f"bracket,{span},method", order="-events") == expected


def test_days_are_added_up_to_weeks_of_utc(bench: Bench) -> None:
    store, events = bench.open(), purchases(CHANGES["Europe/Stockholm"])
    store.journal(batch_of(events, Source(NameKind.KEY, "one")))
    store.fold()
    for span in ("week", "month", "weekday"):
        expected = Counter(f"{event.merchant}|{spans(event, 'UTC')[span]}" for event in events)
        assert shown(store, "day-merchant", by=f"merchant,{span}", limit="4") == expected


def test_a_range_is_by_the_zones_clocks(bench: Bench) -> None:
    store, events = bench.open(), purchases(CHANGES["Europe/Stockholm"])
    store.journal(batch_of(events, Source(NameKind.KEY, "one")))
    store.fold()
    zone = ZoneInfo("Europe/Stockholm")
    first, last = (datetime.datetime(2026, 10, day, tzinfo=zone) for day in (24, 26))
    inside = [event for event in events if first <= EPOCH + datetime.timedelta(seconds=event.seconds) < last]
    assert inside
    found = shown(store, "hour-bracket", zone="Europe/Stockholm", from_="2026-10-24", to="2026-10-26", by="day")
    assert found == Counter(spans(event, "Europe/Stockholm")["day"] for event in inside)
    hour = shown(store, "hour-bracket", zone="Europe/Stockholm", from_="2026-10-25:02", to="2026-10-25:03", by="day")
    twice = [
        x for x in events if seconds("2026-10-25T00:00:00+00:00") <= x.seconds < seconds("2026-10-25T02:00:00+00:00")
    ]
    assert sum(hour.values()) == len(twice)


def test_a_zone_of_half_hours_is_refused_by_name(bench: Bench) -> None:
    store = bench.open()
    store.journal(batch_of(purchases(["2026-01-01T00:00:00+00:00"]), Source(NameKind.KEY, "one")))
    store.fold()
    with pytest.raises(QueryError, match=r"zone: in Asia/Kathmandu the hour .* of UTC is parts of two hours"):
        shown(store, "hour-bracket", zone="Asia/Kathmandu", by="day")
