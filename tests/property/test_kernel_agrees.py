"""The compiled kernel agrees with the reference: the same events, rejections, columns and errors."""

from __future__ import annotations

import itertools
from array import array
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.property.lines import NOW_S, lines, plain_objects, rich_lines, texts

from tillroll.core import columns, kernel
from tillroll.core.batch import Batch, Event
from tillroll.core.kept import Keep
from tillroll.core.parse import KEEP_NOTHING, InvalidText, Places, parse, parse_by_reference, parse_some

if TYPE_CHECKING:
    from collections.abc import Callable

    from tillroll.core.codes import CodeColumn

pytestmark = pytest.mark.skipif(not kernel.compiled, reason="the kernel is not compiled")
if kernel.compiled:
    from tillroll import _kernel

words = st.integers(0, 2**64 - 1)
small = st.one_of(st.just(0), st.integers(0, 255), st.integers(0, 65_536), st.integers(0, 2**32 - 1))
unsigned = st.one_of(small, words)
signed = st.one_of(small, st.integers(-(2**63), 2**63 - 1))
of_code = {
    "q": signed,
    "Q": unsigned,
    "I": st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1)),
    "B": st.integers(0, 255),
}
uuids = st.uuids().map(lambda value: str(value).encode())
strings = st.lists(
    st.one_of(uuids, uuids.map(bytes.upper), st.binary(max_size=40), st.just(b""), st.text(max_size=5).map(str.encode))
)


def columns_of(code: str, size: int = 50) -> st.SearchStrategy[array[int]]:
    return st.lists(of_code[code], max_size=size).map(lambda values: array(code, values))


any_column = st.sampled_from("qQIB").flatmap(columns_of)


def outcome(function: Callable[..., Any], *arguments: object) -> object:
    """Return a result in a form that compares, types of arrays included, or that there was a ValueError."""
    try:
        result = function(*arguments)
    except ValueError:
        return ValueError
    if isinstance(result, list) and result and isinstance(result[0], tuple):
        return [outcome(lambda one=one: one) for one in result]
    parts = result if isinstance(result, tuple) else (result,)
    return [(part.typecode, part.tolist()) if isinstance(part, array) else part for part in parts]


def agree(name: str, *arguments: object) -> None:
    assert outcome(getattr(_kernel, name), *arguments) == outcome(getattr(columns, name), *arguments)


def columns_in(batch: Batch) -> dict[str, object]:
    return {name: getattr(batch, name) for name in Batch.__slots__}


def check_texts(
    some: list[bytes], whole: list[bool], first: int, now_s: float = NOW_S, keep: Keep = KEEP_NOTHING
) -> None:
    places = Places()
    for index, text in enumerate(some):
        places.add(index, first + index, 0, len(text), single=whole[index])
    got, expected = parse(some, places, now_s, keep=keep), parse_by_reference(some, places, now_s, keep)
    assert got.wrong == expected.wrong
    assert got.events == expected.events
    assert columns_in(got.batch) == columns_in(expected.batch)


@given(lines)
@example(b'{"date":"2011-12-03T10:15:30Z","amount":1,"paymentMethod":"PAY_NOW","merchantId":"2011-12-03"}')
def test_a_line_alone_is_the_same_event_or_rejection(line: bytes) -> None:
    check_texts([line], [False], 0)
    check_texts([line], [True], 3)


KEEPS = (
    Keep(["country"]),
    Keep(["x", "", "n", '"a.b"', "customer", "customer.country", "customer.x.y", "__proto__", "date "][2:]),
    Keep(['""', "x", "Date", "dat", "n.x", "n.n.n", '"\u65e5\u672c"', "n"]),
    Keep([f"f{number}" for number in range(250)] + ["country", "n", "customer.country"]),
)


@pytest.mark.parametrize("keep", KEEPS, ids=range(4))
@given(data=st.data())
def test_kept_fields_of_any_lines_are_the_same(keep: Keep, data: st.DataObject) -> None:
    some = data.draw(st.lists(st.one_of(rich_lines, rich_lines, lines), min_size=1, max_size=12))
    ended = data.draw(st.sampled_from([b"", b"\n", b"\r\n"]))
    check_texts([b"\n".join(some) + ended], [False], 0, keep=keep)
    check_texts(some[:3], [True] * 3, 0, keep=keep)
    check_texts([b"\n".join(some) + b"\n" * 700], [False], 0, keep=keep)


@given(st.lists(texts, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4), st.integers(0, 2**40))
def test_texts_together_are_the_same_events_and_rejections_in_the_same_order(
    some: list[bytes], whole: list[bool], first: int
) -> None:
    check_texts(some, whole[: len(some)], first)


@given(st.lists(st.one_of(plain_objects.map(str.encode), lines), min_size=8, max_size=16))
def test_lines_deep_in_a_text_are_the_same_events(some: list[bytes]) -> None:
    check_texts([b"\n".join(some)], [False], 0)


@pytest.mark.parametrize("compiled", [True, False])
@given(
    some=st.lists(st.one_of(plain_objects.map(str.encode), lines, st.just(b"x"))),
    most=st.integers(1, 4),
    ended=st.booleans(),
)
def test_lines_read_in_parts_are_those_read_at_once(
    *, compiled: bool, some: list[bytes], most: int, ended: bool
) -> None:
    text = b"\n".join(some) + b"\n" * ended
    places = Places()
    places.add(0, 7, 0, len(text), single=False)
    expected = parse_by_reference([text], places, NOW_S)
    rest, position = text, 7
    events: list[tuple[int, Event]] = []
    wrong: list[InvalidText] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "compiled", compiled)
        while rest:
            part = parse_some(rest, position, NOW_S, most)
            assert len(part.wrong) <= most
            events += zip(part.batch.positions, part.batch.events(), strict=True)
            before = len(text) - len(rest)
            wrong += [each._replace(start=before + each.start) for each in part.wrong]
            rest = rest[part.size :]
            position += part.lines
    assert position == 7 + text.count(b"\n") + (not text.endswith(b"\n") and bool(text))
    assert events == list(zip(expected.batch.positions, expected.batch.events(), strict=True))
    assert wrong == expected.wrong


@given(plain_objects, st.floats(0, 3e9))
def test_what_is_too_far_in_the_future_is_the_same(line: str, now_s: float) -> None:
    check_texts([line.encode()], [True], 0, now_s)


@given(any_column, st.data())
def test_narrow_and_widen_agree(values: array[int], data: st.DataObject) -> None:
    base = data.draw(st.sampled_from([0, min(values, default=0)]))
    if base < 2**63:
        agree("narrow", values, base)
        if values and min(values) >= base:
            width, packed = columns.narrow(values, base)
            assert _kernel.widen(packed, width, base, len(values), values.typecode) == values


@given(st.binary(max_size=80), st.integers(-1, 9), signed, st.integers(-1, 80), st.sampled_from("qQIBHx"))
def test_widen_agrees_on_any_bytes(data: bytes, width: int, base: int, count: int, code: str) -> None:
    agree("widen", data, width, base, count, code)
    if width > 0:
        agree("widen", data[: len(data) // width * width], width, base, len(data) // width, code)


@given(st.binary(max_size=80), st.integers(-1, 9))
@example(bytes(range(256)) * 40, 4)
def test_shuffle_agrees_and_comes_back(data: bytes, width: int) -> None:
    agree("shuffle", data, width)
    agree("unshuffle", data, width)
    if width in {1, 2, 4, 8}:
        whole = data[: len(data) // width * width]
        assert _kernel.unshuffle(_kernel.shuffle(whole, width), width) == whole
        agree("shuffle", whole, width)
        agree("unshuffle", memoryview(whole), width)


@given(columns_of("q"), any_column)
def test_bounds_and_largest_agree(values: array[int], others: array[int]) -> None:
    agree("bounds", values)
    agree("largest", others)


@given(strings, st.binary(max_size=40))
def test_packed_strings_agree_and_come_back(some: list[bytes], rest: bytes) -> None:
    ends, heap = columns.column_of(some)
    agree("pack_strings", ends, heap)
    packed = columns.pack_strings(ends, heap)
    agree("unpack_strings", packed + rest, len(some))
    assert _kernel.unpack_strings(packed + rest, len(some)) == (ends, heap, len(packed))


@given(st.binary(max_size=120), st.integers(-1, 20))
def test_unpacking_any_bytes_agrees(data: bytes, count: int) -> None:
    agree("unpack_strings", data, count)


@given(columns_of("I", 8), st.binary(max_size=40))
def test_string_columns_that_may_be_wrong_agree(ends: array[int], heap: bytes) -> None:
    agree("pack_strings", ends, heap)
    agree("split_strings", ends, heap)
    agree("pick_strings", ends, heap, array("I", [0]))


@given(st.lists(st.text(max_size=10)))
def test_joined_and_split_texts_agree_and_come_back(some: list[str]) -> None:
    agree("join_strings", some)
    ends, heap = _kernel.join_strings(some)
    assert _kernel.split_strings(ends, heap) == some


keys = st.binary(min_size=16, max_size=16)


@given(
    st.one_of(keys, st.binary(max_size=20)), signed, st.integers(0, 2**32 - 1), st.integers(0, 255), st.binary(), words
)
def test_hashes_of_names_agree(key: bytes, second: int, nanos: int, kind: int, value: bytes, position: int) -> None:
    agree("hash_name", key, second, nanos, kind, value, position)


named = st.tuples(
    st.sampled_from([-1, 0, 61, 62, 2**40]), st.sampled_from([0, 1, 10**9 - 1]), st.binary(max_size=3), words
)
named_runs = st.lists(
    st.tuples(st.integers(0, 5), st.binary(max_size=9), st.lists(named, min_size=1, max_size=40)), max_size=4
)


@given(keys, named_runs, st.integers(0, 9))
def test_rows_of_names_agree(
    key: bytes, runs: list[tuple[int, bytes, list[tuple[int, int, bytes, int]]]], wrong: int
) -> None:
    some = [event for _, _, its in runs for event in its]
    seconds, nanos = array("q", [event[0] for event in some]), array("I", [event[1] for event in some])
    positions = array("Q", [event[3] for event in some])
    ids = columns.column_of([event[2] for event in some])
    events, kinds = array("Q", [len(its) for _, _, its in runs]), bytes(kind for kind, _, _ in runs)
    values = columns.column_of([value for _, value, _ in runs])
    agree("name_rows", key, seconds, nanos, *ids, positions, events, kinds, *values)
    agree("name_rows", key, seconds, nanos, array("I"), b"", positions, events, kinds, *values)
    arguments: list[Any] = [key, seconds, nanos, *ids, positions, events, kinds, *values]
    arguments[wrong] = arguments[wrong][1:]
    agree("name_rows", *arguments)
    rows = columns.name_rows(key, seconds, nanos, *ids, positions, events, kinds, *values)
    agree("same_slots", rows)
    agree("same_slots", rows[1:])


@given(columns_of("Q"), columns_of("Q"))
def test_intersections_agree(one: array[int], other: array[int]) -> None:
    agree("intersect", one, other)
    small = [array("Q", sorted({value % 20 for value in values})) for values in (one, other)]
    agree("intersect", *small)


@given(any_column, any_column, strings, strings, st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9))))
def test_comparisons_at_places_agree(
    values: array[int], others: array[int], some: list[bytes], more: list[bytes], pairs: list[tuple[int, int]]
) -> None:
    at, others_at = (array("I", [pair[side] for pair in pairs]) for side in range(2))
    agree("equal_at", values, at, others, others_at)
    agree("equal_at", values, at, values, others_at)
    agree("equal_at", values, at[1:], values, others_at)
    agree("equal_strings_at", *columns.column_of(some), at, *columns.column_of(more), others_at)
    if some and values:
        inside = [array("I", [place % len(some) for place in places]) for places in (at, others_at)]
        agree("equal_strings_at", *columns.column_of(some), inside[0], *columns.column_of(some), inside[1])
        inside = [array("I", [place % len(values) for place in places]) for places in (at, others_at)]
        agree("equal_at", values, inside[0], values, inside[1])


@given(st.integers(-1, 12), st.lists(st.integers(0, 12)), st.binary(max_size=12))
def test_placing_agrees(size: int, places: list[int], values: bytes) -> None:
    agree("place", size, array("I", places), values)
    agree("place", size, array("I", range(len(values))), values)


@given(any_column, columns_of("I"), strings)
def test_picking_agrees(values: array[int], indexes: array[int], some: list[bytes]) -> None:
    agree("pick", values, indexes)
    agree("pick_strings", *columns.column_of(some), indexes)
    inside = array("I", [index % len(values) for index in indexes] if values else [])
    agree("pick", values, inside)
    agree("pick_strings", *columns.column_of(some), array("I", [x % len(some) for x in indexes] if some else []))
    agree("renumber", inside, len(values))
    agree("renumber", indexes, 40)


@given(st.binary(max_size=60))
def test_indexes_of_a_mask_agree(mask: bytes) -> None:
    agree("indexes_of", mask)


@given(
    count=st.integers(0, 30), places=st.lists(st.integers(0, 33), max_size=10), order=st.sampled_from([sorted, list])
)
def test_interleaving_agrees(count: int, places: list[int], order: Callable[[list[int]], list[int]]) -> None:
    agree("interleave", count, array("Q", order(places)))


@given(
    runs=st.lists(st.tuples(words, st.lists(st.integers(0, 9), min_size=1, max_size=6)), max_size=6),
    order=st.sampled_from([sorted, list]),
)
def test_positions_and_gaps_agree(runs: list[tuple[int, list[int]]], order: Callable[[list[int]], list[int]]) -> None:
    gaps = array("Q", [gap for _, some in runs for gap in order(some)])
    firsts, counts = array("Q", [first for first, _ in runs]), array("Q", [len(some) for _, some in runs])
    agree("positions_of", firsts, counts, gaps)
    agree("positions_of", firsts, counts, gaps[1:])
    agree("gaps_of", gaps, counts)
    agree("gaps_of", array("Q", sorted(gaps)), counts)


@given(
    st.lists(st.sampled_from([0, 1, 2, 4, 8, 3]), min_size=3, max_size=3),
    st.binary(max_size=64),
    st.integers(0, 20),
    st.lists(st.tuples(st.integers(0, 30), words, words, words), max_size=8),
    words,
    st.integers(0, 1),
)
def test_counters_agree(
    widths: list[int], data: bytes, size: int, added: list[tuple[int, int, int, int]], first: int, wide: int
) -> None:
    agree("read_counts", data, size)
    fitting = bytes(widths) + (data * 20)[: size * sum(widths)]
    agree("read_counts", fitting, size)
    agree("sum_counts", [fitting, fitting, b""], size)
    for base in (0, first % 2**40):
        codes, *totals = (array("Q", [row[at] for row in added]) for at in range(4))
        codes = array("Q", [base + code for code in codes])
        agree("add_counts", fitting, base, size, codes, *totals[: 2 + wide], *[array("Q")][wide:])


@given(columns_of("q"), st.sampled_from([-1, 0, 1, 900, 3_600, 86_400, 2**31 - 1, 2**31]))
def test_windows_agree(seconds: array[int], window_s: int) -> None:
    agree("windows", seconds, window_s)
    agree("windows", array("q", [second % 10**9 - 10**8 for second in seconds]), window_s)


@given(columns_of("q"), st.lists(signed, max_size=12) | st.lists(st.integers(-300, 70_000), max_size=60))
def test_buckets_agree(values: array[int], bounds: list[int]) -> None:
    agree("bucketize", values, array("q", sorted(bounds)))
    agree("bucketize", array("q", [value % 70_000 for value in values]), array("q", sorted(bounds)))


@st.composite
def code_columns(draw: st.DrawFn, count: int) -> list[CodeColumn]:
    """Columns of codes, and tables of codes of others, some of which have a code that is out of range."""
    made: list[CodeColumn] = []
    for _ in range(draw(st.integers(0, 5))):
        parents = [index for index, column in enumerate(made) if column[-1] <= 64]
        radix = draw(st.sampled_from([1, 2, 3, 24, 64, 300, 2**20, 2**31, 2**33, 2**40, 2**41]))
        below = min(radix, draw(st.sampled_from([2, 64, 2**40])))
        if radix > 1 and draw(st.integers(0, 20)) == 0:
            below = 2 * radix
        if bool(parents) and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            table = draw(st.lists(st.integers(0, below - 1), min_size=made[parent][-1], max_size=made[parent][-1]))
            made.append((parent, array("Q", table), radix))
        else:
            codes = draw(st.lists(st.integers(0, below - 1), min_size=count, max_size=count))
            made.append((array("Q" if below > 2**32 else "I" if below > 256 else "B", codes), radix))
    return made


@st.composite
def digits_of(draw: st.DrawFn, columns_count: int) -> list[list[int]]:
    digits: list[list[int]] = [[] for _ in range(draw(st.integers(0, 4)))]
    for column in draw(st.permutations(range(columns_count))):
        if bool(digits) and draw(st.booleans()):
            draw(st.sampled_from(digits)).append(column)
    return digits


@given(st.data(), st.sampled_from([0, 1, 3, 64, 65, 150]))
def test_groups_agree(data: st.DataObject, count: int) -> None:
    made = data.draw(code_columns(count))
    groupings = data.draw(st.lists(digits_of(len(made)), max_size=5))
    weights = array("q", data.draw(st.lists(st.sampled_from([0, 1, 999, 10**12]), min_size=count, max_size=count)))
    agree("group", made, weights, groupings)
    if count:
        weights[0] = data.draw(st.sampled_from([-1, 2**63 - 1]))
        agree("group", made, weights, groupings)


@given(st.data(), st.integers(65, 300))
def test_groups_that_are_sums_of_one_another_agree(data: st.DataObject, count: int) -> None:
    def column(radix: int) -> array[int]:
        return array("B", data.draw(st.lists(st.integers(0, radix - 1), min_size=count, max_size=count)))

    hours = array("I", [hour // 24 for hour in range(60)])
    made: list[CodeColumn] = [
        (column(60), 60),
        (0, hours, 3),
        (column(3), 3),
        (column(5), 5),
        (3, array("I", [9, 4, 9, 2**31, 0]), 2**32),
        (1, array("I", [7, 0, 7]), 8),
    ]
    weights = array("q", range(count))
    agree("group", made, weights, data.draw(st.lists(digits_of(len(made)), min_size=3, max_size=12)))


def test_a_quote_where_the_name_before_ended_does_not_end_the_name() -> None:
    """The kernel guesses that a merchant's name is as long as the one before."""
    start = '{"date":"2011-12-03T10:15:30Z","amount":5000,"paymentMethod":"PAY_NOW","merchantId":"'
    some = [f'{start}{"m" * 36}"}}']
    for length in range(1, 30):
        # A quote stands 36 characters after the name begins, in the name or the id or between them.
        id_length = 36 - length - len('","id":"')
        some += [f'{start}{"n" * length}","id":"{"i" * max(id_length, 1)}"}}'] * 2 + [f'{start}{"o" * 36}"}}']
    text = "\n".join([*some, *some[::-1], *some[::7] * 4]).encode()
    check_texts([text], [False], 0)
    assert not parse_some(text, 0, NOW_S, 1).wrong


@given(columns_of("q"), st.lists(st.tuples(signed, st.integers(-90_000, 90_000)), max_size=9))
def test_shifts_agree(values: array[int], pieces: list[tuple[int, int]]) -> None:
    pieces = sorted(dict(pieces).items())
    starts, shifts = (array("q", column) for column in (zip(*pieces, strict=True) if pieces else ((), ())))
    agree("shift", array("q", [value % 10**12 for value in values]), starts, shifts)
    agree("shift", values[:0], starts, shifts[:1])


@given(st.lists(st.integers(0, 300)), st.binary(max_size=300), st.sampled_from("BIq"))
def test_what_is_accepted_agrees(codes: list[int], table: bytes, code: str) -> None:
    agree("accepts", array(code, [each % 256 if code == "B" else each for each in codes]), table)


def test_a_feed_in_a_name_of_one_text_leads_past_no_line_of_the_next() -> None:
    event = b'"date":"2011-12-03T10:15:30Z","amount":4285,"paymentMethod":"SLICE_IT","merchantId":"m"'
    pretty = b'{"country":\n "SE",' + event + b"}"
    for line in (b'{"country":', b'{"country":' + event, b'{"country":"NO",' + event + b"}"):
        check_texts([pretty, b"\n".join([line] * 3) + b"\n" * 700], [True, False], 0, keep=Keep(["country"]))


def test_a_merchant_that_seems_as_long_as_the_one_before_is_told_from_what_follows() -> None:
    uuid = b'{"date":"2011-12-03T10:15:30Z","amount":1,"paymentMethod":"PAY_NOW","merchantId":"%036d"}\n'
    short = b'{"date":"2011-12-03T10:15:30Z","amount":1,"paymentMethod":"PAY_NOW","merchantId":"%b","country":"SE"}\n'
    lines = [uuid % 1, short % b"m", *(short % (b"x" * size) for size in range(1, 37)), uuid % 2]
    check_texts([b"".join(lines) + b"\n" * 700], [False], 0, keep=Keep(["country"]))


def test_lines_with_fields_of_every_kind_are_certain_for_the_kernel() -> None:
    event = b'"date":"2011-12-03T10:15:30Z","amount":4285,"paymentMethod":"SLICE_IT","merchantId":"m"'
    others = '"country":"Köln","note":"a \\"b\\" \\u00e9","price":19.99,"items":[{"a":[]},{}],"customer":{"x":null}'
    more = others.encode()
    text = b"\n".join([b"{" + event + b"," + more + b"}", b"{" + more + b"," + event + b"}"]) + b"\n"
    keep = Keep(["country", "customer.x"])
    parser = _kernel.Parser()
    parser.keep(keep.nodes(), 2)
    one = array("Q", [0])
    found = parser.parse([text], one, one, one, array("Q", [len(text)]), b"\0", 2**31, 2**40)
    assert len(found[0]) == 2
    assert len(found[11]) == 0


def test_a_name_is_known_again_only_in_the_object_that_it_is_of() -> None:
    event = b'"date":"2011-12-03T10:15:30Z","amount":4285,"paymentMethod":"SLICE_IT","merchantId":"m"'
    many = b",".join(b'"x%d":{"x":%d}' % (number, number) for number in range(30))
    shapes = (
        b'"x":1,"a":{"x":2},"b":{"x":3}',
        b'"a":{"x":4,"date":5,"a":{"x":6}},"x":7',
        b'"b":{"a":{"x":8},"x":9}',
        b'"a":{"a":{"x":10,"x":11}}',
        b'"a":{},"b":{"x":{"x":12}},"x":null',
        many,
        many + b',"a":{"x":13}',
        b'"a":{"x":14}',
    )
    keep = Keep(["x", "a.x", "a.a.x", "b.x", "b.x.x", "b.a.x", "x7.x", "x29.x"])
    for first, second in itertools.product(shapes, shapes):
        lines = [
            b"{" + part + b"}\n" for shape in (first, second) for part in (event + b"," + shape, shape + b"," + event)
        ]
        check_texts([b"".join(lines * 2) + b"\n" * 700], [False], 0, keep=keep)


def test_a_name_is_known_again_whatever_spaces_follow_it() -> None:
    tight = b'{"country":"SE","date":"2011-12-03T10:15:30Z","amount":1,"paymentMethod":"PAY_NOW","merchantId":"m"}'
    parser = _kernel.Parser()
    one = array("Q", [0])
    for line in (tight, tight.replace(b":", b" : ").replace(b" : 15 : ", b":15:"), tight):
        found = parser.parse([line], one, one, one, array("Q", [len(line)]), b"\0", 2**31, 2**40)
        assert len(found[0]) == 1
