"""Counts move as purchases arrive, over one stream that comes back by itself; nothing moves while nothing arrives."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from playwright.sync_api import expect
from tests.browser.purchases import HOSTILE, generate, lines, merchants, this_moment
from tests.browser.reading import ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page, Request
    from tests.browser.process import Server


def test_counts_move_as_purchases_arrive(open_page: Callable[..., Page], fresh_server: Server) -> None:
    page = open_page(fresh_server.url)
    expect(page.get_by_role("heading", name="No purchases yet")).to_be_visible()
    some = list(generate(this_moment(), 2, 4, merchants(10)))
    fresh_server.post(lines(some[:-5]))
    everything = page.get_by_role("link", name=re.compile("^All:"))
    expect(everything).to_have_text(f"{len(some) - 5:,}")
    fresh_server.post(lines(some[-5:]))
    expect(everything).to_have_text(f"{len(some):,}")
    expect(page.locator("#freshness")).to_contain_text("Live")
    page.goto(f"{fresh_server.url}/#/merchant-method?merchant={HOSTILE}")
    ready(page)
    before = int(page.locator("#total").inner_text())
    late = [some[0]._replace(merchant=HOSTILE, at=some[0].at + timedelta(microseconds=1))]
    fresh_server.post(lines(late))
    expect(page.locator("#total")).to_have_text(str(before + 1))


def test_idle_page_asks_for_nothing_and_holds_one_stream(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page("about:blank")
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url.removeprefix(server.url))

    page.on("request", note)
    page.goto(server.url)
    ready(page)
    expect(page.locator("#freshness")).to_contain_text("up to date")
    done = -1
    while done < len(
        asked
    ):  # what it wants when it is idle it may ask for late; a page that keeps asking never ends this
        done = len(asked)
        page.wait_for_timeout(2_500)
    assert asked.count("/live") == 1
    assert len(asked) == len(set(asked)), "something was read twice"


def test_page_comes_back_by_itself_when_the_server_restarts(
    open_page: Callable[..., Page], fresh_server: Server
) -> None:
    # A browser notes every refused connection on its console; here they are what is to be survived.
    some = list(generate(this_moment(), 2, 4, merchants(10)))
    fresh_server.post(lines(some[:-3]))
    page = open_page(f"{fresh_server.url}/#/hour-bracket?range=all", quiet=False)
    expect(page.locator("#total")).to_have_text(f"{len(some) - 3:,}")
    fresh_server.stop()
    expect(page.locator("#freshness")).to_contain_text("Reconnecting")
    expect(page.locator("#total")).to_have_text(f"{len(some) - 3:,}")
    page.get_by_label("Range", exact=True).select_option("30d")
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    fresh_server.start()
    fresh_server.post(lines(some[-3:]))
    expect(page.locator("#freshness")).to_contain_text("Live")
    expect(page.locator("#total")).to_have_text(f"{len(some):,}")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_old_data_is_shown_without_being_asked_for(open_page: Callable[..., Page], fresh_server: Server) -> None:
    end = this_moment().replace(year=2011, month=12, day=8, hour=23, minute=59)
    old = list(generate(end, 20, 3, merchants(10)))
    fresh_server.post(lines(old))
    page = open_page(fresh_server.url)
    ready(page)
    expect(page.get_by_text("The latest purchase was on 8 Dec 2011")).to_be_visible()
    expect(page.get_by_label("Range", exact=True)).to_have_value("all")
    expect(page.locator(".part-columns .sub a")).to_have_text(f"{len(old):,}")
    page.goto(f"{fresh_server.url}/#/day-merchant?range=7d")
    expect(page.get_by_role("heading", name="No purchases in this range")).to_be_visible()
    expect(page.get_by_text("none. In total there are")).to_contain_text(f"{len(old):,} purchases")
    page.get_by_role("link", name="The latest 7 days with purchases").click()
    week = sum(one.at.date() > end.date() - timedelta(days=7) for one in old)
    expect(page.locator("#total")).to_have_text(f"{week:,}")
