"""The page over ten million purchases, or a hundred: how long until a view is painted, from the click on."""

from __future__ import annotations

import gzip
import math
import os
import statistics
import time
import uuid
from array import array
from random import Random
from typing import TYPE_CHECKING

from bench.measure import DATA, ROOT, show
from playwright.sync_api import sync_playwright
from tests.browser.fetch_chromium import find_chromium
from tests.browser.process import Server

from tillroll.core.batch import UNNAMED, Batch, Run
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser, Page

MERCHANTS = int(os.environ.get("BENCH_MERCHANTS", "10000"))
DAYS = 400
PURCHASES = 100_000_000 if os.environ.get("BENCH_FULL") else 10_000_000
FIRST_MS, CHANGE_MS = 500, 200  # what a person takes for at once
TIMES = 5
STATIC = ROOT / "src" / "tillroll" / "web" / "static"
# Notes when somebody does something, and when the view that follows is there and painted. Whoever waits is told: asking
# again and again would take the page's own time.
WATCH = """
window.noted = [];
let told = () => null;
const note = (what) => {
  window.noted.push([what, performance.now()]);
  told();
};
// The milliseconds from the input after `seen` notes (or from the navigation) until a view was there.
window.there = (seen) => new Promise((resolve) => {
  told = () => {
    const noted = window.noted.slice(seen);
    const began = seen ? noted.find(([what]) => what === "input")?.[1] : 0;
    const at = noted.find(([what, at]) => what === "there" && at > began)?.[1]; // a refresh may have come before
    if (at !== undefined) resolve(at - began);
  };
  told();
});
for (const kind of ["click", "input", "hashchange"]) addEventListener(kind, () => note("input"), true);
new MutationObserver((changes) => {
  for (const { target } of changes) {
    if (target.matches?.(".view-body[aria-busy=false], .options:not([hidden])")) {
      const shown = () => target.isConnected && target.childElementCount && note("there"); // not what is only loading
      requestAnimationFrame(() => setTimeout(shown));
    }
  }
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["aria-busy", "hidden"] });
"""


def fill(directory: Path, purchases: int) -> None:
    """Journal as many purchases of each merchant on each day up to today, at hours as people buy; go on if stopped."""
    pick = Random(1)
    names = [str(uuid.UUID(int=pick.getrandbits(128), version=4)) for _ in range(MERCHANTS)]
    last = int(time.time() // 86_400)
    rhythm = [1, 1, 1, 1, 1, 2, 4, 8, 14, 20, 26, 32, 36, 34, 28, 24, 22, 26, 34, 38, 32, 18, 8, 3]
    count = purchases // DAYS
    most = count + 20_000  # a day begins at another place in what was drawn, so that no two are alike
    of_day = array("q", [hour * 3_600 + pick.randrange(3_600) for hour in pick.choices(range(24), rhythm, k=most)])
    cents = array("q", [pick.randrange(pick.choice((999, 9_999, 90_000))) for _ in range(most)])
    methods = array("B", pick.choices(range(3), k=most))
    store = SqliteStore(directory)
    for day in range(last - DAYS + 1 + store.status().journal_position // count, last + 1):
        batch = Batch()
        at, midnight = day * 47 % 20_000, day * 86_400
        batch.seconds = array("q", [midnight + second for second in of_day[at : at + count]])
        batch.nanos = array("I", bytes(4 * count))
        batch.amounts = cents[at : at + count]
        batch.methods = methods[at : at + count]
        batch.merchants = array("I", range(MERCHANTS)) * (count // MERCHANTS + 1)
        del batch.merchants[count:]
        batch.merchant_names = names
        batch.positions = array("Q", range(count))
        batch.runs = [Run(UNNAMED, count)]
        store.journal(batch)
    store.fold()
    store.close()


def run() -> None:
    """Print the weight of the page, then the median and worst milliseconds of each thing that can be done on it."""
    today = time.strftime("%Y-%m-%d", time.gmtime())
    directory = DATA / f"page-{MERCHANTS}-{PURCHASES}-{today}"
    if not (directory / "done").exists():
        fill(directory, PURCHASES)
        (directory / "done").touch()
    server = Server(directory)
    server.start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
            _weigh(browser, server)
            rows = [*_first_views(browser, server), *_actions(browser, server)]
            browser.close()
    finally:
        server.close()
    title = f"{PURCHASES:,} purchases, {MERCHANTS:,} merchants, {DAYS} days: milliseconds in the browser, {TIMES} times"
    show(title, ["what", "median", "worst", "at most"], rows)


def _weigh(browser: Browser, server: Server) -> None:
    """Print what the page is made of, as it came and compressed."""
    page = _open(browser, server.url)
    _there(page, 0)
    names = page.evaluate("() => performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname)")
    page.context.close()
    files = [STATIC / "index.html"]
    files += [STATIC / name.split("/", 3)[3] for name in names if name.startswith("/static/")]  # behind its hash
    every = [*STATIC.glob("js/**/*.js"), *STATIC.glob("vendor/uplot/*.js")]
    print(f"what a first view fetches: {_weight(files)}\nJavaScript of all views: {_weight(every)}")


def _weight(files: list[Path]) -> str:
    packed = sum(len(gzip.compress(path.read_bytes(), 6)) for path in files)
    plain = sum(path.stat().st_size for path in files)
    return f"{len(files)} files, {plain / 1000:.0f} kB, {packed / 1000:.0f} kB compressed"


def _first_views(browser: Browser, server: Server) -> list[tuple[str, str, str, str]]:
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
        rows.append(_row(f"first view of /{view}", taken, FIRST_MS))
        print(*rows[-1], flush=True)
    return rows


def _actions(browser: Browser, server: Server) -> list[tuple[str, str, str, str]]:
    """Do on each view what can be done there, on a page of its own each time."""
    merchants = iter(server.client.get("/merchants", params={"q": "a", "limit": 200}).json())

    def search(page: Page) -> None:
        page.get_by_placeholder("Search merchant").fill(next(merchants)[:3])

    def narrow(page: Page) -> None:
        page.evaluate("(name) => { location.hash += `&merchant=${name}`; }", next(merchants))

    def choose(control: str, value: str) -> Callable[[Page], None]:
        return lambda page: page.locator(control).select_option(value) and None

    bracket, method, busiest = "label:has(#bracket-1)", "label:has(#method-2)", "#sort-purchases"
    todo: list[tuple[str, str, str | Callable[[Page], None]]] = [
        ("7 to 30 days", "#/overview", choose("#range", "30d")),
        ("7 days to all", "#/overview", choose("#range", "all")),
        ("by bracket", "#/hour-bracket?range=30d", bracket),
        ("by bracket", "#/hour-bracket?range=all", bracket),
        ("by bracket", "#/hour-bracket-method?range=all", bracket),
        ("by method", "#/hour-bracket-method?range=all", method),
        ("hours instead of days", "#/hour-bracket-method?range=30d", choose("#grain", "hour")),
        ("with the period before", "#/hour-bracket-method?range=30d", choose("#compare", "before")),
        ("with the year before", "#/hour-bracket-method?range=90d", choose("#compare", "year")),
        ("turnover", "#/hour-bracket-method?range=30d", "label:has(#measure-amount)"),
        ("weeks", "#/hour-bracket-method?range=90d", choose("#grain", "week")),
        ("by bracket", "#/bracket-method?range=30d", bracket),
        ("by method", "#/merchant-method", method),
        ("busiest first", "#/merchant-method", busiest),
        ("7 to 30 days", "#/day-merchant", choose("#range", "30d")),
        ("7 days to all", "#/day-merchant", choose("#range", "all")),
        ("by merchant", "#/day-merchant?range=7d", narrow),
        ("by merchant", "#/day-merchant?range=all", narrow),
        ("busiest first", "#/day-merchant?range=7d", busiest),
        ("busiest first", "#/day-merchant?range=30d", busiest),
        ("busiest first", "#/day-merchant?range=all", busiest),
        ("next page", "#/day-merchant?range=all", "#page-on"),
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
            if callable(action):
                action(page)
            else:
                page.locator(action).click()
            taken.append(_there(page, seen))
            page.context.close()
        rows.append(_row(f"{view}: {name}", taken, CHANGE_MS))
        print(*rows[-1], flush=True)
    return rows


def _open(browser: Browser, url: str) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.add_init_script(WATCH)
    page.goto(url, wait_until="commit")
    return page


def _there(page: Page, seen: int) -> float:
    """Return the milliseconds from the input after `seen` notes (or from the navigation) until a view was there."""
    taken: float = page.evaluate(
        "(seen) => Promise.race([there(seen), new Promise((end) => setTimeout(end, 60_000, -1))])", seen
    )
    return math.inf if taken < 0 or page.get_by_role("alert").count() else taken


def _row(name: str, taken: list[float], most: int) -> tuple[str, str, str, str]:
    median = statistics.median(taken)
    return name, f"{median:.0f}", f"{max(taken):.0f}", f"{most}" if median <= most else f"{most}, MISSED"
