"""Reports of one's own in the embedded store: counted beside traffic, exact at every moment they can be read."""

from __future__ import annotations

import json
import sqlite3
import sys
from array import array
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.batches import batch_of

from tillroll.core import columns
from tillroll.core import definition as definitions
from tillroll.core.batch import Event, KeptColumn
from tillroll.core.definition import Definition, define
from tillroll.core.query import Query, Row, answer
from tillroll.core.report import FIVE, Report
from tillroll.errors import CountingError, QueryError, StoreError
from tillroll.stores.sqlite import reader, schema
from tillroll.stores.sqlite.store import SqliteStore
from tillroll.stores.sqlite.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tillroll.core.batch import Batch

NOON = 1_322_913_600  # 2011-12-03T12:00:00Z
TABLES: list[dict[str, Any]] = [
    {"name": "local-days", "by": ["day", "method"], "zone": "Europe/Stockholm"},
    {"name": "everything", "by": []},
    {"name": "weekdays", "by": ["weekday", "hour-of-day", "method", "bracket"], "zone": "America/St_Johns"},
    {"name": "months", "by": ["month", "merchant"], "where": {"method": ["PAY_NOW", "SLICE_IT"]}},
    {"name": "hours-there", "by": ["bracket", "hour"], "zone": "Asia/Kathmandu", "brackets": [500, 20_000]},
    {"name": "one-shop", "by": ["week"], "where": {"merchant": ["m3", "nobody"], "weekday": ["Sat", "Sun"]}},
    {"name": "nothing", "by": ["day"], "where": {"merchant": ["nobody"]}},
]


KEPT: list[dict[str, Any]] = [
    {"name": "countries", "by": ["day", "country"]},
    {"name": "both", "by": ["country", "channel"], "where": {"channel": ["web", "shop", {"absent": True}]}},
    {"name": "four", "by": ["month", "country", "merchant", "channel", "method"], "zone": "Europe/Stockholm"},
    {"name": "of-sweden", "by": ["method"], "where": {"country": ["SE", "nowhere"]}},
    {"name": "three", "by": ["channel", "country", "merchant"]},
]
COUNTRIES = ["SE", "NO", '"x|y"'.replace("|", "\\u007c"), "1", '"1"', "(absent)", "å" * 300, "\\" * 150]
CHANNELS = ["web", "shop", "(absent)", "null"]


def kept_of(event: Event) -> dict[str, str]:
    """Return the kept fields of an event: told by the event itself, and none of the first ones."""
    if event.seconds % 7 == 0:
        return {"country": "(absent)", "channel": "(absent)"}
    return {"country": COUNTRIES[event.seconds % len(COUNTRIES)], "channel": CHANNELS[event.seconds // 5 % 4]}


def kept_batch(events: list[Event]) -> Batch:
    batch = batch_of(events)
    for field in ("country", "channel"):
        values = list(dict.fromkeys(kept_of(event)[field] for event in events))
        indexes = array("I", [values.index(kept_of(event)[field]) for event in events])
        batch.kept[field] = KeptColumn(indexes, *columns.join_strings(values))
    return batch


def purchases(count: int, seed: int = 1, merchants: int = 40) -> list[Event]:
    source = Random(seed)
    return [
        Event(
            NOON + source.randrange(-(10**8), 10**7),
            0,
            source.choice([0, 499, 999, 5_000, 10**12]),
            source.randrange(3),
            f"m{source.randrange(merchants)}",
        )
        for _ in range(count)
    ]


def rows_of(report: Report, events: Iterable[Event]) -> list[Row]:
    return [
        Row(
            report.window.at(event.seconds) if report.window else 0,
            tuple(each.of(event, kept_of(event)) for each in report.by if each is not report.window),
            1,
            event.amount,
        )
        for event in events
        if report.text_of(event, kept_of(event)) is not None
    ]


def check(store: SqliteStore, events: list[Event], names: Iterable[str]) -> None:
    """Compare all pages of the reports with what the events say one by one."""
    catalogue = store.catalogue()
    for name in names:
        report = catalogue[name]
        rows = rows_of(report, events)
        for order in ("datapoint", "-events", "-amount"):
            query = Query(report=report, order=order, limit=50)
            page = store.page(query)
            assert page == answer(query, rows), (name, order)
            if page.next is not None:
                after = msgspec.structs.replace(query, after=page.next)
                assert store.page(after) == answer(after, rows), (name, order)
        totals = Counter(text for event in events if (text := report.text_of(event, kept_of(event))) is not None)
        some = sorted(totals)[:5]
        found = store.get([report.datapoint(text) for text in some], amounts=True)
        assert found == [each for each in answer(Query(report=report, limit=10_000), rows).aggregates if each in found]
        assert [each.events for each in found] == [totals[text] for text in some]


def count_all(store: SqliteStore) -> None:
    while store.count_some(1.0):
        pass


def applied(tmp_path: Path, tables: Iterable[dict[str, Any]], events: list[Event]) -> SqliteStore:
    store = SqliteStore(tmp_path)
    for start in range(0, len(events), 100):
        store.journal(batch_of(events[start : start + 100]))
    store.apply([define(table) for table in tables])
    return store


@pytest.mark.parametrize("folded", [False, True])
def test_reports_of_ones_own_count_what_each_event_says(tmp_path: Path, folded: bool) -> None:  # noqa: FBT001
    events = purchases(900)
    store = applied(tmp_path, TABLES, events)
    if folded:
        store.fold()
    count_all(store)
    names = [table["name"] for table in TABLES]
    assert store.catalogue().names == (*(report.name for report in FIVE), *sorted(names))
    check(store, events, names)
    more = purchases(300, seed=2, merchants=80)
    store.journal(batch_of(more))
    check(store, [*events, *more], [*names, *(report.name for report in FIVE)])
    store.fold()
    check(store, [*events, *more], names)
    count_all(store)
    other = SqliteStore(tmp_path)
    check(other, [*events, *more], names)
    assert other.audit().differences == []
    other.close()
    store.close()


def test_a_report_that_is_not_whole_tells_how_far_it_is_and_shows_nothing(tmp_path: Path) -> None:
    store = applied(tmp_path, TABLES[:1], purchases(900))
    store.fold()
    store._definitions.stride = 250
    report = define(TABLES[0]).report(1)
    for done in (0, 250):
        with pytest.raises(CountingError, match=f"local-days is being counted: {done} of 900"):
            store.page(Query(report=report))
        assert store.catalogue().get("local-days") is None
        assert store.count_some(0.0)
        store._definitions.stride = 250
    (state,) = [each for each in store.report_states() if each.report.is_own]
    assert (state.readable, state.position, state.journal_position) == (False, 500, 900)
    count_all(store)
    (state,) = [each for each in store.report_states() if each.report.is_own]
    assert (state.readable, state.position, state.whole) == (True, 900, True)
    assert state.datapoints == len(store.page(Query(report=report)).aggregates)
    assert state.stored_bytes
    store.close()


def test_another_definition_takes_the_place_of_one_at_one_instant(tmp_path: Path) -> None:
    events = purchases(900)
    store = applied(tmp_path, TABLES[:1], events)
    store.fold()
    count_all(store)
    other = SqliteStore(tmp_path)
    changed = define({"name": "local-days", "by": ["method"], "title": "By method"})
    other.apply([changed, define(TABLES[1])])
    other._definitions.stride = 100
    seen = []
    for left in iter(lambda: other.count_some(0.0), None):
        other._definitions.stride = 100
        report = store.catalogue()["local-days"]
        seen.append(report.version)
        check(store, events, ["local-days"])
        if not left:
            break
    assert seen == sorted(seen)
    assert set(seen) == {1, 2}
    with pytest.raises(QueryError, match="replaced by another version"):
        store.page(Query(report=define(TABLES[0]).report(1)))
    rows = sqlite3.connect(store.path)
    assert rows.execute("SELECT count(*) FROM aggregate WHERE report LIKE 'local-days.1%'").fetchone() == (0,)
    assert rows.execute("SELECT state FROM report WHERE name = 'local-days' ORDER BY version").fetchall() == [
        ("gone",),
        ("readable",),
    ]
    rows.close()
    other.apply([changed])
    assert not other.count_some(0.0)
    store.close()
    other.close()


def test_a_version_number_is_never_used_again(tmp_path: Path) -> None:
    events = purchases(200)
    store = applied(tmp_path, TABLES[:1], events)
    count_all(store)
    assert store.drop("local-days")
    assert not store.drop("local-days")
    assert not store.drop(FIVE[0].name)
    assert store.catalogue().get("local-days") is None
    count_all(store)
    store.apply([define(TABLES[0])])
    store.apply([define(TABLES[0])])
    count_all(store)
    assert store.catalogue()["local-days"].version == 2
    check(store, events, ["local-days"])
    store.close()


def test_dropped_or_changed_while_it_is_counted_it_begins_anew(tmp_path: Path) -> None:
    events = purchases(900)
    store, other = applied(tmp_path, TABLES[:2], events), SqliteStore(tmp_path)
    store.fold()
    store._definitions.stride = 100
    store.count_some(0.0)
    other.drop("everything")
    other.apply([define({"name": "local-days", "by": ["day", "bracket"]})])
    store.count_some(0.0)
    other.apply([define(TABLES[0])])
    count_all(store)
    assert store.catalogue()["local-days"].version == 3
    assert store.catalogue().get("everything") is None
    check(store, events, ["local-days"])
    store.close()
    other.close()


def test_a_change_that_is_taken_back_costs_nothing(tmp_path: Path) -> None:
    store = applied(tmp_path, TABLES[:1], purchases(300))
    count_all(store)
    store.apply([define({"name": "local-days", "by": ["method"]})])
    store.apply([define(TABLES[0])])
    count_all(store)
    assert store.catalogue()["local-days"].version == 1
    store.close()


def test_a_definition_of_a_later_format_stops_the_folds_and_not_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    events = purchases(200)
    store = applied(tmp_path, TABLES[:1], events)
    store.fold()
    count_all(store)
    later = msgspec.structs.replace(define(TABLES[1]), format=2)
    monkeypatch.setattr(definitions, "FORMAT", 2)
    newer = SqliteStore(tmp_path)
    newer.apply([later])
    monkeypatch.undo()
    more = purchases(100, seed=5)
    store.journal(batch_of(more))
    assert store.fold() == 200
    assert not store.count_some(0.1)
    assert "a later tillroll defined everything in a format that this one cannot count" in caplog.text
    assert store.status().journal_position == 300
    check(store, [*events, *more], ["local-days", "merchant-method"])
    monkeypatch.setattr(definitions, "FORMAT", 2)
    third = SqliteStore(tmp_path)
    assert third.fold() == 300
    count_all(third)
    check(third, [*events, *more], ["local-days", "everything"])
    for each in (store, newer, third):
        each.close()


def test_a_report_that_lags_far_is_counted_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = purchases(300)
    store = applied(tmp_path, TABLES[:3], events)
    count_all(store)
    monkeypatch.setattr(reader, "LAG_MAX", 100)
    more = purchases(400, seed=4)
    store.journal(batch_of(more))
    store.fold()
    check(store, [*events, *more], ["local-days", "weekdays"])
    store.close()


def test_a_rebuild_counts_all_reports_anew(tmp_path: Path) -> None:
    events = purchases(400)
    names = [table["name"] for table in TABLES]
    store, other = applied(tmp_path, TABLES, events), SqliteStore(tmp_path)
    count_all(store)
    check(other, events, names)
    store._connection.execute("UPDATE aggregate SET checksum = checksum + 1")
    store._connection.execute("UPDATE merchant SET name = 'x' || name")
    assert store.rebuild() == 400
    more = purchases(100, seed=9, merchants=90)
    other.journal(batch_of(more))
    for each in (store, other):
        check(each, [*events, *more], names)
    count_all(other)
    check(store, [*events, *more], names)
    store.close()
    other.close()


def test_last_events_are_those_of_the_journals_end(tmp_path: Path) -> None:
    events = purchases(500)
    store = applied(tmp_path, (), events)
    for count in (0, 1, 250, 10_000):
        found = [event for batch in store.last_events(count) for event in batch.events()]
        assert found == events[max(len(events) - count, 0) :]
    store.close()


def test_of_an_empty_journal_a_report_is_whole_at_once(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.apply([define(table) for table in TABLES])
    count_all(store)
    check(store, [], [table["name"] for table in TABLES])
    events = purchases(50)
    store.journal(batch_of(events))
    check(store, events, [table["name"] for table in TABLES])
    store.close()


def test_many_reports_at_once(tmp_path: Path) -> None:
    events = purchases(300)
    tables = [
        {"name": f"report-{n}", "by": ["day", "method"], "where": {"merchant": [f"m{n % 40}"]}} for n in range(60)
    ]
    store = applied(tmp_path, tables, events)
    count_all(store)
    check(store, events, [f"report-{n}" for n in (0, 17, 59)])
    more = purchases(100, seed=3)
    store.journal(batch_of(more))
    check(store, [*events, *more], [f"report-{n}" for n in (1, 59)])
    store.close()


def test_the_file_refuses_no_definition_that_core_makes(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    made: Definition = define({"name": "x", "by": ["month", "merchant", "bracket"], "brackets": [1, 250, 10**12]})
    store.apply([made])
    count_all(store)
    assert store.catalogue()["x"].definition == made.text()
    with sqlite3.connect(tmp_path / schema.FILE_NAME) as file:
        assert file.execute("SELECT position FROM counted WHERE report = 'x.1'").fetchone() == (0,)
    file.close()
    store.close()


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_kept_fields_are_counted_by_and_told_apart(tmp_path: Path, when: str) -> None:
    first, then, last = (purchases(250, seed) for seed in (1, 2, 3))
    store, other = SqliteStore(tmp_path), SqliteStore(tmp_path)
    made = [define(table) for table in KEPT]
    names = [table["name"] for table in KEPT]
    if when == "before":
        store.apply(made)
    for start in range(0, 250, 50):
        store.journal(kept_batch(first[start : start + 50]))
    store.fold()
    if when == "between":
        other.apply(made)
        other._definitions.stride = 100
        other.count_some(0.0)
    for start in range(0, 250, 50):
        other.journal(kept_batch(then[start : start + 50]))
    if when == "after":
        store.apply(made)
    count_all(other)
    check(store, [*first, *then], names)
    store.journal(kept_batch(last))
    check(other, [*first, *then, *last], names)
    count_all(store)
    check(other, [*first, *then, *last], names)
    assert store.audit().differences == []
    store.rebuild()
    check(other, [*first, *then, *last], names)
    assert other.audit().differences == []
    report = store.catalogue()["both"]
    events = [json.loads(trace.event) for trace in store.trace("|both|SE|web")]
    expected = [event for event in (*first, *then, *last) if report.text_of(event, kept_of(event)) == "|both|SE|web"]
    assert [event["amount"] for event in events] == [event.amount for event in expected]
    store.close()
    other.close()


@pytest.mark.parametrize("since", [0, NOON // 86_400 - 100])
def test_an_audit_names_what_differs_in_reports_of_ones_own_and_sets_it_right(tmp_path: Path, since: int) -> None:
    events = purchases(400)
    store = SqliteStore(tmp_path)
    store.apply([define(table) for table in (*KEPT, TABLES[0])])
    store.journal(kept_batch(events))
    store.fold()
    count_all(store)
    assert store.audit(since=since).differences == []
    execute = store._connection.execute
    key, window, ids, high = execute(
        "SELECT report, max(window), ids, amount_high FROM cell WHERE report = 'four.1'"
    ).fetchone()
    lost = (key, window, ids)
    execute("DELETE FROM cell WHERE (report, window, ids) = (?, ?, ?)", lost)
    for report in ("local-days.1", "countries.1"):
        query = "SELECT max(rowid) FROM aggregate WHERE report IN (?, ? || '/sparse') AND cells <> x''"
        (row,) = execute(query, (report, report)).fetchone()
        execute("UPDATE aggregate SET checksum = checksum + 1 WHERE rowid = ?", (row,))
    found = store.audit(since=since)
    assert high >= 0
    assert {one.subject.split("|")[1] for one in found.differences if one.subject.startswith("|")} == {"four"}
    assert {one.subject.split(" ")[0] for one in found.differences if not one.subject.startswith("|")} == {
        "four",
        "local-days",
        "countries",
    }
    four = store.catalogue()["four"]
    with pytest.raises(StoreError, match="aggregates of four are missing"):  # and no wrong number
        store.page(Query(report=four))
    store.audit(repair=True)
    assert store.audit().differences == []
    check(store, events, ["four", "local-days", "countries"])
    store.close()


def test_what_a_datapoint_takes_to_be_read_does_not_grow_with_its_neighbours_but_one_that_is_lost_is_missed(
    tmp_path: Path,
) -> None:
    store = SqliteStore(tmp_path)
    store.apply([define({"name": "shops", "by": ["country", "merchant"]})])
    calls = []
    found = Counter[str]()

    def profile(_frame: object, event: str, _of: object) -> None:
        found[event] += 1

    for count in (10, 1_000):
        store.journal(batch_of([Event(NOON, 0, 10**12, 0, f"m{i}") for i in range(count)]))
        while store._definitions.count_stride(all_behind=True):
            pass
        found.clear()
        datapoints = [f"|shops|(absent)|m{i}" for i in range(5)]
        sys.setprofile(profile)
        got = store.get(datapoints, amounts=True)
        sys.setprofile(None)
        times = 1 if count == 10 else 2
        assert [(each.events, each.amount) for each in got] == [(times, times * 10**12)] * 5
        calls.append(found["call"])
    assert calls[1] < 1.5 * calls[0]
    store._connection.execute("DELETE FROM cell WHERE ids = (SELECT max(ids) FROM cell)")
    with pytest.raises(StoreError, match="aggregates of shops are missing"):
        store.get(datapoints)
    store.close()


def test_values_that_a_process_journaled_without_numbers_are_numbered_by_who_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(tmp_path)
    store.apply([define(table) for table in KEPT])
    count_all(store)
    events = purchases(200)
    with monkeypatch.context() as patched:  # as a process of an older release would
        patched.setattr(Writer, "number_values", lambda _self, _batch: None)
        store.journal(kept_batch(events[:100]))
    check(store, events[:100], ["countries", "four"])
    with monkeypatch.context() as patched:
        patched.setattr(Writer, "number_values", lambda _self, _batch: None)
        store.journal(kept_batch(events[100:]))
    count_all(store)
    check(store, events, [table["name"] for table in KEPT])
    store.close()


def test_a_datapoint_that_is_very_long_is_found_by_its_hash(tmp_path: Path) -> None:
    names = ["n" * 128 + str(at) for at in range(3)]
    events = [Event(NOON + at, 0, 5, at % 3, "å" * 120 + str(at % 3)) for at in range(30)]
    batch = batch_of(events)
    for field in ("a", "b", "c"):
        batch.kept[field] = KeptColumn(
            array("I", [at % 3 for at in range(30)]), *columns.join_strings([n * 2 for n in names])
        )
    store = SqliteStore(tmp_path)
    store.apply([define({"name": "long", "by": ["a", "b", "c", "merchant"]})])
    store.journal(batch)
    for _ in range(2):
        page = store.page(Query(report=store.catalogue()["long"])) if store.catalogue().get("long") else None
        if page is not None:
            assert [row.datapoint[:7] for row in page.aggregates] == ["|long|#"] * 3
            assert all(row.text is not None and len(row.text.encode()) > 1_000 for row in page.aggregates)
            assert store.get([row.datapoint for row in page.aggregates], amounts=True) == page.aggregates
        count_all(store)
    assert page is not None
    store.close()
