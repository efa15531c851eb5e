"""What every store gives back of its journal: each event once, in order, with its name, and positions to go on from."""

from __future__ import annotations

import json
from array import array
from typing import TYPE_CHECKING, Any

import pytest
from tests.batches import batch_of
from tests.contract.test_store import check

from tillroll.core import export
from tillroll.core.batch import UNNAMED, Event, NameKind, Source
from tillroll.core.export import ALL_EVENTS, Chosen
from tillroll.core.identity import without_id
from tillroll.errors import StoreError
from tillroll.ports import Outcome
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.conftest import Bench

    from tillroll.ports import Store

NOON = 1_322_913_600
BODIES = [
    (Source(NameKind.KEY, "k|1"), 3),
    (UNNAMED, 2),
    (Source(NameKind.MESSAGE, 'm"\\'), 0),
    (Source(NameKind.FILE, "/a/file"), 7),
    (UNNAMED, 0),
]


def events(body: int, count: int = 4) -> list[Event]:
    return [
        Event(
            NOON + 40 * index + body,
            5 * 10**8 * (index % 2),
            index,
            index % 3,
            f"m{index % 2}",
            "o1" if index == 3 else "",
        )
        for index in range(count)
    ]


def journaled(store: Store) -> list[Event]:
    for body, (source, first) in enumerate(BODIES):
        store.journal(batch_of(events(body), source, first))
    return [event for body in range(len(BODIES)) for event in events(body)]


def lines(store: Store, after: int = 0, upto: int | None = None, chosen: Chosen = ALL_EVENTS) -> list[dict[str, Any]]:
    return [line for part, _ in parts(store, after, upto, chosen) for line in part]


def parts(
    store: Store, after: int = 0, upto: int | None = None, chosen: Chosen = ALL_EVENTS
) -> Iterator[tuple[list[dict[str, Any]], int]]:
    for part in store.read(after, upto, chosen):
        yield [json.loads(line) for line in b"".join(export.ndjson(part.batch)).splitlines()], part.position


def test_every_event_comes_out_once_with_the_fields_it_had(store: Store) -> None:
    expected = journaled(store)
    out = lines(store)
    assert sorted((line["date"], line["amount"]) for line in out) == sorted(
        (f"2011-12-03T12:0{(e.seconds - NOON) // 60}:{e.seconds % 60:02}{'.5' if e.nanos else ''}Z", e.amount)
        for e in expected
    )
    assert [line.get("id") for line in out].count("o1") == len(BODIES)


def test_an_event_carries_the_name_by_which_a_repeat_is_known(store: Store) -> None:
    journaled(store)
    names = [line["_name"] for line in lines(store)]
    assert len(names) == 4 * len(BODIES)
    assert names.count("id:o1") == len(BODIES)
    assert {"key:3:k|1", "key:4:k|1", 'message:0:m"\\', "file:7:/a/file", "file:9:/a/file"} <= set(names)
    unnamed = [name for name in names if ":journal:" in name]
    assert len(set(unnamed)) == len(unnamed) == 6


def test_a_name_that_the_journal_gives_is_always_the_same(bench: Bench) -> None:
    store = bench.open()
    journaled(store)
    assert lines(store) == lines(bench.open())


def test_every_position_is_one_to_go_on_from(store: Store) -> None:
    journaled(store)
    whole = list(parts(store))
    assert whole[-1][1] == store.status().journal_position
    before: list[dict[str, Any]] = []
    reached = 0
    for part, position in whole:
        before += part
        if position > reached:
            assert lines(store, reached, position) + lines(store, position) == lines(store, reached)
            assert lines(store, 0, position) == before
        reached = position
    assert lines(store, whole[-1][1]) == []


def test_only_what_is_chosen_comes_out(store: Store) -> None:
    journaled(store)
    every = lines(store)
    chosen = Chosen(NOON + 40, NOON + 120, frozenset({"m1"}))
    wanted = [line for line in every if NOON + 40 <= NOON + 40 * line["amount"] < NOON + 120]
    out = list(parts(store, chosen=chosen))
    assert [line for part, _ in out for line in part] == [line for line in wanted if line["merchantId"] == "m1"]
    assert out[-1][1] == store.status().journal_position
    assert lines(store, chosen=Chosen(stop=NOON)) == lines(store, chosen=Chosen(merchants=frozenset({"m9"}))) == []


def test_an_empty_journal_gives_nothing(store: Store) -> None:
    assert lines(store) == []


def test_a_position_past_the_end_is_refused(store: Store) -> None:
    journaled(store)
    end = store.status().journal_position
    with pytest.raises(StoreError):
        lines(store, end + 1)
    with pytest.raises(StoreError):
        lines(store, 0, end + 1)


def test_what_comes_while_it_is_read_is_left_for_the_next(store: Store) -> None:
    journaled(store)
    reading = parts(store)
    first, _ = next(reading)
    store.journal(batch_of(events(9), Source(NameKind.KEY, "late")))
    out = first + [line for part, _ in reading for line in part]
    assert len(out) == 4 * len(BODIES)


def test_a_damaged_journal_is_not_exported(real_bench: Bench) -> None:
    journaled(real_bench.open())
    real_bench.flip_bit()
    with pytest.raises(StoreError):
        lines(real_bench.open())


def test_a_chunk_that_is_missing_is_not_passed_over(real_bench: Bench) -> None:
    journaled(real_bench.open())
    real_bench.lose_chunk()
    with pytest.raises(StoreError):
        lines(real_bench.open())


def test_what_came_out_is_its_own_duplicate(store: Store) -> None:
    expected = journaled(store)
    for part in list(store.read()):
        if len(part.batch):
            assert set(store.journal(part.batch)) == {Outcome.DUPLICATE}
    check(store, expected)


def test_another_store_takes_it_once_and_names_everything_as_the_first_did(store: Store, tmp_path: Path) -> None:
    expected = journaled(store)
    other = SqliteStore(tmp_path / "other")
    for outcome in (Outcome.ACCEPTED, Outcome.DUPLICATE):
        for part in store.read():
            if len(part.batch):
                assert set(other.journal(part.batch)) == {outcome}
    check(other, expected)
    assert sorted(map(str, lines(other))) == sorted(map(str, lines(store)))
    other.close()


def test_what_the_journal_named_and_somebody_changed_is_a_conflict(store: Store) -> None:
    journaled(store)
    for part in list(store.read()):
        changed = part.batch.masked(
            bytes(run.source.value.startswith("journal:") for run in part.batch.runs for _ in range(run.events))
        )
        changed = changed.masked(without_id(changed, array("I", range(len(changed)))))
        if len(changed):
            changed.amounts = array("q", [amount + 1 for amount in changed.amounts])
            assert set(store.journal(changed)) == {Outcome.CONFLICT}
