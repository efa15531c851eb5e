"""Reports of one's own on DynamoDB: what stands in the tables, and what becomes of who cannot count one."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.aws.test_dynamodb_store import tables
from tests.contract.test_definitions import check, count_all, fill, purchases, report_of
from tests.e2e import test_own_reports as own_reports
from tests.e2e.http_server import client, serving
from tests.unit.test_sqlite_definitions import TABLES

from tillroll.core import definition as definitions
from tillroll.core.definition import define
from tillroll.errors import LaterFormatError
from tillroll.stores.dynamodb import counting
from tillroll.stores.dynamodb import definitions as definitions_module
from tillroll.stores.dynamodb import fold as fold_module
from tillroll.stores.dynamodb import state as state_module

if TYPE_CHECKING:
    from pathlib import Path

    from tests.aws.test_dynamodb_store import Tables

pytestmark = pytest.mark.slow
__all__ = ["tables"]


def read(tables: Tables, datapoint: str) -> dict[str, Any]:
    found = tables.boto.get_item(TableName=tables.names[0], Key={"datapoint": {"S": datapoint}})
    return dict(found.get("Item", {}))


def test_the_table_says_which_version_a_frontend_is_to_read(tables: Tables) -> None:
    store = tables.store()
    fill(store, purchases(40))
    store.apply([define(TABLES[1])])
    count_all(store)
    said = read(tables, "|everything|")
    assert (said["version"], said["events"], said["amount"]) == ({"N": "1"}, {"N": "0"}, {"N": "0"})
    assert read(tables, "|everything.1|")["events"] == {"N": "40"}
    store.apply([define(TABLES[1] | {"where": {"method": ["PAY_NOW"]}})])
    assert read(tables, "|everything|")["version"] == {"N": "1"}
    count_all(store)
    assert read(tables, "|everything|")["version"] == {"N": "2"}
    assert not read(tables, "|everything.1|")
    store.drop("everything")
    assert read(tables, "|everything|")["version"] == {"N": "0"}
    count_all(store)
    assert not read(tables, "|everything.2|")


def test_a_definition_of_a_later_format_stops_the_folds_and_not_the_journal(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, older = tables.store(), tables.store()
    events = purchases(60)
    fill(store, events)
    store.fold()
    with monkeypatch.context() as patched:
        patched.setattr(definitions, "FORMAT", 2)
        store.apply([definitions.Definition(format=2, name="later", title="Later", by=("method",))])
    with pytest.raises(LaterFormatError, match="a later tillroll defined later in a format that"):
        older.count_some(1.0)
    fill(older, purchases(10, seed=2))
    definitions_module._report.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(definitions, "FORMAT", 2)
        count_all(store)
    definitions_module._report.cache_clear()
    with pytest.raises(LaterFormatError):
        older.fold()
    assert older.catalogue().get("later") is None
    assert older.status().events == 70


def test_the_position_is_right_while_another_process_has_other_folders_take_over(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = tables.store(), tables.store()
    fill(store, purchases(40))
    store.fold()
    folded, read_folders = store.status().folded_position, state_module._folders
    assert folded
    left = [TABLES[0], TABLES[3]]

    def late(context: Any, group: Any) -> Any:
        if left:
            other.apply([define(left.pop())])
            count_all(other)
        return (yield from read_folders(context, group))

    monkeypatch.setattr(state_module, "_folders", late)
    assert store.status().folded_position >= folded
    left.append(TABLES[4])
    assert store.audit().differences == []
    assert not left


def test_counters_of_many_slices_and_small_turns_are_exact(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tillroll.stores.dynamodb.fold._SLICE_EVENTS", 20)
    monkeypatch.setattr("tillroll.stores.dynamodb.fold._UPDATES_AT_ONCE", 7)
    monkeypatch.setattr("tillroll.stores.dynamodb.fold._UPDATES_AT_ONCE_MAX", 7)
    monkeypatch.setattr("tillroll.stores.dynamodb.store._COUNT_S_MIN", 0.05)
    store = tables.store()
    events = purchases(40)
    fill(store, events)
    store.apply([define(TABLES[2]), define(TABLES[3])])
    seen, turns = [0], 0
    while store.count_some(0.0):
        turns += 1
        seen += [min(state.position for state in store.report_states() if state.report.is_own)]
    assert turns > 2
    assert seen == sorted(seen)
    store.fold()
    check(store, events, ["weekdays", "months"])
    assert store.audit().differences == []
    assert report_of(store, "months").version == 1


def test_a_server_on_dynamodb_makes_counts_changes_and_drops_a_report(tables: Tables, tmp_path: Path) -> None:
    address = tables.local.address(tables.names)
    credentials = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_EC2_METADATA_DISABLED": "true"}
    flags = ("--data", address, "--freshness-s", "1")
    with serving(tmp_path, *flags, **own_reports.settings(), **credentials) as running, client(running) as http:

        def see(right: dict[str, tuple[int, int]]) -> None:
            """Wait for what is as fresh as the five; no amount of waiting makes a wrong count right."""
            until = time.monotonic() + 60
            while (found := own_reports.shown(http)) != right and time.monotonic() < until:
                assert sum(events for events, _ in found.values()) <= sum(events for events, _ in right.values())
                time.sleep(0.2)
            assert found == right

        events = own_reports.make_change_and_drop(http, see, (40, 30, 20))
    found = tables.store().audit()
    assert (found.differences, found.events) == ([], events)


def test_a_version_that_lags_is_audited_up_to_where_it_is_counted(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_module, "_UPDATES_AT_ONCE", 2)
    monkeypatch.setattr(fold_module, "_UPDATES_AT_ONCE_MAX", 2)
    store = tables.store()
    fill(store, purchases(200))
    store.fold()
    store.apply([define(TABLES[0])])
    fill(store, purchases(50, seed=2))
    store.fold()
    more = iter([True] * 20)
    store.client.run(counting.count_some(store.context, partial(next, more, False)))
    (state,) = [each for each in store.report_states() if each.report.is_own]
    assert (state.readable, store.audit().differences) == (False, [])
    found = tables.boto.scan(TableName=tables.names[0])["Items"]
    some = next(item for item in found if item["datapoint"]["S"].startswith("|local-days.1|"))
    wrong: dict[str, Any] = {**some, "events": {"N": str(int(str(some["events"]["N"])) + 1)}}
    tables.boto.put_item(TableName=tables.names[0], Item=wrong)
    (difference,) = store.audit(repair=True).differences
    assert (difference.subject, difference.stored) == (some["datapoint"]["S"], int(wrong["events"]["N"]))
    assert store.audit().differences == []
    count_all(store)
    check(store, [*purchases(200), *purchases(50, seed=2)], ["local-days"])
    assert store.audit().differences == []
