"""The first of many aggregates: the kernel's, plain Python's, and those of a list that is sorted whole."""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillroll.core import columns, kernel, selection
from tillroll.core.selection import By, Cut, Shape

MERCHANTS = 4  # of a part
WORD = 2**64 - 1
Total = tuple[int, int]  # events and amount


def codes_of(*codes: int) -> array[int]:
    return array("I", codes)


STEP = 300  # codes of a merchant, of which some have a target
TARGETS = [(b"\0|", b"|A", codes_of(0, 299)), (b"", b"|\0|B", codes_of(1))]
LABELLED = {0: "A", 299: "A", 1: "B"}
NAMES = st.lists(st.text("abA-\u00e9\U0001f600\uffff", min_size=1, max_size=40), min_size=1, max_size=11, unique=True)
MODULES = [(kernel.Dictionary, kernel.Selection), (columns.Dictionary, selection.Selection)]
Found = tuple[list[tuple[str, int, int]], tuple[int, int, int], int]


def words(totals: dict[int, Total]) -> list[array[int]]:
    counts, amounts = [count for count, _ in totals.values()], [amount for _, amount in totals.values()]
    return [
        array("Q", column)
        for column in (totals, counts, [amount & WORD for amount in amounts], [amount >> 64 for amount in amounts])
    ]


def run(
    module: tuple[Any, Any], names: list[str], known: int, *, by_merchant: bool, wanted: Any, cut: Cut, windows: Any
) -> Found:
    dictionary = module[0]()
    dictionary.add(*columns.join_strings(names))
    size = STEP * MERCHANTS
    found = module[1](dictionary, known, Shape(size, STEP, by_merchant), TARGETS, wanted, cut)
    for window, (rows, loose) in windows.items():
        segments = [(0, part, kernel.add_counts(b"", part * size, size, *words(values))) for part, values in rows]
        found.add(window.encode(), segments, *words(loose))
    return found.best(), found.totals(), len(found)


def reference(names: list[str], known: int, *, by_merchant: bool, wanted: Any, cut: Cut, windows: Any) -> Found:
    totals: dict[str, Total] = {}
    for window, (rows, loose) in windows.items():
        for code, (count, amount) in (*(item for _, values in rows for item in values.items()), *loose.items()):
            number, inner = divmod(code, STEP)
            if count and number < known and (wanted is None or number in wanted) and inner in LABELLED:
                name = names[number] if by_merchant else ""
                label = f"{name}|{window}|B" if LABELLED[inner] == "B" else f"{window}|{name}|A"
                events, cents = totals.get(label, (0, 0))
                totals[label] = (events + count, cents + amount)

    def rank(one: tuple[str, int, int]) -> tuple[int, str]:
        datapoint, events, amount = one
        return -(0, events, amount)[cut.order], datapoint

    after = None
    if cut.after is not None:
        low, high, text = cut.after
        after = rank((text.decode(), high << 64 | low, high << 64 | low))
    every = [(label, *total) for label, total in totals.items()]
    found = sorted((one for one in every if after is None or rank(one) > after), key=rank)[: cut.limit]
    return found, (len(every), sum(one[1] for one in every), sum(one[2] for one in every)), len(found)


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(NAMES)
    known = draw(st.integers(1, len(names)))
    counts = st.tuples(st.integers(1, 3) | st.integers(1, 2**40), st.integers(0, 3) | st.integers(0, 2**100))
    codes = st.builds(
        lambda number, inner: number * STEP + inner, st.integers(0, known - 1), st.sampled_from([0, 1, 7, 299])
    )
    size = STEP * MERCHANTS

    def row(part: int, values: dict[int, Total]) -> tuple[int, dict[int, Total]]:
        return part, {code: total for code, total in values.items() if code // size == part}

    rows = st.lists(
        st.builds(row, st.integers(0, (known - 1) // MERCHANTS), st.dictionaries(codes, counts, max_size=12)),
        max_size=4,
    )
    window = st.tuples(rows, st.dictionaries(codes, counts, max_size=5))
    windows = draw(st.dictionaries(st.sampled_from(["1", "12", "2", "x" * 90]), window, max_size=3))
    small = st.integers(0, 4)
    cursors = st.tuples(small, st.just(0) | small, st.text("12|abA-\u00e9", max_size=60).map(str.encode))
    return {
        "names": names,
        "known": known,
        "by_merchant": draw(st.booleans()),
        "wanted": draw(st.none() | st.sets(st.integers(0, known)).map(lambda x: array("I", sorted(x)))),
        "cut": Cut(draw(st.integers(1, 8)), draw(st.sampled_from(By)), draw(st.none() | cursors)),
        "windows": windows,
    }


@given(questions())
def test_the_first_aggregates_are_those_of_all_sorted(question: dict[str, Any]) -> None:
    for module in MODULES:
        assert run(module, **question) == reference(**question)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    "rows", [[(0, 0, b"12")], [(0, 1, b"\1\0\0" + bytes(12))], [(0, -1, b"")], [(0, 0, b"\1\0\0")]]
)
def test_what_is_no_segment_or_of_nobody_is_an_error(module: tuple[Any, Any], rows: Any) -> None:
    names = module[0]()
    names.add(*columns.join_strings(["a", "b"]))
    targets = [(b"", b"", codes_of(0))]
    found = module[1](names, 2, Shape(12, 3, True), targets, None, Cut(5, By.DATAPOINT, None))
    with pytest.raises(ValueError, match=r"merchants that have no name|counters"):
        found.add(b"", rows, *words({}))


@pytest.mark.parametrize("module", MODULES)
def test_totals_out_of_range_and_of_nobody_are_an_error(module: tuple[Any, Any]) -> None:
    names = module[0]()
    names.add(*columns.join_strings(["a", "b"]))
    targets = [(b"", b"", codes_of(0, 2)), (b"", b"B", codes_of(1))]
    many, much = (WORD, 0), (1, 2**128 - 1)
    for window in (
        {0: many, 2: (1, 0)},
        {0: much, 2: much},
        {0: many, 3: (1, 0)},
        {0: much, 3: much},
        {6: (1, 0)},
        {99: (1, 0)},
    ):
        found = module[1](names, 2, Shape(12, 3, True), targets, None, Cut(5, By.DATAPOINT, None))
        with pytest.raises(ValueError, match=r"no name|out of range"):
            found.add(b"", [], *words(window))


@pytest.mark.parametrize("module", MODULES)
def test_a_selection_refuses_what_makes_no_sense(module: tuple[Any, Any]) -> None:
    names = module[0]()
    targets = [(b"", b"", codes_of(0, 2))]
    for known, shape, wrong, cut in (
        (1, Shape(12, 3, True), targets, Cut(5, By.DATAPOINT, None)),
        (0, Shape(13, 3, True), targets, Cut(5, By.DATAPOINT, None)),
        (0, Shape(12, 0, True), targets, Cut(5, By.DATAPOINT, None)),
        (0, Shape(12, 3, True), targets, Cut(0, By.DATAPOINT, None)),
        (0, Shape(12, 3, True), [(b"", b"", codes_of(3))], Cut(5, By.DATAPOINT, None)),
    ):
        with pytest.raises(ValueError, match=r"out of range|no such code|so many names"):
            module[1](names, known, shape, wrong, None, cut)


def test_a_report_of_many_inner_codes_is_selected_as_plain_python_does() -> None:
    """Twenty-five thousand codes of one window, thousands of labels: those of what left the page go."""
    step, cut = 25_704, Cut(40, By.AMOUNT, None)
    targets = [(b"\0|", f"{code:05}".encode(), codes_of(code)) for code in range(step)]
    results = []
    for module in MODULES:
        found = module[1](module[0](), 0, Shape(step, step, False), targets, None, cut)
        for window in range(60):
            some = {(window * 7_919 + i * 31) % step: (1 + i, window * 1_000 + i) for i in range(200)}
            found.add(f"{window:04}".encode(), [], *words(some))
        results.append((found.best(), found.totals()))
    assert results[0] == results[1]


@given(NAMES, st.text("abA-\u00e9", max_size=3).map(str.casefold), st.integers(1, 5))
def test_a_search_finds_the_same_with_the_kernel(names: list[str], text: str, limit: int) -> None:
    found = []
    for made in (kernel.Dictionary(), columns.Dictionary()):
        made.add(*columns.join_strings(names))
        found.append(made.search(text.encode(), len(names), limit))
        assert made.column(0, len(names)) == columns.join_strings(names)
        assert len(made) == len(names)
    assert found[0] == found[1]
