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
from tillroll.core.dimension import BRACKETS
from tillroll.core.limits import METHODS
from tillroll.core.query import Query, Row, Totals
from tillroll.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tillroll.core.query import Aggregate, Page


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
