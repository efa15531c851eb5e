"""Money on the page, and the form that makes reports of one's own."""

from __future__ import annotations

import csv
import re
from collections import Counter
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from playwright.sync_api import expect
from tests.browser.conftest import close
from tests.browser.process import Server
from tests.browser.purchases import HOSTILE, generate, lines, merchants, this_moment
from tests.browser.reading import ready, table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page
    from tests.browser.purchases import Purchase


def money(cents: int) -> str:
    return f"€{cents / 100:,.2f}"


def test_report_is_made_by_the_form_shown_like_the_five_and_dropped(
    open_page: Callable[..., Page], fresh_server: Server
) -> None:
    some = list(generate(this_moment(), 20, 4, merchants(10)))
    fresh_server.post(lines(some))
    page = open_page(f"{fresh_server.url}/#/reports")
    ready(page)
    page.get_by_label("Title").fill(HOSTILE)
    page.get_by_label("Name", exact=True).fill("turnover-week")
    page.get_by_label("Time window").select_option("week")
    page.get_by_label("Time zone").fill("Europe/Stockholm")
    page.get_by_role("checkbox", name="Method").check(force=True)
    page.get_by_text("Conditions").click()
    page.get_by_role("group", name="Method is one of").get_by_text("Pay later").click()
    page.get_by_role("group", name="Method is one of").get_by_text("Slice it").click()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("Nothing is stored yet.")).to_contain_text(f"Of the newest {len(some):,} purchases")
    assert [one["name"] for one in fresh_server.client.get("/reports").json() if one["own"]] == []
    page.get_by_role("button", name="Create").click()
    page.locator("#nav-list").get_by_role("link", name=HOSTILE).click()
    expect(page.get_by_role("heading", name=HOSTILE, level=1)).to_be_visible()
    ready(page)
    page.goto(f"{fresh_server.url}/#/turnover-week?range=all&measure=amount")
    ready(page)
    stockholm = ZoneInfo("Europe/Stockholm")
    weeks: Counter[str] = Counter()
    for one in some:
        if one.method != "PAY_NOW":
            year, week, _ = one.at.astimezone(stockholm).isocalendar()
            weeks[f"|turnover-week|{year}-W{week:02}|{one.method}"] += one.amount
    shown = page.locator("tr[data-datapoint]").evaluate_all(
        "rows => rows.map((row) => [row.dataset.datapoint, row.querySelector('.count').textContent])"
    )
    assert dict(shown) == {datapoint: money(cents) for datapoint, cents in weeks.items()}
    expect(page.locator("#total")).to_have_text(money(sum(weeks.values())))
    expect(page.locator(".lead")).to_contain_text("Europe/Stockholm")
    expect(page.locator("img")).to_have_count(0)
    page.goto(f"{fresh_server.url}/#/reports")
    ready(page)
    page.get_by_role("button", name="Drop", exact=True).click()
    page.get_by_role("button", name="Confirm: Drop").click()
    expect(page.locator("tr[data-report=turnover-week]")).to_have_count(0)
    expect(page.locator("#nav-list").get_by_role("link", name=HOSTILE)).to_have_count(0)


def test_what_is_wrong_with_a_definition_is_said(open_page: Callable[..., Page], fresh_server: Server) -> None:
    page = open_page(f"{fresh_server.url}/#/reports", quiet=False)
    ready(page)
    page.get_by_label("Title").fill("Mine")
    page.get_by_label("Custom brackets").fill("20, 5")
    page.get_by_role("checkbox", name="Amount").check(force=True)
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#definition-error")).to_contain_text("brackets")


def test_turnover_and_average_are_those_of_what_was_sent(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase]
) -> None:
    page = open_page(f"{server.url}/#/bracket-method?measure=amount")
    ready(page)
    amounts: Counter[str] = Counter()
    for one in purchases:
        amounts[f"{one.bracket}|{one.method}"] += one.amount
    cells = page.locator("tr[data-datapoint]").evaluate_all(
        "rows => rows.map((row) => [row.dataset.datapoint, row.querySelector('.count').textContent])"
    )
    assert dict(cells) == {datapoint: money(cents) for datapoint, cents in amounts.items()}
    total = sum(amounts.values())
    expect(page.locator("#total")).to_have_text(money(total))
    page.get_by_text("Average purchase", exact=True).first.click()
    expect(page).to_have_url(re.compile("measure=average"))
    average = (2 * total + len(purchases)) // (2 * len(purchases))
    expect(page.locator("#total")).to_have_text(money(average))
    page.get_by_text("Purchases", exact=True).first.click()
    expect(page.locator("#total")).to_have_text(f"{len(purchases):,}")
    assert sum(table(page).values()) == len(purchases)


def test_merchants_with_names_are_shown_and_found_by_them(
    open_page: Callable[..., Page], tmp_path: Path, pages: list[Page]
) -> None:
    some = list(generate(this_moment(), 3, 4, merchants(10)))
    ids = Counter(one.merchant for one in some)
    hostile, other = '"><script>alert(1)</script>', "Kaffe & Kaka"
    busiest, second = [each for each, _ in ids.most_common() if re.fullmatch(r"[0-9a-f-]{36}", each)][:2]
    names = tmp_path / "names.csv"
    with names.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "name"], [busiest, hostile], [second, other]])
    running = Server(tmp_path / "data", environ={"TILLROLL_MERCHANTS": str(names)})
    running.start()
    try:
        running.post(lines(some))
        page = open_page(f"{running.url}/#/merchant-method")
        ready(page)
        cell = page.locator(f"td.name a[title='{busiest}']").first
        expect(cell).to_have_text(hostile)
        search = page.get_by_role("combobox", name="Merchant", exact=True)
        search.press_sequentially("kaka")
        option = page.locator(".options").get_by_role("option")
        expect(option).to_have_text([f"{other} {second}"])
        option.click()
        expect(page.locator("#total")).to_have_text(f"{ids[second]:,}")
        expect(page.locator(".chosen li")).to_have_text([other])
        expect(page).to_have_url(re.compile(f"merchant={second}"))
        page.goto(f"{running.url}/#/overview?range=all")
        ready(page)
        expect(page.locator(".part-merchants")).to_contain_text(other)
        expect(page.locator("script")).to_have_count(3)
    finally:
        close(pages)
        running.close()
