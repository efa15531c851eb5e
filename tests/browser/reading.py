"""Reads the page as a person would: what stands in its tables, and what its charts say when stepped through."""

# ruff: noqa: RUF001 the page sets its ranges with a dash

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from playwright.sync_api import Locator, Page, expect

if TYPE_CHECKING:
    from collections.abc import Iterable

WORDS = {
    "<10": "Under €10",
    "10-50": "€10–50",
    "50-100": "€50–100",
    "100-500": "€100–500",
    ">500": "Over €500",
    "PAY_NOW": "Pay now",
    "PAY_LATER": "Pay later",
    "SLICE_IT": "Slice it",
}


def number(text: str) -> int:
    """Return a number as the page writes it."""
    return int(text.replace(",", ""))


def ready(page: Page) -> None:
    """Wait until the view that the address asks for is there: the page's own word, as Playwright hears of it later."""
    expect(page.locator("#main")).to_have_attribute("data-shown", page.evaluate("() => location.hash"))


def table(page: Page) -> dict[str, int]:
    """Return the rows of a report's table: the datapoint behind each, and the purchases that it shows."""
    rows: list[list[str]] = page.locator("tr[data-datapoint]").evaluate_all(
        "rows => rows.map((row) => [row.dataset.datapoint, row.querySelector('.count').textContent])"
    )
    return {datapoint: number(events) for datapoint, events in rows}


def columns(chart: Locator, most: int) -> dict[str, dict[str, int]]:
    """Step through a chart by keyboard; return what it says of each column, by its label."""
    chart.focus()
    chart.press("Home")
    said: dict[str, dict[str, int]] = {}
    for _ in range(most):
        text = chart.get_attribute("aria-valuetext") or ""
        when, rest = text.split(": ", 1)
        total, _, parts = rest.partition(". ")
        said[when] = {"total": number(total)} | dict(_part(part) for part in parts.split(", "))
        chart.press("ArrowRight")
    return said


def newest(chart: Locator, most: int) -> Counter[str]:
    """Return what a chart says of its newest columns in all: the clock may have gone on to the next one meanwhile."""
    chart.focus()
    chart.press("End")
    said: Counter[str] = Counter()
    for _ in range(most):
        for label, value in re.findall(r"([A-Z][a-z]+) ([\d,]+)", chart.get_attribute("aria-valuetext") or ""):
            said[label] += number(value)
        chart.press("ArrowLeft")
    return said


def _part(text: str) -> tuple[str, int]:
    label, _, value = text.rpartition(" ")
    return label, number(value)


def total(counts: dict[str, int], values: Iterable[str] = ()) -> int:
    """Return the sum of counts, of those datapoints that have one of the values among their parts."""
    wanted = set(values)
    return sum(events for datapoint, events in counts.items() if not wanted or wanted & set(datapoint.split("|")))
