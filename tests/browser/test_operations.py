"""Operations: outcomes, and the rejected with their reasons, corrected and sent again or dropped."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import close
from tests.browser.reading import newest, ready

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page, Route
    from tests.browser.process import Server

GOOD = {"date": "2026-03-04T05:06:07Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "acme", "id": "p-1"}


@pytest.fixture
def troubled(fresh_server: Server) -> Server:
    """A server that has seen one good event, its duplicate, a conflict with it, and two that were rejected."""
    hostile = GOOD | {"id": "p-2", "paymentMethod": "<img src=x onerror=alert(1)>"}
    for event in (GOOD, GOOD, GOOD | {"amount": 1}, hostile, GOOD | {"id": "p-3", "amount": 42.5}):
        fresh_server.client.post("/events", json=event)
    return fresh_server


def test_outcomes_are_counted(open_page: Callable[..., Page], troubled: Server) -> None:
    page = open_page(f"{troubled.url}/#/operations")
    ready(page)
    for name, count in (("Accepted", 1), ("Duplicates", 1), ("Conflicts", 1), ("Rejected, pending", 3)):
        expect(page.locator(".span", has_text=name).locator(".big")).to_have_text(str(count))
    seen = newest(page.get_by_role("slider"), 2)
    assert [seen[name] for name in ("Accepted", "Duplicates", "Conflicts", "Rejected")] == [1, 1, 1, 2]
    page.get_by_role("button", name="Audit now").click()
    expect(page.get_by_role("heading", name="The last audit found no differences")).to_be_visible()
    expect(page.locator("tr[data-report=hour-bracket]")).to_contain_text("all")


def test_rejected_event_is_corrected_and_counted(open_page: Callable[..., Page], troubled: Server) -> None:
    page = open_page(f"{troubled.url}/#/operations", quiet=False)  # the browser notes a 422 on its console
    ready(page)
    item = page.locator(".rejected", has_text="42.5")
    item.locator("summary").click()
    body = item.get_by_label("Event to correct")
    assert "42.5" in body.input_value()
    item.get_by_role("button", name="Send again").click()
    expect(item.get_by_role("alert")).to_contain_text("still not accepted")
    body.fill(body.input_value().replace("42.5", "4250"))
    item.get_by_role("button", name="Send again").click()
    expect(page.locator(".rejected")).to_have_count(2)
    expect(page.locator(".span", has_text="Accepted").locator(".big")).to_have_text("2")
    assert troubled.rows("bracket-method") == {"10-50|SLICE_IT": 2}


def test_rejected_event_is_dropped_only_when_that_is_meant(open_page: Callable[..., Page], troubled: Server) -> None:
    page = open_page(f"{troubled.url}/#/operations")
    ready(page)
    item = page.locator(".rejected").first
    item.locator("summary").click()
    item.get_by_role("button", name="Drop").click()
    assert len(troubled.client.get("/rejected").json()) == 3
    item.get_by_role("button", name="Drop permanently?").click()
    expect(page.locator(".rejected")).to_have_count(2)
    assert len(troubled.client.get("/rejected").json()) == 2


def test_text_being_corrected_survives_what_arrives_meanwhile(open_page: Callable[..., Page], troubled: Server) -> None:
    page = open_page(f"{troubled.url}/#/operations")
    ready(page)
    item = page.locator(".rejected", has_text="42.5")
    item.locator("summary").click()
    item.get_by_label("Event to correct").fill("half a correction")
    troubled.client.post("/events", json=GOOD | {"id": "p-9", "amount": -1})
    expect(page.locator(".rejected")).to_have_count(4)
    expect(item.get_by_label("Event to correct")).to_have_value("half a correction")


def test_rejected_are_narrowed_by_reason_and_dropped_or_sent_again_at_once(
    open_page: Callable[..., Page], troubled: Server
) -> None:
    page = open_page(f"{troubled.url}/#/operations")
    ready(page)
    page.get_by_label("Reason").select_option("unknown_method")
    expect(page.locator(".rejected")).to_have_count(1)
    page.get_by_role("button", name="Drop all 1").click()
    page.get_by_role("button", name="Confirm: Drop all 1").click()
    expect(page.locator(".sub", has_text="1 event dropped.")).to_be_visible()
    assert {one["code"] for one in troubled.client.get("/rejected").json()} == {"conflict", "invalid_amount"}
    page.get_by_role("button", name="Send all 2 again").click()
    page.get_by_role("button", name="Confirm: Send all 2 again").click()
    expect(page.locator(".sub", has_text="0 events counted, 0 already there, 2 still rejected.")).to_be_visible()


def test_the_rejected_of_the_reason_that_was_chosen_last_are_shown_however_answers_come(
    open_page: Callable[..., Page], troubled: Server
) -> None:
    page = open_page(f"{troubled.url}/#/operations")
    ready(page)
    held: list[Route] = []
    page.route("**/rejected?*code=unknown_method*", lambda route: held.append(route))  # noqa: PLW0108 - it is given an attribute
    with page.expect_request("**/rejected?*code=unknown_method*"):
        page.get_by_label("Reason").select_option("unknown_method")
    page.get_by_label("Reason").select_option("conflict")
    expect(page.locator(".rejected .code")).to_have_text(["conflict"])
    (late,) = held
    with page.expect_response("**/rejected?*code=unknown_method*"):
        late.continue_()
    page.evaluate("async () => { for (let i = 0; i < 5; i += 1) await (await fetch('/rejected/summary')).text(); }")
    assert page.locator(".rejected .code").all_inner_texts() == ["conflict"]


def test_imports_fields_and_outcomes_of_all_ways_outlive_a_restart(
    open_page: Callable[..., Page], troubled: Server, tmp_path: Path, pages: list[Page]
) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    file = tmp_path / "more.ndjson"
    file.write_text(json.dumps(GOOD | {"id": "p-7", hostile: 1, "country": "SE"}) + "\n")
    command = [sys.executable, "-m", "tillroll", "import", "--data", troubled.data, "--name", hostile, str(file)]
    subprocess.run(command, check=True, capture_output=True)
    troubled.stop()
    troubled.start()
    page = open_page(f"{troubled.url}/#/operations")
    ready(page)
    expect(page.locator(".span", has_text="Duplicates").locator(".big")).to_have_text("1")
    expect(page.locator(".imports tbody tr")).to_contain_text([hostile])
    expect(page.locator(".imports tbody tr")).to_contain_text(["done"])
    seen = page.get_by_role("region", name="Not kept")
    expect(seen.locator("tbody tr")).to_have_count(2)
    expect(seen).to_contain_text(hostile)
    page.get_by_label("Input").select_option("import")
    assert newest(page.get_by_role("slider"), 2)["Accepted"] == 1
    page.get_by_text("90 days").click()
    expect(page.get_by_text("Events per day")).to_be_visible()
    expect(page.locator("tr[data-report=hour-bracket]")).to_contain_text("2")
    close(pages)
