"""The browsable description: every operation is there, and one can be tried, under the server's own strict policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page
    from tests.browser.process import Server


def test_every_operation_is_shown_and_one_can_be_tried(open_page: Callable[..., Page], fresh_server: Server) -> None:
    paths = fresh_server.client.get("/openapi.json").json()["paths"]
    page = open_page(f"{fresh_server.url}/docs")
    shown = page.locator(".opblock")
    expect(shown).to_have_count(sum(len(methods) for methods in paths.values()), timeout=20_000)
    page.locator(".opblock-summary", has_text="/events").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    answered = page.locator(".live-responses-table tbody .response-col_status").first
    expect(answered).to_contain_text("202", timeout=20_000)
    assert fresh_server.client.get("/status").json()["events"] == 1
