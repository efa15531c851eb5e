"""Each report's chart and table are what the API answers, which is what was sent."""

# ruff: noqa: RUF001 the page sets its ranges with a dash

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.browser.purchases import METHODS, Purchase, count
from tests.browser.reading import WORDS, columns, number, ready, table

from tillroll.core.dimension import BRACKETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page
    from tests.browser.process import Server

REPORTS = {
    "hour-bracket": ("hour", "bracket"),
    "hour-bracket-method": ("hour", "bracket", "method"),
    "bracket-method": ("bracket", "method"),
    "day-merchant": ("day", "merchant"),
    "merchant-method": ("merchant", "method"),
}


def by_amount(datapoint: str) -> list[str]:
    """Return what people sort a datapoint by: brackets by amount."""
    ranks = {bracket: str(rank) for rank, bracket in enumerate(BRACKETS)}
    return [ranks.get(part, part) for part in datapoint.split("|")]


@pytest.mark.parametrize("name", REPORTS)
def test_table_shows_what_was_sent(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase], name: str
) -> None:
    page = open_page(f"{server.url}/#/{name}?range=all&grain=hour")
    ready(page)
    expected = dict(sorted(count(purchases, *REPORTS[name]).items()))
    assert server.rows(name) == expected
    assert list(table(page).items()) == sorted(expected.items(), key=lambda row: by_amount(row[0]))[:100]
    expect(page.locator("#total")).to_have_text(f"{len(purchases):,}")
    expect(page.locator("tfoot th")).to_contain_text(f"{len(expected):,} rows")


@pytest.mark.parametrize("name", ["hour-bracket", "hour-bracket-method"])
@pytest.mark.parametrize("stack", ["bracket", "method"])
def test_columns_show_the_days_of_the_report(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase], name: str, stack: str
) -> None:
    if stack not in REPORTS[name]:
        pytest.skip("a report is only coloured by what it counts by")
    page = open_page(f"{server.url}/#/{name}?range=7d&grain=day&stack={stack}")
    ready(page)
    said = list(columns(page.get_by_role("slider"), 7).values())
    days = count(purchases, "day", stack)
    today = purchases[-1].at.date()
    for back, column in enumerate(reversed(said)):
        day = today - timedelta(days=back)
        parts = {key.split("|")[1]: events for key, events in days.items() if key.startswith(f"{day}|")}
        assert column.pop("total") == sum(parts.values())
        assert {label: events for label, events in column.items() if events} == {
            WORDS[value]: events for value, events in parts.items()
        }


def test_columns_show_the_hours_of_a_day(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase]
) -> None:
    day = purchases[-1].at.date() - timedelta(days=2)
    page = open_page(f"{server.url}/#/hour-bracket?from={day}&to={day + timedelta(days=1)}")
    ready(page)
    said = columns(page.get_by_role("slider"), 24)
    hours = count(purchases, "hour")
    assert [column["total"] for column in said.values()] == [hours.get(f"{day}:{hour:02}", 0) for hour in range(24)]
    assert server.rows("hour-bracket", **{"from": str(day), "to": str(day + timedelta(days=1)), "by": "hour"}) == {
        hour: events for hour, events in hours.items() if hour.startswith(str(day))
    }


def test_columns_of_merchants_are_stacked_by_the_chosen_ones(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase]
) -> None:
    days = count(purchases, "day", "merchant")
    busiest = list(server.rows("merchant-method", by="merchant", order="-events", limit=2))[:2]
    page = open_page(f"{server.url}/#/day-merchant?range=7d&merchant={busiest[0]}&merchant={busiest[1]}")
    ready(page)
    said = list(columns(page.get_by_role("slider"), 7).values())
    today: date = purchases[-1].at.date()
    for back, column in enumerate(reversed(said)):
        day = today - timedelta(days=back)
        assert [column[name] for name in busiest] == [days.get(f"{day}|{name}", 0) for name in busiest]


def test_bars_show_the_shares_of_the_methods(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase]
) -> None:
    page = open_page(f"{server.url}/#/bracket-method")
    ready(page)
    counts = count(purchases, "bracket", "method")
    brackets = [bracket for bracket in WORDS if bracket not in METHODS]
    bars = page.locator(".part-bars .bar")
    expect(bars).to_have_count(len(brackets))
    for bar, bracket in zip(bars.all(), brackets, strict=True):
        for method in METHODS:
            events = counts[f"{bracket}|{method}"]
            name = f"{WORDS[bracket]}, {WORDS[method]}: {events:,}, "
            expect(bar.get_by_role("link", name=name)).to_have_count(1)


def test_bars_show_the_busiest_merchants_by_method(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(f"{server.url}/#/merchant-method")
    ready(page)
    busiest = server.rows("merchant-method", by="merchant", order="-events")
    bars = page.locator(".part-bars .bar")
    names = [label.get_attribute("title") for label in bars.locator(".bar-label").all()]
    shown = zip(names, bars.locator(".bar-value").all_text_contents(), strict=True)
    assert [(name, number(events)) for name, events in shown] == list(busiest.items())[:12]


def test_part_of_all_time_of_a_report_without_windows_is_asked_of_one_that_has_them(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase]
) -> None:
    page = open_page(f"{server.url}/#/bracket-method?range=7d")
    ready(page)
    first = purchases[-1].at.date() - timedelta(days=6)
    recent = [one for one in purchases if one.at.date() >= first]
    assert table(page) == count(recent, "bracket", "method")


def test_overview_numbers_are_those_of_the_reports_they_link_to(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(f"{server.url}/")
    ready(page)
    links = page.locator(".cards a, .part-columns .sub a")
    numbers = [(link.inner_text(), link.get_attribute("href") or "") for link in links.all()]
    assert len(numbers) >= 5
    for text, address in numbers:
        page.goto(f"{server.url}/{address}")
        ready(page)
        expect(page.locator("#total")).to_have_text(text)


def test_overview_bars_lead_to_the_report_narrowed_down(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(f"{server.url}/#/overview?range=30d")
    ready(page)
    events = page.locator(".part-merchants .bar-value").first.inner_text()
    page.locator(".part-merchants .bar-label").first.click()
    expect(page.locator("#total")).to_have_text(events)
    page.go_back()
    segment = page.locator(".part-methods a.segment").first
    events = (segment.text_content() or "").split(": ")[1].split(", ")[0]
    segment.click()
    expect(page.locator("#total")).to_have_text(events)


def test_slim_columns_are_drawn_where_there_are_purchases(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase]
) -> None:
    page = open_page(f"{server.url}/#/hour-bracket?range=30d&grain=hour")
    ready(page)
    assert page.get_by_role("slider").get_attribute("aria-valuemax") == str(30 * 24 - 1)
    first = max(one.at for one in purchases).date() - timedelta(days=29)
    hours = {one.hour for one in purchases if one.at.date() >= first}
    painted, width = page.evaluate(
        """() => {
            const [canvas, over] = ["canvas", ".u-over"].map((one) => document.querySelector(`.plot ${one}`));
            const { offsetLeft, offsetTop, clientWidth, clientHeight } = over;
            const row = canvas.getContext("2d").getImageData(offsetLeft, offsetTop + clientHeight - 2, clientWidth, 1);
            return [row.data.filter((value, index) => index % 4 === 3 && value === 255).length, clientWidth];
        }"""
    )
    assert abs(painted / width - len(hours) / (30 * 24)) < 0.05  # to the pixel: a column has one and a third


def test_heat_map_cell_leads_to_its_latest_hour(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(f"{server.url}/")
    ready(page)
    page.locator(".heat[tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    ready(page)
    expect(page.locator(".lead")).to_contain_text("01:00–02:00")
    expect(page.locator(".lead")).to_contain_text("purchases")
