"""Take the pictures of the page that the documentation shows: `python -m tests.browser.screenshots [FOLDER]`.

Without a folder the chosen few go to docs/screenshots, made small; with one, all of them go there as they are.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from playwright.sync_api import Page, expect, sync_playwright
from tests.browser.fetch_chromium import find_chromium
from tests.browser.process import Server
from tests.browser.purchases import generate, lines, merchants, this_moment
from tests.browser.reading import ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

CHOSEN = Path(__file__).parents[2] / "docs" / "screenshots"
QUALITY = 84  # of WebP, where text has no halo yet
DESK, PHONE = (1360, 860), (390, 844)
BAD = [
    {"date": "2026-02-30T10:15:30Z", "amount": 4285, "paymentMethod": "PAY_NOW", "merchantId": "acme"},
    {"date": "2026-03-03T10:15:30Z", "amount": 42.85, "paymentMethod": "PAY_LATER", "merchantId": "acme"},
    {"date": "2026-03-03T10:15:31Z", "amount": 4285, "paymentMethod": "PAY_SOON", "merchantId": "acme"},
]


class Shot(NamedTuple):
    """A picture: its name, what it is of, and whether the documentation has it."""

    name: str
    server: str
    view: str
    size: tuple[int, int]
    theme: str
    chosen: bool = False


def shots() -> Iterator[Shot]:
    """Yield every picture there is."""
    views = {
        "overview": "overview?range=30d&compare=before",
        "hours": "hour-bracket",
        "methods": "hour-bracket-method?range=30d&stack=method&measure=amount&compare=before",
        "shares": "bracket-method",
        "merchants": "day-merchant?range=30d",
        "merchant-methods": "merchant-method",
        "purchases": "purchases?datapoint=10-50|SLICE_IT",
        "reports": "reports",
        "operations": "operations",
    }
    chosen = {"overview-desk-light", "hours-desk-dark", "overview-phone-dark", "merchants-desk-light"}
    for size_name, size in (("desk", DESK), ("phone", PHONE)):
        for theme in ("light", "dark"):
            for name, view in views.items():
                title = f"{name}-{size_name}-{theme}"
                yield Shot(title, "full", view, size, theme, title in chosen)
            yield Shot(f"empty-{size_name}-{theme}", "empty", "overview", size, theme)


def take(browser: Browser, url: str, shot: Shot, path: Path) -> None:
    """Write one picture."""
    width, height = shot.size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=shot.theme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{url}/#/{shot.view}")
    ready(page)
    _settle(page)
    # A phone is scrolled; its picture is the first screen or two of it.
    full = page.evaluate("() => document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width, "height": min(full, height * 2 if width < DESK[0] else 1_500)})
    _settle(page)
    if path.suffix == ".webp":
        told = {"format": "webp", "quality": QUALITY}
        path.write_bytes(base64.b64decode(context.new_cdp_session(page).send("Page.captureScreenshot", told)["data"]))
    else:
        page.screenshot(path=path)
    context.close()


def _settle(page: Page) -> None:
    expect(page.locator("#freshness[data-state=live]")).to_be_visible()
    page.evaluate("() => document.fonts.ready.then(() => null)")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))")


def main() -> None:
    """Fill two servers, and take the pictures."""
    everything = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        servers = {name: Server(Path(folder) / name) for name in ("full", "empty")}
        try:
            for server in servers.values():
                server.start()
            servers["full"].post(lines(generate(this_moment(), 75, 28, merchants(240))))
            for bad in BAD:
                servers["full"].client.post("/events", content=json.dumps(bad))
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
            for shot in shots():
                if everything:
                    everything.mkdir(parents=True, exist_ok=True)
                    take(browser, servers[shot.server].url, shot, everything / f"{shot.name}.png")
                elif shot.chosen:
                    CHOSEN.mkdir(parents=True, exist_ok=True)
                    take(browser, servers[shot.server].url, shot, CHOSEN / f"{shot.name}.webp")
            browser.close()
        finally:
            for server in servers.values():
                server.close()


if __name__ == "__main__":
    main()
