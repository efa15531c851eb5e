"""Filters, ranges, sorting, paging, exports, and the address that holds them all."""

# ruff: noqa: RUF001 the page sets its ranges with a dash

from __future__ import annotations

import csv
import io
import re
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Error, expect
from pyarrow import parquet
from tests.browser.purchases import HOSTILE, Purchase, count
from tests.browser.reading import ready, table, total

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page, Route
    from tests.browser.process import Server

PNG = b"\x89PNG\r\n\x1a\n"


def download(page: Page, button: str, folder: Path) -> bytes:
    with page.expect_download() as waiting:
        page.locator(button).click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path.read_bytes()


def rows_of(data: bytes) -> dict[str, int]:
    rows = list(csv.reader(io.StringIO(data.decode())))
    assert rows[0] == ["datapoint", "events"]
    return {datapoint: int(events) for datapoint, events in rows[1:]}


def test_filters_narrow_chart_and_table_and_are_in_the_address(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase]
) -> None:
    page = open_page(f"{server.url}/#/hour-bracket-method?range=all")
    ready(page)
    page.get_by_text("€10–50", exact=True).first.click()
    page.get_by_role("checkbox", name="Slice it").check(force=True)
    expected = count((one for one in purchases if one.method == "SLICE_IT"), "day", "bracket", "method")
    wanted = total(expected, ["10-50"])
    expect(page.locator("#total")).to_have_text(f"{wanted:,}")
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuetext", re.compile(f"^{wanted:,} in total"))
    expect(page).to_have_url(re.compile(r"bracket=10-50&method=SLICE_IT"))
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("#total")).to_have_text(f"{len(purchases):,}")
    page.go_back()
    expect(page.get_by_role("checkbox", name="Slice it")).to_be_checked()
    expect(page.locator("#total")).to_have_text(f"{wanted:,}")


def test_merchants_are_found_as_one_types_and_shown_as_text(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase]
) -> None:
    page = open_page(f"{server.url}/#/day-merchant?range=all")
    ready(page)
    search = page.get_by_role("combobox", name="Merchant", exact=True)
    search.press_sequentially("onerr")
    expect(page.locator(".options").get_by_role("option")).to_have_text([HOSTILE])
    search.press("ArrowDown")
    expect(page.locator(".options").get_by_role("option", selected=True)).to_have_text(HOSTILE)
    search.press("Enter")
    mine = [one for one in purchases if one.merchant == HOSTILE]
    expect(page.locator("#total")).to_have_text(f"{len(mine):,}")
    assert table(page) == dict(list(count(mine, "day", "merchant").items())[:100])
    expect(page.get_by_role("combobox", name="Merchant", exact=True)).to_be_focused()
    page.get_by_role("combobox", name="Merchant", exact=True).press_sequentially("grÜNER")
    page.locator(".options").get_by_role("option", name="Kaffebrenneriet Grünerløkka").click()
    expect(page.locator(".chosen li")).to_have_count(2)
    page.get_by_role("button", name=f"Remove merchant {HOSTILE}").click()
    expect(page.locator(".chosen li")).to_have_count(1)


def test_no_merchant_of_a_name_is_said(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(f"{server.url}/#/merchant-method")
    page.get_by_role("combobox", name="Merchant", exact=True).fill("nobody is called this")
    expect(page.locator(".options").get_by_role("option")).to_have_text("No matching merchant")


def test_hostile_merchant_runs_nothing(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(server.url)
    for view in ("overview", "hour-bracket", "day-merchant", "merchant-method", "operations"):
        page.goto(f"{server.url}/#/{view}?range=all&merchant={HOSTILE}")
        ready(page)
        expect(page.locator("img"), view).to_have_count(0)
        if view in {"overview", "day-merchant", "merchant-method"}:
            expect(page.get_by_text(HOSTILE).first, view).to_be_visible()


def test_ranges(open_page: Callable[..., Page], server: Server, purchases: list[Purchase]) -> None:
    page = open_page(f"{server.url}/#/hour-bracket")
    ready(page)
    today = purchases[-1].at.date()
    for name, days in (("Today", 1), ("30 days", 30), ("7 days", 7)):
        page.get_by_label("Range", exact=True).select_option(label=name)
        since = today - timedelta(days=days - 1)
        expect(page.locator("#total")).to_have_text(f"{sum(one.at.date() >= since for one in purchases):,}")
    page.get_by_label("Range", exact=True).select_option(label="All")
    expect(page.locator("#total")).to_have_text(f"{len(purchases):,}")


def test_custom_range(open_page: Callable[..., Page], server: Server, purchases: list[Purchase]) -> None:
    page = open_page(f"{server.url}/#/hour-bracket")
    ready(page)
    first, last = (purchases[-1].at.date() - timedelta(days=days) for days in (9, 5))
    page.get_by_label("Range", exact=True).select_option("custom")
    page.get_by_label("From", exact=True).fill(str(last))
    page.get_by_label("Through", exact=True).fill(str(first))
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("The first day must not be after the last.")).to_be_visible()
    page.get_by_label("From", exact=True).fill(str(first))
    page.get_by_label("Through", exact=True).fill(str(last))
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#total")).to_have_text(f"{sum(first <= one.at.date() <= last for one in purchases):,}")
    expect(page).to_have_url(re.compile(f"from={first}&to={last + timedelta(days=1)}"))


def test_dragging_across_a_chart_zooms_in(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(f"{server.url}/#/hour-bracket?range=30d")
    ready(page)
    box = page.locator(".u-over").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 80, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"from=\d{4}-\d\d-\d\d&to=\d{4}-\d\d-\d\d$"))


def test_sorting_and_paging_walk_through_everything_once(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase]
) -> None:
    page = open_page(f"{server.url}/#/merchant-method")
    ready(page)
    page.get_by_role("button", name="Purchases").click()
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Purchases")
    expected = list(server.rows("merchant-method", order="-events").items())
    assert dict(expected) == count(purchases, "merchant", "method")
    seen: list[tuple[str, int]] = []
    while True:
        start = len(seen)
        expect(page.locator("#page-shown")).to_have_text(re.compile(f"^{start + 1:,}–"))
        seen += table(page).items()
        if page.locator("#page-on").is_disabled():
            break
        page.locator("#page-on").click()
    assert seen == expected
    page.locator("#page-back").click()
    expect(page.locator("#page-shown")).to_have_text(re.compile(f"^{(len(expected) - 1) // 100 * 100 - 99:,}–"))
    page.locator("#page-first").click()
    expect(page.locator("#page-shown")).to_have_text(re.compile("^1–"))


def test_the_next_page_is_not_turned_to_while_another_order_is_on_its_way(
    open_page: Callable[..., Page], server: Server
) -> None:
    page = open_page(f"{server.url}/#/merchant-method")
    ready(page)
    held: list[Route] = []
    holding = True
    page.route("**/reports/**", lambda route: held.append(route) if holding else route.continue_())
    with page.expect_request("**/reports/**"):
        page.get_by_role("button", name="Purchases").click()
    page.locator("#page-on").click()
    holding = False
    for route in held:
        with suppress(Error):  # the page gave it up
            route.continue_()
    ready(page)
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Purchases")
    expect(page.locator("#page-shown")).to_have_text(re.compile("^1–"))
    expect(page.get_by_role("alert")).to_have_count(0)


def test_csv_is_exactly_what_is_shown(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase], tmp_path: Path
) -> None:
    page = open_page(f"{server.url}/#/day-merchant?range=all&order=-events")
    ready(page)
    page.locator("#page-on").click()
    expect(page.locator("#page-shown")).to_have_text(re.compile("^101–200"))
    assert list(rows_of(download(page, "#csv-page", tmp_path)).items()) == list(table(page).items())
    everything = rows_of(download(page, "#csv-all", tmp_path))
    assert everything == count(purchases, "day", "merchant")
    assert list(everything.values()) == sorted(everything.values(), reverse=True)


def test_parquet_is_all_that_matches(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase], tmp_path: Path
) -> None:
    page = open_page(f"{server.url}/#/day-merchant?range=all&measure=amount")
    ready(page)
    file = download(page, "#parquet", tmp_path)
    found = {row["datapoint"]: int(row["events"]) for row in parquet.read_table(io.BytesIO(file)).to_pylist()}
    assert found == count(purchases, "day", "merchant")
    assert [path.suffix for path in tmp_path.iterdir()] == [".parquet"]
    assert "tillroll_day-merchant_by-day_amount_all" in next(tmp_path.iterdir()).name


def test_letters_typed_in_a_choice_find_what_begins_with_all_of_them(
    open_page: Callable[..., Page], server: Server
) -> None:
    page = open_page(f"{server.url}/#/hour-bracket?range=7d")
    ready(page)
    select = page.get_by_label("Range", exact=True)
    begins_s = time.time()
    for typed, range_name in (("last q", "last-quarter"), ("this m", "month"), ("90", "90d")):
        select.focus()
        type_at(page, typed, begins_s)
        expect(page).to_have_url(re.compile(f"range={range_name}(&|$)"))
        expect(select).to_be_focused()
        expect(select).to_have_value(range_name)
        begins_s += 3  # what is typed after a second begins anew: the browsers' own rule
    select.select_option("30d")
    expect(page).to_have_url(re.compile("range=30d"))
    page.get_by_label("By", exact=True).select_option("week")
    expect(page).to_have_url(re.compile("range=30d&grain=week"))


def type_at(page: Page, text: str, begins_s: float) -> None:
    """Type a letter every sixth of a second by the browser's clock, and wait for the view that each of them leads to.

    The times are given to the browser: what it takes for one word must not hang on how long the views take here.
    """
    keys = page.context.new_cdp_session(page)
    for number, letter in enumerate(text):
        key = {"key": letter, "text": letter, "timestamp": begins_s + number / 6}
        for kind in ("keyDown", "keyUp"):
            keys.send("Input.dispatchKeyEvent", {"type": kind, **key})
        ready(page)
    keys.detach()


@pytest.mark.parametrize("view", ["hour-bracket", "bracket-method"])
def test_png_of_the_chart(open_page: Callable[..., Page], server: Server, tmp_path: Path, view: str) -> None:
    page = open_page(f"{server.url}/#/{view}")
    ready(page)
    data = download(page, "#png", tmp_path)
    assert data.startswith(PNG)
    assert len(data) > 5_000


def test_api_address_gives_the_same_rows(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(f"{server.url}/#/hour-bracket-method?range=today&bracket=<10&bracket=>500&grain=day")
    ready(page)
    address = page.get_by_label("API address of the same data").input_value()
    rows = server.client.get(address).json()
    assert {row["datapoint"]: row["events"] for row in rows} == table(page)


def test_address_brings_the_same_view_to_a_colleague(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(f"{server.url}/#/hour-bracket-method")
    ready(page)
    page.get_by_label("Range", exact=True).select_option("30d")
    page.get_by_role("checkbox", name="Pay now").check(force=True)
    page.get_by_label("Colour by").select_option("method")
    page.get_by_role("button", name="Purchases").click()
    ready(page)
    page.locator("#page-on").click()
    expect(page.locator("#page-shown")).to_have_text(re.compile("^101–"))
    theirs = open_page(page.url)
    ready(theirs)
    expect(theirs.locator("#page-shown")).to_have_text(page.locator("#page-shown").inner_text())
    expect(theirs.get_by_label("Range", exact=True)).to_have_value("30d")
    expect(theirs.get_by_role("checkbox", name="Pay now")).to_be_checked()
    expect(theirs.get_by_label("Colour by")).to_have_value("method")
    assert table(theirs) == table(page)


@pytest.mark.parametrize("address", ["#/%E0%A4%A", "#/nothing?range=x&from=2&to=1", "#/hour-bracket?from=2026-13-45"])
def test_address_of_nonsense_shows_something_sensible(
    open_page: Callable[..., Page], server: Server, address: str
) -> None:
    page = open_page(f"{server.url}/{address}")
    ready(page)
    expect(page.get_by_label("Range", exact=True)).to_have_value("7d")
