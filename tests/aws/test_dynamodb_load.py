"""The fold under load, on DynamoDB Local: it stops in time, goes on from there, and adapts to what the table takes."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.aws.proxy import Faults, Proxy, proxying
from tests.aws.test_dynamodb_restores import backup, right
from tests.aws.test_dynamodb_store import Tables, between, tables
from tests.batches import batch_of
from tests.contract.memory_queue import MemoryQueue
from tests.contract.test_store import KEY, NOON, purchases

from tillroll.aws import functions
from tillroll.core.batch import Event
from tillroll.errors import StoreError
from tillroll.ingest.worker import Worker, wall_clock
from tillroll.stores.dynamodb import fold as fold_module
from tillroll.stores.dynamodb.calls import Call, ConditionFailed, Count
from tillroll.stores.dynamodb.state import read_folders, read_state
from tillroll.stores.dynamodb.store import DynamoDBStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tillroll.stores.dynamodb.state import Folder

__all__ = ["tables"]
EVENTS = purchases(30, days=1)


def folder_of(tables: Tables) -> Folder:
    store = tables.store()
    state = store.client.run(read_state(store.context))
    (folder,) = store.client.run(read_folders(store.context, state.main))
    return folder


@pytest.fixture
def limited(tables: Tables) -> Iterator[tuple[Tables, Proxy]]:
    """Tables that take 50 updates a second, through a proxy."""
    with proxying(tables.local.endpoint, Faults(updates_a_second=50)) as proxy:
        yield tables, proxy


def through(tables: Tables, proxy: Proxy, commit_s: float = math.inf) -> DynamoDBStore:
    local = type(tables.local)(proxy.endpoint)
    store = DynamoDBStore(local.client(tables.names), freshness_s=0.0, commit_s=commit_s)
    tables.opened.append(store)
    return store


def test_with_50_writes_a_second_every_call_moves_on(
    limited: tuple[Tables, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_module, "_UPDATES_AT_ONCE", 10)
    tables, proxy = limited
    tables.store().journal(batch_of(EVENTS, KEY))
    before: tuple[Any, ...] = (0, 0, "")
    calls = 0
    while before[0] == 0:
        through(tables, proxy).fold(0.8)
        folder = folder_of(tables)
        after = folder.position, folder.slice, folder.after
        assert after > before
        before = after
        calls += 1
    assert calls > 1
    assert proxy.seen["throttled"]
    right(tables, EVENTS)


def test_with_50_writes_a_second_a_batch_of_many_minutes_is_cut_until_it_passes(
    limited: tuple[Tables, Proxy],
) -> None:
    tables, proxy = limited
    events = [Event(NOON + 60 * number, 0, number, 0, "m", f"id {number}") for number in range(30)]
    assert through(tables, proxy, commit_s=20.0).journal(batch_of(events)) == bytes(30)
    assert proxy.seen["throttled"]
    right(tables, events)


@pytest.mark.parametrize("reads", [False, True])
def test_a_batch_that_cannot_be_committed_is_given_up_at_its_deadline(tables: Tables, *, reads: bool) -> None:
    faults = Faults(throttled=1.0) if reads else Faults(updates_a_second=0.1)
    with proxying(tables.local.endpoint, faults) as proxy, pytest.raises(StoreError, match="send it again later"):
        through(tables, proxy, commit_s=0.5).journal(batch_of(EVENTS, KEY))
    assert functions.COMMIT_S + 5 <= functions.COMMIT_RESERVE_S <= 30


def test_counters_that_are_done_are_not_written_again(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_module, "_UPDATES_AT_ONCE", 10)
    monkeypatch.setattr(fold_module, "_UPDATES_AT_ONCE_MAX", 10)
    monkeypatch.setattr(fold_module, "_SLICE_EVENTS", 8)
    tables.store().journal(batch_of(EVENTS, KEY))
    written: list[str] = []
    failed: list[str] = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        reply = make()
        if isinstance(call, Count):
            (failed if isinstance(reply, ConditionFailed) else written).append(call.datapoint)
        return reply

    calls = 0
    while folder_of(tables).position == 0:
        store = tables.store()
        asked = iter([True] * 2)
        store._until = lambda _, asked=asked: lambda: next(asked, False)  # type: ignore[method-assign,misc]
        between(store, befall)
        store.fold(1.0)
        calls += 1
        assert calls < 50
    assert calls > 5
    assert failed == []
    assert len(written) == len(set(written))
    right(tables, EVENTS)


def test_one_folds_at_a_time_and_the_other_does_not_wait(tables: Tables) -> None:
    first, second = tables.store(), tables.store()
    first.journal(batch_of(EVENTS, KEY))
    meanwhile: list[int] = []

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, Count) and not meanwhile:
            meanwhile.append(second.fold(60.0))
        return make()

    between(first, befall)
    first.fold(60.0)
    assert meanwhile == [0]
    right(tables, EVENTS)


def test_a_worker_that_died_while_folding_is_waited_for_half_a_minute(tables: Tables) -> None:
    dying = tables.store()
    dying.journal(batch_of(EVENTS, KEY))

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, Count):
            raise KeyboardInterrupt
        return make()

    between(dying, befall)
    with pytest.raises(KeyboardInterrupt):
        dying.fold(60.0)
    assert tables.store().fold(60.0) == 0
    tables.now += 31
    assert tables.store().fold(60.0) > 0
    right(tables, EVENTS)


def test_a_range_of_more_events_than_a_slice_holds_is_counted_in_slices(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_module, "_SLICE_EVENTS", 4)
    largest: list[int] = []
    count_range = fold_module.count_range

    def noted(*values: Any) -> Any:
        totals = yield from count_range(*values)
        largest.append(len(totals))
        return totals

    monkeypatch.setattr(fold_module, "count_range", noted)
    tables.store().journal(batch_of(EVENTS, KEY))
    tables.store().fold()
    counters = [item for item in backup(tables)[0] if "report" in item]
    assert len(largest) == 8
    assert max(largest) < len(counters) / 3
    assert sum(largest) == len(counters)
    right(tables, EVENTS)


def test_a_worker_folds_beside_its_commits(tables: Tables) -> None:
    queue = MemoryQueue(time.monotonic, MemoryQueue(time.monotonic))
    store = tables.store()
    folded_by: set[str] = set()
    fold = store.fold_if_due

    def noted(seconds: float | None = None) -> int | None:
        folded_by.add(threading.current_thread().name)
        return fold(seconds)

    store.fold_if_due = noted  # type: ignore[method-assign]
    worker = Worker(store, queue, 1.0, wall_clock)
    thread = threading.Thread(target=worker.run)
    thread.start()
    body = b'{"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "m"}'
    queue.send([(body, "a")])
    ends_at = time.monotonic() + 60
    while tables.store().get(["10-50|SLICE_IT"])[0].events != 1 and time.monotonic() < ends_at:
        time.sleep(0.1)
    worker.stop()
    thread.join()
    assert tables.store().get(["10-50|SLICE_IT"])[0].events == 1
    assert folded_by == {"fold"}
