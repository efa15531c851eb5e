"""The page over four million datapoints: how long until a view is there, from the click to the painted answer."""

from __future__ import annotations

import gzip
import os
import statistics
import time
import uuid
from array import array
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from bench.measure import DATA, ROOT, show
from playwright.sync_api import sync_playwright
from tests.browser.fetch_chromium import find_chromium
from tests.browser.process import Server

from tillroll.core.batch import UNNAMED, Batch, Run
from tillroll.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

MERCHANTS = int(os.environ.get("BENCH_MERCHANTS", "10000"))
DAYS = 400
TIMES = 5
STATIC = ROOT / "src" / "tillroll" / "web" / "static"
# Notes when somebody does something, and when the view that follows is there and painted.
WATCH = """
window.noted = [];
const note = (what) => window.noted.push([what, performance.now()]);
for (const kind of ["click", "change", "hashchange"]) addEventListener(kind, () => note("input"), true);
new MutationObserver((changes) => {
  for (const { target } of changes) {
    if (target.matches?.(".view-body[aria-busy=false], .options:not([hidden])")) {
      requestAnimationFrame(() => setTimeout(() => note("there")));
    }
  }
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["aria-busy", "hidden"] });
"""


def fill(directory: Path) -> None:
    """Journal a purchase of each merchant on each day up to today, at hours as people buy."""
    pick = Random(1)
    names = [str(uuid.UUID(int=pick.getrandbits(128), version=4)) for _ in range(MERCHANTS)]
    last = int(time.time() // 86_400)
    hours = pick.choices(
        range(24), [1, 1, 1, 1, 1, 2, 4, 8, 14, 20, 26, 32, 36, 34, 28, 24, 22, 26, 34, 38, 32, 18, 8, 3], k=9_973
    )
    cents = [
        pick.choice((pick.randrange(999), pick.randrange(1_000, 9_999), pick.randrange(10_000, 90_000)))
        for _ in range(9_967)
    ]
    store = SqliteStore(directory)
    for day in range(last - DAYS + 1, last + 1):
        batch = Batch()
        bought = [day * 86_400 + hours[(day * 31 + one) % len(hours)] * 3_600 + one % 3_600 for one in range(MERCHANTS)]
        batch.seconds = array("q", bought)
        batch.nanos = array("I", bytes(4 * MERCHANTS))
        batch.amounts = array("q", [cents[(day * 17 + one) % len(cents)] for one in range(MERCHANTS)])
        batch.methods = array("B", [(one + day) % 3 for one in range(MERCHANTS)])
        batch.merchants = array("I", range(MERCHANTS))
        batch.merchant_names = names
        batch.positions = array("Q", range(MERCHANTS))
        batch.runs = [Run(UNNAMED, MERCHANTS)]
        store.journal(batch)
    store.fold()
    store.close()


def run() -> None:
    """Print the weight of the page, and the median and worst milliseconds of each thing that can be done on it."""
    files = [path for path in STATIC.rglob("*") if path.suffix in {".html", ".js", ".css", ".svg", ".woff2"}]
    packed = sum(len(gzip.compress(path.read_bytes(), 6)) for path in files)
    plain = sum(path.stat().st_size for path in files)
    print(f"page weight: {len(files)} files, {plain / 1000:.0f} kB, {packed / 1000:.0f} kB compressed")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    directory = DATA / f"page-{MERCHANTS}-{today}"
    if not (directory / "done").exists():
        fill(directory)
        (directory / "done").touch()
    server = Server(directory)
    server.start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
            rows = [*_first_views(browser, server), *_actions(browser, server)]
            browser.close()
    finally:
        server.close()
    title = f"{MERCHANTS * DAYS:,} datapoints of day-merchant, milliseconds in the browser, {TIMES} times each"
    show(title, ["what", "median", "worst"], rows)


def _first_views(browser: Browser, server: Server) -> list[tuple[str, str, str]]:
    """Open views in new browsers' sessions: nothing is cached."""
    rows = []
    for view in (
        "",
        "#/overview?range=30d",
        "#/overview?range=all",
        "#/day-merchant",
        "#/day-merchant?range=all",
        "#/hour-bracket-method?range=all",
    ):
        taken = []
        for _ in range(TIMES):
            page = _open(browser, f"{server.url}/{view}")
            taken.append(_there(page, 0))
            page.context.close()
        rows.append(_row(f"first view of /{view}", taken))
    return rows


def _actions(browser: Browser, server: Server) -> list[tuple[str, str, str]]:
    merchants = iter(server.client.get("/merchants", params={"q": "a", "limit": 200}).json())
    chip: Callable[[str], Callable[[Page], None]] = lambda name: (
        lambda page: page.get_by_text(name, exact=True).first.click()
    )
    radio: Callable[[str], Callable[[Page], None]] = lambda name: (
        lambda page: page.locator(f"label:has(#{name})").click()
    )
    sort: Callable[[Page], None] = lambda page: page.locator("#sort-sort-down").click()  # noqa: E731

    def search(page: Page) -> None:
        page.get_by_role("combobox").fill(next(merchants)[:3])
        page.get_by_role("combobox").click()

    def narrow(page: Page) -> None:
        page.evaluate("(name) => { location.hash += `&merchant=${name}`; }", next(merchants))

    todo: list[tuple[str, str, Callable[[Page], None]]] = [
        ("7 to 30 days", "#/overview", radio("range-30d")),
        ("7 days to all", "#/overview", radio("range-all")),
        ("by bracket", "#/hour-bracket?range=30d", chip("€10–50")),
        ("by bracket", "#/hour-bracket?range=all", chip("€10–50")),
        ("by bracket", "#/hour-bracket-method?range=all", chip("€10–50")),
        ("by method", "#/hour-bracket-method?range=all", chip("Slice it")),
        ("hours instead of days", "#/hour-bracket-method?range=30d", radio("grain-hour")),
        ("by bracket", "#/bracket-method?range=30d", chip("€10–50")),
        ("by method", "#/merchant-method", chip("Slice it")),
        ("busiest first", "#/merchant-method", sort),
        ("7 to 30 days", "#/day-merchant", radio("range-30d")),
        ("7 days to all", "#/day-merchant", radio("range-all")),
        ("by merchant", "#/day-merchant?range=7d", narrow),
        ("by merchant", "#/day-merchant?range=all", narrow),
        ("busiest first", "#/day-merchant?range=7d", sort),
        ("busiest first", "#/day-merchant?range=30d", sort),
        ("busiest first", "#/day-merchant?range=all", sort),
        ("next page", "#/day-merchant?range=all", lambda page: page.locator("#page-on").click()),
        ("search merchants", "#/day-merchant?range=7d", search),
    ]
    rows = []
    for name, view, action in todo:
        taken = []
        for _ in range(TIMES):
            page = _open(browser, f"{server.url}/{view}")
            _there(page, 0)
            page.wait_for_timeout(150)
            seen = page.evaluate("() => window.noted.length")
            action(page)
            taken.append(_there(page, seen))
            page.context.close()
        rows.append(_row(f"{view}: {name}", taken))
    return rows


def _open(browser: Browser, url: str) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.add_init_script(WATCH)
    page.goto(url, wait_until="commit")
    return page


def _there(page: Page, seen: int) -> float:
    """Return the milliseconds from the input after `seen` notes (or from the navigation) until a view was there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        noted = page.evaluate("() => window.noted")[seen:]
        there = [at for what, at in noted if what == "there"]
        if there:
            began = next((at for what, at in noted if what == "input"), 0.0) if seen else 0.0
            return float(there[0] - began)
        page.wait_for_timeout(5)
    return float("inf")


def _row(name: str, taken: list[float]) -> tuple[str, str, str]:
    return name, f"{statistics.median(taken):.0f}", f"{max(taken):.0f}"
