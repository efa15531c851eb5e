"""Segments' counters and sums: what the kernel adds up is what plain Python does, and what arithmetic says."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillroll.core import columns, kernel

SIZE = 5
WORD = 2**64 - 1
Total = tuple[int, int]  # events and amount
totals = st.tuples(st.integers(0, 300) | st.integers(0, 2**50), st.integers(0, 300) | st.integers(0, 2**124))
segments = st.lists(st.dictionaries(st.integers(0, SIZE - 1), totals, max_size=SIZE), max_size=6)


def words(amounts: list[int]) -> tuple[array[int], array[int]]:
    return array("Q", [amount & WORD for amount in amounts]), array("Q", [amount >> 64 for amount in amounts])


def cells_of(values: dict[int, Total], module: object = columns) -> bytes:
    counts, amounts = array("Q", [count for count, _ in values.values()]), [amount for _, amount in values.values()]
    cells: bytes = module.add_counts(b"", 0, SIZE, array("Q", values), counts, *words(amounts))  # type: ignore[attr-defined]
    return cells


def expected(many: list[dict[int, Total]]) -> list[Total]:
    return [tuple(map(sum, zip((0, 0), *(one.get(code, (0, 0)) for one in many), strict=True))) for code in range(SIZE)]  # type: ignore[misc]


def read(module: object, cells: bytes) -> list[Total]:
    counts, lows, highs = module.read_counts(cells, SIZE)  # type: ignore[attr-defined]
    return [(count, high << 64 | low) for count, low, high in zip(counts, lows, highs, strict=True)]


@given(segments)
def test_segments_are_added_up_counter_by_counter(many: list[dict[int, Total]]) -> None:
    cells = [cells_of(values) for values in many]
    summed = kernel.sum_counts(cells, SIZE)
    assert summed == columns.sum_counts(cells, SIZE)
    assert read(kernel, summed) == read(columns, summed) == expected(many)


@given(segments)
def test_what_is_added_is_there(many: list[dict[int, Total]]) -> None:
    for module in (kernel, columns):
        cells = b""
        for values in many:
            codes, counts = array("Q", values), array("Q", [count for count, _ in values.values()])
            cells = module.add_counts(cells, 0, SIZE, codes, counts, *words([a for _, a in values.values()]))
        assert read(module, cells) == expected(many)


@given(segments, st.data())
def test_of_many_counts_those_of_a_stretch_are_added(many: list[dict[int, Total]], data: st.DataObject) -> None:
    rows = [(code, *total) for values in many for code, total in values.items()]
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(start, len(rows)))
    codes, counts = (array("Q", [row[at] for row in rows]) for at in (0, 1))
    wanted = expected([{code: (count, amount)} for code, count, amount in rows[start:stop]])
    for module in (kernel, columns):
        lows, highs = words([amount for *_, amount in rows])
        cells = module.add_counts(b"", 0, SIZE, codes, counts, lows, highs, start, stop)
        assert read(module, cells) == wanted
        for wrong in ((-1, 0), (1, 0), (0, len(rows) + 1), (len(rows) + 1, len(rows) + 1)):
            with pytest.raises(ValueError, match="not so many"):
                module.add_counts(b"", 0, SIZE, codes, counts, lows, highs, *wrong)


@pytest.mark.parametrize("module", [kernel, columns])
def test_sums_pass_64_bits_and_are_as_narrow_as_they_fit(module: object) -> None:
    largest = 10**12 * 10**8  # an amount of 10^12 cents, 10^8 times
    wide, narrow = cells_of({0: (10**8, largest)}, module), cells_of({0: (1, 200)}, module)
    assert largest > WORD
    assert read(module, wide)[0] == (10**8, largest)
    assert len(narrow) == 3 + 2 * SIZE
    assert cells_of({0: (0, 0)}, module) == b""


@pytest.mark.parametrize("module", [kernel, columns])
def test_what_is_out_of_range_and_what_is_no_segment_is_an_error(module: object) -> None:
    for full in (cells_of({1: (WORD, 0)}, module), cells_of({1: (1, 2**128 - 1)}, module)):
        with pytest.raises(ValueError, match="counter"):
            module.sum_counts([full, full], SIZE)  # type: ignore[attr-defined]
    for wrong in (b"1", b"123", b"\1\0\0", b"\3\0\0" + bytes(3 * SIZE), b"\1\0\0" + bytes(SIZE + 1)):
        with pytest.raises(ValueError, match="counter"):
            module.read_counts(wrong, SIZE)  # type: ignore[attr-defined]
