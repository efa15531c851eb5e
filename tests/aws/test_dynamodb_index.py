"""The indexes that list datapoints: by shard, and beside it that of 0.1.0 until it is dropped; on DynamoDB Local."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.aws.tables import AGGREGATES_TABLE
from tests.aws.test_dynamodb_store import Tables, between, tables
from tests.batches import batch_of
from tests.contract.test_store import KEY, NOON, check
from tests.oracle import REPORTS

from tillroll.core.batch import Event
from tillroll.core.query import Query
from tillroll.errors import StoreError
from tillroll.stores.dynamodb.calls import Call, QueryIndex
from tillroll.stores.dynamodb.schema import INDEX, OLD_INDEX, SHARDS, shard_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tillroll.stores.dynamodb.store import DynamoDBStore

__all__ = ["tables"]
OLD: dict[str, Any] = {
    "IndexName": OLD_INDEX,
    "KeySchema": [
        {"AttributeName": "report", "KeyType": "HASH"},
        {"AttributeName": "datapoint", "KeyType": "RANGE"},
    ],
    "Projection": {"ProjectionType": "KEYS_ONLY"},
}
REPORT_KEY: dict[str, Any] = {"AttributeName": "report", "AttributeType": "S"}
DATAPOINT_KEY: dict[str, Any] = {"AttributeName": "datapoint", "AttributeType": "S"}
EVENTS = [Event(NOON + number * 3_600, 0, 1_000, 0, f"merchant {number % 40}", f"id {number}") for number in range(60)]


def recreate(tables: Tables, *, old: bool, new: bool) -> None:
    """Make the aggregates table anew, with the index of 0.1.0, ours, or both."""
    name = f"{tables.names[0]}-anew"
    schema = dict(AGGREGATES_TABLE)
    schema["GlobalSecondaryIndexes"] = [*([OLD] if old else []), *(schema["GlobalSecondaryIndexes"] if new else [])]
    keys = schema["AttributeDefinitions"] if new else [DATAPOINT_KEY]
    schema["AttributeDefinitions"] = [*keys, *([REPORT_KEY] if old else [])]
    tables.boto.create_table(TableName=name, **schema)
    tables.names = (name, tables.names[1])


def as_before_shards(tables: Tables) -> None:
    """Take from every counter, and from the state, what a release without shards does not write."""
    name = tables.names[0]
    for page in tables.boto.get_paginator("scan").paginate(TableName=name):
        for item in page["Items"]:
            gone = "shards" if item["datapoint"]["S"] == "#fold" else "shard"
            tables.boto.update_item(
                TableName=name,
                Key={"datapoint": item["datapoint"]},
                UpdateExpression="REMOVE #x",
                ExpressionAttributeNames={"#x": gone},
            )


def listed_by(store: DynamoDBStore) -> set[bool]:
    """Note whether the indexes that are asked are by shard."""
    seen: set[bool] = set()

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if isinstance(call, QueryIndex):
            seen.add(call.shard is not None)
        return make()

    between(store, befall)
    return seen


def test_a_report_is_spread_over_all_shards_whatever_folds_it() -> None:
    shards = Counter(shard_of("day-merchant", f"2011-12-03|{number}") for number in range(16_000))
    assert len(shards) == SHARDS
    assert max(shards.values()) < 1_250


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_pages_are_in_order_and_whole_over_all_shards(tables: Tables, limit: int) -> None:
    store = tables.store()
    store.journal(batch_of(EVENTS if limit > 1 else EVENTS[:12], KEY))
    store.fold()
    by_shard = listed_by(store)
    for name in ("day-merchant", "hour-bracket"):
        report = next(each for each in REPORTS if each.name == name)
        expected = store.page(Query(report=report, limit=10_000, totals=True)).aggregates
        found: list[Any] = []
        after: str | None = None
        while True:
            page = store.page(Query(report=report, limit=limit, after=after))
            found += page.aggregates
            if page.next is None:
                break
            after = page.next
        assert found == list(expected)
    assert by_shard == {True}


def test_tables_of_0_1_0_are_listed_by_its_index_until_all_is_counted_again(tables: Tables) -> None:
    recreate(tables, old=True, new=True)
    tables.store().journal(batch_of(EVENTS[:30], KEY))
    tables.store().fold()
    as_before_shards(tables)
    store = tables.store()
    by_shard = listed_by(store)
    store.journal(batch_of(EVENTS[30:], KEY, 30))
    store.fold()
    check(store, EVENTS)
    assert by_shard == {False}
    by_shard.clear()
    store.rebuild()
    check(store, EVENTS)
    assert by_shard == {True}


def test_an_old_index_dropped_too_early_is_an_error_and_never_a_part_of_the_truth(tables: Tables) -> None:
    tables.store().journal(batch_of(EVENTS, KEY))
    tables.store().fold()
    as_before_shards(tables)
    store = tables.store()
    store.journal(batch_of([Event(NOON, 0, 1, 0, "one more", "one more")]))
    store.fold()
    report = next(each for each in REPORTS if each.name == "day-merchant")
    for read in (lambda: store.merchants("m", 10), lambda: store.page(Query(report=report))):
        with pytest.raises(StoreError, match=f"{INDEX} does not list all.*tillroll rebuild"):
            read()
    store.rebuild()
    assert len(store.merchants("m", 100)) == 41


def test_a_table_without_our_index_yet_is_listed_by_the_old_one(tables: Tables) -> None:
    recreate(tables, old=True, new=False)
    store = tables.store()
    store.journal(batch_of(EVENTS, KEY))
    check(store, EVENTS)


def test_a_fold_that_was_killed_in_a_recount_leaves_the_listing_to_the_old_index(tables: Tables) -> None:
    recreate(tables, old=True, new=True)
    tables.store().journal(batch_of(EVENTS, KEY))
    tables.store().fold()
    as_before_shards(tables)
    dying = tables.store()
    chance = random.Random(1)

    def befall(call: Call, make: Callable[[], Any]) -> Any:
        if type(call).__name__ == "Count" and chance.random() < 0.05:
            raise KeyboardInterrupt
        return make()

    between(dying, befall)
    with pytest.raises(KeyboardInterrupt):
        dying.rebuild()
    store = tables.store()
    by_shard = listed_by(store)
    assert len(store.merchants("m", 100)) == 40
    assert by_shard == {False}
    store.fold()
    by_shard.clear()
    check(store, EVENTS)
    assert by_shard == {True}
