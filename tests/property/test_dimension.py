"""Reports of one's own: the fold by columns counts what each event's datapoint says, one by one."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillroll.core.batch import Event
from tillroll.core.codes import Codes, Numbers
from tillroll.core.definition import define
from tillroll.core.dimension import WINDOWS
from tillroll.core.fold import fold
from tillroll.core.kept import ABSENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tillroll.core.report import Report

MERCHANTS = ("a", "bo", "PAY_NOW", "10-5", "é")
COUNTRIES = ("SE", "NO", ABSENT, '"1"', "1")
ZONES = ("UTC", "Europe/Stockholm", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia")
KEYS = ("weekday", "hour-of-day", "bracket", "method", "merchant", "country")
LOW, HIGH = 1_300_000_000, 1_340_000_000  # a day that Apia has not lies between, and changes of the clock

events = st.lists(
    st.tuples(
        st.integers(LOW, HIGH) | st.integers(-62_135_596_800, 253_402_300_799),
        st.integers(0, 60_000) | st.integers(0, 10**12),
        st.integers(0, 2),
        st.sampled_from(MERCHANTS),
        st.sampled_from(COUNTRIES),
    ),
    max_size=40,
)


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, object]:
    """Return a table that defines a report."""
    by = draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=4))
    window = draw(st.sampled_from([None, *WINDOWS]))
    if window:
        by.insert(draw(st.integers(0, len(by))), window)
    where: dict[str, object] = {}
    if draw(st.booleans()):
        where["merchant"] = draw(st.lists(st.sampled_from((*MERCHANTS, "nobody")), min_size=1, unique=True))
    if draw(st.booleans()):
        where["country"] = draw(
            st.lists(st.sampled_from(["SE", 1, "1"]) | st.just({"absent": True}), min_size=1, max_size=2)
        )
    if draw(st.booleans()):
        where["weekday"] = ["Sat", "Sun"]
    table: dict[str, object] = {"name": "own", "by": by, "zone": draw(st.sampled_from(ZONES)), "where": where}
    if "bracket" in by and draw(st.booleans()):
        table["brackets"] = draw(st.lists(st.integers(1, 60_000), min_size=1, max_size=50, unique=True).map(sorted))
    return table


def codes_of(purchases: Sequence[tuple[int, int, int, str, str]]) -> Codes:
    opens = {"merchant": (MERCHANTS, 3), "field.country": (COUNTRIES, 4)}
    return Codes(
        array("q", [purchase[0] for purchase in purchases]),
        array("q", [purchase[1] for purchase in purchases]),
        array("B", [purchase[2] for purchase in purchases]),
        {
            name: Numbers(array("I", [values.index(str(each[at])) for each in purchases]), None, len(values))
            for name, (values, at) in opens.items()
        },
        lambda name, text: opens[name][0].index(text) if text in opens[name][0] else None,
    )


def counted(report: Report, codes: Codes) -> dict[str, tuple[int, int]]:
    """Return (events, amount) by datapoint, out of the fold."""
    (counts,) = fold([report], codes)
    values = {"merchant": MERCHANTS, "country": COUNTRIES}
    found = {}
    columns = zip(counts.windows, counts.codes, counts.counts, counts.sums, strict=True)
    for row, (window, code, events, amount) in enumerate(columns):
        inner = code
        numbers = [column[row] for column in counts.numbers]
        if len(report.opens) == 1:
            number, inner = divmod(code, report.inner)
            numbers = [number]
        texts = report.inner_texts(inner)
        texts |= {each.name: values[each.name][at] for each, at in zip(report.opens, numbers, strict=True)}
        if report.window:
            texts[report.window.name] = report.window.text(window)
        found[report.text(texts[name] for name in report.dimensions)] = (events, amount)
    assert len(found) == len(counts.counts)
    return found


@given(events, st.lists(definitions(), min_size=1, max_size=4))
def test_the_fold_counts_what_each_event_says(
    purchases: list[tuple[int, int, int, str, str]], tables: list[dict[str, object]]
) -> None:
    codes = codes_of(purchases)
    for table in tables:
        report = define(table).report(1)
        expected: Counter[str] = Counter()
        amounts: Counter[str] = Counter()
        for seconds, amount, method, merchant, country in purchases:
            text = report.text_of(Event(seconds, 0, amount, method, merchant), {"country": country})
            if text is not None:
                expected[text] += 1
                amounts[text] += amount
        assert counted(report, codes) == {text: (expected[text], amounts[text]) for text in expected}


def test_many_reports_of_many_zones_are_counted_together() -> None:
    purchases = [(LOW + 3_601 * each, each, each % 3, MERCHANTS[each % 5], COUNTRIES[each % 5]) for each in range(200)]
    reports = [
        define({"name": f"r{at}", "by": ["day", "weekday", "hour-of-day"], "zone": zone}).report(1)
        for at, zone in enumerate(ZONES * 20)
    ]
    codes = codes_of(purchases)
    for counts, report in zip(fold(reports, codes), reports, strict=True):
        assert sum(counts.counts) == 200, report.name


@pytest.mark.parametrize("events", [[], [(LOW, 1, 0, "a", "SE")]])
def test_a_condition_that_nothing_meets_counts_nothing(events: list[tuple[int, int, int, str, str]]) -> None:
    report = define({"name": "own", "by": ["day"], "where": {"merchant": ["nobody"]}}).report(1)
    assert counted(report, codes_of(events)) == {}
