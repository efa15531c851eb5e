"""Rows of text: the kernel writes what the reference does, and it reads back as the values that were given."""

from __future__ import annotations

import csv
import io
import json
from array import array
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.property.test_kernel_agrees import outcome, unsigned

from tillroll.core import columns, kernel, rows
from tillroll.core.batch import Event
from tillroll.core.decode import decode_event, encode_event
from tillroll.core.rows import Part, RowPart

pytestmark = pytest.mark.skipif(not kernel.compiled, reason="the kernel is not compiled")
if kernel.compiled:
    from tillroll import _kernel

texts = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.just('",\r\n\\\0\x1f') | st.just("")
)
YEAR_1, YEAR_10000 = -62_135_596_800, 253_402_300_800
seconds = (
    st.integers(YEAR_1, YEAR_10000 - 1) | st.integers(0, 2 * 10**9) | st.sampled_from([YEAR_1, -1, 0, YEAR_10000 - 1])
)
nanos = st.sampled_from([0, 1, 10, 5 * 10**8, 999_999_999]) | st.integers(0, 10**9 - 1)


def text_of(made: Any, parts: list[Any], size: int) -> bytes:
    return b"".join(made.Rows(parts, size))


def agree_on_rows(parts: list[Any], size: int) -> object:
    found = outcome(text_of, _kernel, parts, size)
    assert found == outcome(text_of, rows, parts, size)
    return found


def agree(name: str, *arguments: object) -> object:
    found = outcome(getattr(_kernel, name), *arguments)
    assert found == outcome(getattr(rows, name), *arguments)
    return found


@given(texts)
def test_quoted_strings_are_json_and_csv_of_the_same_text(some: list[str]) -> None:
    column = columns.join_strings(some)
    agree("quote", *column, True)
    agree("quote", *column, False)
    quoted = columns.split_strings(*kernel.quote(*column, False))
    assert [json.loads(text) if text else "" for text in quoted] == some
    assert quoted == [msgspec.json.encode(text).decode() if text else "" for text in some]
    cells = columns.split_strings(*kernel.quote(*column, True))
    record = io.StringIO("x," + ",".join(cells), newline="")
    assert next(csv.reader(record, strict=True)) == ["x", *(some or [""])]


@pytest.mark.parametrize("csv", [False, True])
def test_each_byte_at_each_place_of_a_word_is_quoted_as_the_reference_does(*, csv: bool) -> None:
    for before in range(10):
        some = [b"\xc3" * before + bytes([byte]) + b"!" * after for byte in range(256) for after in (0, 1, 7, 9)]
        ends = array("I", [0] * len(some))
        for at, text in enumerate(some):
            ends[at] = (ends[at - 1] if at else 0) + len(text)
        agree("quote", ends, b"".join(some), csv)


@given(st.lists(st.tuples(seconds, nanos)))
def test_instants_are_written_as_the_decoder_reads_them(instants: list[tuple[int, int]]) -> None:
    columns_of = array("q", [one for one, _ in instants]), array("I", [two for _, two in instants])
    parts: list[RowPart] = [(b"", Part.INSTANT, *columns_of), (b"\n", Part.LITERAL)]
    agree_on_rows(parts, len(instants))
    for text, (second, nano) in zip(text_of(kernel, parts, len(instants)).split(), instants, strict=True):
        event = Event(second, nano, 1, 0, "m")
        assert json.loads(encode_event(event))["date"] == text.decode()
        line = b'{"date":"%b","amount":1,"paymentMethod":"PAY_NOW","merchantId":"m"}' % text
        assert decode_event(line, YEAR_10000) == event


@given(st.integers(YEAR_1 - 10, YEAR_1 + 10) | st.integers(YEAR_10000 - 10, YEAR_10000 + 10), st.integers(0, 2**32 - 1))
def test_an_instant_that_is_none_is_refused(second: int, nano: int) -> None:
    found = agree_on_rows([(b"", Part.INSTANT, array("q", [second]), array("I", [nano]))], 1)
    assert (found is ValueError) == (not YEAR_1 <= second < YEAR_10000 or nano >= 10**9)


texts_of_any_length = st.text(max_size=6) | st.integers(0, 120).map("\u00f6".__mul__)


def _name_columns(draw: st.DrawFn, size: int, *, csv: bool) -> tuple[Any, ...]:
    """Return the names of so many events, of runs that may be empty, as a NAME takes them."""
    values = texts_of_any_length | st.just('a,"b')
    cuts = sorted(draw(st.lists(st.integers(0, size), max_size=3)))
    counts = [stop - start for start, stop in zip([0, *cuts], [*cuts, size], strict=True)]
    named = columns.join_strings(draw(st.lists(values, min_size=len(counts), max_size=len(counts))))
    run_kinds = bytes(draw(st.lists(st.integers(0, 4), min_size=len(counts), max_size=len(counts))))
    ids = columns.join_strings(draw(st.just([]) | st.lists(values, min_size=size, max_size=size)))
    positions = array("Q", draw(st.lists(unsigned, min_size=size, max_size=size)))
    return *rows.quote(*ids, csv), positions, array("Q", counts), run_kinds, *rows.quote(*named, csv)


@st.composite
def row_parts(draw: st.DrawFn) -> tuple[list[tuple[Any, ...]], int]:
    size = draw(st.integers(0, 6))
    parts: list[tuple[Any, ...]] = []
    for _ in range(draw(st.integers(0, 5))):
        before = draw(st.binary(max_size=4) | st.binary(min_size=40, max_size=60))
        kind = draw(st.sampled_from(list(Part)))
        some = st.lists(texts_of_any_length, min_size=size, max_size=size)
        match kind:
            case Part.LITERAL:
                parts.append((before, kind))
            case Part.INSTANT:
                first = array("q", draw(st.lists(seconds, min_size=size, max_size=size)))
                parts.append((before, kind, first, array("I", draw(st.lists(nanos, min_size=size, max_size=size)))))
            case Part.NUMBER:
                numbers = st.integers(-1, 2**63 - 1) | st.integers(0, 10**12)
                parts.append((before, kind, array("q", draw(st.lists(numbers, min_size=size, max_size=size)))))
            case Part.CHOICE:
                choices = draw(st.lists(texts_of_any_length, min_size=1, max_size=4))
                codes = draw(st.lists(st.integers(0, len(choices)), min_size=size, max_size=size))
                parts.append((before, kind, array(draw(st.sampled_from("BI")), codes), *columns.join_strings(choices)))
            case Part.TEXT:
                parts.append((before, kind, *columns.join_strings(draw(some))))
            case Part.NAME:
                quoted = draw(st.booleans())
                parts.append((before, kind, *_name_columns(draw, size, csv=quoted)))
    return parts, size + draw(st.sampled_from([0, 0, 0, 1]))


@given(row_parts())
def test_rows_of_any_parts_are_the_references(made: tuple[list[tuple[Any, ...]], int]) -> None:
    agree_on_rows(*made)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), st.text(max_size=5))), st.data())
def test_names_are_the_references(runs: list[tuple[int, int, str]], data: st.DataObject) -> None:
    events = sum(count for _, count, _ in runs)
    positions = array("Q", data.draw(st.lists(unsigned, min_size=events, max_size=events)))
    ids = data.draw(st.just([]) | st.lists(st.text(max_size=4), min_size=events, max_size=events))
    counts, named = array("Q", [count for _, count, _ in runs]), bytes(kind for kind, _, _ in runs)
    values = columns.join_strings([value for _, _, value in runs])
    agree("name_texts", *columns.join_strings(ids), positions, counts, named, *values)


def test_a_quote_that_a_name_begins_with_stays_where_it_is() -> None:
    ids, values = columns.join_strings(['"', "", '"i', ""]), columns.join_strings(['"k"', '"m'])
    agree("name_texts", *ids, array("Q", [0, 1, 2, 3]), array("Q", [2, 2]), b"\2\3", *values)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), st.text(min_size=1, max_size=5))), st.data())
def test_names_are_written_in_rows_as_they_are_quoted_by_themselves(
    runs: list[tuple[int, int, str]], data: st.DataObject
) -> None:
    size = sum(count for _, count, _ in runs)
    positions = array("Q", data.draw(st.lists(unsigned, min_size=size, max_size=size)))
    ids = columns.join_strings(data.draw(st.just([]) | st.lists(st.text(max_size=4), min_size=size, max_size=size)))
    middle = array("Q", [count for _, count, _ in runs]), bytes(kind for kind, _, _ in runs)
    values = columns.join_strings([value for _, _, value in runs])
    for csv_form in (False, True):
        name = (*kernel.quote(*ids, csv_form), positions, *middle, *kernel.quote(*values, csv_form))
        whole = kernel.quote(*kernel.name_texts(*ids, positions, *middle, *values), csv_form)
        expected = text_of(kernel, [(b"_", Part.TEXT, *whole), (b"\n", Part.LITERAL)], size)
        assert text_of(kernel, [(b"_", Part.NAME, *name), (b"\n", Part.LITERAL)], size) == expected


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 10_000])
def test_many_rows_come_in_pieces_of_whole_rows_that_are_the_references(size: int) -> None:
    counts = array("Q", [size // 3, 0, size - size // 3])
    name = (
        array("I"),
        b"",
        array("Q", range(size)),
        counts,
        b"\1\2\4",
        *columns.join_strings(['"one"', '"two"', '"f"']),
    )
    parts: list[Any] = [
        (b"{", Part.INSTANT, array("q", range(0, 37 * size, 37)), array("I", [n % 3 for n in range(size)])),
        (b",", Part.NUMBER, array("q", [n * n * n for n in range(size)])),
        (
            b",",
            Part.CHOICE,
            array("I", [n % 5 for n in range(size)]),
            *columns.join_strings(["", "a", "b" * 48, "c" * 49, "d"]),
        ),
        (b",", Part.TEXT, *columns.join_strings([str(n) * (n % 4) for n in range(size)])),
        (b",", Part.NAME, *name),
        (b"}\n", Part.LITERAL),
    ]
    agree_on_rows(parts, size)
    pieces = list(kernel.Rows(parts, size))
    assert pieces == list(rows.Rows(parts, size))
    assert [piece.count(b"}\n") for piece in pieces] == [min(4096, size - start) for start in range(0, size, 4096)]


def test_columns_that_do_not_fit_are_refused() -> None:
    text = columns.join_strings(["a", "b"])
    bad: list[tuple[list[tuple[Any, ...]], int]] = [
        ([(b"", Part.TEXT, *text)], 3),
        ([(b"", Part.NUMBER, array("q", [1]))], 2),
        ([(b"", Part.CHOICE, array("B", [2]), *text)], 1),
        ([(b"", Part.CHOICE, array("B", [0]), *columns.join_strings([]))], 1),
        ([(b"", Part.INSTANT, array("q", [1]), array("I", []))], 1),
        ([(b"", 9)], 1),
        ([(b"", -1)], 1),
        ([(b"", Part.NAME, array("I"), b"", array("Q", [0]), array("Q", [2]), b"\4", *text)], 1),
        (
            [
                (
                    b"",
                    Part.NAME,
                    array("I", [1]),
                    b"i",
                    array("Q", [0, 1]),
                    array("Q", [2]),
                    b"\4",
                    array("I", [1]),
                    b"v",
                )
            ],
            2,
        ),
        ([(b"", Part.NAME, array("I"), b"", array("Q", [0]), array("Q", [1]), b"\5", array("I", [1]), b"v")], 1),
    ]
    for parts, size in bad:
        assert agree_on_rows(parts, size) is ValueError
    named = array("Q", [0, 1]), array("Q", [2]), b"\5"
    assert agree("name_texts", array("I"), b"", *named, *columns.join_strings(["v"])) is ValueError
    assert (
        agree("name_texts", array("I"), b"", array("Q", [0]), array("Q", [2]), b"\4", *columns.join_strings(["v"]))
        is ValueError
    )
