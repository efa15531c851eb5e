"""Repeats of every kind, by every name, in batches of many: what every store says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.batches import batch_of

from tillroll.core.batch import UNNAMED, BatchBuilder, Event, NameKind, Source
from tillroll.ports import Outcome

if TYPE_CHECKING:
    from tillroll.core.batch import Batch
    from tillroll.ports import Store

COUNT = 240
NOON = 1_322_913_600
NAMES = {
    "id": UNNAMED,
    "key": Source(NameKind.KEY, "k"),
    "message": Source(NameKind.MESSAGE, "m"),
    "line": Source(NameKind.FILE, "f"),
    "id in a file": Source(NameKind.FILE, "g"),
}
CHANGES: tuple[dict[str, object], ...] = ({"amount": 9}, {"method": 2}, {"merchant": "another"})
ACCEPTED, DUPLICATE, CONFLICT = (bytes([each]) for each in Outcome)


def event(position: int, name: str) -> Event:
    own = f"order {position}" if name.startswith("id") else ""
    return Event(NOON + position % 7, position % 3, 100 + position, position % 2, f"m{position % 5}", own)


def events(first: int, name: str, count: int = COUNT) -> list[Event]:
    return [event(position, name) for position in range(first, first + count)]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def batch(some: list[Event], name: str, first: int = 0) -> Batch:
    return batch_of(some, NAMES[name], first)


def test_a_batch_again_is_all_duplicates(store: Store, name: str) -> None:
    assert store.journal(batch(events(0, name), name)) == ACCEPTED * COUNT
    assert store.journal(batch(events(0, name), name)) == DUPLICATE * COUNT


def test_half_repeats_and_half_new_are_told_apart(store: Store, name: str) -> None:
    half = COUNT // 2
    store.journal(batch(events(0, name), name))
    assert store.journal(batch(events(half, name), name, half)) == DUPLICATE * half + ACCEPTED * half
    assert store.journal(batch(events(half, name), name, half)) == DUPLICATE * COUNT


def test_another_amount_method_or_merchant_is_a_conflict(store: Store, name: str) -> None:
    store.journal(batch(events(0, name), name))
    again = events(0, name)
    for at, change in zip((3, 101, 239), CHANGES, strict=True):
        again[at] = msgspec.structs.replace(again[at], **change)
    expected = bytearray(DUPLICATE * COUNT)
    expected[3] = expected[101] = expected[239] = Outcome.CONFLICT
    assert store.journal(batch(again, name)) == bytes(expected)
    assert store.journal(batch(events(0, name), name)) == DUPLICATE * COUNT


def test_another_instant_is_another_event(store: Store, name: str) -> None:
    store.journal(batch(events(0, name), name))
    again = [msgspec.structs.replace(each, nanos=each.nanos + 7) for each in events(0, name)]
    assert store.journal(batch(again, name)) == ACCEPTED * COUNT
    assert store.journal(batch(again, name)) == DUPLICATE * COUNT


def test_repeats_inside_a_batch_are_judged_by_the_first(store: Store, name: str) -> None:
    builder = BatchBuilder()
    for turn in range(3):
        for position, each in enumerate(events(0, name, 60)):
            changed = msgspec.structs.replace(each, amount=9) if turn and position % 10 == 0 else each
            builder.add(changed, NAMES[name], position)
    repeated = (CONFLICT + DUPLICATE * 9) * 6
    assert store.journal(builder.build()) == ACCEPTED * 60 + repeated * 2


def test_one_name_at_many_instants_of_a_minute_is_many_events(store: Store) -> None:
    many = [Event(NOON + at % 60, at, 100, 0, "m", "the same id") for at in range(COUNT)]
    assert store.journal(batch_of(many)) == ACCEPTED * COUNT
    assert store.journal(batch_of(many)) == DUPLICATE * COUNT


def test_kinds_of_names_do_not_meet(store: Store) -> None:
    for kind in ("key", "message", "line"):
        source = Source(NAMES[kind].kind, "the same")
        assert store.journal(batch_of(events(0, kind), source)) == ACCEPTED * COUNT
    same = [msgspec.structs.replace(each, id="the same") for each in events(0, "key", 5)]
    assert store.journal(batch_of(same)) == ACCEPTED * 5
