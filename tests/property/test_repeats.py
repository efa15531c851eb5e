"""Random batches of repeats, conflicts and new events have the oracle's outcomes, with the kernel and without."""

from __future__ import annotations

import tempfile
from array import array
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracle import Oracle

from tillroll.core import columns, kernel
from tillroll.core.batch import UNNAMED, BatchBuilder, Event, NameKind, Source
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from tillroll.core.batch import Batch

OPERATIONS = ("name_rows", "same_slots", "intersect", "equal_at", "equal_strings_at", "place", "hash_name")
SLOTS = 4_096
SOURCES = (
    UNNAMED,
    Source(NameKind.KEY, "k"),
    Source(NameKind.KEY, "l"),
    Source(NameKind.MESSAGE, "k"),
    Source(NameKind.FILE, "f"),
    Source(NameKind.FILE, "g"),
)


def random_batch(chance: Random, size: int) -> Batch:
    """Return events of which each may be new, a repeat of an older one, or one under the name of another."""
    builder = BatchBuilder()
    with_ids = chance.choice((0.0, 0.3, 1.0))
    pool = chance.choice((40, 2_000))  # the smaller, the more repeats
    while len(builder) < size:
        source = chance.choice(SOURCES)
        length = chance.choice((1, 3, 150))
        first = chance.randrange(pool)
        for position in sorted(chance.sample(range(first, first + 2 * length), length)):
            seed = Random(position % 97)
            event = Event(seed.randrange(-200, 200), seed.randrange(2), seed.randrange(9), seed.randrange(3), "m")
            if chance.random() < with_ids:
                event = msgspec.structs.replace(event, id=f"id {position}")
            if chance.random() < 0.05:
                changed = chance.choice(({"amount": 7_000}, {"method": 1}, {"merchant": "other"}, {"nanos": 5}))
                event = msgspec.structs.replace(event, **changed)
            builder.add(event, source, position)
    return builder.build()


def crowd(patch: pytest.MonkeyPatch) -> None:
    """Let many names share a hash, as none do under a secret."""
    name_rows, hash_name = kernel.name_rows, kernel.hash_name

    def crowded_rows(*arguments: Any) -> array[int]:
        rows = name_rows(*arguments)
        each = zip(rows[1::3], rows[2::3], rows[::3], strict=True)
        crowded = sorted((minute, hashed % SLOTS, index) for minute, hashed, index in each)
        return array("q", [item for minute, hashed, index in crowded for item in (index, minute, hashed)])

    patch.setattr(kernel, "name_rows", crowded_rows)
    patch.setattr(kernel, "hash_name", lambda *arguments: hash_name(*arguments) % SLOTS)


@pytest.mark.parametrize("crowded", [False, True])
@pytest.mark.parametrize("compiled", [True, False])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.sampled_from([1, 20, 99, 250, 600]), min_size=1, max_size=5))
def test_repeats_have_the_oracles_outcomes(*, compiled: bool, crowded: bool, seed: int, sizes: list[int]) -> None:
    chance, oracle = Random(seed), Oracle()
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as directory:
        if not compiled:
            for name in OPERATIONS:
                patch.setattr(kernel, name, getattr(columns, name))
        if crowded:
            crowd(patch)
        store = SqliteStore(Path(directory))
        for size in sizes:
            batch = random_batch(chance, size)
            assert store.journal(batch) == oracle.journal(batch)
            if chance.random() < 0.2:
                store.close()
                store = SqliteStore(Path(directory))
            if chance.random() < 0.3:
                assert store.journal(batch) == oracle.journal(batch)
        assert store.status().events == len(oracle.events())
        assert store.audit().differences == []
        store.close()
