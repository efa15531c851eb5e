"""What senders and managers write is shown as text: merchants, fields, imports and titles of reports run nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import close
from tests.browser.reading import ready

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page
    from tests.browser.process import Server

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    '"><img src=x onerror=alert(1)>',
    "'><img src=x onerror=alert(1)>",
    "</td></tr></table><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<iframe src=javascript:alert(1)>",
    "<a href=javascript:alert(1)>click</a>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<math><mtext><img src=x onerror=alert(1)>",
    "<object data=javascript:alert(1)>",
    "<style>*{display:none}</style>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "javascript:alert(1)//",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}`-alert(1)-`",
    "&lt;img src=x onerror=alert(1)&gt;",
    "__proto__",
    "constructor",
]
WRITTEN = "main :is(img, script, iframe, object, base, meta, style, math, body, details[ontoggle], input[onfocus])"


@pytest.fixture
def hostile(fresh_server: Server, tmp_path: Path) -> Server:
    """A server in which everything that anybody may name has such a name."""
    event = {"date": "2026-03-04T05:06:07Z", "amount": 4285, "paymentMethod": "SLICE_IT"}
    lines = [event | {"merchantId": name, "id": name, name: 1} for name in HOSTILE]
    fresh_server.post("".join(json.dumps(line) + "\n" for line in lines).encode())
    wrong = event | {"merchantId": "m", "paymentMethod": HOSTILE[0], "id": HOSTILE[4]}
    fresh_server.client.post("/events", json=wrong, headers={"Idempotency-Key": HOSTILE[1]})
    for number, title in enumerate(HOSTILE):
        made = fresh_server.client.put(f"/reports/own-{number}", json={"title": title, "by": ["merchant"]})
        assert made.is_success, made.text
    file = tmp_path / "some.ndjson"
    file.write_text(json.dumps(lines[0] | {"id": "again"}) + "\n")
    command = [sys.executable, "-m", "tillroll", "import", "--data", fresh_server.data]
    subprocess.run([*command, "--name", HOSTILE[2], str(file)], check=True, capture_output=True)
    give_up = time.monotonic() + 60
    while not all(one["readable"] for one in fresh_server.client.get("/reports").json()):
        assert time.monotonic() < give_up
        time.sleep(0.1)
    return fresh_server


def test_nothing_that_anybody_wrote_runs_and_all_is_shown_as_it_is(
    open_page: Callable[..., Page], hostile: Server, pages: list[Page]
) -> None:
    page = open_page(f"{hostile.url}/#/merchant-method")
    views = [
        "merchant-method",
        "day-merchant?range=all",
        "day-merchant?range=all&merchant=" + "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E",
        "overview?range=all",
        "own-0",
        "reports",
        "operations",
        "purchases?datapoint=10-50%7CSLICE_IT",
        "nonsense%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E",
    ]
    for view in views:
        page.goto(f"{hostile.url}/#/{view}")
        ready(page)
        assert page.locator(WRITTEN).count() == 0, view
        shown = page.locator("body").inner_text()
        if view in {"merchant-method", "purchases?datapoint=10-50%7CSLICE_IT"}:
            assert [name for name in HOSTILE if name not in shown] == [], view
        if view == "reports":
            assert [name for name in HOSTILE if name not in page.locator(".states").inner_text()] == []
            assert [name for name in HOSTILE if name not in page.locator("#nav-list").inner_text()] == []
        if view == "operations":
            seen = page.locator(".fields").inner_text()
            assert sum(name in seen for name in HOSTILE) >= 20
            expect(page.locator(".imports")).to_contain_text(HOSTILE[2])
            page.locator(".rejected summary").click()
            assert HOSTILE[0] in page.get_by_label("Event to correct").input_value()
    page.goto(f"{hostile.url}/#/day-merchant?range=all")
    ready(page)
    page.get_by_placeholder("Search merchant").fill("<")
    expect(page.locator(".option").first).to_be_visible()
    page.locator("[role=slider]").first.focus()
    page.keyboard.press("End")
    assert page.locator(WRITTEN).count() == 0
    assert page.title().endswith("· Tillroll")
    close(pages)
