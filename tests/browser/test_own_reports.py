"""Money on the page, and the form that makes reports of one's own."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from playwright.sync_api import expect
from tests.browser.reading import ready, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page
    from tests.browser.process import Server
    from tests.browser.purchases import Purchase


def money(cents: int) -> str:
    return f"€{cents / 100:,.2f}"


def test_what_is_wrong_with_a_definition_is_said(open_page: Callable[..., Page], fresh_server: Server) -> None:
    page = open_page(f"{fresh_server.url}/#/reports", quiet=False)
    ready(page)
    page.get_by_label("Title").fill("Mine")
    page.get_by_label("Brackets of your own").fill("20, 5")
    page.get_by_role("checkbox", name="Amount").check(force=True)
    page.get_by_role("button", name="Make it").click()
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
