"""The page in Firefox: numbers, chart, table and keys, with nothing on the console."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.browser.bidi import firefox
from tests.browser.fetch_firefox import find_firefox
from tests.browser.purchases import MOMENT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.process import Server
    from tests.browser.purchases import Purchase

pytestmark = pytest.mark.slow
FIREFOX = find_firefox()
END, TAB, ENTER = "\ue010", "\ue004", "\ue007"


@pytest.mark.skipif(FIREFOX is None, reason="no Firefox: run `python -m tests.browser.fetch_firefox`")
def test_numbers_chart_table_and_keys_work_in_firefox(
    server: Server, purchases: list[Purchase], tmp_path: Path
) -> None:
    assert FIREFOX is not None
    with firefox(FIREFOX, tmp_path / "profile") as tab:
        days = f"from={purchases[0].day}&to={MOMENT.date() + timedelta(days=1)}"
        tab.go(f"{server.url}/#/hour-bracket?{days}&grain=day")
        total = tab.wait_for("document.querySelector('#total')?.textContent")
        assert total == f"{len(purchases):,}"
        assert tab.wait_for("document.querySelectorAll('tr[data-datapoint]').length") > 50
        tab.evaluate("document.querySelector('[role=slider]').focus()")
        tab.press(END)
        last = max(purchase.day for purchase in purchases)
        today = [purchase for purchase in purchases if purchase.day == last]
        said = tab.wait_for("document.querySelector('[role=slider]').getAttribute('aria-valuetext')")
        assert f": {len(today):,}." in said
        tab.press(ENTER)
        tab.wait_for("document.querySelector('[aria-label=\"Breadcrumb\"] a')?.textContent")
        tab.go(f"{server.url}/guide/http")
        assert tab.wait_for("document.querySelector('h1')?.textContent") == "HTTP"
        assert tab.said == []
