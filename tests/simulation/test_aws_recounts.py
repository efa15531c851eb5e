"""A recount beside others: one that comes late begins none, and other folders may begin its first range again."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.aws_world import Processes, SimulatedWorker, World, simulated_time
from tests.simulation.oracle import Purchase
from tests.simulation.own_reports import OWN
from tests.simulation.scheduler import STARTED_AT

from tillroll.core.definition import define
from tillroll.errors import StoreError
from tillroll.ingest.worker import Worker
from tillroll.stores.dynamodb.calls import BatchGet, Call
from tillroll.stores.dynamodb.definitions import report_states
from tillroll.stores.dynamodb.fold import fold_group, fold_ledger
from tillroll.stores.dynamodb.ledger import append_mark
from tillroll.stores.dynamodb.schema import folder_key
from tillroll.stores.dynamodb.state import open_state, take_epoch

if TYPE_CHECKING:
    from collections.abc import Callable

    from tillroll.stores.dynamodb.store import DynamoDBStore

_MIDNIGHT = int(STARTED_AT) // 86_400 * 86_400
_RANGES = 4


def _beside(work: Callable[[World, DynamoDBStore, Any], None]) -> World:
    """Do something with a store whose journal has some ranges, all folded; the world checks every write."""
    world = World(Random(1), plan={})

    def run(store: DynamoDBStore) -> None:
        for number in range(_RANGES):
            _journal(world, store, number)
            store.fold()
        work(world, store, store.client)

    with simulated_time(world):
        Processes(world).start("work", run)
        world.scheduler.run()
    return world


def test_a_recount_that_was_decided_before_another_began_begins_none() -> None:
    def work(_: World, store: DynamoDBStore, client: Any) -> None:
        before = client.run(open_state(store.context))
        store.rebuild()
        after = client.run(open_state(store.context))
        assert client.run(take_epoch(store.context, before)) is False
        assert client.run(open_state(store.context)) == after

    _beside(work)


def test_an_audit_passes_where_fewer_folders_begin_a_recount_again() -> None:
    """One folder has come to the end before another began: its counters are far ahead of where the next ones begin."""

    def work(world: World, store: DynamoDBStore, client: Any) -> None:
        store.share_fold(3)
        assert client.run(take_epoch(store.context, client.run(open_state(store.context))))
        client.run(fold_ledger(store.context, lambda: False))
        for number in range(_RANGES, 2 * _RANGES):
            _journal(world, store, number)
        end = client.run(append_mark(store.context)).number
        client.run(fold_ledger(store.context, lambda: end not in _positions(world)))
        assert sorted(_positions(world)) == [end]
        store.share_fold(1)
        shown = store.status().folded_position
        assert shown > 0
        audits, refused = 0, set[str]()
        while end not in _positions(world):
            client.counts = 0
            client.run(fold_ledger(store.context, lambda: client.counts < 1))
            assert store.status().folded_position >= shown  # reports show no less than they did
            try:
                found = store.audit()
            except StoreError as error:
                refused.add(str(error))
            else:
                audits += 1
                assert found.differences == []
        assert audits > _RANGES
        assert [each.partition(". ")[0] for each in refused] == ["everything is being counted again"]

    _beside(work)


def test_a_report_that_joins_the_others_while_its_progress_is_read_does_not_seem_to_begin_again() -> None:
    def work(_: World, store: DynamoDBStore, client: Any) -> None:
        store.apply([define(OWN["days"].table)])
        while not store.report_states()[-1].position:
            client.run(fold_ledger(store.context))
            lagging = client.run(open_state(store.context)).groups[1]
            state = client.run(open_state(store.context))
            client.run(fold_group(store.context, state, lagging, "w", lambda: True, to_head=False, alone=False))
        shown = store.report_states()[-1].position
        key = folder_key(lagging.id, 0)
        joined: list[bool] = []

        def join_before(call: Call) -> None:
            if isinstance(call, BatchGet) and call.keys == (key,) and not joined:
                joined.append(True)
                store.count_some(1.0)

        found = client.run(_before_each(report_states(store.context), join_before))
        assert joined
        assert len(client.run(open_state(store.context)).groups) == 1
        assert found[-1].position >= shown > 0

    _beside(work)


def _before_each(protocol: Any, come_first: Callable[[Call], None]) -> Any:
    """Do a protocol, something else coming before its calls."""
    wanted = next(protocol)
    while True:
        for call in wanted if isinstance(wanted, list) else [wanted]:
            come_first(call)
        try:
            wanted = protocol.send((yield wanted))
        except StopIteration as stop:
            return stop.value


def _journal(world: World, store: DynamoDBStore, number: int) -> None:
    named = Purchase(_MIDNIGHT, 0, 999, "PAY_NOW", "kiosk", f"p{number}")
    world.send([named, named._replace(merchant=f"m{number}", id=f"q{number}")], f"e{number}")
    _Worker(world, store)._work(until_empty=True)
    store.client.run(append_mark(store.context))


def _positions(world: World) -> list[int]:
    return [int(item["position"]) for key, item in world.tables.aggregates.items() if key.startswith("#fold/")]


class _Worker(SimulatedWorker):
    """One that journals, and folds nothing."""

    _take = Worker._take
