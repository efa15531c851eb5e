"""What became of events is one value: it adds, goes apart, and is written the same everywhere."""

from __future__ import annotations

import msgspec

from tillroll.core.outcome_counts import NOTHING, OUTCOMES, OutcomeCounts
from tillroll.ingest.take import Receipt

SOME = OutcomeCounts(1, 2, 3, 4)


def test_counts_add_outcome_by_outcome_and_what_was_added_can_be_taken_away() -> None:
    other = OutcomeCounts(10, 20, 30, 40)
    assert SOME + other == sum([SOME, other], NOTHING) == OutcomeCounts(11, 22, 33, 44)
    assert SOME + other - SOME == other
    assert (SOME.events, SOME.refused, NOTHING.events) == (10, 7, 0)


def test_receipts_add_to_counts_and_stay_what_they_were() -> None:
    receipt = Receipt(1, 2, 3, 4, not_kept=5)
    total = receipt + SOME
    assert (type(total), total) == (OutcomeCounts, OutcomeCounts(2, 4, 6, 8))
    assert receipt == Receipt(1, 2, 3, 4, not_kept=5)
    assert receipt.plain() == SOME.plain()


def test_counts_are_an_array_where_they_are_kept_and_have_names_in_answers() -> None:
    assert msgspec.json.encode(SOME) == b"[1,2,3,4]"
    assert msgspec.json.decode(b"[1,2,3,4]", type=OutcomeCounts) == SOME
    assert tuple(SOME.plain()) == OUTCOMES == ("accepted", "duplicates", "conflicts", "rejected")
