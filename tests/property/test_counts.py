"""Segments' counters: what the kernel adds up and measures is what plain Python does."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillroll.core import columns, kernel

SIZE = 5
counters = st.lists(st.integers(0, 300) | st.integers(0, 2**50), min_size=SIZE, max_size=SIZE)


def cells_of(values: list[int]) -> bytes:
    return columns.narrow(array("Q", values), 0)[1] or bytes(SIZE)


@given(st.lists(counters, max_size=6))
def test_segments_are_added_up_counter_by_counter(segments: list[list[int]]) -> None:
    cells = [cells_of(values) for values in segments]
    expected = [sum(column) for column in zip(*segments, strict=True)] or [0] * SIZE
    assert list(kernel.sum_counts(cells, SIZE)) == list(columns.sum_counts(cells, SIZE)) == expected


@given(counters)
def test_a_segment_is_measured(values: list[int]) -> None:
    expected = (sum(value > 0 for value in values), sum(values))
    cells = cells_of(values)
    assert kernel.measure_counts(cells, SIZE) == columns.measure_counts(cells, SIZE) == expected


@pytest.mark.parametrize("module", [kernel, columns])
def test_what_passes_64_bits_and_what_is_no_segment_is_an_error(module: object) -> None:
    full = b"\xff" * 8 * SIZE
    for function, argument in (("sum_counts", [full, full]), ("sum_counts", [b"123"]), ("measure_counts", full)):
        with pytest.raises(ValueError, match=r"counter"):
            getattr(module, function)(argument, SIZE)
