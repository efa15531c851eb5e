"""The merchants of the embedded store: one list of names for a process, of which each transaction sees its own."""

from __future__ import annotations

import tracemalloc
from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.batches import batch_of
from tests.oracle import REPORTS

from tillroll.core import kernel
from tillroll.core.batch import Event
from tillroll.core.query import Aggregate, Query
from tillroll.errors import StoreError
from tillroll.stores.sqlite import schema
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from tillroll.core.batch import Batch

NOON = 1_767_268_800
BY_METHOD = Query(report=REPORTS["merchant-method"])


def purchases(names: list[str]) -> Batch:
    return batch_of([Event(NOON, 0, 1_000, 0, name) for name in names])


def counted(store: SqliteStore) -> list[Aggregate]:
    return store.page(BY_METHOD).aggregates


def of(*names: str) -> list[Aggregate]:
    return [Aggregate(f"{name}|PAY_NOW", 1, 1_000) for name in sorted(names)]


def test_a_transaction_sees_no_merchant_of_a_later_one(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.journal(purchases(["a", "c"]))
    with store._read() as reader:
        before = reader.page(BY_METHOD)
        store.journal(purchases(["b"]))
        store.fold()
        assert counted(store) == of("a", "b", "c")
        assert reader.page(BY_METHOD) == before
        assert before.aggregates == of("a", "c")
        assert reader.dictionaries.merchants.search("b", 5) == []
    assert store.merchants("b", 5) == ["b"]
    store.close()


def test_numbers_of_a_transaction_that_failed_are_given_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = SqliteStore(tmp_path), SqliteStore(tmp_path)
    store.journal(purchases(["a"]))
    with monkeypatch.context() as patch:
        patch.setattr(store._commits, "_clock", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.journal(purchases(["lost"]))
        patch.setattr(store._writer.unfolded, "extend", lambda *_: 1 / 0)
        patch.setattr(store._commits, "_clock", lambda: 1.0)
        with pytest.raises(ZeroDivisionError):  # after its merchants were numbered
            store.journal(purchases(["lost", "too"]))
    other.journal(purchases(["b"]))
    assert counted(store) == counted(other) == of("a", "b")
    store.journal(purchases(["lost"]))
    other.journal(purchases(["c"]))
    store.fold()
    assert counted(store) == counted(other) == of("a", "b", "c", "lost")
    assert store.audit().differences == []
    store.close()
    other.close()


def test_a_rebuild_renumbers_for_who_comes_after(tmp_path: Path) -> None:
    store, other = SqliteStore(tmp_path), SqliteStore(tmp_path)
    store.journal(purchases(["a", "b"]))
    assert counted(other) == of("a", "b")
    with other._read() as reader:
        store.rebuild()
        store.journal(purchases(["c"]))
        assert counted(other) == of("a", "b", "c")
        assert reader.page(BY_METHOD).aggregates == of("a", "b")
    assert counted(other) == of("a", "b", "c")
    store.close()
    other.close()


@pytest.mark.parametrize("change", ["DELETE FROM merchant WHERE id = 0", "UPDATE merchant SET name = 'x' WHERE id = 1"])
def test_a_name_that_was_changed_is_an_error_until_it_is_put_back(tmp_path: Path, change: str) -> None:
    store = SqliteStore(tmp_path)
    store.journal(purchases(["a", "b", "c"]))
    store.close()
    hand = schema.connect(tmp_path / schema.FILE_NAME)
    kept = hand.execute("SELECT id, name FROM merchant").fetchall()
    hand.execute(change)
    store = SqliteStore(tmp_path)
    for _ in range(2):
        with pytest.raises(StoreError, match="merchant"):
            counted(store)
    hand.executemany("INSERT OR REPLACE INTO merchant VALUES (?, ?)", kept)
    assert counted(store) == of("a", "b", "c")
    hand.close()
    store.close()


@pytest.mark.skipif(not kernel.compiled, reason="the kernel is not compiled")
@pytest.mark.parametrize("order", ["datapoint", "-events"])
def test_a_page_makes_no_object_for_a_merchant_it_does_not_show(tmp_path: Path, order: str) -> None:
    store = SqliteStore(tmp_path)
    source = Random(3)
    store.journal(purchases([f"{source.random()}" for _ in range(50_000)]))
    store.fold()
    query = Query(report=BY_METHOD.report, order=order, limit=10)  # type: ignore[arg-type]
    totals = store.page(query).totals
    assert totals is not None
    assert totals[:2] == (50_000, 50_000)
    tracemalloc.start()
    store.page(query)
    store.merchants("77", 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    store.close()


def test_a_search_folds_case_in_any_script(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    names = [
        "Stra\u00dfe",
        "STRASSE 2",
        "a stra\u00dfe",
        "\u0391\u03b8\u03ae\u03bd\u03b1",
        "\u212aiosk",
        "kiosk",
        "Zebra",
    ]
    store.journal(purchases(names))
    assert store.merchants("strasse", 9) == ["STRASSE 2", "Stra\u00dfe", "a stra\u00dfe"]
    assert store.merchants("STRA\u00dfE", 2) == ["STRASSE 2", "Stra\u00dfe"]
    assert store.merchants("\u03b8\u03ae", 9) == ["\u0391\u03b8\u03ae\u03bd\u03b1"]
    assert store.merchants("KIOSK", 9) == ["kiosk", "\u212aiosk"]
    assert store.merchants("", 3) == ["STRASSE 2", "Stra\u00dfe", "Zebra"]
    store.close()
