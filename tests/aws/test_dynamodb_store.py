"""What the DynamoDB store promises beyond the contract suite, against DynamoDB Local, with faults put in between."""

from __future__ import annotations

import gzip
import json
import random
from base64 import b64decode
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.batches import batch_of
from tests.contract.test_store import KEY, NOON, PURCHASE, check, purchases
from tests.oracle import REPORTS

from tillroll.app import open_store
from tillroll.core import chunk, limits
from tillroll.core.accept import Rejection
from tillroll.core.batch import UNNAMED, Event, NameKind, Source
from tillroll.core.decode import Reason
from tillroll.core.export import ALL_EVENTS
from tillroll.core.outcome_counts import OutcomeCounts
from tillroll.core.outcome_tally import HTTP, OutcomeTally
from tillroll.core.query import Query
from tillroll.errors import BusyError, StoreError
from tillroll.ports import Outcome
from tillroll.stores.dynamodb import audit, export
from tillroll.stores.dynamodb import commit as commit_module
from tillroll.stores.dynamodb.calls import (
    BatchGet,
    BatchReply,
    Call,
    ConditionFailed,
    Conflict,
    Count,
    Put,
    QueryTable,
    ReplyLost,
    Scan,
    Sleep,
    Throttled,
    TransactWrite,
    read_log,
)
from tillroll.stores.dynamodb.client import Client
from tillroll.stores.dynamodb.http import Connections, Credentials, Signer
from tillroll.stores.dynamodb.ledger import read_ledger
from tillroll.stores.dynamodb.offers import OwnOffers
from tillroll.stores.dynamodb.schema import OFFERS
from tillroll.stores.dynamodb.spill import Spill
from tillroll.stores.dynamodb.store import DynamoDBStore
from tillroll.stores.dynamodb.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.aws.dynamodb_local import DynamoDBLocal

    from tillroll.core.batch import Batch


NEW, REPEAT = Outcome.ACCEPTED, Outcome.DUPLICATE


class Tables:
    """Two fresh tables, stores over them, and a clock that moves when it is told to."""

    def __init__(self, local: DynamoDBLocal) -> None:
        self.local = local
        self.names = local.create_tables()
        self.now = 1_700_000_000.0
        self.boto = local.boto()
        self.opened: list[DynamoDBStore] = []

    def store(self, freshness_s: float = 0.0) -> DynamoDBStore:
        self.opened.append(self.local.store(self.names, lambda: self.now, freshness_s))
        return self.opened[-1]


@pytest.fixture
def tables(dynamodb_local: DynamoDBLocal) -> Any:
    made = Tables(dynamodb_local)
    yield made
    for store in made.opened:
        store.close()


def between(store: DynamoDBStore, befall: Callable[[Call, Callable[[], Any]], Any]) -> None:
    """Put a function between the store and its calls: it is given each call and a way to make it."""
    make = store.client.make

    def instead(calls: Sequence[Call]) -> list[Any]:
        results: list[Any] = []
        for call in calls:
            if isinstance(call, Sleep):
                results.append(None)  # time passes at once
            else:
                results.append(befall(call, lambda call=call: make([call])[0]))  # type: ignore[misc]
        return results

    store.client.make = instead  # type: ignore[method-assign]


def lose_replies(store: DynamoDBStore, kind: type[Call], times: int) -> list[Call]:
    """Let calls of a kind have their effect and lose the reply, so many times; return those that were hit."""
    hit: list[Call] = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        reply = make()
        if isinstance(call, kind) and len(hit) < times:
            hit.append(call)
            return ReplyLost("planted")
        return reply

    between(store, befall)
    return hit


@pytest.mark.parametrize("times", [1, 2])
def test_a_lost_reply_does_not_count_an_unnamed_event_twice(tables: Tables, times: int) -> None:
    store = tables.store()
    hit = lose_replies(store, TransactWrite, times)
    assert store.journal(batch_of([PURCHASE, PURCHASE])) == bytes([NEW, NEW])
    assert hit
    check(tables.store(), [PURCHASE] * 2)


def test_a_lost_reply_says_accepted_and_not_duplicate(tables: Tables) -> None:
    store = tables.store()
    lose_replies(store, TransactWrite, 1)
    assert store.journal(batch_of([PURCHASE], KEY)) == bytes([NEW])
    assert store.journal(batch_of([PURCHASE], KEY)) == bytes([REPEAT])


def test_a_race_for_the_ledger_is_tried_again(tables: Tables) -> None:
    store, rival = tables.store(), tables.store()
    raced: list[bytes] = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, TransactWrite) and len(raced) < 3:
            raced.append(rival.journal(batch_of([PURCHASE], KEY, len(raced))))
        return make()

    between(store, befall)
    assert store.journal(batch_of([PURCHASE] * 4, KEY)) == bytes([REPEAT] * 3 + [NEW])
    check(rival, [PURCHASE] * 4)


def test_who_loses_a_race_has_its_batch_committed_by_the_next_winner_and_is_told_so(tables: Tables) -> None:
    store, rival = tables.store(), tables.store()
    tried: list[Call] = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, TransactWrite):
            tried.append(call)
            rival.journal(batch_of([PURCHASE], Source(NameKind.KEY, "first")))
        reply = make()
        if isinstance(call, Put) and call.item["log"] == OFFERS:
            rival.journal(batch_of([PURCHASE], Source(NameKind.KEY, "second")))
        return reply

    between(store, befall)
    assert store.journal(batch_of([PURCHASE] * 4, KEY)) == bytes([NEW] * 4)
    assert len(tried) == 1  # others committed all of it
    assert rival.status().journal_position == 2
    assert store.journal(batch_of([PURCHASE] * 4, KEY)) == bytes([REPEAT] * 4)
    assert rival.client.run(read_log(rival.context, OFFERS, 0)) == []
    check(rival, [PURCHASE] * 6)


def test_an_offer_that_was_left_behind_is_taken_once_and_deleted(tables: Tables) -> None:
    store, rival = tables.store(), tables.store()
    batch = batch_of([PURCHASE] * 4, KEY)
    for call in OwnOffers(store.context).make({PURCHASE.seconds // 60: chunk.encode(batch)}):
        store.client.make([call, msgspec.structs.replace(call, item={**call.item, "number": 7})])
    rival.journal(batch_of([PURCHASE], Source(NameKind.KEY, "other")))
    assert store.client.run(read_log(store.context, OFFERS, 0)) == []
    assert store.journal(batch) == bytes([REPEAT] * 4)
    check(rival, [PURCHASE] * 5)


@pytest.mark.parametrize("data", [b"TRC9 of a later release", b"no chunk"])
def test_an_offer_that_cannot_be_read_is_left_to_others_and_deleted_once_it_is_old(tables: Tables, data: bytes) -> None:
    store = tables.store()
    for call in OwnOffers(store.context).make({PURCHASE.seconds // 60: data}):
        store.client.make([call])
    assert store.journal(batch_of([PURCHASE], KEY)) == bytes([NEW])
    assert len(store.client.run(read_log(store.context, OFFERS, 0))) == 1
    tables.now += 10
    assert store.journal(batch_of([PURCHASE], Source(NameKind.KEY, "later"))) == bytes([NEW])
    assert store.client.run(read_log(store.context, OFFERS, 0)) == []
    check(store, [PURCHASE] * 2)


def test_throttling_for_a_while_is_waited_out(tables: Tables) -> None:
    store = tables.store()
    chance = random.Random(7)

    def befall(_: Call, make: Callable[[], Any]) -> Any:
        return Throttled("planted") if chance.random() < 0.5 else make()

    between(store, befall)
    events = purchases(12)
    assert store.journal(batch_of(events, KEY)) == bytes([NEW] * 12)
    check(store, events)
    assert store.audit().differences == []


def test_keys_that_the_service_leaves_unprocessed_are_asked_for_again(filled: Tables) -> None:
    store = filled.store()
    left = 0

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        nonlocal left
        reply = make()
        if not isinstance(call, BatchGet) or left % 3 == 2:
            left += isinstance(call, BatchGet)
            return reply
        left += 1
        kept = reply.items[: len(reply.items) // 2]  # the service may process any part, or nothing
        found = [key_in(item) for item in kept]
        return BatchReply(kept, tuple(key for key in call.keys if key not in found))

    def key_in(item: Any) -> Any:
        return item["datapoint"] if "datapoint" in item else (item["log"], item["number"])

    between(store, befall)
    check(store, purchases(30, days=1))
    assert left
    assert store.audit().differences == []


def test_a_commit_too_large_for_its_log_is_cut(tables: Tables) -> None:
    store = tables.store()

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        too_large = isinstance(call, TransactWrite) and len(call.writes) > 3
        return Throttled("more than the partition takes") if too_large else make()

    between(store, befall)
    events = [Event(NOON + 60 * minute, 0, 1, 0, "Shop") for minute in range(7)]
    assert store.journal(batch_of(events, KEY)) == bytes([NEW] * 7)
    check(store, events)


def test_a_slow_table_is_waited_for_while_it_makes_progress(tables: Tables) -> None:
    store = tables.store()
    store.context = store.context._replace(patience_s=16.0, draw=lambda: 1.0)
    store.journal(batch_of(purchases(20), KEY))
    calls = 0

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        nonlocal calls
        calls += 1
        return Throttled("slow") if isinstance(call, Count) and calls % 5 else make()

    between(store, befall)
    check(store, purchases(20))


def test_a_region_that_does_not_exist_is_named() -> None:
    host = "dynamodb.eu-nowhere-1.invalid"
    signer = Signer(host, "eu-nowhere-1", lambda: Credentials("k", "s", None))
    client = Client(Connections(f"https://{host}", signer), f"https://{host}", Wire("a", "b"))
    with pytest.raises(StoreError, match=r"no address for dynamodb\.eu-nowhere-1.*region"):
        DynamoDBStore(client, freshness_s=1.0).status()


def test_throttling_without_end_is_an_error_that_says_when_to_come_back(tables: Tables) -> None:
    store = tables.store()
    between(store, lambda _call, _make: Throttled("too fast"))
    with pytest.raises(StoreError, match="too fast") as raised:
        store.journal(batch_of([PURCHASE], KEY))
    assert raised.value.retry_after_s
    assert tables.store().status().journal_position == 0


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_fold_killed_at_any_call_is_completed_by_the_next(tables: Tables, *, after_effect: bool) -> None:
    events = purchases(6, days=1, merchants=2)
    tables.store().journal(batch_of(events, KEY))
    kill_at = 0
    while True:
        store = tables.store()
        seen = 0

        class Killed(Exception):  # noqa: N818
            pass

        def befall(_: Call, make: Callable[[], Any], at: int = kill_at) -> Any:
            nonlocal seen
            seen += 1
            if seen > at and not after_effect:
                raise Killed
            reply = make()
            if seen > at:
                raise Killed
            return reply

        between(store, befall)
        try:
            store.fold()
        except Killed:
            kill_at += 3
        else:
            break
    assert kill_at
    check(tables.store(), events)


def test_a_zombie_s_fold_changes_nothing(tables: Tables) -> None:
    zombie, worker = tables.store(), tables.store()
    events, later = purchases(8, days=1), purchases(8, seed=9, days=1)
    worker.journal(batch_of(events, KEY))
    slept: list[Call] = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, Count) and not slept:
            slept.append(call)
            worker.fold()
            worker.journal(batch_of(later, KEY, 100))
            worker.fold()
        return make()

    between(zombie, befall)
    zombie.fold()
    assert slept
    check(worker, events + later)


def test_only_the_worker_whose_commit_ends_a_range_folds_it(tables: Tables) -> None:
    first, second = tables.store(10.0), tables.store(10.0)
    for store in (first, second):  # a fresh worker looks once
        store.fold_if_due()
    first.journal(batch_of([PURCHASE], KEY, 0))
    second.journal(batch_of([PURCHASE], KEY, 1))
    assert second.fold_if_due() is None
    assert first.fold_if_due() == 1
    assert first.fold_if_due() is None
    tables.now += 10
    second.journal(batch_of([PURCHASE], KEY, 2))
    assert second.fold_if_due() == 3


def test_what_came_last_before_a_pause_is_folded_by_one_that_committed_it(tables: Tables) -> None:
    first, second = tables.store(10.0), tables.store(10.0)
    for number, store in enumerate((first, second, first)):
        store.journal(batch_of([PURCHASE], KEY, number))
        store.fold_if_due()
    tables.now += 14.9
    assert [first.fold_if_due(), second.fold_if_due()] == [None, None]
    assert first.status().unfolded_since is not None
    tables.now += 0.2
    assert second.fold_if_due() == 4  # the third commit's entry, and the mark after it
    assert first.status().unfolded_since is None
    assert first.fold_if_due() == 4  # it sees that somebody did
    assert [first.fold_if_due(), second.fold_if_due()] == [None, None]


def test_a_commit_after_the_end_of_a_range_is_folded_later(tables: Tables) -> None:
    store = tables.store(10.0)
    store.journal(batch_of([PURCHASE], KEY, 0))
    store.journal(batch_of([PURCHASE], KEY, 1))
    assert store.fold_if_due() == 1
    assert store.fold_if_due() is None
    tables.now += 15
    assert store.fold_if_due() == 3
    check(store, [PURCHASE] * 2)


def test_a_clock_that_is_set_back_does_not_stop_folds(tables: Tables) -> None:
    store = tables.store(10.0)
    store.journal(batch_of([PURCHASE], KEY, 0))
    store.fold_if_due()
    tables.now -= 3_600
    store.journal(batch_of([PURCHASE], KEY, 1))
    assert store.fold_if_due() == 2


def test_a_journal_in_lanes_of_0_1_0_is_refused(tables: Tables) -> None:
    store = tables.store()
    entry = b'{"events": 3, "lanes": [[5, 4], [9, "16/00112233445566778899aabbccddeeff"]]}'
    item: Any = {"log": {"S": "ledger"}, "number": {"N": "1"}, "entry": {"S": entry.decode()}}
    tables.boto.put_item(TableName=tables.names[1], Item=item)
    for work in (store.status, lambda: store.journal(batch_of([PURCHASE])), store.fold, store.audit):
        with pytest.raises(StoreError, match="split into lanes"):
            work()


def repeats_of(count: int, minutes: int = 1) -> list[Event]:
    return [Event(NOON + number % (60 * minutes), 0, number, 0, "Shop", f"id {number}") for number in range(count)]


def test_a_repeat_is_known_by_its_hash_and_read_where_it_is(tables: Tables) -> None:
    store, other = tables.store(), tables.store()
    events = repeats_of(30)
    for at in range(0, 30, 10):
        other.journal(batch_of(events[at : at + 10]))
    store.journal(batch_of([PURCHASE]))
    asked: list[BatchGet] = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, BatchGet):
            asked.append(call)
        return make()

    between(store, befall)
    changed = Event(events[25].seconds, 0, 9_999, 0, "Shop", "id 25")
    new = Event(NOON, 0, 1, 0, "Shop", "new")
    outcomes = store.journal(batch_of([new, events[21], changed, events[23], new]))
    assert outcomes == bytes([NEW, REPEAT, Outcome.CONFLICT, REPEAT, REPEAT])
    assert [len(call.keys) for call in asked] == [1]
    asked.clear()
    assert store.journal(batch_of([Event(NOON, 0, 1, 0, "Shop", "newer")])) == bytes([NEW])
    assert asked == []
    check(store, [PURCHASE, *events, new, Event(NOON, 0, 1, 0, "Shop", "newer")])


@pytest.mark.parametrize("shared", [1, 2, 5])
def test_names_that_share_a_hash_are_told_apart(tables: Tables, monkeypatch: pytest.MonkeyPatch, shared: int) -> None:
    rows = commit_module.hash_names

    def weak(batch: Batch, key: bytes) -> Iterator[tuple[int, int, int]]:
        return ((index, minute, hashed % shared) for index, minute, hashed in rows(batch, key))

    monkeypatch.setattr(commit_module, "hash_names", weak)
    events = repeats_of(40, minutes=3)
    chance = random.Random(shared)
    seen: set[Event] = set()
    stores = [tables.store(), tables.store()]
    for _ in range(12):
        some = chance.choices(events, k=7)
        expected = []
        for event in some:
            expected.append(REPEAT if event in seen else NEW)
            seen.add(event)
        assert chance.choice(stores).journal(batch_of(some)) == bytes(expected)
    check(stores[0], sorted(seen, key=lambda event: event.id))


@pytest.mark.parametrize(
    ("fault", "error"), [(ConditionFailed, BusyError), (Conflict, BusyError), (Throttled, StoreError)]
)
def test_who_gives_up_says_whether_others_were_first(
    tables: Tables, fault: type[Exception], error: type[StoreError]
) -> None:
    store = tables.store()
    tried = 0

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        nonlocal tried
        if not isinstance(call, TransactWrite):
            return make()
        tried += 1
        return fault("planted")

    between(store, befall)
    store.context = store.context._replace(patience_s=2.0)
    with pytest.raises(StoreError) as caught:
        store.journal(batch_of([PURCHASE], KEY))
    assert type(caught.value) is error
    assert (tried > 15) == (error is BusyError)  # a race is tried again soon


def test_what_is_being_written_is_not_forgotten_however_much_it_is(tables: Tables) -> None:
    store = tables.store()
    store._logs = commit_module.KnownLogs(events_max=10)
    store.journal(batch_of(repeats_of(200, minutes=5)))
    asked: list[QueryTable] = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, QueryTable) and call.log not in ("ledger", OFFERS):
            asked.append(call)
        return make()

    between(store, befall)
    last = Event(NOON + 3 * 60, 0, 1, 0, "Shop", "one more")
    assert store.journal(batch_of([last])) == bytes([NEW])
    assert [call.after for call in asked] == [1]
    asked.clear()
    assert store.journal(batch_of(repeats_of(1))) == bytes([REPEAT])
    assert [call.after for call in asked] == [0]


def test_a_minute_of_large_events_is_cut_into_chunks_and_commits(tables: Tables) -> None:
    chance = random.Random(1)
    letters = [chr(0x4E00 + number) for number in range(20_000)]
    names = ["".join(chance.choices(letters, k=128)) for _ in range(18_000)]
    events = [Event(NOON + number % 60, 0, number, 0, names[number], names[-1 - number]) for number in range(9_000)]
    store = tables.store()
    assert store.journal(batch_of(events)) == bytes([NEW] * 9_000)
    entries = store.client.run(read_ledger(store.context, 0))
    assert len(entries) > 1
    items = tables.boto.get_paginator("scan").paginate(TableName=tables.names[1])
    sizes = [len(item["chunk"]["B"]) for page in items for item in page["Items"] if "chunk" in item]
    assert max(sizes) <= limits.CHUNK_BYTES_MAX
    assert tables.store().journal(batch_of(events)) == bytes([REPEAT] * 9_000)


def test_missing_tables_are_named(dynamodb_local: DynamoDBLocal) -> None:
    store = dynamodb_local.store(("nowhere", "nothing"), lambda: 0.0)
    with pytest.raises(StoreError, match="nowhere and nothing"):
        store.status()
    store.close()


# Audit.


@pytest.fixture
def filled(tables: Tables) -> Tables:
    store = tables.store()
    for start in range(0, 30, 10):
        store.journal(batch_of(purchases(30, days=1)[start : start + 10], KEY, start))
        store.fold()
    return tables


def move_fold(tables: Tables, position: int) -> None:
    tables.boto.update_item(
        TableName=tables.names[0],
        Key={"datapoint": {"S": "#fold/1/0"}},
        UpdateExpression="SET #p = :p",
        ExpressionAttributeNames={"#p": "position"},
        ExpressionAttributeValues={":p": {"N": str(position)}},
    )


@pytest.mark.parametrize("position", [1, 99])
def test_a_fold_position_that_was_moved_is_named_and_refused(filled: Tables, position: int) -> None:
    move_fold(filled, position)
    assert "position" in {difference.kind for difference in filled.store().audit(repair=True).differences}
    with pytest.raises(StoreError, match=f"entry {position}"):
        filled.store().fold()
    filled.store().rebuild()
    check(filled.store(), purchases(30, days=1))
    assert filled.store().audit().differences == []


def test_a_fold_position_moved_past_what_is_folded_is_named(filled: Tables) -> None:
    store = filled.store()
    store.journal(batch_of([PURCHASE], KEY, 77))
    move_fold(filled, 4)
    kinds = {difference.kind for difference in store.audit().differences}
    assert {"position", "aggregate"} <= kinds


def test_a_state_that_was_lost_is_begun_anew(filled: Tables) -> None:
    for key in ("#fold", "#fold/1/0"):
        filled.boto.delete_item(TableName=filled.names[0], Key={"datapoint": {"S": key}})
    check(filled.store(), purchases(30, days=1))
    assert filled.store().audit().differences == []


def test_a_state_that_was_lost_after_a_rebuild_is_refused_and_counted_again(filled: Tables) -> None:
    filled.store().rebuild()
    for key in ("#fold", "#fold/2/0"):
        filled.boto.delete_item(TableName=filled.names[0], Key={"datapoint": {"S": key}})
    with pytest.raises(StoreError, match="run tillroll rebuild"):
        filled.store().fold()
    filled.store().rebuild()
    check(filled.store(), purchases(30, days=1))
    assert filled.store().audit().differences == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_audit_names_a_missing_ledger_entry(filled: Tables, number: int) -> None:
    filled.boto.delete_item(TableName=filled.names[1], Key={"log": {"S": "ledger"}, "number": {"N": str(number)}})
    found = filled.store().audit(repair=True)
    assert {"ledger", "position"} & {difference.kind for difference in found.differences}


def test_a_number_is_not_explained_by_a_ledger_with_a_gap(filled: Tables) -> None:
    filled.boto.delete_item(TableName=filled.names[1], Key={"log": {"S": "ledger"}, "number": {"N": "2"}})
    with pytest.raises(StoreError, match="ledger entry 2 is missing"):
        list(filled.store().trace("<10|PAY_NOW"))


def test_as_many_events_are_read_at_once_as_may_be(filled: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_EVENTS_AT_ONCE", 30)
    store = filled.store()
    parts = store.client.run(export.read_some(store.context, 0, 3, ALL_EVENTS))
    assert parts[-1].position == 3


def test_audit_names_and_repairs_missing_and_stray_aggregates(filled: Tables) -> None:
    store = filled.store()
    (lost, *_) = store.page(Query(report=REPORTS["merchant-method"])).aggregates
    table = filled.names[0]
    filled.boto.delete_item(TableName=table, Key={"datapoint": {"S": lost.datapoint}})
    filled.boto.put_item(TableName=table, Item={"datapoint": {"S": "2011-12-03|nobody"}, "events": {"N": "2"}})
    filled.boto.put_item(TableName=table, Item={"datapoint": {"S": "nonsense"}, "events": {"N": "1"}})
    found = {difference.subject: (difference.stored, difference.recounted) for difference in store.audit().differences}
    assert found == {lost.datapoint: (None, lost.events), "2011-12-03|nobody": (2, 0), "nonsense": (1, 0)}
    store.audit(repair=True)
    check(store, purchases(30, days=1))
    assert store.audit().differences == []


@pytest.mark.parametrize("kind", [QueryTable, Scan])
def test_audit_is_exact_while_traffic_goes_on(filled: Tables, kind: type[Call]) -> None:
    worker = filled.store()
    position = worker.status().folded_position
    auditor = filled.store()
    moments: list[Call] = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, kind) and len(moments) < 3:
            moments.append(call)
            worker.journal(batch_of(purchases(5, seed=len(moments), days=1), KEY, 100 * len(moments)))
            worker.fold()
        return make()

    between(auditor, befall)
    found = auditor.audit()
    assert moments
    assert found.differences == []
    assert (found.position, found.events) == (position, 30)


def test_audit_while_a_fold_is_half_done_finds_nothing(filled: Tables) -> None:
    worker = filled.store()
    worker.journal(batch_of(purchases(9, seed=5, days=1), KEY, 500))
    counted = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, Count):
            counted.append(call)
            if len(counted) > 7:
                raise KeyboardInterrupt
        return make()

    between(worker, befall)
    with pytest.raises(KeyboardInterrupt):
        worker.fold()
    assert filled.store().audit().differences == []


def test_audit_spills_what_does_not_fit_memory(filled: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "Spill", partial(Spill, keys_max=3))
    found = filled.store().audit()
    assert (found.differences, found.events) == ([], 30)


def test_a_damaged_journal_is_not_a_measure_to_repair_by(filled: Tables) -> None:
    table = filled.names[1]
    items = filled.boto.scan(TableName=table)["Items"]
    chunk = next(item for item in items if "chunk" in item)
    filled.boto.delete_item(TableName=table, Key={"log": chunk["log"], "number": chunk["number"]})
    store = filled.store()
    assert store.audit(repair=True).differences_total
    check(store, purchases(30, days=1))


# What release 0.1.0 kept of a key three rejections, of nobody one, of a file one of 400,000 bytes.


@pytest.fixture
def old(tables: Tables) -> Tables:
    text = gzip.decompress((Path(__file__).parent.parent / "fixtures" / "rejected-0.1.0.dynamodb.json.gz").read_bytes())
    for item in json.loads(text, object_hook=lambda found: b64decode(found["base64"]) if "base64" in found else found):
        kinds = {
            name: {"B": value}
            if isinstance(value, bytes)
            else {"S": value}
            if isinstance(value, str)
            else {"N": f"{value}"}
            for name, value in item.items()
        }
        tables.boto.put_item(TableName=tables.names[1], Item=kinds)
    return tables


def test_what_an_older_release_kept_is_brought_along_under_its_ids(old: Tables) -> None:
    store = old.store()
    assert store.status().rejected == 5
    assert store.find_rejected("a1d1462b9deabeb15f5673ad") == store.rejected()[3]
    kept = old.store().rejected()
    bodies = [b"no event 0", b"no event 1", b"no event 2", b"nobody named this", b"\xff\x00" * 200_000]
    assert [each.rejection.body for each in kept] == bodies
    assert [each.received_at for each in kept] == [1000.5] * 3 + [2000.0] * 2
    assert kept[0].id == "b5a2ce729928f1ac0b3cd8b4"
    store.discard([kept[1].id])
    store.set_aside([each.rejection for each in kept if each.rejection.source == KEY], 3000.0)
    assert store.rejected() == [kept[0], *kept[2:]]
    assert store.rejected(after=kept[1].id) == kept[2:]
    items = old.boto.scan(TableName=old.names[1])["Items"]
    assert not [item for item in items if item["log"]["S"] == "rejected" or "rejected" in item]


def test_what_is_dropped_is_gone_from_the_table(tables: Tables) -> None:
    store = tables.store()
    body = b"a body that no compression hides: " + random.Random(7).randbytes(700_000)
    given = [Rejection(source, 0, body, Reason("not_json", None, "no")) for source in (KEY, UNNAMED)]
    store.set_aside(given, 1.0)
    store.discard([each.id for each in store.rejected()])
    items = tables.boto.scan(TableName=tables.names[1])["Items"]
    assert sum(len(item["body"]["B"]) for item in items if "body" in item) < 1_000
    store.set_aside(given[:1], 2.0)
    assert store.rejected() == []


@pytest.mark.parametrize("others", [1, 2, 3])
def test_who_discards_of_a_group_late_brings_nothing_back(tables: Tables, others: int) -> None:
    """After two others the number that it would take is free again."""
    store, other = tables.store(), tables.store()
    store.set_aside([Rejection(KEY, at, b"%d" % at, Reason("not_json", None, "no")) for at in range(5)], 1.0)
    kept = store.rejected()
    raced: list[Call] = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, TransactWrite) and not raced:
            raced.append(call)
            for each in kept[1 : 1 + others]:
                other.discard([each.id])
        return make()

    between(store, befall)
    store.discard([kept[0].id])
    assert raced
    assert tables.store().rejected() == kept[1 + others :]
    assert tables.store().status().rejected == 4 - others


@pytest.mark.parametrize("others", [1, 2, 3])
def test_who_notes_outcomes_late_is_refused_and_loses_none(tables: Tables, others: int) -> None:
    store, other = tables.store(), tables.store()
    tally = OutcomeTally()
    tally.note(HTTP, 60.0, OutcomeCounts(accepted=1))
    store.note_outcomes(tally)
    raced: list[Call] = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, TransactWrite) and not raced:
            raced.append(call)
            for _ in range(others):
                other.note_outcomes(tally)
        return make()

    between(store, befall)
    with pytest.raises(StoreError, match="another process notes outcomes"):
        store.note_outcomes(tally)
    store.note_outcomes(tally)
    assert [row.counts.accepted for row in store.noted_outcomes().rows("minute")] == [2 + others]


def test_two_that_keep_the_same_rejections_at_once_keep_them_once(tables: Tables) -> None:
    store, other = tables.store(), tables.store()
    given = [Rejection(KEY, at, b"%d" % at, Reason("not_json", None, "no")) for at in range(3)]
    raced: list[Call] = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, TransactWrite) and not raced:
            raced.append(call)
            other.set_aside(given, 2.0)
        return make()

    between(store, befall)
    assert store.set_aside(given, 1.0) == 3
    assert [each.received_at for each in tables.store().rejected()] == [2.0] * 3


def test_a_store_is_opened_by_its_address(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    store = open_store(tables.local.address(tables.names))
    events = purchases(6)
    assert store.journal(batch_of(events, KEY)) == bytes([NEW] * 6)
    check(store, events)
    store.close()
