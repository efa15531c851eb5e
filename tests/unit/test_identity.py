"""Identities: which events are one, and which of these say the same."""

from __future__ import annotations

from array import array

from tests.batches import batch_of

from tillroll.core.batch import UNNAMED, Batch, Event, NameKind, Source
from tillroll.core.identity import compare, identity_rows, named_events, source_at, without_id

KEY = bytes(16)


def event(seconds: int = 60, amount: int = 1, own: str = "", nanos: int = 0) -> Event:
    return Event(seconds, nanos, amount, 0, "m", own)


def pairs(one: Batch, other: Batch) -> list[tuple[bool, bool]]:
    at = array("I", range(len(one)))
    same = compare(one, at, other, at)
    return [(bool(identity), bool(content)) for identity, content in zip(same.identity, same.content, strict=True)]


def test_identity_is_date_and_name_and_content_is_the_rest() -> None:
    one = batch_of([event(own="a")] * 5)
    other = batch_of(
        [event(own="a"), event(own="a", amount=2), event(own="b"), event(61, own="a"), event(own="a", nanos=1)]
    )
    assert pairs(one, other) == [(True, True), (True, False), (False, True), (False, True), (False, True)]


def test_without_an_id_a_name_is_a_place_in_a_source() -> None:
    key, same, another = (Source(NameKind.KEY, value) for value in ("k", "k", "l"))
    one = batch_of([event(), event()], key)
    assert pairs(one, batch_of([event(), event()], same)) == [(True, True)] * 2
    assert pairs(one, batch_of([event(), event()], another)) == [(False, True)] * 2
    assert pairs(one, batch_of([event(), event()], same, 1)) == [(False, True)] * 2


def test_what_an_import_or_nothing_names_has_no_row() -> None:
    file = Source(NameKind.FILE, "f")
    assert not identity_rows(batch_of([event()], file), KEY)
    assert not identity_rows(batch_of([event()], UNNAMED), KEY)
    rows = identity_rows(batch_of([event(own="a"), event(), event(120, own="a")], file), KEY)
    assert [(rows[at], rows[at + 1]) for at in range(0, len(rows), 3)] == [(0, 1), (2, 2)]


def test_rows_depend_on_the_secret() -> None:
    batch = batch_of([event(own="a")])
    assert identity_rows(batch, KEY) == identity_rows(batch, KEY) != identity_rows(batch, b"x" * 16)


def test_an_event_is_named_by_its_id_or_its_source() -> None:
    batch = batch_of([event(own="a"), event()], UNNAMED)
    assert named_events(batch) == b"\1\0"
    assert without_id(batch, array("I", [1, 0])) == b"\1\0"
    assert named_events(batch_of([event()], Source(NameKind.KEY, "k"))) == b"\1"
    assert source_at(batch, 1) is UNNAMED
