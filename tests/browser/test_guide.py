"""The guides in the product: read, searched and walked through under the server's strict policy, in either theme."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page, Route
    from tests.browser.process import Server


def test_a_guide_is_found_read_and_left_for_the_api_and_back(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(server.url)
    page.get_by_role("link", name="Guide", exact=True).click()
    expect(page.get_by_role("heading", name="Guides", level=1)).to_be_visible()
    page.wait_for_load_state()  # the key is the script's
    page.keyboard.press("/")
    page.keyboard.type("peer_connections_max")
    found = page.locator("#found li").first
    expect(found).to_contain_text("peer_connections_max")
    found.get_by_role("link").click()
    expect(page.locator("#found")).to_be_hidden()
    expect(page.locator("main")).to_contain_text("peer_connections_max")
    page.goto(f"{server.url}/guide/operations")
    page.locator("main a[href='/guide/aws']").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Tillroll on AWS")
    expect(page.locator(".guides [aria-current]")).to_have_text("Tillroll on AWS")
    page.get_by_label("Places").get_by_role("link", name="API").click()
    expect(page.locator(".opblock").first).to_be_visible()
    page.get_by_role("link", name="Guide to the API").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("HTTP")


def test_what_is_typed_before_the_search_is_loaded_is_searched_for(
    open_page: Callable[..., Page], server: Server
) -> None:
    page = open_page("about:blank")
    held: list[Route] = []
    page.route("**/guide/guide.js", lambda route: held.append(route))  # noqa: PLW0108 - it is given an attribute
    with page.expect_request("**/guide/guide.js"):
        page.goto(f"{server.url}/guide", wait_until="commit")
    page.get_by_label("Search").fill("peer_connections_max")
    assert page.locator("#found").is_hidden()
    held[0].continue_()
    expect(page.locator("#found li").first).to_contain_text("peer_connections_max")


@pytest.mark.slow
def test_a_guide_has_no_accessibility_fault_and_no_sideways_scroll(
    open_page: Callable[..., Page], server: Server, axe: str
) -> None:
    page = open_page(f"{server.url}/guide/operations", bypass_csp=True)
    page.add_script_tag(content=axe)
    colours = ", { runOnly: ['color-contrast'] }"  # a theme changes nothing else, and a phone has the colours of a desk
    others = ", { rules: { 'color-contrast': { enabled: false } } }"
    for theme, width, rules in (("light", 1360, ""), ("light", 390, others), ("dark", 1360, colours)):
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 900})
        found = page.evaluate(f"() => axe.run(document{rules})")
        assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == [], (theme, width)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_no_guide_answers_under_another_name(server: Server) -> None:
    for path in ("/guide/", "/guide/index", "/guide/..%2Findex", "/guide/nothing", "/guide/http.md", "/guide/a/b"):
        reply = server.client.get(path)
        assert (reply.status_code, json.loads(reply.content)["code"]) == (404, "not_found"), path
    reply = server.client.get("/guide/http")
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "<script>" not in reply.text
    assert " style=" not in reply.text
