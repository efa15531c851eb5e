"""axe-core finds no fault in any view, in either theme, on a desk or a phone; and the keyboard goes everywhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect
from tests.browser.reading import ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page
    from tests.browser.process import Server
    from tests.browser.purchases import Purchase

pytestmark = pytest.mark.slow
VIEWS = [
    "overview",
    "hour-bracket-method?range=30d&bracket=10-50&compare=before",
    "day-merchant?merchant=nobody",
    "merchant-method",
    "operations",
    "reports",
    "purchases?datapoint=10-50|SLICE_IT",
    "hour-bracket?from=2020-01-01&to=2020-02-01",
]
PHONE = {"width": 390, "height": 844}


# Best practices too: landmarks, headings, and the like. A theme changes colours and nothing else, a phone none of them.
RULES = {
    "light": "",
    "dark": ", runOnly: ['color-contrast']",
    "phone": ", rules: { 'color-contrast': { enabled: false } }",
}


def faults(page: Page, axe: str, of: str = "light") -> list[str]:
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(axe)
    found: dict[str, Any] = page.evaluate(f"() => axe.run(document, {{ resultTypes: ['violations']{RULES[of]} }})")
    return [
        f"{one['id']}: {one['help']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_view_has_a_fault(open_page: Callable[..., Page], server: Server, axe: str, theme: str) -> None:
    page = open_page(server.url, color_scheme=theme, bypass_csp=True)
    for view in VIEWS:
        page.goto(f"{server.url}/#/{view}")
        ready(page)
        assert faults(page, axe, theme) == [], view
        if theme == "light":
            page.set_viewport_size({"width": 390, "height": 844})
            assert faults(page, axe, "phone") == [], f"{view} on a phone"
            page.set_viewport_size({"width": 1360, "height": 900})


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_opens_has_no_fault(open_page: Callable[..., Page], server: Server, axe: str, theme: str) -> None:
    page = open_page(f"{server.url}/#/day-merchant", color_scheme=theme, bypass_csp=True, viewport=PHONE)
    ready(page)
    page.get_by_role("button", name="Menu").click()
    assert faults(page, axe, theme) == []
    page.get_by_label("Range", exact=True).select_option("custom")
    page.get_by_role("button", name="Filters").click()
    assert faults(page, axe, theme) == []
    page.get_by_role("combobox", name="Merchant", exact=True).press_sequentially("a")
    expect(page.locator(".options").get_by_role("option").first).to_be_visible()
    assert faults(page, axe, theme) == []
    chart = page.get_by_role("slider")
    chart.focus()
    chart.press("End")
    expect(page.locator(".tip")).to_be_visible()
    assert faults(page, axe, theme) == []


def test_empty_page_and_prompt_have_no_fault(open_page: Callable[..., Page], fresh_server: Server, axe: str) -> None:
    page = open_page(fresh_server.url, bypass_csp=True)
    expect(page.get_by_role("heading", name="No purchases yet")).to_be_visible()
    assert faults(page, axe) == []
    page.evaluate(
        "() => import(new URL('parts/token.js', document.querySelector('script[type=module]').src))"
        ".then((prompt) => { prompt.askForToken('wanted'); })"
    )
    expect(page.get_by_role("dialog")).to_be_visible()
    assert faults(page, axe) == []


def test_keyboard_alone_reaches_a_report_and_its_filters(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(server.url)
    ready(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.get_by_role("link", name="Per hour by amount bracket", exact=True).evaluate(
            "(a) => a === document.activeElement"
        ):
            break
    page.keyboard.press("Enter")
    ready(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Purchases per hour by amount bracket")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Range", exact=True)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Range", exact=True)).to_have_value("30d")
    ready(page)
    expect(page.get_by_label("Range", exact=True)).to_be_focused()
    chart = page.get_by_role("slider")
    chart.focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation", name="Breadcrumb")).to_contain_text("30 days")


def test_nothing_is_wider_than_a_phone(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(server.url, viewport=PHONE)
    for view in VIEWS:
        page.goto(f"{server.url}/#/{view}")
        ready(page)
        width = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert page.evaluate(width), view


def test_chosen_theme_stays(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(server.url, color_scheme="light")
    ready(page)
    ground = "() => getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    page.locator("#theme").click()
    page.get_by_role("button", name="Theme: light").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark
    page.get_by_role("button", name="Theme: dark").click()
    assert page.evaluate(ground) == light


# What is touched, but for links within text, cells of the heat map, and what is hidden from sight.
SMALL = """
(least) => [...document.querySelectorAll(
    "button, select, summary, input:not(.sr), textarea, .chip span, .segmented-item span, #nav-list a")]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < least)
  .map((one) => `${one.tagName} ${one.id || one.textContent.slice(0, 30)}: ${one.getBoundingClientRect().height}`)
"""


def test_phone_has_the_chart_on_its_first_screen_and_targets_for_a_thumb(
    open_page: Callable[..., Page], server: Server
) -> None:
    page = open_page(server.url, viewport=PHONE)
    charts = ("hour-bracket-method?range=30d&compare=before", "day-merchant?range=30d")
    for view in (*charts, "overview", "operations", "reports"):
        page.goto(f"{server.url}/#/{view}")
        ready(page)
        if view in charts:
            box = page.locator(".u-wrap").bounding_box()
            assert box
            assert box["y"] + box["height"] <= PHONE["height"], view
            page.get_by_role("button", name="Filters").click()
        if view == "reports":
            page.get_by_text("Conditions").click()
        assert page.evaluate(SMALL, 44) == [], view
    page.get_by_role("button", name="Menu").click()
    assert page.evaluate(SMALL, 44) == []


def test_print_has_the_numbers_and_no_tools(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(f"{server.url}/#/hour-bracket-method?range=7d&grain=day")
    ready(page)
    page.emulate_media(media="print")
    expect(page.locator("table.report-table")).to_be_visible()
    expect(page.locator("#total")).to_be_visible()
    for tool in (".part-tools", "#nav", ".export", "#page-on"):
        expect(page.locator(tool)).to_be_hidden()


def test_charts_are_drawn_in_the_colours_of_the_theme_chosen_and_printed_in_those_of_paper(
    open_page: Callable[..., Page], server: Server
) -> None:
    drawn = "() => document.querySelector('.plot canvas').toDataURL()"
    dark, light = [open_page(f"{server.url}/#/hour-bracket", color_scheme=theme) for theme in ("dark", "light")]
    for page in (dark, light):
        ready(page)
        page.evaluate("() => document.fonts.ready.then(() => null)")
    on_screen = dark.evaluate(drawn)
    dark.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    light.evaluate("() => dispatchEvent(new Event('themechange'))")
    assert dark.evaluate(drawn) == light.evaluate(drawn) != on_screen
    dark.evaluate("() => dispatchEvent(new Event('afterprint'))")
    assert dark.evaluate(drawn) == on_screen
    dark.locator("#theme").click()  # from what the system has to light
    assert dark.evaluate(drawn) == light.evaluate(drawn)
    dark.locator("#theme").click()
    assert dark.evaluate(drawn) == on_screen


def focused(page: Page) -> str:
    """Return what has the focus, as a person would name it."""
    name = "one.id || one.getAttribute('aria-label') || one.textContent"
    said: str = page.evaluate(f"() => {{ const one = document.activeElement; return {name} }}")
    return said.strip()[:80]


def tab_to(page: Page, name: str, key: str = "Tab") -> None:
    """Press a key until something has the focus."""
    seen = []
    for _ in range(500):  # the rows of a day that is nearly over are among them
        page.keyboard.press(key)
        seen.append(focused(page))
        if seen[-1] == name[:80]:
            return
    raise AssertionError(f"{name!r} is not reached: {seen}")


def test_a_whole_analysis_is_made_with_the_keyboard_alone(
    open_page: Callable[..., Page], server: Server, purchases: list[Purchase]
) -> None:
    page = open_page(server.url)
    ready(page)
    tab_to(page, "Per hour by amount bracket and payment method")
    page.keyboard.press("Enter")
    ready(page)
    expect(page.locator("#main")).to_be_focused()
    tab_to(page, "range")
    page.keyboard.press("a")  # All
    expect(page.locator("#total")).to_have_text(f"{len(purchases):,}")
    tab_to(page, "method-2")
    page.keyboard.press("Space")
    expect(page.locator("#total")).to_have_text(f"{sum(one.method == 'SLICE_IT' for one in purchases):,}")
    tab_to(page, "measure-events", "Shift+Tab")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="Turnover by day")).to_be_visible()
    page.locator("[role=slider]").wait_for()
    tab_to(page, page.get_by_role("slider").get_attribute("aria-label") or "")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation", name="Breadcrumb")).to_be_visible()
    ready(page)
    tab_to(page, "sort-turnover")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("order=-amount"))
    ready(page)
    cents = [
        round(float(text.replace("€", "").replace(",", "")) * 100)
        for text in page.locator("tr[data-datapoint] .count").all_inner_texts()
    ]
    assert cents == sorted(cents, reverse=True)
    first = page.locator("tr[data-datapoint] .count a").first.inner_text()
    tab_to(page, first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Purchases", exact=True)).to_be_visible()
    ready(page)
    expect(page.locator(".purchases tbody tr").first).to_be_visible()
    expect(page.locator(".purchases tbody tr").first).to_contain_text("Slice it")
    tab_to(page, page.get_by_role("navigation", name="Breadcrumb").get_by_role("link").last.inner_text())
    page.keyboard.press("Enter")
    ready(page)
    tab_to(page, "csv-page")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.startswith("tillroll_hour-bracket-method_")
