"""Pages in the order bracket: whole, in order and without a repeat, whatever the limit and the dimensions."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.oracle import REPORTS

from tillroll.core import query as queries
from tillroll.core.bracket_order import read_page
from tillroll.core.definition import define
from tillroll.core.dimension import BRACKETS
from tillroll.core.limits import METHODS
from tillroll.core.query import Page, Query, Row, Totals
from tillroll.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tillroll.core.query import Aggregate


HOURS = REPORTS["hour-bracket-method"]
ROWS = st.lists(
    st.builds(
        Row, st.integers(0, 60), st.tuples(st.sampled_from(BRACKETS), st.sampled_from(METHODS)), st.integers(1, 9)
    ),
    max_size=80,
)
NAMES: tuple[str, ...] = ("hour", "day", "bracket", "method")
BYS = [
    by for size in range(1, 5) for by in permutations(NAMES, size) if "bracket" in by and not {"hour", "day"} <= set(by)
]


def read_all(rows: Sequence[Row], query: Query) -> tuple[list[Aggregate], Totals | None]:
    """Return all pages together, and the totals of the first."""

    def read(asked: Query) -> Page:
        return queries.answer(asked, rows)

    page = first = read_page(read, query)
    found = [*page.aggregates]
    while page.next is not None:
        assert len(page.aggregates) == query.limit
        page = read_page(read, msgspec.structs.replace(query, after=page.next, totals=False))
        assert page.totals is None
        found += page.aggregates
    return found, first.totals


@given(
    ROWS,
    st.sampled_from([(), *BYS]),
    st.integers(1, 40),
    st.sets(st.sampled_from(BRACKETS)),
    st.sampled_from([None, 3]),
)
def test_pages_together_are_everything_in_order(
    rows: list[Row], by: tuple[str, ...], limit: int, brackets: set[str], start: int | None
) -> None:
    query = Query(
        report=HOURS,
        by=by,
        limit=limit,
        start=start,
        filters={"bracket": frozenset(brackets)} if brackets else {},
        brackets_by_amount=True,
    )
    found, totals = read_all(rows, query)
    expected = queries.answer(msgspec.structs.replace(query, limit=10_000), rows)
    at = (by or HOURS.dimensions).index("bracket")

    def key(row: Aggregate) -> list[str | int]:
        parts: list[str | int] = [*row.datapoint.split("|")]
        parts[at] = BRACKETS.index(str(parts[at]))
        return parts

    assert found == sorted(expected.aggregates, key=key)
    assert totals == expected.totals


@pytest.mark.parametrize("by", [(), ("bracket",), ("bracket", "day"), ("method", "bracket", "hour")])
@pytest.mark.parametrize("cursor", ["x", "50-100", "2011-12-03:10|50-100", "|||", "2011-12-03:10|5-9|PAY_NOW"])
def test_a_cursor_of_another_order_is_told(by: tuple[str, ...], cursor: str) -> None:
    if (by, cursor) == (("bracket",), "50-100"):
        return
    rows = [Row(1, (BRACKETS[1], METHODS[1]), 1)]
    query = Query(report=HOURS, by=by, after=cursor, brackets_by_amount=True)
    with pytest.raises(QueryError, match="not a cursor of the order bracket"):
        read_page(lambda asked: queries.answer(asked, rows), query)


def test_a_report_without_brackets_is_answered_as_it_is() -> None:
    rows = [Row(1, (name,), 1) for name in ("b", "a", "10")]
    query = Query(report=REPORTS["day-merchant"], brackets_by_amount=True)
    page = read_page(lambda asked: queries.answer(asked, rows), query)
    assert [row.datapoint for row in page.aggregates] == [f"1970-01-02|{name}" for name in ("10", "a", "b")]


def test_all_brackets_of_an_hour_rise_by_amount() -> None:
    rows = [Row(1, (bracket, method), 1) for bracket in BRACKETS for method in METHODS]
    page = read_page(lambda asked: queries.answer(asked, rows), Query(report=HOURS, brackets_by_amount=True))
    assert [row.datapoint for row in page.aggregates] == [
        f"1970-01-01:01|{bracket}|{method}" for bracket in BRACKETS for method in sorted(METHODS)
    ]


def test_page_is_read_in_few_reads_however_many_combinations_stand_before_the_bracket() -> None:
    table = {
        "name": "own",
        "by": ["weekday", "hour-of-day", "bracket", "merchant"],
        "brackets": [*range(100, 5_100, 100)],
    }
    report = define(table).report(1)
    texts = [report.by[2].texts[at] for at in (0, 7, 50, 3)]  # type: ignore[attr-defined]
    rows = [
        Row(0, (day, f"{hour:02}", bracket, f"m{number}"), 1)
        for day in ("Mon", "Sun")
        for hour in range(24)
        for bracket in texts
        for number in range(hour // 4)
    ]
    for wanted, limit in (
        ({"merchant": frozenset({"nobody"})}, 10),
        ({}, 10),
        ({}, 500),
        ({"weekday": frozenset({"Sun"})}, 7),
    ):
        reads = []

        def read(asked: Query) -> Page:
            reads.append(asked)  # noqa: B023
            return queries.answer(asked, rows)

        query = Query(report=report, limit=limit, filters=wanted, brackets_by_amount=True)
        found: list[Aggregate] = []
        page = Page([], "", None)
        while page.next is not None:
            reads.clear()
            page = read_page(read, query)
            assert len(reads) <= 2 * 51 + 4
            found += page.aggregates
            query = msgspec.structs.replace(query, after=page.next, totals=False)
        expected = queries.answer(Query(report=report, limit=10_000, filters=wanted), rows).aggregates
        order = report.by[2].texts  # type: ignore[attr-defined]

        def key(row: Aggregate) -> list[object]:
            return [order.index(part) if part in order else part for part in row.datapoint.split("|")]  # noqa: B023

        assert found == sorted(expected, key=key)


@pytest.mark.parametrize("by", [["field", "bracket"], ["bracket", "field"], ["weekday", "bracket", "field"]])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_datapoint_under_its_hash_stands_before_the_others(by: list[str], limit: int) -> None:
    report = define({"name": "own", "by": by}).report(1)
    values = ["a", "b", *(letter * 1_100 for letter in "xyz")]
    known = {"weekday": "Mon"}
    rows = [
        Row(0, tuple((known | {"field": value, "bracket": bracket})[name] for name in by), 1)
        for value in values
        for bracket in BRACKETS
    ]
    query = Query(report=report, limit=limit, brackets_by_amount=True)
    found, totals = read_all(rows, query)
    assert totals is not None
    assert len(found) == totals.datapoints == len({row.datapoint for row in found}) == 25
    hashed = [row.datapoint for row in found if row.text is not None]
    assert (len(hashed), hashed) == (15, sorted(hashed))
    assert [row.datapoint for row in found[:15]] == hashed
    places = [at for row in found[15:] for at, bracket in enumerate(BRACKETS) if bracket in row.datapoint.split("|")]
    assert places == [*range(5)] * 2 if by[0] == "field" else places == sorted(places)
