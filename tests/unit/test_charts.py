"""Charts in characters."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tillroll.cli.charts import bar, draws_blocks, legend, sparkline, squeezed, stack, stack_marks

COUNTS = st.lists(st.integers(0, 10**12), max_size=50)


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(1, 200))
def test_a_bar_fits_its_width_and_anything_above_nothing_shows(value: int, more: int, width: int) -> None:
    for blocks in (True, False):
        drawn = bar(value, value + more, width, blocks=blocks)
        assert len(drawn) <= width
        assert bool(drawn) == bool(value)


def test_bars_are_in_proportion() -> None:
    assert bar(10, 10, 4, blocks=True) == "████"
    assert bar(5, 10, 5, blocks=True) == "██▌"
    assert bar(5, 10, 4, blocks=False) == "##"


@given(COUNTS)
def test_a_sparkline_has_a_character_for_each_value_and_rises_with_it(values: list[int]) -> None:
    line = sparkline(values, blocks=True)
    assert len(line) == len(values)
    drawn = sorted(zip(values, line, strict=True))
    assert [mark for _, mark in drawn] == sorted(mark for _, mark in drawn)
    assert sparkline(values, blocks=False).isascii()


@given(COUNTS, st.integers(1, 20))
def test_squeezing_keeps_the_sum(values: list[int], width: int) -> None:
    squeezed_values = squeezed(values, width)
    assert sum(squeezed_values) == sum(values)
    assert len(squeezed_values) <= width


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=5))
def test_a_stack_is_as_long_as_the_bar_of_its_sum(counts: list[int]) -> None:
    names = [str(index) for index in range(len(counts))]
    parts = dict(zip(names, counts, strict=True))
    drawn = stack(parts, names, sum(counts), 60, "█████")
    assert len(drawn.plain) == (60 if sum(counts) else 0)


def test_where_there_are_no_colours_or_no_blocks_the_parts_differ_in_shape() -> None:
    plain = Console(file=io.StringIO(), color_system=None)
    coloured = Console(file=io.StringIO(), color_system="standard", force_terminal=True)
    assert len(set(stack_marks(plain))) == 6
    assert len(set(stack_marks(coloured))) == 1
    ascii_only = Console(file=io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert not draws_blocks(ascii_only)
    assert stack_marks(ascii_only).isascii()
    assert legend(("a", "b"), stack_marks(plain)).plain == "░░ a   ▒▒ b   "
