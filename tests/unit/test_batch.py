"""Batches: events as columns, and events, names and kept fields out of them again."""

from __future__ import annotations

from array import array

import pytest
from tests.batches import batch_of

from tillroll.core.batch import UNNAMED, BatchBuilder, Event, Identity, NameKind, Source, told
from tillroll.core.kept import ABSENT

KEY, FILE = Source(NameKind.KEY, "k"), Source(NameKind.FILE, "f")
EVENTS = [Event(60 * at, at, 10 * at, at % 3, f"m{at % 2}", f"own{at}" if at == 2 else "") for at in range(5)]


def test_events_come_out_as_they_went_in() -> None:
    batch = batch_of(EVENTS, KEY, 7)
    assert list(batch.events()) == EVENTS
    assert batch.merchant_names == ["m0", "m1"]
    assert list(batch.positions) == [7, 8, 9, 10, 11]
    assert [(run.source, run.events) for run in batch.runs] == [(KEY, 5)]
    assert not list(batch_of([]).events())


def test_an_event_is_known_by_its_id_else_by_its_place_and_else_by_nothing() -> None:
    builder = BatchBuilder()
    for event, source in zip(EVENTS, (UNNAMED, KEY, FILE, FILE, UNNAMED), strict=True):
        builder.add(event, source, 3)
    assert list(builder.build().identities()) == [
        None,
        Identity(60, 1, NameKind.KEY, "k", 3),
        Identity(120, 2, NameKind.ID, "own2", 0),
        Identity(180, 3, NameKind.FILE, "f", 3),
        None,
    ]


def test_people_are_told_an_identity_in_words() -> None:
    assert told(None) == "unnamed"
    assert told(Identity(0, 0, NameKind.ID, "a", 0)) == "id a"
    assert told(Identity(0, 0, NameKind.MESSAGE, "b", 4)) == "message b at 4"


@pytest.mark.parametrize("wanted", [[], [0], [4], [1, 2, 3], [0, 2, 4], [0, 1, 2, 3, 4]])
def test_some_events_of_a_batch_are_a_batch_of_these(wanted: list[int]) -> None:
    batch = batch_of(EVENTS, KEY)
    mask = bytes(at in wanted for at in range(5))
    assert list(batch.pick(array("I", wanted)).events()) == [EVENTS[at] for at in wanted]  # without their runs
    for some in (batch.select(wanted), batch.masked(mask)):
        assert list(some.events()) == [EVENTS[at] for at in wanted]
        assert list(some.positions) == wanted
        assert sum(run.events for run in some.runs) == len(wanted)
    assert list(batch.slice(1, 3).events()) == EVENTS[1:3]


def test_a_kept_field_has_each_value_once_and_stays_with_its_events() -> None:
    builder = BatchBuilder(["country"])
    for event, value in zip(EVENTS, ("SE", ABSENT, "NO", "SE", ABSENT), strict=True):
        builder.add(event, kept=[value])
    batch = builder.build()
    assert batch.kept_column("country").values == ["SE", ABSENT, "NO"]
    some = batch.pick(array("I", [2, 3]))
    assert some.kept_column("country").values == ["NO", "SE"]
    assert [some.kept_of(index)["country"] for index in range(2)] == ["NO", "SE"]
    assert batch.kept_column("channel").values == [ABSENT]
