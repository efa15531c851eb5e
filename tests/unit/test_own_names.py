"""Events that come back to the journal that named them by their place in it."""

from __future__ import annotations

from tests.batches import batch_of

from tillroll.core.batch import Batch, Event, NameKind, Source
from tillroll.core.export import JOURNAL
from tillroll.core.own_names import Piece, outcomes_of, with_rest

STORED = batch_of([Event(at, 0, 100 + at, 0, "m") for at in range(4)])
NEW, DUPLICATE, CONFLICT = range(3)


def come_back(*events: Event, first: int, token: str = "token") -> Batch:
    return batch_of(list(events), Source(NameKind.FILE, f"{JOURNAL}{token}"), first)


def look(token: str, _number: int) -> Piece | None:
    return Piece(STORED, 7) if token == "token" else None


def test_an_event_at_its_own_place_is_a_duplicate_and_with_another_content_a_conflict() -> None:
    came = come_back(Event(1, 0, 101, 0, "m"), Event(2, 0, 999, 0, "m"), Event(9, 0, 103, 0, "m"), first=8)
    assert outcomes_of(came, look) == bytes([DUPLICATE, CONFLICT, NEW])  # of another date it is another event


def test_an_event_of_another_journal_or_of_no_name_is_not_judged() -> None:
    assert outcomes_of(come_back(Event(1, 0, 101, 0, "m"), first=8, token="another"), look) is None
    assert outcomes_of(STORED, look) is None


def test_only_what_is_new_is_journaled_and_outcomes_keep_their_order() -> None:
    journaled: list[Event] = []

    def journal(batch: Batch) -> bytes:
        journaled.extend(batch.events())
        return bytes([DUPLICATE] * len(batch))

    assert with_rest(STORED, bytes([NEW, CONFLICT, NEW, DUPLICATE]), journal) == bytes([1, 2, 1, 1])
    assert [event.amount for event in journaled] == [100, 102]
    assert with_rest(STORED, bytes([1, 1, 2, 2]), journal) == bytes([1, 1, 2, 2])
