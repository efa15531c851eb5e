"""The page asks for a token when the server wants one, and keeps it out of the address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import close
from tests.browser.process import Server
from tests.browser.purchases import generate, lines, merchants, this_moment
from tests.browser.reading import ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

READ, SEND, BOTH = "read-only-7f2c-1234", "send-only-91ab-1234", "both-5d3e-12345678"
MANAGE = "manages-only-44d1"
EVENTS = 120


@pytest.fixture
def guarded(tmp_path: Path, pages: list[Page]) -> Iterator[Server]:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"read {READ}\nsend {SEND}\nsend,read {BOTH}\nmanage {MANAGE}\n")
    running = Server(tmp_path / "data", tokens_file=tokens, token=BOTH)
    running.start()
    purchases = list(generate(this_moment(), 5, 4, merchants(10)))[-EVENTS:]
    running.post(lines(purchases))
    running.client.post(
        "/events", json={"date": "yesterday", "amount": 1, "paymentMethod": "PAY_NOW", "merchantId": "m"}
    )
    yield running
    close(pages)
    running.close()


def give(page: Page, token: str) -> None:
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_role("button", name="Continue").click()


def test_token_is_asked_for_once_and_kept_out_of_the_address(open_page: Callable[..., Page], guarded: Server) -> None:
    # The browser itself notes each 401 on its console.
    page = open_page(guarded.url, quiet=False)
    expect(page.get_by_role("heading", name="This server requires a token")).to_be_visible()
    give(page, "mistyped")
    expect(page.get_by_role("heading", name="The server refused the token")).to_be_visible()
    give(page, READ)
    ready(page)
    expect(page.get_by_role("link", name=re.compile("^All:"))).to_have_text(str(EVENTS))
    expect(page.locator("#freshness")).to_contain_text("Live")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert READ not in page.url
    page.reload()
    ready(page)
    expect(page.get_by_role("link", name=re.compile("^All:"))).to_have_text(str(EVENTS))
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Forget token").click()
    expect(page.get_by_role("heading", name="This server requires a token")).to_be_visible()


def test_who_gives_no_token_is_told_and_may_try_again(open_page: Callable[..., Page], guarded: Server) -> None:
    page = open_page(guarded.url, quiet=False)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("Token required")
    page.get_by_role("button", name="Enter a token").click()
    give(page, BOTH)
    expect(page.get_by_role("link", name=re.compile("^All:"))).to_have_text(str(EVENTS))
    expect(page.locator("#freshness")).to_contain_text("Live")


def test_token_that_only_reads_is_asked_to_be_joined_by_one_that_sends(
    open_page: Callable[..., Page], guarded: Server
) -> None:
    page = open_page(f"{guarded.url}/#/operations", quiet=False)
    give(page, READ)
    page.locator(".rejected summary").click()
    page.get_by_label("Event to correct").fill(
        '{"date": "2026-01-02T03:04:05Z", "amount": 1, "paymentMethod": "PAY_NOW", "merchantId": "m"}'
    )
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("heading", name="This needs a token that may send")).to_be_visible()
    give(page, SEND)
    expect(page.get_by_text("No rejected events.")).to_be_visible()
    assert guarded.rows("bracket-method") is not None
    assert sum(guarded.rows("bracket-method").values()) == EVENTS + 1


def test_a_token_that_only_sends_is_told_so_and_kept_for_sending(
    open_page: Callable[..., Page], guarded: Server
) -> None:
    page = open_page(f"{guarded.url}/#/operations", quiet=False)
    give(page, SEND)
    expect(page.get_by_role("heading", name="This token may only send")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("The token may send only. Use one that may read")
    page.get_by_role("button", name="Enter another token").click()
    expect(page.get_by_role("heading", name="This token may only send")).to_be_visible()
    give(page, READ)
    page.locator(".rejected summary").click()
    page.get_by_role("button", name="Drop", exact=True).click()
    page.get_by_role("button", name="Drop permanently?").click()
    expect(page.get_by_text("No rejected events.")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_token_that_only_reads_is_told_that_it_may_not_make_a_report_and_joined_by_one_that_may(
    open_page: Callable[..., Page], guarded: Server
) -> None:
    page = open_page(f"{guarded.url}/#/reports", quiet=False)
    give(page, READ)
    page.get_by_label("Title").fill("Purchases per week")
    page.get_by_label("Name", exact=True).fill("per-week")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="This needs a token that may manage reports")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert").filter(has_text="read only")).to_have_text(
        "The token may read only. Use one that may manage"
    )
    assert "per-week" not in {one["name"] for one in guarded.client.get("/reports").json()}
    page.get_by_role("button", name="Create").click()
    give(page, MANAGE)
    expect(page.locator("tr[data-report=per-week]")).to_be_visible()
    drop = page.get_by_role("button", name="Drop")
    drop.click()
    page.get_by_role("button", name="Confirm: Drop").click()
    expect(page.locator("tr[data-report=per-week]")).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.goto(f"{guarded.url}/#/overview")
    expect(page.get_by_role("link", name=re.compile("^All:"))).to_have_text(str(EVENTS))
