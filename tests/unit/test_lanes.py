"""Lanes of a minute on DynamoDB are chosen under a secret; those of 0.1.0 are still found; it cannot read ours."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from tests.old_hash import colliding_ids

from tillroll.core.batch import Identity, NameKind
from tillroll.stores.dynamodb.commit import lane_of
from tillroll.stores.dynamodb.schema import Lanes, LedgerEntry

OURS = Lanes(7, "4/000102030405060708090a0b0c0d0e0f")


class Before(msgspec.Struct, array_like=True):
    """What 0.1.0 takes for lanes."""

    first_minute: int
    lanes: int


def named(value: str, kind: NameKind = NameKind.ID, position: int = 0) -> Identity:
    return Identity(420, 5, kind, value, position)


def test_lanes_of_0_1_0_are_found_where_it_put_them() -> None:
    entry = msgspec.json.decode(b'{"events": 3, "lanes": [[5, 4], [9, 16]]}', type=LedgerEntry)
    assert [(each.lanes, each.key) for each in entry.lanes] == [(4, None), (16, None)]
    assert [entry.lanes_of(minute).lanes for minute in (4, 5, 8, 9)] == [1, 4, 4, 16]
    lanes = entry.lanes_of(9)  # hashes of 0.1.0, from its own tests
    assert lane_of(named("order-1", NameKind.KEY, 7), 0, lanes) == 2_762_638_413_766_210_442 % 16
    uuid = "1bb53ed1-787b-4543-9def-ea18eef7902e"
    assert lane_of(named(uuid, NameKind.FILE, 2**64 - 1), 0, lanes) == 692_784_196_394_426_551 % 16


def test_ids_that_were_chosen_for_one_lane_are_in_all() -> None:
    ids = colliding_ids(2)
    before = Counter(lane_of(named(each), 0, Lanes(7, 4)) for each in ids)
    now = Counter(lane_of(named(each), 0, OURS) for each in ids)
    assert len(before) == 1
    assert len(now) == 4
    assert min(now.values()) > len(ids) / 8


def test_an_older_program_refuses_a_ledger_with_secrets() -> None:
    written = msgspec.json.encode(LedgerEntry(lanes=(OURS,)))
    assert msgspec.json.decode(written, type=LedgerEntry).lanes == (OURS,)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode([OURS]), type=list[Before])
