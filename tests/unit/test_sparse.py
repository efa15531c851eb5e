"""Sparse segments: purchases of all times at once cost what they are worth, and count as any others."""

from __future__ import annotations

import sqlite3
from array import array
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.oracle import REPORTS

from tillroll.core import kernel
from tillroll.core.batch import UNNAMED, Batch, Run
from tillroll.core.definition import define
from tillroll.core.fold import Counts
from tillroll.core.query import Query
from tillroll.errors import StoreError
from tillroll.stores.sqlite import segments as segments_module
from tillroll.stores.sqlite import sparse
from tillroll.stores.sqlite.layout import layout_of
from tillroll.stores.sqlite.segments import Segments
from tillroll.stores.sqlite.sparse import Counters
from tillroll.stores.sqlite.store import SqliteStore
from tillroll.stores.sqlite.upgrade import AGGREGATE_TABLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tillroll.core.report import Report

DAY = 86_400


def spread(count: int, day_of: Callable[[int], int], merchants: int = 1) -> Batch:
    """Return purchases of many days: one each."""
    batch = Batch()
    batch.seconds = array("q", [day_of(at) * DAY + at % 24 * 3_600 for at in range(count)])
    batch.nanos, batch.amounts = array("I", bytes(4 * count)), array("q", [at * 97 % 60_000 for at in range(count)])
    batch.methods, batch.merchants = (
        array("B", [at % 3 for at in range(count)]),
        array("I", [at * 7_919 % merchants for at in range(count)]),
    )
    batch.merchant_names = [f"m{number}" for number in range(merchants)]
    batch.positions, batch.runs = array("Q", range(count)), [Run(UNNAMED, count)]
    return batch


@pytest.mark.slow
@pytest.mark.parametrize(("merchants", "bodies"), [(1, 1), (20_000, 3)])
def test_purchases_of_all_times_cost_a_few_bytes_each(tmp_path: Path, merchants: int, bodies: int) -> None:
    store = SqliteStore(tmp_path)
    count = 99_999 // bodies
    for body in range(bodies):
        store.journal(spread(count, lambda at, body=body: at * bodies + body - 50_000, merchants))  # type: ignore[misc]
        store.fold()
    store.close()
    names = 2 * 40 * merchants
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 10 * 2**20 + names
    store = SqliteStore(tmp_path)
    report = REPORTS["day-merchant"]
    page = store.page(Query(report=report, start=0, stop=100, limit=200))
    assert (len(page.aggregates), page.next) == (100, None)
    assert page.aggregates[0].events == 1
    assert page.aggregates[0].datapoint.startswith("1970-01-01|m")
    assert {each.events for each in store.get([each.datapoint for each in page.aggregates])} == {1}
    whole = store.page(Query(report=report, limit=1))
    assert whole.totals is not None
    assert whole.totals[:2] == (count * bodies, count * bodies)
    store.close()


def opened() -> tuple[sqlite3.Connection, Segments]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(AGGREGATE_TABLES)
    segments = Segments(connection)
    segments.begin(REPORTS)
    return connection, segments


WINDOWED = [report for report in REPORTS if report.window]


def counts_of(counted: Counter[tuple[int, int]]) -> Counts:
    rows = sorted(counted.items())
    return Counts(
        array("q", [window for (window, _), _ in rows]),
        array("Q", [code for (_, code), _ in rows]),
        array("Q", [count for _, count in rows]),
        array("Q", [sum_of(count) for _, count in rows]),
    )


def sum_of(count: int) -> int:
    """Return the amount of so many events, here: some pass 64 bits once they are added up."""
    return count * 10**6


def as_read(
    segments: Segments, report: Report, low: int | None = None, high: int | None = None
) -> Counter[tuple[int, int]]:
    size, found = layout_of(report).size, Counter[tuple[int, int]]()
    for window, part, cells in segments.read(report, low, high):
        for index, (count, below, above) in enumerate(zip(*kernel.read_counts(cells, size), strict=True)):
            if count:
                found[window, part * size + index] += count
                assert above << 64 | below == sum_of(count)
    return found


@pytest.mark.parametrize("report", WINDOWED)
@pytest.mark.parametrize("seed", range(6))
def test_counters_are_the_same_wherever_they_stand(monkeypatch: pytest.MonkeyPatch, report: Report, seed: int) -> None:
    monkeypatch.setattr(segments_module, "_SPARSE_MAX", 40)
    monkeypatch.setattr(segments_module, "_DENSE_MIN", 5)
    monkeypatch.setattr(segments_module, "_DENSE_SHARE", 10**9)
    source, size = Random(seed), layout_of(report).size
    connection, segments = opened()
    expected: Counter[tuple[int, int]] = Counter()
    codes = size if not report.opens else 200_000
    for _ in range(25):
        some = Counter[tuple[int, int]]()
        for _ in range(source.choice([1, 3, 30, 300])):
            window = source.choice([source.randrange(-700, 700), source.randrange(3), 600])
            code = source.choice([source.randrange(codes), source.randrange(min(codes, 30))])
            some[window, code] += source.choice([1, 1, 1, 300, 2**40])
        segments.add_all([report], [counts_of(some)])
        expected.update(some)
    assert as_read(segments, report) == expected
    low, high = sorted(source.sample(range(-700, 700), 2))
    assert as_read(segments, report, low, high) == {at: n for at, n in expected.items() if low <= at[0] < high}
    assert {key[0] for key, _, problem in segments.doubtful_rows(report) if problem} == set()
    doubtful = {key: cells for key, cells, _ in segments.doubtful_rows(report)}
    for window, part in source.sample(sorted({(window, code // size) for window, code in expected}), 20):
        counters = array("Q", [expected.pop((window, part * size + index), 0) for index in range(size)])
        assert kernel.read_counts(segments.cells(report, window, part), size)[0] == counters
        assert kernel.read_counts(doubtful[window, part], size)[0] == counters
        segments.put(report, window, part, b"")
    assert as_read(segments, report) == expected
    names = dict(connection.execute("SELECT report, count(*) FROM aggregate WHERE cells <> x'' GROUP BY report"))
    assert set(names) == {f"{report.name}.1", f"{report.name}.1/sparse"}
    connection.close()


word = st.integers(0, 300) | st.integers(0, 2**64 - 1)


def counters_of(found: dict[int, tuple[int, int, int]]) -> Counters:
    rows = [(key, *found[key]) for key in sorted(found)]
    return Counters(*(array("Q", [row[at] for row in rows]) for at in range(4)))


counters = st.dictionaries(
    st.tuples(st.integers(0, 511), st.integers(0, 300_000)).map(lambda at: at[0] << 32 | at[1]),
    st.tuples(word, word, word),
    max_size=60,
).map(counters_of)


@given(counters)
def test_a_sparse_segment_comes_back(one: Counters) -> None:
    cells = sparse.encode(one)
    if one.keys:
        assert sparse.decode(cells) == one
        assert sparse.decode(sparse.encode(sparse.added(one, counters_of({})))) == one


@given(st.binary(max_size=30))
def test_any_bytes_are_a_segment_or_an_error(cells: bytes) -> None:
    try:
        found = sparse.decode(cells)
    except ValueError:
        return
    assert len(found.keys) == len(found.counts)


@pytest.mark.parametrize("full", [(2**64 - 1, 0, 0), (1, 0, 2**63)])
def test_a_total_that_is_out_of_range_is_an_error(full: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        sparse.added(counters_of({1: full}), counters_of({1: full}))


def test_sums_carry_into_the_high_word() -> None:
    one = counters_of({1: (1, 2**63, 5), 2: (1, 7, 0)})
    assert sparse.added(one, one) == counters_of({1: (2, 0, 11), 2: (2, 14, 0)})


def test_a_damaged_sparse_segment_is_an_error_that_a_repair_sets_right(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.journal(spread(300, lambda at: 3 * at))
    store.fold()
    before = store.page(Query(report=WINDOWED[2], limit=500))
    store._connection.execute(
        "UPDATE aggregate SET cells = CAST(cells || x'00' AS BLOB) WHERE report = 'day-merchant.1/sparse' AND part = 0"
    )
    with pytest.raises(StoreError, match="audit --repair") as caught:
        store.page(Query(report=WINDOWED[2]))
    assert "day-merchant" in str(caught.value)
    assert store.audit().differences_total
    store.audit(repair=True)
    assert store.audit().differences == []
    assert store.page(Query(report=WINDOWED[2], limit=500)) == before
    store.close()


def test_hours_with_few_of_many_merchants_cost_a_few_bytes_a_datapoint_and_their_damage_is_named(
    tmp_path: Path,
) -> None:
    store = SqliteStore(tmp_path)
    count, hours, merchants = 24_000, 500, 5_000
    batch = spread(count, lambda _: 0, merchants)
    batch.seconds = array("q", sorted(at % hours * 3_600 for at in range(count)))
    store.journal(batch)
    store.fold()
    store.apply([define({"name": "shops", "by": ["hour", "merchant"]})])
    while store.count_some(1.0):
        pass
    report = store.catalogue()["shops"]
    rows = "SELECT count(*), sum(length(cells)) FROM aggregate WHERE report LIKE 'shops.1%'"
    segments, size = store._connection.execute(rows).fetchone()
    assert segments > hours, "crowded hours have segments of their own"
    assert size < 15 * count
    before = store.page(Query(report=report, limit=2 * count))
    assert before.totals is not None
    assert before.totals.events == sum(each.events for each in before.aggregates) == count
    damaged = "UPDATE aggregate SET cells = CAST(substr(cells, 1, length(cells) - 9) AS BLOB) WHERE "
    store._connection.execute(damaged + "report = 'shops.1' AND length(cells) > 40")
    with pytest.raises(StoreError, match="audit --repair"):
        store.page(Query(report=report))
    assert store.audit(repair=True).differences_total
    assert store.audit().differences == []
    assert store.page(Query(report=report, limit=2 * count)) == before
    store.close()
