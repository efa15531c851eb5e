"""Measures: exact, at any size, and only where they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.oracle import REPORTS

from tillroll.core.csv_form import CsvForm
from tillroll.core.query import Query, Row, aggregate_object, answer, average
from tillroll.core.question import measures_of, parse_query
from tillroll.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

REPORT = REPORTS["bracket-method"]
ROWS = [
    Row(0, ("<10", "PAY_NOW"), 3, 1_000),
    Row(0, ("10-50", "PAY_NOW"), 1, 4_285),
    Row(0, (">500", "SLICE_IT"), 10**8, 10**20),
]


@pytest.mark.parametrize(
    ("events", "amount", "expected"),
    [(3, 1_000, 333), (2, 1, 1), (2, 3, 2), (3, 1, 0), (1, 0, 0), (10**8, 10**20, 10**12)],
)
def test_an_average_is_rounded_half_up_once(events: int, amount: int, expected: int) -> None:
    assert average(events, amount) == expected


@pytest.mark.parametrize(
    ("measures", "shown"),
    [
        ([], '{"datapoint":">500|SLICE_IT","events":100000000}'),
        (["amount"], '{"datapoint":">500|SLICE_IT","amount":100000000000000000000}'),
        (["average,events"], '{"datapoint":">500|SLICE_IT","average":1000000000000,"events":100000000}'),
    ],
)
def test_measures_are_shown_as_asked(measures: Sequence[str], shown: str) -> None:
    found = answer(Query(report=REPORT, order="-amount", limit=1), ROWS).aggregates
    assert msgspec.json.encode(aggregate_object(found[0], measures_of(measures))).decode() == shown


def test_what_is_ordered_by_is_not_added() -> None:
    asked = parse_query(REPORT, {"order": ["-amount"]})
    pages = [answer(msgspec.structs.replace(asked, limit=1), ROWS)]
    while pages[-1].next is not None:
        pages.append(
            answer(parse_query(REPORT, {"order": ["-amount"], "limit": ["1"], "cursor": [pages[-1].next]}), ROWS)
        )
    assert [page.aggregates[0].datapoint for page in pages] == [">500|SLICE_IT", "10-50|PAY_NOW", "<10|PAY_NOW"]
    assert CsvForm(asked).rows(pages[0].aggregates) == b">500|SLICE_IT,100000000\r\n"
    form = CsvForm(asked, "split", measures=("amount", "average"))
    assert form.head() + form.rows(pages[1].aggregates) == (
        b"bracket,method,amount,average\r\n10-50,PAY_NOW,4285,4285\r\n"
    )


@pytest.mark.parametrize("measures", [["turnover"], ["events,events"], ["events", "events"], [""]])
def test_measures_that_there_are_not_are_told(measures: list[str]) -> None:
    with pytest.raises(QueryError, match="measures"):
        measures_of(measures)
