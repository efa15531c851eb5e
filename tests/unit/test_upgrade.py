"""A file that an earlier release wrote is brought to today's form, whole, at the first opening.

The stored file was written by 0.1.0: an import of 3,000 lines of 1,500 merchants, twenty bodies under a key with ids
and a bad event each, a fold, and 40 events after it.
"""

from __future__ import annotations

import gzip
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from tests.batches import batch_of
from tests.counted import count_datapoints
from tests.oracle import REPORTS

from tillroll.core.batch import Event, NameKind, Source
from tillroll.core.query import Query
from tillroll.core.report import FIVE
from tillroll.errors import CountingError, StoreError
from tillroll.ports import Outcome
from tillroll.stores.sqlite import schema, upgrade
from tillroll.stores.sqlite.store import SqliteStore

STORED = Path(__file__).parent / "stored"
NOON = 1_322_913_600  # 2011-12-03T12:00:00Z
IMPORT = Source(NameKind.FILE, "november.ndjson")
LATE = Source(NameKind.KEY, "late")


def purchases(count: int, merchants: int, start: int = 0) -> list[Event]:
    return [
        Event(NOON + 977 * i, i % 3, i * 7919 % 60_000, i % 3, f"m{i % merchants}") for i in range(start, start + count)
    ]


def shop_purchases() -> list[Event]:
    ten = NOON + 22 * 3_600  # 2011-12-04T10:00:00Z
    return [
        Event(ten + i % 10 * 3_600 + 930 + j, 0, 1_000 * j, 0, f"shop {i % 4}", f"p{i * 5 + j}")
        for i in range(20)
        for j in range(5)
    ]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / schema.FILE_NAME
    path.write_bytes(gzip.decompress((STORED / "sqlite-0.1.0.db.gz").read_bytes()))
    return tmp_path


def test_a_file_of_0_1_0_keeps_its_counts_its_names_and_its_rejected(written: Path) -> None:
    store = SqliteStore(written)
    everything = [*purchases(3_000, 1_500), *shop_purchases(), *purchases(40, 7, 5_000)]
    expected = count_datapoints([batch_of(everything)])
    assert store.status().events == len(everything)
    for report in REPORTS:
        page = store.page(Query(report=report, limit=100_000))
        assert page.aggregates
        found = {row.datapoint: row.events for row in page.aggregates}
        assert {datapoint: expected[datapoint] for datapoint in found} == found
        assert page.totals is not None
        assert page.totals.events == len(everything)
    assert store.audit().differences == []
    assert set(store.journal(batch_of(purchases(3_000, 1_500), IMPORT))) == {Outcome.DUPLICATE}
    assert set(store.journal(batch_of(shop_purchases()))) == {Outcome.DUPLICATE}
    assert set(store.journal(batch_of(purchases(40, 7, 5_000), LATE))) == {Outcome.DUPLICATE}
    kept = [each.rejection.body for each in store.rejected(limit=100)]
    amounts = [amount for amount in range(-1, -21, -1) if amount != -4]  # that one was settled
    assert kept == [b'{"date":"2011-12-04T10:15:30Z","amount":%d}' % amount for amount in amounts]
    store.journal(batch_of(purchases(10, 7, 9_000)))
    assert store.fold() == len(everything) + 10
    assert store.audit().differences == []
    store.close()


def test_an_upgrade_that_is_interrupted_leaves_the_file_as_it_was(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written / schema.FILE_NAME

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(upgrade, "write_state", killed)
        with pytest.raises(KeyboardInterrupt):
            SqliteStore(written)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert len(connection.execute("SELECT * FROM state").fetchone()) == 6
    connection.close()
    store = SqliteStore(written)
    assert store.audit().differences == []
    store.close()


def test_an_older_program_refuses_a_newer_file(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SqliteStore(written).close()
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
    with pytest.raises(StoreError, match=r"Run the newer tillroll that wrote it"):
        SqliteStore(written)


def amounts_of(events: list[Event]) -> dict[str, int]:
    amounts: Counter[str] = Counter()
    for event in events:
        amounts.update(dict.fromkeys(count_datapoints([batch_of([event])]), event.amount))
    return amounts


def shown(store: SqliteStore, amounts: bool) -> dict[str, tuple[int, int]]:  # noqa: FBT001
    pages = [store.page(Query(report=report, limit=100_000, amounts=amounts)) for report in REPORTS]
    return {row.datapoint: (row.events, row.amount) for page in pages for row in page.aggregates}


def test_amounts_are_counted_beside_traffic_and_until_then_are_an_error(written: Path) -> None:
    store, other = SqliteStore(written), SqliteStore(written)
    everything = [*purchases(3_000, 1_500), *shop_purchases(), *purchases(40, 7, 5_000)]
    expected = count_datapoints([batch_of(everything)])
    asked = {"datapoint": True, "-amount": False}
    at, rounds = 10_000, 0
    while not whole(written):
        store._definitions.stride = other._definitions.stride = 64  # however quick the machine is
        for order, amounts in asked.items():
            with pytest.raises(CountingError, match=r"the amount is being counted: [\d,]+ of [\d,]+ so far"):
                store.page(Query(report=FIVE[0], order=order, amounts=amounts))  # type: ignore[arg-type]
        with pytest.raises(CountingError, match=r"the amount is being counted: [\d,]+ of [\d,]+ so far"):
            store.get(["<10|PAY_NOW"], amounts=True)
        assert store.get(["<10|PAY_NOW"])[0].events
        more = purchases(10, 7, at)
        everything, at, rounds = [*everything, *more], at + 10, rounds + 1
        expected.update(count_datapoints([batch_of(more)]))
        other.journal(batch_of(more))
        other.fold()
        if rounds % 7 == 1:  # and at both ends, and by each of the two in turn
            assert {key: events for key, (events, _) in shown(store, False).items()} == expected
            assert other.audit().differences == []
        (store, other)[rounds % 2].count_some(0.0)
    assert rounds > 30
    assert expected == count_datapoints([batch_of(everything)])
    amounts_expected = amounts_of(everything)
    for each in (store, other):
        assert shown(each, True) == {key: (expected[key], amounts_expected[key]) for key in expected}
    while store.count_some(1.0):
        pass
    assert SEGMENT not in tables(written)
    store.journal(batch_of(purchases(10, 7, at)))
    assert other.audit().differences == store.audit().differences == []
    other.fold()
    assert store.audit().differences == []
    store.close()
    other.close()


@pytest.mark.parametrize("then", ["rebuild", "repair"])
def test_an_upgrade_that_is_under_way_may_be_rebuilt_or_repaired(written: Path, then: str) -> None:
    store = SqliteStore(written)
    store._definitions.stride = 64
    store.count_some(0.0)
    connection = sqlite3.connect(store.path)
    connection.execute("UPDATE segment SET checksum = checksum + 1 WHERE report = 'bracket-method'")
    connection.commit()
    connection.close()
    assert store.audit().differences
    store.rebuild() if then == "rebuild" else store.audit(repair=True)
    assert store.audit().differences == []
    assert store.page(Query(report=FIVE[0], order="-amount")).aggregates
    assert not store.count_some(1.0)
    store.close()


STATEMENTS_OF_0_1_0 = (
    "SELECT events, folded, folded_at, generation FROM state",
    "UPDATE state SET events = 7, folded = 7, folded_at = 7.0",
    "UPDATE state SET folded = 7, folded_at = 7.0",
    "INSERT INTO chunk VALUES (9999, 1, 0, 0, 0.0, x'00')",
    "INSERT OR REPLACE INTO segment VALUES ('hour-bracket', 0, 0, x'00')",
)


def test_a_program_of_0_1_0_that_still_runs_stops_with_an_error_and_harms_nothing(written: Path) -> None:
    still_open = sqlite3.connect(written / schema.FILE_NAME)
    assert still_open.execute("SELECT events FROM state").fetchone() == (3_140,)
    store = SqliteStore(written)
    for statement in STATEMENTS_OF_0_1_0:
        with pytest.raises(sqlite3.OperationalError):
            still_open.execute(statement)
        still_open.rollback()
    still_open.close()
    assert store.audit().differences == []
    store.close()


SEGMENT = "segment"


def tables(directory: Path) -> dict[str, str]:
    connection = sqlite3.connect(directory / schema.FILE_NAME)
    found = dict(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))
    connection.close()
    return found


def whole(directory: Path) -> bool:
    connection = sqlite3.connect(directory / schema.FILE_NAME)
    (counting,) = connection.execute("SELECT count(*) FROM report WHERE state = 'counting'").fetchone()
    connection.close()
    return bool(counting == 0)


def test_an_upgraded_file_has_the_tables_of_a_new_one(written: Path, tmp_path: Path) -> None:
    store = SqliteStore(written)
    while store.count_some(1.0):
        pass
    store.close()
    SqliteStore(tmp_path / "new").close()

    assert tables(written) == tables(tmp_path / "new")
