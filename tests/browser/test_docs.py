"""The browsable description: every operation is there, and one can be tried, under the server's own strict policy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page
    from tests.browser.process import Server


pytestmark = pytest.mark.slow


def test_every_operation_is_shown_and_one_can_be_tried(open_page: Callable[..., Page], fresh_server: Server) -> None:
    paths = fresh_server.client.get("/openapi.json").json()["paths"]
    page = open_page(f"{fresh_server.url}/docs")
    shown = page.locator(".opblock")
    expect(shown).to_have_count(sum(len(methods) for methods in paths.values()))
    page.locator(".opblock-summary", has_text="Send events").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    answered = page.locator(".live-responses-table tbody .response-col_status").first
    expect(answered).to_contain_text("202")
    assert fresh_server.client.get("/status").json()["events"] == 1


def test_it_is_as_dark_as_the_page(open_page: Callable[..., Page], fresh_server: Server) -> None:
    page = open_page(f"{fresh_server.url}/docs", color_scheme="dark")
    has_theme(page, "dark")
    page.emulate_media(color_scheme="light")
    has_theme(page, "light")
    page.evaluate("localStorage.setItem('tillroll.theme', 'dark')")
    page.reload()
    has_theme(page, "dark")
    page.emulate_media(color_scheme="dark")
    page.evaluate("localStorage.setItem('tillroll.theme', 'light')")
    page.evaluate("dispatchEvent(new Event('storage'))")  # as when it is chosen in another tab
    has_theme(page, "light")
    page.evaluate("localStorage.clear()")


def has_theme(page: Page, theme: str) -> None:
    """See that the ground is dark and what stands on it is not, or the other way round, once the page has noticed."""
    expect(page.locator("html")).to_have_attribute("data-theme", theme)
    expect(page.locator(".opblock").first).to_be_visible()
    found = set()
    for part in ("body", ".swagger-ui", ".opblock-summary-path", ".info .title"):
        colour = page.locator(part).first.evaluate(
            "(node) => getComputedStyle(node)[node.matches('body, .swagger-ui') ? 'backgroundColor' : 'color']"
        )
        channels = [float(part) for part in re.findall(r"[\d.]+", colour)]
        if channels[3:] == [0]:
            continue  # nothing of its own behind it
        found.add((sum(channels[:3]) / 3 < 100) == (part in {"body", ".swagger-ui"}))
    assert found == {theme == "dark"}
