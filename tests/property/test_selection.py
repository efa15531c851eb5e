"""The first of many aggregates: the kernel's, plain Python's, and those of a list that is sorted whole."""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillroll.core import columns, kernel, selection
from tillroll.core.selection import Cut, Shape

MERCHANTS = 4  # of a part
TARGETS = [(b"\0|", b"|A", bytes([0, 2])), (b"", b"|\0|B", bytes([1]))]
NAMES = st.lists(st.text("abA-\u00e9\U0001f600\uffff", min_size=1, max_size=40), min_size=1, max_size=11, unique=True)
MODULES = [(kernel.Dictionary, kernel.Selection), (columns.Dictionary, selection.Selection)]


def run(
    module: tuple[Any, Any], names: list[str], known: int, *, by_merchant: bool, wanted: Any, cut: Cut, windows: Any
) -> tuple[list[tuple[str, int]], tuple[int, int], int]:
    dictionary = module[0]()
    dictionary.add(*columns.join_strings(names))
    shape = Shape(3 * MERCHANTS, 3, by_merchant)
    found = module[1](dictionary, known, shape, TARGETS, wanted, cut)
    for window, (rows, loose) in windows.items():
        segments = [(0, part, columns.narrow(array("Q", values), 0)[1] or bytes(len(values))) for part, values in rows]
        found.add(window.encode(), segments, array("Q", loose), array("Q", loose.values()))
    return found.best(), found.totals(), len(found)


def reference(
    names: list[str], known: int, *, by_merchant: bool, wanted: Any, cut: Cut, windows: Any
) -> tuple[list[tuple[str, int]], tuple[int, int], int]:
    totals: dict[str, int] = {}
    for window, (rows, loose) in windows.items():
        counters = [(part * 12 + i, value) for part, values in rows for i, value in enumerate(values)]
        for code, count in (*counters, *loose.items()):
            number, residue = divmod(code, 3)
            if count and number < known and (wanted is None or number in wanted):
                name = names[number] if by_merchant else ""
                label = f"{name}|{window}|B" if residue == 1 else f"{window}|{name}|A"
                totals[label] = totals.get(label, 0) + count
    rank = (lambda one: (-one[1], one[0])) if cut.falling else (lambda one: (0, one[0]))
    after = None if cut.after is None else rank((cut.after[1].decode(), cut.after[0]))
    found = sorted((one for one in totals.items() if after is None or rank(one) > after), key=rank)[: cut.limit]
    return found, (len(totals), sum(totals.values())), len(found)


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(NAMES)
    known = draw(st.integers(1, len(names)))
    counts = st.integers(1, 3) | st.integers(1, 2**40)
    codes = st.integers(0, 3 * known - 1)

    def row(part: int, values: dict[int, int]) -> tuple[int, list[int]]:
        return part, [values.get(part * 12 + i, 0) for i in range(12)]

    rows = st.lists(
        st.builds(row, st.integers(0, (known - 1) // MERCHANTS), st.dictionaries(codes, counts, max_size=12)),
        max_size=4,
    )
    window = st.tuples(rows, st.dictionaries(codes, counts, max_size=5))
    windows = draw(st.dictionaries(st.sampled_from(["1", "12", "2", "x" * 90]), window, max_size=3))
    cursors = st.tuples(st.integers(0, 4), st.text("12|abA-\u00e9", max_size=60).map(str.encode))
    return {
        "names": names,
        "known": known,
        "by_merchant": draw(st.booleans()),
        "wanted": draw(st.none() | st.sets(st.integers(0, known)).map(lambda x: array("I", sorted(x)))),
        "cut": Cut(draw(st.integers(1, 8)), draw(st.booleans()), draw(st.none() | cursors)),
        "windows": windows,
    }


@given(questions())
def test_the_first_aggregates_are_those_of_all_sorted(question: dict[str, Any]) -> None:
    for module in MODULES:
        assert run(module, **question) == reference(**question)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("rows", [[(0, 0, bytes(13))], [(0, 1, bytes(12))], [(0, -1, bytes(12))], [(0, 0, b"")]])
def test_what_is_no_segment_or_of_nobody_is_an_error(module: tuple[Any, Any], rows: Any) -> None:
    names = module[0]()
    names.add(*columns.join_strings(["a", "b"]))
    found = module[1](names, 2, Shape(12, 3, True), TARGETS, None, Cut(5, False, None))
    with pytest.raises(ValueError, match=r"merchants that have no name|counters"):
        found.add(b"", rows, array("Q"), array("Q"))


@pytest.mark.parametrize("module", MODULES)
def test_counts_past_64_bits_and_of_nobody_are_an_error(module: tuple[Any, Any]) -> None:
    names = module[0]()
    names.add(*columns.join_strings(["a", "b"]))
    most = 2**64 - 1
    for codes, counts in (([0, 2], [most, 1]), ([0, 3], [most, 1]), ([1, 1], [most, 1]), ([6], [1]), ([99], [1])):
        found = module[1](names, 2, Shape(12, 3, True), TARGETS, None, Cut(5, False, None))
        with pytest.raises(ValueError, match=r"no name|out of range"):
            found.add(b"", [], array("Q", codes), array("Q", counts))


@pytest.mark.parametrize("module", MODULES)
def test_a_selection_refuses_what_makes_no_sense(module: tuple[Any, Any]) -> None:
    names = module[0]()
    for known, shape, targets, cut in (
        (1, Shape(12, 3, True), TARGETS, Cut(5, False, None)),
        (0, Shape(13, 3, True), TARGETS, Cut(5, False, None)),
        (0, Shape(12, 0, True), TARGETS, Cut(5, False, None)),
        (0, Shape(12, 3, True), TARGETS, Cut(0, False, None)),
        (0, Shape(12, 3, True), [(b"", b"", bytes([3]))], Cut(5, False, None)),
    ):
        with pytest.raises(ValueError, match=r"out of range|no such code|so many names"):
            module[1](names, known, shape, targets, None, cut)


@given(NAMES, st.text("abA-\u00e9", max_size=3).map(str.casefold), st.integers(1, 5))
def test_a_search_finds_the_same_with_the_kernel(names: list[str], text: str, limit: int) -> None:
    found = []
    for made in (kernel.Dictionary(), columns.Dictionary()):
        made.add(*columns.join_strings(names))
        found.append(made.search(text.encode(), len(names), limit))
        assert made.column(0, len(names)) == columns.join_strings(names)
        assert len(made) == len(names)
    assert found[0] == found[1]
