"""A browser, a server with purchases in it, and a page that fails its test when the browser complained of anything."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect, sync_playwright
from tests.browser.fetch_chromium import AXE_FILE, find_headless
from tests.browser.process import Server
from tests.browser.purchases import MOMENT, Purchase, generate, lines, merchants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DAYS = 40
AN_HOUR = 5
MERCHANTS = 320
SEEN_MS = 60_000  # however busy the machine is
DESK = {"width": 1360, "height": 900}
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--process-per-site",  # the pages of a session share a process, which one that stays open keeps
]
AT_THE_MOMENT = f"""
globalThis.Date = class extends Date {{
  constructor(...given) {{ given.length ? super(...given) : super({MOMENT.timestamp() * 1000:.0f}); }}
  static now() {{ return {MOMENT.timestamp() * 1000:.0f}; }}
}};
"""


@pytest.fixture(scope="session")
def launched() -> Iterator[tuple[Browser, asyncio.AbstractEventLoop]]:
    """A Chromium for all tests of this process, and the loop that playwright keeps running in its only thread."""
    path = find_headless()
    if path is None:
        pytest.fail("No Chromium: run `python tests/browser/fetch_chromium.py`")
    with sync_playwright() as playwright:
        loop = asyncio.get_running_loop()
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser, loop
        asyncio._set_running_loop(loop)
        browser.close()


@pytest.fixture(scope="module")
def chromium(launched: tuple[Browser, asyncio.AbstractEventLoop]) -> Iterator[Browser]:
    """The browser while a module needs it; other tests start loops of their own in the same thread."""
    browser, loop = launched
    asyncio._set_running_loop(loop)
    yield browser
    asyncio._set_running_loop(None)


@pytest.fixture(scope="session")
def purchases() -> list[Purchase]:
    return list(generate(MOMENT, DAYS, AN_HOUR, merchants(MERCHANTS)))


@pytest.fixture(scope="session")
def standing() -> set[str]:
    """The addresses of servers in whose pages it is always the same moment."""
    return set()


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, purchases: list[Purchase], shifted_clock: Path, standing: set[str]
) -> Iterator[Server]:
    """A server that nobody sends anything more to; it is `MOMENT` there."""
    shift_s = int(MOMENT.timestamp() - time.time())
    environ = {"LD_PRELOAD": str(shifted_clock), "CLOCK_SHIFT_S": str(shift_s)}
    running = Server(tmp_path_factory.mktemp("full") / "data", environ=environ)
    running.start()
    running.post(lines(purchases))
    standing.add(running.url)
    yield running
    running.close()


@pytest.fixture
def pages() -> list[Page]:
    """The pages that are open. Whatever stops a server closes them first, as they would note that it is gone."""
    return []


@pytest.fixture
def fresh_server(tmp_path: Path, pages: list[Page]) -> Iterator[Server]:
    """A server without purchases, for this test alone."""
    running = Server(tmp_path / "data")
    running.start()
    yield running
    close(pages)
    running.close()


def close(pages: list[Page]) -> None:
    while pages:
        pages.pop().close()


@pytest.fixture(scope="module")
def contexts(chromium: Browser) -> Iterator[dict[str, BrowserContext]]:
    """Browser sessions by their options: making one for each test would take longer than most tests."""
    made: dict[str, BrowserContext] = {}
    yield made
    assert chromium.is_connected()
    for context in made.values():
        context.close()


@pytest.fixture
def open_page(
    chromium: Browser, contexts: dict[str, BrowserContext], pages: list[Page], standing: set[str]
) -> Iterator[Callable[..., Page]]:
    """Return what opens pages; afterwards, that none had anything to say on its console."""
    said: list[str] = []

    def note_dialog(dialog: Dialog) -> None:
        said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def opener(url: str, *, quiet: bool = True, **options: object) -> Page:
        key = repr(sorted(options.items()))
        if key not in contexts:
            contexts[key] = chromium.new_context(**{"viewport": DESK, "reduced_motion": "reduce", **options})  # type: ignore[arg-type]
            contexts[key].set_default_timeout(SEEN_MS)
            contexts[key].set_default_navigation_timeout(SEEN_MS)
            if url.startswith("http:"):
                contexts[key].new_page().goto(urljoin(url, "/healthz"))
        page = contexts[key].new_page()
        pages.append(page)
        if quiet:
            page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("dialog", note_dialog)
        if url.startswith(("about:", *standing)):
            page.add_init_script(AT_THE_MOMENT)
        page.goto(url)
        return page

    expect.set_options(timeout=SEEN_MS)
    yield opener
    close(pages)
    assert said == []


@pytest.fixture(scope="session")
def axe() -> str:
    if not AXE_FILE.exists():
        pytest.fail("No axe-core: run `python tests/browser/fetch_chromium.py`")
    return AXE_FILE.read_text()
