"""Definitions, over every store: a report of one's own shows what each event says, whenever it is read."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.unit.test_sqlite_definitions import KEPT, NOON, TABLES, kept_batch, rows_of
from tests.unit.test_sqlite_definitions import purchases as purchases_at_any_time

from tillroll.core.batch import Event
from tillroll.core.definition import define
from tillroll.core.query import Query, answer
from tillroll.core.report import FIVE
from tillroll.definitions import find_places
from tillroll.errors import CountingError, QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.contract.conftest import Bench

    from tillroll.core.report import Report
    from tillroll.ports import Store

LONG: dict[str, Any] = {"name": "long", "by": ["day", "country", "channel", "merchant"], "title": "Long datapoints"}


def purchases(count: int, seed: int = 1, merchants: int = 12) -> list[Event]:
    """Return purchases of a few minutes, which are a few chunks."""
    some = purchases_at_any_time(count, seed, merchants)
    return [msgspec.structs.replace(event, seconds=NOON - event.seconds % 17 * 1_777_777) for event in some]


@pytest.fixture
def store(real_bench: Bench) -> Store:
    return real_bench.open()


def fill(store: Store, events: list[Event]) -> None:
    for start in range(0, len(events), 100):
        store.journal(kept_batch(events[start : start + 100]))


def count_all(store: Store) -> None:
    while store.count_some(1.0):
        pass


def report_of(store: Store, name: str) -> Report:
    found = store.catalogue().get(name)
    assert found is not None
    return found


def check(store: Store, events: list[Event], names: Iterable[str]) -> None:
    """Compare pages in every order, single aggregates and what is narrowed with what the events say one by one."""
    for name in names:
        report = report_of(store, name)
        rows = rows_of(report, events)
        whole = answer(Query(report=report, limit=10_000), rows)
        assert store.page(Query(report=report, limit=10_000)) == whole, name
        for order in ("datapoint", "-events", "-amount"):
            query = Query(report=report, order=order, limit=7, amounts=True, totals=order != "datapoint")
            for _ in range(3):
                page = store.page(query)
                assert page == answer(query, rows), (name, order)
                if page.next is None:
                    break
                query = msgspec.structs.replace(query, after=page.next, totals=False)
        if report.window is not None:
            middle = report.window.at(events[0].seconds)
            for narrowed in ({"start": middle}, {"stop": middle}, {"start": middle, "stop": middle + 1}):
                query = Query(report=report, limit=10_000, **narrowed)  # type: ignore[arg-type]
                assert store.page(query) == answer(query, rows), (name, narrowed)
                query = msgspec.structs.replace(query, totals=False)
                assert store.page(query) == answer(query, rows), (name, narrowed)
        some = whole.aggregates[:: max(1, len(whole.aggregates) // 5)]
        assert store.get([each.datapoint for each in some], amounts=True) == some, name


def test_reports_of_ones_own_show_what_each_event_says(real_bench: Bench) -> None:
    store, tables = real_bench.open(), [*TABLES, *KEPT]
    events = purchases(150)
    fill(store, events)
    store.fold()
    store.apply([define(table) for table in tables])
    count_all(store)
    assert store.catalogue().names == (*(each.name for each in FIVE), *sorted(table["name"] for table in tables))
    check(store, events, [table["name"] for table in tables])
    more = purchases(30, seed=2, merchants=30)
    fill(store, more)
    store.fold()
    other = real_bench.open()
    check(other, [*events, *more], [table["name"] for table in tables])
    found = other.audit()
    assert (found.differences, found.events) == ([], 180)
    states = {state.report.name: state for state in other.report_states()}
    assert all(states[table["name"]].readable and states[table["name"]].whole for table in tables)


def test_a_datapoint_over_1_000_bytes_stands_under_its_hash_with_its_text(store: Store) -> None:
    events = [
        msgspec.structs.replace(event, merchant="\N{GRINNING FACE}" * 110 + event.merchant) for event in purchases(60)
    ]
    fill(store, events)
    store.apply([define(LONG)])
    count_all(store)
    store.fold()
    check(store, events, ["long"])
    page = store.page(Query(report=report_of(store, "long"), limit=10_000))
    (long, *_) = [each for each in page.aggregates if each.text is not None]
    assert long.datapoint.startswith("|long|#")
    behind = [trace.event for trace in store.trace(long.datapoint)]
    assert len(behind) == long.events
    assert [trace.event for trace in store.trace(str(long.text))] == behind
    assert store.audit().differences == []


def test_a_report_that_is_not_whole_tells_how_far_it_is_and_shows_nothing(store: Store) -> None:
    fill(store, purchases(200))
    definition = define(TABLES[0])
    store.apply([definition])
    assert store.catalogue().get("local-days") is None
    with pytest.raises(CountingError, match="local-days is being counted: 0 of "):
        store.page(Query(report=definition.report(1)))
    with pytest.raises(CountingError, match="local-days is being counted: 0 of "):
        find_places(store, ["|local-days|2011-12-03|PAY_NOW"])
    with pytest.raises(QueryError, match="a datapoint of no report"):
        find_places(store, ["|others|2011-12-03|PAY_NOW"])
    (state,) = [state for state in store.report_states() if state.report.is_own]
    assert (state.readable, state.position, state.whole) == (False, 0, False)


def test_another_definition_takes_the_place_of_one_when_it_is_whole(real_bench: Bench) -> None:
    store, other = real_bench.open(), real_bench.open()
    events = purchases(200)
    fill(store, events)
    store.apply([define(TABLES[0])])
    count_all(store)
    store.fold()
    before = report_of(store, "local-days")
    store.apply([define(TABLES[0] | {"zone": "Asia/Kathmandu", "title": "There"})])
    assert report_of(other, "local-days") == before
    check(other, events, ["local-days"])
    more = purchases(50, seed=3)
    fill(store, more)
    store.fold()
    check(other, [*events, *more], ["local-days"])  # the one that is read goes on meanwhile
    count_all(other)
    after = report_of(store, "local-days")
    assert (after.version, after.title) == (2, "There")
    check(store, [*events, *more], ["local-days"])
    with pytest.raises(QueryError, match="replaced by another version"):
        store.page(Query(report=before))
    assert [state.report.version for state in store.report_states() if state.report.is_own] == [2]
    assert store.audit().differences == []


def test_what_is_dropped_is_gone_and_its_number_is_never_used_again(store: Store) -> None:
    events = purchases(100)
    fill(store, events)
    for version in (1, 2):
        store.apply([define(TABLES[0]), define(TABLES[1])])
        count_all(store)
        report = report_of(store, "local-days")
        assert report.version == version
        assert store.drop("local-days")
        assert not store.drop("local-days")
        assert store.catalogue().get("local-days") is None
        with pytest.raises(QueryError, match="local-days was dropped"):
            store.page(Query(report=report))
        count_all(store)
    assert not store.drop("day-merchant")
    check(store, events, ["everything"])
    assert store.audit().differences == []


def test_dropped_or_changed_while_it_is_counted_it_begins_anew(store: Store) -> None:
    events = purchases(150)
    fill(store, events)
    store.apply([define(TABLES[0]), define(TABLES[3])])
    store.apply([define(TABLES[0] | {"by": ["day"]})])
    assert store.drop("months")
    store.apply([define(TABLES[3])])
    count_all(store)
    store.fold()
    assert {each.key for each in store.catalogue() if each.is_own} == {"local-days.2", "months.2"}
    check(store, events, ["local-days", "months"])
    assert store.audit().differences == []


def test_a_change_that_is_taken_back_costs_nothing(store: Store) -> None:
    fill(store, purchases(50))
    store.apply([define(TABLES[0])])
    count_all(store)
    store.apply([define(TABLES[0] | {"by": ["day"]})])
    store.apply([define(TABLES[0])])
    store.apply([define(TABLES[0])])
    count_all(store)
    assert report_of(store, "local-days").version == 1
    assert [state.report.version for state in store.report_states() if state.report.is_own] == [1]


def test_operators_at_once_lose_no_definition(real_bench: Bench) -> None:
    stores = [real_bench.open() for _ in range(3)]
    fill(stores[0], purchases(100))
    tables = [TABLES[:3], TABLES[2:5], [TABLES[1], {"name": "third", "by": ["method"]}]]
    threads = [
        threading.Thread(target=store.apply, args=([define(table) for table in some],))
        for store, some in zip(stores, tables, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        count_all(store)
    applied = {table["name"] for some in tables for table in some}
    assert {each.name: each.version for each in stores[0].catalogue() if each.is_own} == dict.fromkeys(applied, 1)


def test_a_rebuild_counts_reports_of_ones_own_anew(store: Store) -> None:
    events = purchases(150)
    fill(store, events)
    store.apply([define(TABLES[0])])
    count_all(store)
    store.apply([define(KEPT[0])])
    assert store.rebuild() == 150
    count_all(store)
    check(store, events, ["local-days", "countries"])
    assert store.audit().differences == []


def test_an_audit_since_a_day_is_right_of_windows_by_any_clocks(store: Store) -> None:
    day = NOON // 86_400
    around = [Event(day * 86_400 + hour * 3_600, 0, 1_000, 0, "m") for hour in range(-30, 30)]
    fill(store, around)
    zones = {"east": "Pacific/Auckland", "west": "America/New_York"}
    store.apply([define({"name": name, "by": ["day"], "zone": zone}) for name, zone in zones.items()])
    count_all(store)
    store.fold()
    assert store.audit(since=day, repair=True).differences == []
    assert store.audit().differences == []


def test_last_events_are_those_of_the_journals_end(store: Store) -> None:
    assert [len(batch) for batch in store.last_events(10) if len(batch)] == []
    events = purchases(500)
    fill(store, events)
    for count in (1, 100, 150, 10_000):
        found = Counter(event.seconds for batch in store.last_events(count) for event in batch.events())
        assert min(count, 500) <= found.total() < count + 100
        wanted = (count + 99) // 100 * 100
        assert found <= Counter(event.seconds for event in events[-wanted:])


def test_of_an_empty_journal_a_report_is_whole_at_once(store: Store) -> None:
    store.apply([define(TABLES[0])])
    count_all(store)
    assert store.page(Query(report=report_of(store, "local-days"))).aggregates == []
    events = purchases(30)
    fill(store, events)
    store.fold()
    check(store, events, ["local-days"])
