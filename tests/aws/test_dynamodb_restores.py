"""Tables restored from a backup, and tables of release 0.1.0, on DynamoDB Local by dump and load."""

from __future__ import annotations

import gzip
import json
from base64 import b64decode
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.aws.test_dynamodb_index import recreate
from tests.aws.test_dynamodb_store import Tables, between, tables
from tests.batches import batch_of
from tests.contract.test_store import KEY, PURCHASE, check, purchases, rejection
from tests.oracle import REPORTS, counted, events_of

from tillroll.core.batch import Event, NameKind, Source
from tillroll.core.query import Query
from tillroll.core.report import FIVE
from tillroll.errors import CountingError, LaterFormatError, StoreError
from tillroll.stores.dynamodb.calls import Call, Count
from tillroll.stores.dynamodb.schema import EPOCH, FOLD_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["tables"]
AGGREGATES, JOURNAL = 0, 1
Items = list[dict[str, Any]]
EVENTS = purchases(30, days=1)


def backup(tables: Tables) -> tuple[Items, Items]:
    """Return all items of both tables."""
    found = []
    for name in tables.names:
        pages = tables.boto.get_paginator("scan").paginate(TableName=name)
        found.append([dict(item) for page in pages for item in page["Items"]])
    return found[0], found[1]


def restore(tables: Tables, aggregates: Items, journal: Items, *, old: bool = False) -> Tables:
    """Return new tables, of other names, that hold these items; with the index of 0.1.0 if they are `old`."""
    made = Tables(tables.local)
    if old:
        recreate(made, old=True, new=True)
    made.opened = tables.opened  # closed with them
    for name, items in zip(made.names, (aggregates, journal), strict=True):
        for item in items:
            made.boto.put_item(TableName=name, Item=item)
    return made


def take(tables: Tables, first: int, last: int) -> None:
    store = tables.store()
    for at in range(first, last, 5):
        store.journal(batch_of(EVENTS[at : at + 5], KEY, at))
        store.fold()


def right(tables: Tables, events: list[Event]) -> None:
    """See that every counter is what the events give, amounts and all, and that the audit agrees."""
    store = tables.store()
    check(store, events)
    found = store.audit()
    assert (found.differences, found.events) == ([], len(events))
    for report in REPORTS:
        page = store.page(Query(report=report, order="-amount", limit=10_000))
        amounts = Counter[str]()
        for event in events:
            text = report.text_of(event, {})
            assert text is not None
            amounts[text] += event.amount
        assert {each.datapoint: each.amount for each in page.aggregates} == amounts
        assert page.totals == (len(amounts), len(events), sum(event.amount for event in events))


@pytest.fixture
def moments(tables: Tables) -> list[tuple[Items, Items]]:
    """Backups of both tables after 10, 20 and 30 purchases."""
    found = []
    for first in (0, 10, 20):
        take(tables, first, first + 10)
        found.append(backup(tables))
    return found


def test_aggregates_restored_alone_catch_up(tables: Tables, moments: list[tuple[Items, Items]]) -> None:
    restored = restore(tables, moments[0][AGGREGATES], moments[2][JOURNAL])
    assert restored.store().accept_end() == 0
    right(restored, EVENTS)


def test_a_journal_restored_alone_is_refused_and_counted_again(
    tables: Tables, moments: list[tuple[Items, Items]]
) -> None:
    restored = restore(tables, moments[2][AGGREGATES], moments[0][JOURNAL])
    with pytest.raises(StoreError, match=r"the journal was restored.*tillroll restored"):
        restored.store().fold()
    restored.store().accept_end()
    right(restored, EVENTS[:10])
    take(restored, 10, 30)
    right(restored, EVENTS)


def test_a_restored_journal_is_seen_after_new_commits_have_passed_its_old_end(
    tables: Tables, moments: list[tuple[Items, Items]]
) -> None:
    restored = restore(tables, moments[1][AGGREGATES], moments[0][JOURNAL])
    store = restored.store()
    for at in range(20, 30):
        store.journal(batch_of([EVENTS[at]], KEY, at))
    assert store.status().journal_position > store.status().folded_position > 0
    with pytest.raises(StoreError, match="is another: the journal was restored"):
        store.fold()
    assert store.audit(repair=True).differences_total
    store.rebuild()
    right(restored, EVENTS[:10] + EVENTS[20:])


def test_both_tables_restored_to_different_moments(tables: Tables, moments: list[tuple[Items, Items]]) -> None:
    for aggregates, journal in ((0, 1), (1, 0)):
        restored = restore(tables, moments[aggregates][AGGREGATES], moments[journal][JOURNAL])
        restored.store().accept_end()
        right(restored, EVENTS[: 10 * (journal + 1)])


def test_a_journal_restored_in_part_is_cut_after_its_last_whole_entry(
    tables: Tables, moments: list[tuple[Items, Items]]
) -> None:
    chunks = sorted((int(item["entry"]["N"]), n) for n, item in enumerate(moments[2][JOURNAL]) if "chunk" in item)
    journal = [item for n, item in enumerate(moments[2][JOURNAL]) if n != chunks[-3][1]]
    restored = restore(tables, moments[2][AGGREGATES], journal)
    assert restored.store().accept_end() in {5, 10}
    status = restored.store().status()
    assert status.events is not None
    right(restored, EVENTS[: status.events])
    left = {int(item["entry"]["N"]) for item in backup(restored)[JOURNAL] if "chunk" in item}
    assert max(left) < chunks[-3][0]
    take(restored, status.events, 30)
    right(restored, EVENTS)


def test_counters_restored_older_than_their_state_take_what_they_lack(
    tables: Tables, moments: list[tuple[Items, Items]]
) -> None:
    older = {item["datapoint"]["S"]: item for item in moments[1][AGGREGATES]}
    mixed = [
        older.get(item["datapoint"]["S"]) if n % 2 and "report" in item else item
        for n, item in enumerate(moments[2][AGGREGATES])
    ]
    restored = restore(tables, [item for item in mixed if item], moments[2][JOURNAL])
    assert restored.store().audit().differences_total
    restored.store().accept_end()
    right(restored, EVENTS)


def test_a_journal_restored_in_the_middle_of_a_range_is_refused(tables: Tables) -> None:
    take(tables, 0, 10)
    journal = backup(tables)[JOURNAL]
    tables.store().journal(batch_of(EVENTS[10:20], KEY, 10))
    dying = tables.store()
    counted: list[Call] = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, Count):
            counted.append(call)
            if len(counted) > 9:
                raise KeyboardInterrupt
        return make()

    between(dying, befall)
    with pytest.raises(KeyboardInterrupt):
        dying.fold()
    restored = restore(tables, backup(tables)[AGGREGATES], journal)
    store = restored.store()
    store.journal(batch_of(EVENTS[20:30], KEY, 20))
    with pytest.raises(StoreError, match="the journal was restored"):
        store.fold()
    store.rebuild()
    right(restored, EVENTS[:10] + EVENTS[20:])


def test_a_rebuild_of_a_damaged_journal_is_refused_and_changes_nothing(tables: Tables) -> None:
    take(tables, 0, 10)
    chunk = next(item for item in backup(tables)[JOURNAL] if "chunk" in item)
    tables.boto.delete_item(TableName=tables.names[1], Key={"log": chunk["log"], "number": chunk["number"]})
    before = backup(tables)[AGGREGATES]
    with pytest.raises(StoreError, match="is missing from the journal"):
        tables.store().rebuild()
    assert sorted(map(str, backup(tables)[AGGREGATES])) == sorted(map(str, before))


def test_a_rebuild_deletes_what_the_journal_has_nothing_of(tables: Tables) -> None:
    take(tables, 0, 10)
    for datapoint, fold in (("2011-12-03|nobody", str(EPOCH + 1)), ("nonsense", "0")):
        item = {"datapoint": {"S": datapoint}, "events": {"N": "2"}, "fold": {"N": fold}}
        tables.boto.put_item(TableName=tables.names[0], Item=item)
    tables.store().rebuild()
    right(tables, EVENTS[:10])


def test_a_rebuild_that_was_killed_is_completed_by_the_next_fold(tables: Tables) -> None:
    take(tables, 0, 10)
    dying = tables.store()
    counted: list[Call] = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, Count):
            counted.append(call)
            if len(counted) > 9:
                raise KeyboardInterrupt
        return make()

    between(dying, befall)
    with pytest.raises(KeyboardInterrupt):
        dying.rebuild()
    with pytest.raises(StoreError, match="being counted again"):
        tables.store().audit()
    tables.now += 60
    take(tables, 10, 20)
    right(tables, EVENTS[:20])


def test_an_amount_past_64_bits_is_exact(tables: Tables) -> None:
    store = tables.store()
    most = [Event(EVENTS[0].seconds, 0, 10**12, 0, "m")] * 20
    store.journal(batch_of(most, KEY))
    store.fold()
    key = {"datapoint": {"S": ">500|PAY_NOW"}}
    tables.boto.update_item(
        TableName=tables.names[0],
        Key=key,
        UpdateExpression="SET amount = :a",
        ExpressionAttributeValues={":a": {"N": f"{10**30 + 1}"}},
    )
    store.journal(batch_of([most[0]], KEY, 99))
    store.fold()
    found = tables.boto.get_item(TableName=tables.names[0], Key=key)["Item"]
    assert found["amount"]["N"] == f"{10**30 + 1 + 10**12}"
    (wrong,) = store.audit().differences
    assert (wrong.stored, wrong.recounted) == (10**30 + 1 + 10**12, 21 * 10**12)
    store.audit(repair=True)
    assert store.audit().differences == []


def test_the_state_harms_no_reader_that_scans(tables: Tables) -> None:
    take(tables, 0, 10)
    states = [item for item in backup(tables)[AGGREGATES] if item["datapoint"]["S"].startswith("#")]
    assert len(states) == 2
    assert all((item["events"], item["amount"]) == ({"N": "0"}, {"N": "0"}) for item in states)


def test_a_store_of_a_later_release_is_not_taken_for_damaged(tables: Tables) -> None:
    take(tables, 0, 10)
    tables.boto.update_item(
        TableName=tables.names[0],
        Key={"datapoint": {"S": FOLD_KEY}},
        UpdateExpression="SET #f = :f, needs = :n",
        ExpressionAttributeNames={"#f": "format"},
        ExpressionAttributeValues={":f": {"N": "99"}, ":n": {"S": "7.1.0"}},
    )
    store = tables.store()
    for work in (store.fold, store.rebuild, store.status, store.audit):
        with pytest.raises(LaterFormatError, match=r"of tillroll 7\.1\.0 or later"):
            work()
    assert store.journal(batch_of([PURCHASE], KEY, 500)) == b"\0"  # it journals on


def test_a_journal_of_a_later_release_is_not_taken_for_damaged(tables: Tables) -> None:
    take(tables, 0, 10)
    table = tables.names[JOURNAL]
    entry = {"events": 10, "format": 9, "needs": "7.1.0", "mark": True}
    item = {"log": {"S": "ledger"}, "number": {"N": "3"}, "entry": {"S": json.dumps(entry)}}
    tables.boto.put_item(TableName=table, Item=item)
    store = tables.store()
    before = backup(tables)
    for work in (store.fold, store.rebuild, store.audit, lambda: store.journal(batch_of([PURCHASE], KEY, 500))):
        with pytest.raises(LaterFormatError, match=r"journal is of tillroll 7\.1\.0 or later"):
            work()
    assert sorted(map(str, backup(tables)[JOURNAL])) == sorted(map(str, before[JOURNAL]))


# A table of release 0.1.0: 40 purchases, of which 24 are folded, 10 more in 7 of their counters, and 6 not marked.


@pytest.fixture
def older(tables: Tables) -> tuple[Tables, list[Event]]:
    path = Path(__file__).parent.parent / "fixtures" / "tables-0.1.0.dynamodb.json.gz"
    dump = json.loads(gzip.decompress(path.read_bytes()))

    def typed(value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return {"B": b64decode(value["base64"])}
        return {"S": value} if isinstance(value, str) else {"N": f"{value}"}

    plain = [
        [{name: typed(value) for name, value in item.items()} for item in dump[t]] for t in ("aggregates", "journal")
    ]
    events = [Event(seconds, 0, amount, method, merchant) for seconds, amount, method, merchant in dump["events"]]
    return restore(tables, *plain, old=True), events


def test_tables_of_an_older_release_get_amounts_and_stay_exact(older: tuple[Tables, list[Event]]) -> None:
    tables, events = older
    assert tables.store().status().folded_position == 2
    assert tables.store().journal(batch_of(events, Source(NameKind.KEY, "k"))) == b"\1" * 40
    tables.store().fold()
    right(tables, events)


def test_an_older_release_cannot_read_the_state_any_more(older: tuple[Tables, list[Event]]) -> None:
    tables, _ = older
    tables.store().fold()
    state = tables.boto.get_item(TableName=tables.names[0], Key={"datapoint": {"S": FOLD_KEY}})["Item"]
    with pytest.raises(ValueError, match=r"tillroll 0\.2\.0 or later"):
        int(state["upto"]["S"])  # as 0.1.0 does


def test_tables_of_an_older_release_too_large_for_a_fold_keep_counting_events(
    older: tuple[Tables, list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tillroll.stores.dynamodb.fold._EVENTS_OF_OLDER_MAX", 10)
    tables, events = older
    tables.store().fold()
    check(tables.store(), events)
    assert tables.store().audit().differences == []
    assert not [item for item in backup(tables)[AGGREGATES] if "amount" in item and "report" in item]
    datapoints = list(counted(events))
    for asked in (Query(report=FIVE[0], order="-amount"), Query(report=FIVE[2], amounts=True)):
        with pytest.raises(CountingError, match="the amount is being counted: 0 of "):
            tables.store().page(asked)
    with pytest.raises(CountingError, match="the amount is being counted: 0 of "):
        tables.store().get(datapoints, amounts=True)
    assert events_of(tables.store().get(datapoints)) == counted(events)
    tables.store().rebuild()
    right(tables, events)


def test_the_audit_of_an_older_release_s_tables_changes_nothing(older: tuple[Tables, list[Event]]) -> None:
    tables, _ = older
    before = backup(tables)
    assert tables.store().audit().differences == []
    assert sorted(map(str, backup(tables)[AGGREGATES])) == sorted(map(str, before[AGGREGATES]))


def test_rejected_events_restored_in_part_are_dropped_and_kept_when_they_come_again(tables: Tables) -> None:
    store = tables.store()
    for at, key in enumerate(("whole", "without its bytes", "of two moments")):
        assert store.set_aside([rejection(0, key.encode(), Source(NameKind.KEY, key))], 1_700_000_000.0 + at) == 1
    before = backup(tables)
    twice = next(each for each in store.rejected() if each.rejection.body == b"of two moments")
    store.discard([twice.id])
    aggregates, journal = backup(tables)
    without = next(each for each in store.rejected() if each.rejection.body == b"without its bytes")
    both = {(item["log"]["S"], item["number"]["N"]): item for item in [*before[JOURNAL], *journal]}
    lacking = [item for item in both.values() if item.get("source") == {"S": "without its bytes"}]
    parts = {f"rejected/part/{item['number']['N']}" for item in lacking}
    restored = restore(tables, aggregates, [item for (log, _), item in both.items() if log not in parts])
    with pytest.raises(StoreError, match="are damaged"):
        restored.store().rejected()
    restored.store().accept_end()
    again = restored.store()
    assert [each.rejection.body for each in again.rejected()] == [b"whole"]
    assert again.set_aside([without.rejection], 1_700_000_100.0) == 1
    assert {each.rejection.body for each in again.rejected()} == {b"whole", b"without its bytes"}
