"""Recounts that outgrow memory find what those that do not find."""

from __future__ import annotations

from array import array
from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.batches import batch_of

from tillroll.core import kernel
from tillroll.core.batch import Batch, Event
from tillroll.core.recount import STORED
from tillroll.core.report import FIVE
from tillroll.stores.sqlite.tallies import Tallies

if TYPE_CHECKING:
    from pathlib import Path

ALL = b"\1" * len(FIVE)


def batches() -> list[Batch]:
    source = Random(4)
    return [
        batch_of(
            [
                Event(
                    source.randrange(10**9),
                    0,
                    source.randrange(10**6),
                    source.randrange(3),
                    f"m{source.randrange(500)}",
                )
                for _ in range(400)
            ]
        )
        for _ in range(4)
    ]


def stored(tallies: Tallies, texts: list[str], amount: int) -> None:
    """Add texts of merchant-method as stored, each with one event."""
    column = (array("I", range(len(texts))), *kernel.join_strings(texts))
    ones, amounts = array("Q", [1] * len(texts)), array("Q", [amount] * len(texts))
    tallies.add(STORED, 4, [column], ones, amounts, array("Q", [0] * len(texts)))


@pytest.mark.parametrize("bytes_max", [20_000, 200_000])
def test_what_outgrows_memory_is_compared_all_the_same(tmp_path: Path, bytes_max: int) -> None:
    held, spilled = Tallies(FIVE, tmp_path / "one"), Tallies(FIVE, tmp_path / "other", bytes_max=bytes_max)
    for tallies in (held, spilled):
        for batch in batches():
            tallies.count(batch, ALL)
            stored(tallies, [f"m{number}|PAY_NOW" for number in range(600)], 7)
    assert not (tmp_path / "one").exists()
    assert (tmp_path / "other" / "0.tally").exists()
    assert spilled.differing(ALL, 50) == held.differing(ALL, 50)


def test_equal_sides_have_no_difference_however_often_they_went_to_files(tmp_path: Path) -> None:
    tallies = Tallies(FIVE, tmp_path / "tallies", bytes_max=20_000)
    events = [Event(second, 0, 7, 0, f"m{second}") for second in range(300)]
    for start in range(0, 300, 20):
        tallies.count(batch_of(events[start : start + 20]), b"\0\0\0\0\1")
    stored(tallies, [f"m{number}|PAY_NOW" for number in range(300)], 7)
    assert tallies.differing(ALL, 10) == (300, 0, [])
