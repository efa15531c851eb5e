"""An address that cannot be shown as it is is told so, and so is a person whose server or right to read is gone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.browser.purchases import generate, lines, merchants, this_moment
from tests.browser.reading import ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page, Route
    from tests.browser.process import Server


TOLD = [
    ("/#/overview?range=5d", "range=5d is not one of today, yesterday, week"),
    ("/#/overview?colour=red", "colour is not a parameter of this view"),
    ("/#/overview?bracket=10-50", "bracket is not a parameter of this view"),
    ("/#/operations?range=7d", "range is not a parameter of this view. It has none"),
    (
        "/#/day-merchant?bracket=10-50",
        "It has range, from, to, compare, merchant, grain, measure",
    ),
    ("/#/day-merchant?grain=hour", "grain=hour is not one of day, week, month"),
    ("/#/day-merchant?zone=Europe/Stockholm", "zone is not a parameter"),
    ("/#/hour-bracket?zone=Europe/Atlantis", "zone=Europe/Atlantis is not a time zone"),
    ("/#/hour-bracket?compare=never", "compare=never is not one of before, year"),
    ("/#/merchant-method?from=2026-01-01&to=2026-01-02", "from is not a parameter"),
    ("/#/hour-bracket?grain=minute", "grain=minute is not one of hour, day, week, month"),
    ("/#/hour-bracket-method?stack=colour", "stack=colour is not one of bracket, method"),
    ("/#/hour-bracket?order=events", "order=events is not one of datapoint, -events"),
    ("/#/hour-bracket?from=yesterday&to=2026-01-02", "from=yesterday is not a date"),
    ("/#/hour-bracket?from=2026-02-30&to=2026-03-02", "from=2026-02-30 is not a date"),
    ("/#/hour-bracket?from=2026-01-02", "from alone is not a range"),
    ("/#/hour-bracket?from=2026-01-02&to=2026-01-02", "to=2026-01-02 is not after from=2026-01-02"),
    ("/#/hour-bracket?from=2026-01-01T10:30:00Z&to=2026-01-02", "is inside an hour"),
    ("/#/day-merchant?from=2026-01-01T10:00:00Z&to=2026-01-02", "is inside a day"),
    ("/#/hour-bracket?range=7d&from=2026-01-01&to=2026-01-02", "range is ignored, because from and to are given"),
    ("/#/hour-bracket?range=7d&range=30d", "range is given 2 times"),
    ("/#/hour-bracket?start=100", "start is ignored without a cursor"),
    ("/#/hour-bracket?bracket=", "bracket has an empty value"),
    ("/#/hour-bracket?merchant=%ff", "not percent-encoded UTF-8"),
    ("/?range=30d#/overview", "is before the #"),
]


@pytest.mark.slow
def test_what_a_view_does_not_have_is_told(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(server.url)
    ready(page)
    for address, said in TOLD:  # on one page, as another page takes a second of the processor
        page.goto(f"{server.url}{address}")
        ready(page)
        told = page.get_by_role("alert")
        expect(told, address).to_have_count(1)
        expect(told, address).to_contain_text(said)
        told.get_by_role("link", name="Remove the invalid parts").click()
        expect(page.get_by_role("alert"), address).to_have_count(0)
        ready(page)


def test_a_bad_address_is_told_to_who_comes_by_it(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(f"{server.url}{TOLD[0][0]}")
    ready(page)
    expect(page.get_by_role("alert")).to_contain_text(TOLD[0][1])


def test_an_address_of_no_view_is_told_so_above_the_overview(open_page: Callable[..., Page], server: Server) -> None:
    names = ["nonsense", "hour-bracket/more", "Overview", "%ff", "toString", "hour-brackets?range=7d"]
    page = open_page(f"{server.url}/#/{names[0]}")
    for name in names:
        page.goto(f"{server.url}/#/{name}")
        ready(page)
        expect(page.get_by_role("alert"), name).to_contain_text("There is no view")
        if name != "%ff":
            expect(page.get_by_role("alert")).to_contain_text(f"There is no view {name.partition('?')[0]}. ")
        expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
        page.get_by_role("link", name="Per day by merchant").click()
        ready(page)
        expect(page.get_by_role("heading", name="Purchases per day by merchant")).to_be_visible()
        expect(page.get_by_role("alert"), name).to_have_count(0)


def test_a_right_address_is_told_nothing(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(server.url)
    for address in (
        "/",
        "/#",
        "/#/",
        "/#/overview?from=2026-01-01&to=2026-01-03",
        "/#/hour-bracket-method?from=2026-01-01T10:00:00Z&to=2026-01-03&stack=method&grain=day&order=-events&bracket=%3C10",
        "/#/operations",
    ):
        page.goto(f"{server.url}{address}")
        ready(page)
        expect(page.get_by_role("alert"), address).to_have_count(0)


def test_a_value_that_a_report_cannot_have_is_told_by_the_server(
    open_page: Callable[..., Page], server: Server
) -> None:
    page = open_page(f"{server.url}/#/hour-bracket?bracket=7-9", quiet=False)
    expect(page.get_by_role("alert")).to_contain_text("'7-9' is not one of its values")


def test_brackets_of_a_table_rise_by_amount(open_page: Callable[..., Page], server: Server) -> None:
    order = ["<10", "10-50", "50-100", "100-500", ">500"]
    for view in ("bracket-method", "hour-bracket?range=30d", "hour-bracket-method?range=30d&grain=day"):
        page = open_page(f"{server.url}/#/{view}")
        ready(page)
        keys: list[str] = page.locator("tr[data-datapoint]").evaluate_all(
            "rows => rows.map((row) => row.dataset.datapoint)"
        )
        at = 0 if view.startswith("bracket") else 1
        ranks = [(key.split("|")[:at], order.index(key.split("|")[at]), key) for key in keys]
        assert ranks == sorted(ranks)
        assert len({rank for _, rank, _ in ranks}) == 5


def test_a_server_that_is_gone_is_told_with_the_hour_of_the_numbers(
    open_page: Callable[..., Page], fresh_server: Server
) -> None:
    some = list(generate(this_moment(), 2, 4, merchants(10)))
    fresh_server.post(lines(some))
    page = open_page(f"{fresh_server.url}/#/hour-bracket?range=all", quiet=False)
    ready(page)
    fresh_server.stop()
    as_of = re.compile(r"as of \d\d:\d\d")
    expect(page.locator("#freshness")).to_contain_text(as_of)
    expect(page.get_by_text("The server does not answer. The numbers are as of")).to_contain_text(as_of)
    page.get_by_role("link", name="Per day by merchant").click()
    expect(page.locator("#nav-list [aria-current]")).to_have_text("Per day by merchant")
    expect(page.get_by_role("heading", name="Purchases per day by merchant")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    fresh_server.start()
    expect(page.locator("#total")).to_have_text(f"{len(some):,}")
    expect(page.get_by_text("The numbers are as of")).to_have_count(0)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_click_shows_at_once_that_it_waits_for_the_server(
    open_page: Callable[..., Page], fresh_server: Server
) -> None:
    fresh_server.post(lines(list(generate(this_moment(), 2, 4, merchants(10)))))
    page = open_page(fresh_server.url)
    ready(page)
    expect(page.locator("#waiting")).to_be_hidden()
    held: list[Route] = []
    holding = True

    def hold(route: Route) -> None:
        if holding:
            held.append(route)
        else:
            route.continue_()

    page.route("**/reports/**", hold)  # neither answered nor refused
    page.get_by_role("link", name="Per hour by amount bracket", exact=True).click()
    expect(page.locator("#waiting")).to_have_text("Waiting for the server…")
    expect(page.locator("#nav-list [aria-current]")).to_have_text("Per hour by amount bracket")
    expect(page.get_by_role("heading", name="Purchases per hour by amount bracket")).to_be_visible()
    holding = False
    for route in held:
        route.continue_()
    ready(page)
    expect(page.locator("#waiting")).to_be_hidden()
