"""A body is parted the same by the kernel and by the reference, wherever it is cut; no bad event costs a good one."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st
from tests.fuzz.checks import check_parts

from tillroll.core import body
from tillroll.core.accept import Body, accept
from tillroll.core.batch import UNNAMED
from tillroll.core.parse import BOM

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW_S = 2e9
_GOOD = '{"date":"2012-05-04T08:09:10Z","amount":%d,"paymentMethod":"PAY_LATER","merchantId":"shop-a"}'
_OPEN = '{"date": "2012-05-04T08:09:10Z", "amount": 1500, "paymentMethod": "PAY_LATER", "merchantId": "shop-a"'


def good(number: int) -> str:
    return _GOOD % number


# Each is one bad event that ends where it ends, whatever stands around it: no bracket is missing, no quote.
_CLOSED = st.sampled_from(
    [
        _OPEN + ', "x": NaN}',
        _OPEN + ', "x": 01}',
        _OPEN + ', "x": "a\tb"}',
        _OPEN + ', "x": "\\x"}',
        _OPEN + ', "x": [1,]}',
        _OPEN + ",}",
        _OPEN + ', "x"}',
        _OPEN + ', "x": -Infinity, "y": [[], {"a": tru}]}',
        _OPEN + ', "amount": 1}',
        _OPEN + ', "id": "\\ud83d"}',
        _OPEN.replace("1500", "-1") + "}",
        _OPEN.replace("1500", '"]}{["') + "}",
        _OPEN.replace("shop-a", 'a|b\\"') + "}",
        "{}",
        '{"a": {"b": [{"c": "}"}]}}',
        "7",
        '"text"',
        "null",
        "NaN",
        "oops",
        '"a\tb"',
        "1 2",
        "'x'",
        "\\",
        "\x00",
        "[[1], [2, {}]]",
        "[]",
        "é",
    ]
)
_PIECES = st.sampled_from(
    ["{", "}", "[", "]", ",", ":", '"', "\\", "\n", "\n{", " ", "\t", "\r", "a", "1", '"a"', '{"a":', "\x1e", "\ufeff"]
)
soups = st.lists(_PIECES | st.just(good(7)) | _CLOSED, max_size=30).map(lambda parts: "".join(parts).encode())
bodies = soups | st.binary(max_size=40)


@given(bodies, st.lists(st.integers(0, 400), max_size=5), st.integers(1, 5) | st.just(sys.maxsize))
@example(b"[1]\n\xef\xbb\xbf[2]", [5], 9)
@example(b"{\n\xef\xbb\xbf{}", [3], 9)
@example(b'"\n\\"\n\\"x', [], 9)
@example(b'{"a":\n{}\n{"b":\n{"c":[\n{}\n]}', [3], 9)
def test_a_body_is_parted_as_the_reference_does_wherever_it_is_cut(data: bytes, cuts: list[int], most: int) -> None:
    check_parts(data, cuts, most)


@given(bodies)
def test_places_rise_and_all_that_is_not_between_events_is_in_one(data: bytes) -> None:
    at, before = 0, -1
    for position, start, end in body.places_in(data):
        assert before < position
        assert at <= start <= end
        assert not data[at:start].replace(BOM, b"").strip(b" \t\r\n,[]\x1e")
        at, before = end, position
    assert not data[at:].replace(BOM, b"").strip(b" \t\r\n,[]\x1e")
    count = sum(1 for _ in body.places_in(data))
    for events_max in (count - 1, count - 2, 0):
        if 0 <= events_max < count:
            assert body.has_more_than(events_max, data)
    assert not body.has_more_than(count + data.count(b"\n") + 1, data)


@given(bodies, st.sampled_from((1, 40, 400)), st.integers(-3, 3))
def test_the_glance_at_a_body_counts_what_stands_between_events(data: bytes, times: int, more: int) -> None:
    data *= times
    between = sum(map(data.count, (b"\n", b",", b"{", b"\x1e")))
    events_max = max(0, between + more)
    expected = len(data) > events_max and between + 2 > events_max
    assert body.may_have_more_than(events_max, data) == expected


def counted(data: bytes) -> tuple[list[int], list[tuple[int, bytes]]]:
    """The amounts of what is accepted, and the index and bytes of what is not, each seen to be where it says."""
    batch, _, (rejections,) = accept([Body(data, UNNAMED)], NOW_S)
    for rejection in rejections:
        assert rejection.byte is not None
        assert data[rejection.byte : rejection.byte + len(rejection.body)] == rejection.body
    return list(batch.amounts), [(rejection.position, rejection.body) for rejection in rejections]


_plans = st.lists(st.booleans() | _CLOSED, min_size=1, max_size=12)


def events_of(plan: Sequence[bool | str]) -> list[str]:
    return [good(number) if isinstance(one, bool) else one for number, one in enumerate(plan)]


@given(_plans, st.sampled_from([",", ", ", ",\n", "\n,", " ,\r\n "]), st.sampled_from(["", "\n", " "]))
def test_a_bad_element_costs_no_other_of_its_array(plan: list[bool | str], comma: str, space: str) -> None:
    events = events_of(plan)
    data = f"{space}[{space}{comma.join(events)}{space}]{space}".encode()
    bad = [(index, text.encode()) for index, text in enumerate(events) if text != good(index)]
    assert counted(data) == ([index for index, text in enumerate(events) if text == good(index)], bad)


_broken = st.integers(1, len(_OPEN)).map(lambda size: _OPEN[:size])


@given(st.lists(st.booleans() | _CLOSED | _broken, min_size=2, max_size=8), st.sampled_from(["\n", "\r\n", "\n\ufeff"]))
@example(['{"a":', True], "\n")
@example(['{"a": [', True, True], "\n")
@example(['{"a": "', True, True], "\n")
@example(["[", True], "\n")
@example([_OPEN, True], "\n")
def test_a_bad_line_costs_no_other(plan: list[bool | str], feed: str) -> None:
    events = [*events_of(plan), good(99)]
    amounts, bad = counted(feed.join(events).encode())
    assert amounts == [index for index, text in enumerate(events) if text == good(index)] + [99]
    if not events[0].startswith("["):
        wrong = [(index, text.rstrip().encode()) for index, text in enumerate(events[:-1]) if text != good(index)]
        assert bad == wrong


@given(st.lists(st.booleans() | _CLOSED | _broken, min_size=2, max_size=8), st.sampled_from(["\n", "\r\n  "]))
@example(['{"a":', True], "\n")
@example(['{"a": "', True, True], "\n")
def test_an_element_that_is_broken_off_costs_no_other_where_each_begins_a_line(
    plan: list[bool | str], feed: str
) -> None:
    events = [*events_of(plan), good(99)]
    amounts, _ = counted(f"[{f',{feed}'.join(events)}]".encode())
    assert amounts == [index for index, text in enumerate(events) if text == good(index)] + [99]


@given(st.lists(st.booleans() | _CLOSED.filter(lambda text: text[0] == "{"), min_size=1, max_size=8))
def test_texts_of_several_lines_are_an_event_each(plan: list[bool | str]) -> None:
    events = [text.replace(",", ",\n  ").replace("{", "{\n", 1) for text in [good(98), *events_of(plan)]]
    amounts, bad = counted("\n".join(events).encode())
    assert amounts == [98] + [index for index, one in enumerate(plan) if isinstance(one, bool)]
    assert [text for _, text in bad] == [
        text.encode() for text, one in zip(events[1:], plan, strict=True) if not isinstance(one, bool)
    ]


@given(_plans)
def test_records_of_a_sequence_are_an_event_each(plan: list[bool | str]) -> None:
    events = events_of(plan)
    data = "".join(f"\x1e{text}\n" for text in events).encode()
    bad = [(index, text.encode()) for index, text in enumerate(events) if text != good(index)]
    assert counted(data) == ([index for index, text in enumerate(events) if text == good(index)], bad)


@given(st.lists(st.lists(st.booleans() | _CLOSED, min_size=1, max_size=4), min_size=1, max_size=5))
def test_lines_after_a_separator_are_an_event_each(plan: list[list[bool | str]]) -> None:
    events = events_of([one for record in plan for one in record])
    texts = iter(events)
    data = "".join("\x1e" + "\n".join(next(texts) for _ in record) + "\n" for record in plan).encode()
    bad = [(index, text.encode()) for index, text in enumerate(events) if text != good(index)]
    assert counted(data) == ([index for index, text in enumerate(events) if text == good(index)], bad)


_objects = st.lists(st.booleans() | _CLOSED.filter(lambda text: text[0] == "{"), min_size=1, max_size=8)


@given(_objects, st.data())
def test_marks_spaces_and_commas_around_the_object_of_a_line_are_no_part_of_it(
    plan: list[bool | str], data: st.DataObject
) -> None:
    events = [good(98), *events_of(plan)]
    before = st.sampled_from(["", " ", "\ufeff", " \ufeff", "\ufeff\t", "\t\ufeff \ufeff ", ",", " , ", "\ufeff,"])
    after = st.sampled_from(["", " ", ",", " ,", ", ", ",\r", "\r"])
    lines = [text + data.draw(after) for text in events]
    lines[1:] = [data.draw(before) + line for line in lines[1:]]
    amounts, bad = counted("\n".join(lines).encode())
    assert amounts == [98] + [index for index, one in enumerate(plan) if isinstance(one, bool)]
    assert bad == [(index + 1, one.encode()) for index, one in enumerate(plan) if isinstance(one, str)]


@given(_objects, st.sampled_from(["", " ", ",", " , ", ", "]), st.sampled_from(["", "\x1e", "\ufeff", " \ufeff "]))
def test_objects_that_are_joined_are_an_event_each(plan: list[bool | str], between: str, before: str) -> None:
    events = [good(98), *events_of(plan)]
    amounts, bad = counted((before + between.join(events)).encode())
    assert amounts == [98] + [index for index, one in enumerate(plan) if isinstance(one, bool)]
    assert bad == [(index + 1, one.encode()) for index, one in enumerate(plan) if isinstance(one, str)]


def test_an_event_comes_back_from_wherever_it_was_put() -> None:
    event = json.loads(good(5))
    for text in (json.dumps(event), json.dumps([event]), json.dumps(event, indent=1), json.dumps([event], indent=1)):
        for before in ("", "\ufeff", "\n\n", " \t", "\ufeff \n"):
            for after in ("", "\n", "\r\n \n", "\n\ufeff"):
                assert counted((before + text + after).encode()) == ([5], [])
