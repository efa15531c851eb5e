"""A bound on the write units a second that counting a report of one's own takes, on DynamoDB Local."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from bench.billing import bill
from tests.aws.test_dynamodb_store import tables
from tests.contract.test_definitions import check, count_all, fill, purchases
from tests.e2e.command import tillroll
from tests.unit.test_sqlite_definitions import TABLES

from tillroll.core.definition import define
from tillroll.definitions import planned
from tillroll.stores.dynamodb.calls import Call, Count, Discard
from tillroll.stores.dynamodb.state import read_folders, read_state
from tillroll.stores.dynamodb.store import DynamoDBStore

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.aws.test_dynamodb_store import Tables

__all__ = ["tables"]
UNITS_S = 20


class Write(NamedTuple):
    """A write, and when it was made."""

    at: float
    units: int


class Timed:
    """A store in a time of its own, in which requests take none."""

    def __init__(self, tables: Tables, units_s: int) -> None:
        self.now = 0.0
        self.writes: list[Write] = []
        client = tables.local.client(tables.names)
        client._sleep = self.sleep
        billed = bill(client)
        make = client.make

        def noted(calls: list[Call]) -> list[Any]:
            before = billed.written
            replies = make(calls)
            if any(isinstance(call, Count | Discard) for call in calls):
                self.writes.append(Write(self.now, billed.written - before))
            return replies

        client.make = noted  # type: ignore[method-assign, assignment]
        self.store = DynamoDBStore(
            client,
            freshness_s=0.0,
            clock=lambda: 1_700_000_000.0 + self.now,
            monotonic=lambda: self.now,
            count_write_units=units_s,
        )
        tables.opened.append(self.store)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_counting_takes_the_units_and_the_time_that_the_plan_says(tables: Tables) -> None:
    timed = Timed(tables, UNITS_S)
    store, events = timed.store, purchases(200)
    fill(store, events)
    store.fold()
    definition = define(TABLES[0])
    plan = planned(definition, store, len(events))
    assert (plan["write_units_a_second"], plan["seconds"]) == (UNITS_S, plan["write_units_min"] / UNITS_S)
    store.apply([definition])
    timed.writes.clear()
    began = timed.now
    count_all(store)
    check(store, events, [definition.name])
    assert sum(write.units for write in timed.writes) == plan["write_units_min"]
    assert timed.writes[-1].at - began == pytest.approx(plan["seconds"], abs=1.5)
    for at, write in enumerate(timed.writes):
        assert sum(each.units for each in timed.writes[at:] if each.at < write.at + 1) <= 2 * UNITS_S
    timed.writes.clear()
    began = timed.now
    store.drop(definition.name)
    count_all(store)
    assert sum(write.units for write in timed.writes) == plan["write_units_min"]
    assert timed.now - began > plan["seconds"] - 1.5
    assert store.audit().differences == []


def test_with_a_bound_one_counts_at_a_time(tables: Tables) -> None:
    timed, other = Timed(tables, UNITS_S), Timed(tables, UNITS_S)
    fill(timed.store, purchases(100))
    timed.store.share_fold(3)
    timed.store.apply([define(TABLES[0]), define(TABLES[1])])
    state = timed.store.client.run(read_state(timed.store.context))
    group = state.groups[1]
    folders = timed.store.client.run(read_folders(timed.store.context, group))
    held = folders[2]._replace(worker="another", worker_until=other.store.context.clock() + 20)
    tables.boto.put_item(TableName=tables.names[0], Item=_typed(held.item(f"#fold/{group.id}/2")))
    other.store.count_some(1.0)
    assert not other.writes
    other.now += 21  # of whom nothing was heard
    other.store.count_some(1.0)
    assert other.writes


def _typed(item: Any) -> dict[str, Any]:
    return {name: {"S": value} if isinstance(value, str) else {"N": str(value)} for name, value in item.items()}


def reports(tables: Tables, *words: str | Path, code: int = 0) -> subprocess.CompletedProcess[bytes]:
    at = ("--data", tables.local.address(tables.names))
    return tillroll("reports", *words, *at, code=code, AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local")


def test_a_rate_of_events_is_refused_where_writes_are_billed(tables: Tables, tmp_path: Path) -> None:
    file = tmp_path / "reports.toml"
    file.write_text('[[reports]]\nname = "all"\nby = []\n')
    done = reports(tables, "apply", file, "--rate", "10", code=2)
    assert b"count_write_units" in done.stderr
    assert b", 7 a second" in reports(tables, "plan", file, "--count-write-units", "7").stdout
