"""Grain, zone, comparison and the way deeper in: by the page's own words, against counts of what was sent."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Error, expect
from tests.browser.purchases import MOMENT, Purchase, count, generate, lines, merchants
from tests.browser.reading import columns, number, ready, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page, Route
    from tests.browser.process import Server

STOCKHOLM = ZoneInfo("Europe/Stockholm")


@pytest.fixture(scope="session")
def both_changes() -> list[Purchase]:
    """Purchases of thirteen months up to last November, with both changes of the clock in them."""
    return list(generate(datetime(2025, 11, 20, 23, tzinfo=UTC), 400, 1, merchants(6)))


def test_weeks_and_months_of_a_zone_are_what_was_sent_at_both_changes_of_the_clock(
    open_page: Callable[..., Page], fresh_server: Server, both_changes: list[Purchase]
) -> None:
    fresh_server.post(lines(both_changes))
    local = [one.at.astimezone(STOCKHOLM) for one in both_changes]
    months = Counter(f"{at:%B %Y}" for at in local)
    page = open_page(f"{fresh_server.url}/#/hour-bracket?range=all&grain=month&zone=Europe/Stockholm")
    ready(page)
    said = columns(page.get_by_role("slider"), len(months))
    assert {re.sub(r" \(.*", "", when): column["total"] for when, column in said.items()} == dict(months)
    for day in ("2025-03-30", "2025-10-26"):  # of 23 hours, and of 25
        following = str(datetime.fromisoformat(day).date() + timedelta(days=1))
        page.goto(f"{fresh_server.url}/#/hour-bracket?from={day}&to={following}&zone=Europe/Stockholm")
        ready(page)
        mine = [one for one, at in zip(both_changes, local, strict=True) if str(at.date()) == day]
        expect(page.locator("#total")).to_have_text(f"{len(mine):,}")
        slider = page.get_by_role("slider")
        expect(slider).to_have_attribute("aria-valuemax", "22" if day == "2025-03-30" else "24")
        hours = columns(slider, 25 if day == "2025-10-26" else 23)
        assert sum(column["total"] for column in hours.values()) == len(mine)
        assert len(hours) == (25 if day == "2025-10-26" else 23)
        page.goto(f"{fresh_server.url}/#/hour-bracket?from={day}&to={following}&zone=Europe/Stockholm&grain=week")
        ready(page)
        expect(page.locator("table .tag").first).to_have_text("partial")


def test_what_is_not_over_is_compared_up_to_the_same_hour(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase]
) -> None:
    page = open_page(f"{server.url}/#/hour-bracket-method?range=7d&grain=day&compare=before&order=-events")
    ready(page)
    against = page.locator("#against").inner_text()
    full = MOMENT.replace(minute=0)
    first = full.replace(hour=0) - timedelta(days=6)
    week = timedelta(days=7)
    mine = [one for one in purchases if first <= one.at < full]
    before = [one for one in purchases if first - week <= one.at < full - week]
    said = re.search(r"([\d,]+) by (\d\d):00 against ([\d,]+) in the 7 days before", against)
    assert said
    assert (number(said[1]), int(said[2]), number(said[3])) == (len(mine), full.hour, len(before))
    counts, counts_before = (count(which, "day", "bracket", "method") for which in (mine, before))
    shown = page.locator("tr[data-datapoint]").evaluate_all(
        "rows => rows.map((row) => [row.dataset.datapoint, ...[...row.cells].slice(-2).map((one) => one.textContent)])"
    )
    assert len(shown) > 50
    for datapoint, earlier, change in shown:
        day, _, rest = datapoint.partition("|")
        moved = f"{datetime.fromisoformat(day).date() - week}|{rest}"
        events, was = counts.get(datapoint, 0), counts_before.get(moved, 0)
        assert number(earlier) == was, datapoint
        if was:
            assert change[0] == ("▲" if events > was else "▼" if events < was else "="), datapoint
    chart = page.get_by_role("slider")
    last = list(columns(chart, 7).items())[-1]
    assert "(in progress)" in last[0]
    expect(page.locator(".tag").first).to_have_text("in progress")


def test_report_over_all_time_is_compared_for_a_part_of_it(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase]
) -> None:
    page = open_page(f"{server.url}/#/bracket-method?range=yesterday&compare=before")
    ready(page)
    today = MOMENT.date()
    days = [
        count((one for one in purchases if one.at.date() == today - timedelta(days=back)), "bracket", "method")
        for back in (1, 2)
    ]
    assert table(page) == days[0]
    before = page.locator("tr[data-datapoint]").evaluate_all(
        "rows => rows.map((row) => [row.dataset.datapoint, row.querySelector('.before').textContent])"
    )
    assert {datapoint: number(text) for datapoint, text in before} == {key: days[1].get(key, 0) for key in days[0]}
    expect(page.locator("#against")).to_contain_text(f"against {sum(days[1].values()):,} in the day before")


def test_a_click_goes_into_a_column_and_on_to_its_purchases_and_the_trail_leads_back(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase]
) -> None:
    page = open_page(f"{server.url}/#/hour-bracket-method?range=30d")
    ready(page)
    total = page.locator("#total").inner_text()
    box = page.locator(".u-over").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] * 28.5 / 30, box["y"] + box["height"] - 8)
    day = purchases[-1].at.date() - timedelta(days=1)
    expect(page).to_have_url(re.compile(f"from={day}&to={day + timedelta(days=1)}"))
    ready(page)
    expect(page.locator("#total")).to_have_text(f"{sum(one.at.date() == day for one in purchases):,}")
    row = page.locator("tr[data-datapoint]").first
    datapoint, events = row.get_attribute("data-datapoint"), row.locator(".count").inner_text()
    row.locator(".count a").click()
    ready(page)
    expect(page.locator("#total")).to_have_text(events)
    behind = [one for one in purchases if f"{one.hour}|{one.bracket}|{one.method}" == datapoint]
    expect(page.locator(".purchases tbody tr")).to_have_count(len(behind))
    for one in behind:
        expect(page.locator(".purchases")).to_contain_text(one.merchant)
    trail = page.get_by_role("navigation", name="Breadcrumb")
    expect(trail.get_by_role("link")).to_have_count(2)
    page.reload()
    expect(trail.get_by_role("link")).to_have_count(2)
    trail.get_by_role("link", name="30 days").click()
    ready(page)
    expect(page.locator("#total")).to_have_text(total)
    expect(trail).to_have_count(0)


def test_a_step_of_the_trail_is_named_for_the_range_that_it_leads_to_while_another_is_on_its_way(
    open_page: Callable[..., Page], server: Server
) -> None:
    page = open_page(f"{server.url}/#/hour-bracket-method?range=30d")
    ready(page)
    box = page.locator(".u-over").bounding_box()
    assert box
    held: list[Route] = []
    page.route("**/reports/**", lambda route: held.append(route))  # noqa: PLW0108 - it is given an attribute
    page.get_by_label("Range", exact=True).select_option("7d")
    expect(page).to_have_url(re.compile("range=7d"))
    page.mouse.click(box["x"] + box["width"] * 28.5 / 30, box["y"] + box["height"] - 8)
    expect(page).to_have_url(re.compile("from="))
    page.unroute("**/reports/**")
    for route in held:
        with suppress(Error):  # the page gave it up
            route.continue_()
    ready(page)
    step = page.get_by_role("navigation", name="Breadcrumb").get_by_role("link")
    expect(step).to_have_attribute("href", re.compile("range=7d"))
    expect(step).to_have_text("7 days")


def test_a_row_leads_to_its_value_and_its_number_to_a_finer_grain(
    open_page: Callable[..., Page], server: Server
) -> None:
    page = open_page(f"{server.url}/#/hour-bracket-method?range=30d&grain=day&order=-events")
    ready(page)
    row = page.locator("tr[data-datapoint]").first
    events = row.locator(".count").inner_text()
    row.locator(".count a").click()
    ready(page)
    expect(page.locator("#total")).to_have_text(events)
    expect(page.get_by_label("By", exact=True)).to_have_value("hour")
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(2)


def test_zone_is_kept_in_the_address_and_its_default_is_the_setting(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase]
) -> None:
    page = open_page(f"{server.url}/#/hour-bracket?range=yesterday")
    ready(page)
    zone = page.get_by_label("Time zone")
    zone.focus()
    zone.select_option("Pacific/Auckland")
    auckland = ZoneInfo("Pacific/Auckland")
    yesterday = MOMENT.astimezone(auckland).date() - timedelta(days=1)
    mine = [one for one in purchases if one.at.astimezone(auckland).date() == yesterday]
    expect(page.locator(".lead")).to_contain_text("Pacific/Auckland")
    expect(page.locator("#total")).to_have_text(f"{len(mine):,}")
    expect(page).to_have_url(re.compile("zone=Pacific%2FAuckland"))
    assert server.client.get("/status").json()["zone"] == "UTC"


def test_a_grain_that_would_be_too_much_is_replaced_and_told(
    open_page: Callable[..., Page], fresh_server: Server, both_changes: list[Purchase]
) -> None:
    fresh_server.post(lines(both_changes))
    page = open_page(f"{fresh_server.url}/#/hour-bracket?range=all&grain=hour")
    ready(page)
    expect(page.get_by_text("Too many hours in this range: shown by day.")).to_be_visible()
    expect(page.get_by_role("heading", name="Purchases by day")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Day")).to_be_visible()
