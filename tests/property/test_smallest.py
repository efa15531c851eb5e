"""The smallest report that can answer: the same answer to the last cursor, and fewer counters."""

from __future__ import annotations

from contextlib import closing, suppress
from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.differential.definitions import FIELDS, MERCHANTS, batch_of, random_purchases, random_table

from tillroll.core.batch import Event
from tillroll.core.definition import define
from tillroll.core.query import Query, Row, answer
from tillroll.core.question import dimensions_of, filters_of, parse_query
from tillroll.core.report import FIVE, Reports
from tillroll.core.smallest import smallest
from tillroll.errors import QueryError
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.differential.databases import Purchase

    from tillroll.core.report import Report

ZONES = ("Europe/Stockholm", "Europe/Stockholm", "America/New_York", "Asia/Kathmandu", "UTC")
NARROW = [  # what coarse reports are made for
    {"name": "days", "by": ["day", "bracket", "method"]},
    {"name": "local-days", "by": ["day", "bracket"], "zone": "Europe/Stockholm"},
    {"name": "local-months", "by": ["month", "method"], "zone": "Europe/Stockholm"},
    {"name": "weeks-alone", "by": ["week"], "zone": "America/New_York"},
    {"name": "months", "by": ["month", "merchant"]},
    {"name": "late", "by": ["day", "method"], "where": {"method": ["PAY_LATER", "SLICE_IT"]}},
    {"name": "later", "by": ["hour", "method", "bracket"], "where": {"method": ["PAY_LATER"]}},
]


def rows_of(report: Report, purchases: Sequence[Purchase]) -> list[Row]:
    rows = []
    for second, amount, method, merchant, *kept in purchases:
        event, values = Event(second, 0, amount, method, merchant), dict(zip(FIELDS, kept, strict=True))
        if report.text_of(event, values) is not None:
            texts = tuple(each.of(event, values) for each in report.by if each is not report.window)
            rows.append(Row(report.window.at(second) if report.window else 0, texts, 1, amount))
    return rows


def random_query(source: Random, report: Report) -> Query | None:
    possible = dimensions_of(report)
    by = source.sample(possible, source.randint(0, min(3, len(possible))))
    if source.random() < 0.5:
        by = [source.choice(["day", "month"]), *report.dimensions[-1:]][: source.randint(1, 2)]
    parameters: dict[str, list[str]] = {"by": by}
    for name in filters_of(report):
        if source.random() < 0.25:
            parameters[name] = [source.choice([*MERCHANTS, "10-50", "PAY_LATER", "SE", "Mon"])]
    if source.random() < 0.6:
        parameters["zone"] = [source.choice(ZONES)]  # hours can be asked by them
    for name, years in (("from", (2009, 2014)), ("to", (2015, 2023))):
        if source.random() < 0.5:
            parameters[name] = [
                f"{source.randint(*years)}-{source.choice(['01', '03', '11'])}-{source.choice(['01', '07'])}"
            ]
    parameters["order"] = [source.choice(["datapoint", "-events", "-amount"])]
    parameters["limit"] = [str(source.choice([2, 1_000]))]
    try:
        return parse_query(report, parameters)
    except QueryError:
        return None


@pytest.mark.parametrize("seed", range(4))
def test_whoever_answers_the_answer_is_the_same(seed: int) -> None:
    source = Random(seed)
    tables = [*NARROW, *(random_table(source, f"own-{number}") for number in range(12))]
    reports = Reports([*FIVE, *(define(table).report(1) for table in tables)])
    purchases = random_purchases(source, 100)
    rows = {report.key: rows_of(report, purchases) for report in reports}
    put_to: set[str] = set()
    compared = 0
    for _ in range(900):
        query = random_query(source, source.choice([*FIVE, source.choice(list(reports))]))
        if query is None:
            continue
        other = smallest(query, reports)
        if other.report == query.report:
            assert other is query
            continue
        put_to.add(other.report.name)
        with suppress(QueryError):  # of hours of UTC that lie in two local ones: local days know better
            expected = answer(query, rows[query.report.key])
            compared += 1
            assert answer(other, rows[other.report.key]) == expected, (query, other.report.name)
    assert {"days", "local-months"} <= put_to
    assert compared > 80


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("hour-bracket", {"by": ["day"]}, "days"),
        ("hour-bracket", {}, "hour-bracket"),
        ("hour-bracket-method", {"by": ["hour", "bracket"]}, "hour-bracket"),
        ("hour-bracket-method", {"by": ["bracket", "method"]}, "bracket-method"),
        ("hour-bracket", {"by": ["day"], "from": ["2011-12-03T10:00:00Z"]}, "hour-bracket"),
        ("hour-bracket", {"by": ["day"], "from": ["2011-12-03"]}, "days"),
        ("hour-bracket", {"by": ["day"], "zone": ["Europe/Stockholm"], "from": ["2011-12-03"]}, "local-days"),
        ("hour-bracket", {"by": ["month", "bracket"], "zone": ["Europe/Stockholm"]}, "local-days"),
        ("hour-bracket-method", {"by": ["month"], "zone": ["Europe/Stockholm"]}, "local-months"),
        ("hour-bracket", {"by": ["hour-of-day"]}, "hour-bracket"),
        ("day-merchant", {"by": ["month", "merchant"]}, "months"),
        ("merchant-method", {"by": ["method"]}, "bracket-method"),
        ("hour-bracket-method", {"by": ["method"], "method": ["PAY_LATER"]}, "bracket-method"),
    ],
)
def test_the_one_with_the_fewest_counters_is_asked(name: str, parameters: dict[str, list[str]], expected: str) -> None:
    reports = Reports([*FIVE, *(define(table).report(1) for table in NARROW)])
    assert smallest(parse_query(reports[name], parameters), reports).report.name == expected


def test_a_store_puts_questions_to_the_smallest_report_and_answers_the_same(tmp_path: Path) -> None:
    source = Random(5)
    purchases = random_purchases(source, 300)
    with closing(SqliteStore(tmp_path)) as store:
        store.journal(batch_of(purchases))
        store.fold()
        store.apply([define(table) for table in NARROW])
        while store.count_some(1.0):
            pass
        reports = store.catalogue()
        rows = {report.key: rows_of(report, purchases) for report in reports}
        queries = [query for _ in range(400) if (query := random_query(source, source.choice(FIVE))) is not None]
        others = [query for query in queries if smallest(query, reports) is not query]
        assert len(others) > 50
        for query in others:
            with suppress(QueryError):
                assert store.page(query) == answer(query, rows[query.report.key]), query
