"""A file goes into the tables in order of date, so that a minute is written once, and as fast as it may."""

from __future__ import annotations

import io
import itertools
import json
import random
import time
from typing import TYPE_CHECKING

import pytest
from bench.billing import bill
from tests.oracle import events_of

from tillroll.core import kernel, limits
from tillroll.core.batch import NameKind, Source
from tillroll.core.kept import Keep
from tillroll.core.query import Query
from tillroll.core.report import FIVE
from tillroll.ingest import by_date, files
from tillroll.ingest.by_date import Pace
from tillroll.ingest.field_watch import FieldWatch
from tillroll.ingest.files import Input, Tally, import_events, read_ahead
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.aws.dynamodb_local import DynamoDBLocal

    from tillroll.ports import Store
    from tillroll.stores.dynamodb.store import DynamoDBStore

EVENTS, MINUTES = 1_500, 30
FIELDS = FieldWatch(Keep(("country",)))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a large file has them: a hundred events in a stretch."""
    monkeypatch.setattr(files, "_BLOCK_BYTES", 16_384)
    monkeypatch.setattr(files, "_BLOCK_BYTES_FIRST", 256)
    monkeypatch.setattr(files, "HEAD_BYTES", 64)
    monkeypatch.setattr(limits, "LINE_BYTES_MAX", 400)
    monkeypatch.setattr(kernel, "compiled", False)  # it has the bound for its own


def purchases() -> bytes:
    """Return purchases of half an hour in any order: some with an id, kept fields, one of those too long, bad lines."""
    draw = random.Random(7)
    lines = []
    for number in range(EVENTS):
        minute, second = draw.randrange(MINUTES), draw.randrange(60)
        event = {
            "date": f"2011-12-03T10:{minute:02}:{second:02}Z",
            "amount": draw.randrange(100_000),
            "paymentMethod": draw.choice(("PAY_NOW", "PAY_LATER", "SLICE_IT")),
            "merchantId": f"m-{draw.randrange(20)}",
            "country": draw.choice(("SE", "DE", "x" * 300 if number == 77 else "NL")),
        }
        if number % 9 == 0:
            event["id"] = f"id-{number}"
        lines.append("no event" if number % 100 == 50 else json.dumps(event))
    return "\n".join(lines).encode()


def imported(store: Store, text: bytes, pace: Pace | None = None) -> Tally:
    content = Input("till", io.BufferedReader(io.BytesIO(text)))
    with read_ahead(content, Source(NameKind.FILE, "till"), lambda: 2e9, FIELDS) as stretches:
        return import_events(store, stretches, time.time, fields=FIELDS, pace=pace)


def reports(store: Store) -> list[dict[str, int]]:
    return [events_of(store.page(Query(report=report, limit=1_000)).aggregates) for report in FIVE]


def test_a_minute_is_written_once_in_order_of_date(dynamodb_local: DynamoDBLocal, tmp_path: Path) -> None:
    text, units, found = purchases(), [], []
    for in_order in (True, False):
        store: DynamoDBStore = dynamodb_local.store(dynamodb_local.create_tables(), time.time, freshness_s=3_600)
        if not in_order:
            del store.writes_minutes
        billed = bill(store.client)
        tally = imported(store, text)
        assert (tally.counts.accepted, tally.counts.rejected, tally.counts.duplicates) == (1_485, 15, 0)
        units.append(billed.writes["TransactWrite"])
        found.append(reports(store))
        if in_order:
            assert imported(store, text).counts.duplicates == 1_485
            changed = imported(store, text.replace(b'"amount": 1', b'"amount": 7'))
            assert changed.counts.conflicts > 100
            bodies = {
                each.rejection.body for each in store.rejected(limit=1_000) if each.rejection.reason.code == "conflict"
            }
            assert bodies <= set(text.replace(b'"amount": 1', b'"amount": 7').split(b"\n"))
            assert len(bodies) == changed.counts.conflicts
            audit = store.audit()
            assert audit.differences == []
        store.close()
    embedded = SqliteStore(tmp_path / "data")
    imported(embedded, text)
    assert found == [reports(embedded)] * 2
    embedded.close()
    in_order_units, as_it_comes = units
    assert in_order_units < as_it_comes / 4
    assert in_order_units < 2 * (3 * MINUTES + 20)  # a transaction's write is billed twice; chunks of 50 events


def test_windows_and_pieces_hold_whole_minutes(dynamodb_local: DynamoDBLocal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_date, "WINDOW_EVENTS", 700)
    store = dynamodb_local.store(dynamodb_local.create_tables(), time.time, freshness_s=3_600)
    slept: list[float] = []
    tally = imported(store, purchases(), Pace(120, lambda: 0.0, slept.append))
    assert tally.counts.accepted == 1_485
    assert slept[-1] == pytest.approx(1_485 / 120)
    assert max(later - sooner for sooner, later in itertools.pairwise(slept)) <= 1.0
    store.close()


def test_a_pace_is_kept_over_any_length_of_time() -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    pace = Pace(100, lambda: now, sleep)
    for _ in range(20):
        pace.spend(50)
        now += 0.1  # what it took to write them
    assert now == pytest.approx(10, abs=0.2)
