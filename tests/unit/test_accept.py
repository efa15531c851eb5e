"""What a valid event is, what a body is, and what is said of everything else."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from tests.fuzz.checks import check_bodies, check_parts, check_texts

from tillroll.core import kernel
from tillroll.core import parse as parse_module
from tillroll.core.accept import Body, accept
from tillroll.core.batch import UNNAMED, Event, NameKind, Run, Source
from tillroll.core.body import PartingState, is_empty, part, part_by_reference
from tillroll.core.decode import Reason, decode_event, encode_event
from tillroll.core.parse import InvalidText, parse_some

NOW_S = 1_700_000_000.5
VALID = {"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "m"}
LINE = json.dumps(VALID).encode()
EVENT = Event(1_322_907_330, 0, 4_285, 2, "m")
KEY = Source(NameKind.KEY, "k")


def with_field(name: str, value: object) -> bytes:
    return json.dumps(VALID | {name: value}).encode()


def with_text(name: str, text: str) -> bytes:
    """The valid event with a field's value as this JSON text."""
    return json.dumps(VALID | {name: "@"}).replace('"@"', text).encode()


def reason_of(line: bytes) -> tuple[str, str | None]:
    """Return code and field of what decoding says, after seeing that the kernel leaves that to the reference."""
    check_texts([line], [True], 0, NOW_S)
    found = decode_event(line, NOW_S)
    assert isinstance(found, Reason), found
    assert found.message
    assert len(found.message) < 300
    return found.code, found.field


def event_of(line: bytes) -> Event:
    check_texts([line], [True], 0, NOW_S)
    found = decode_event(line, NOW_S)
    assert isinstance(found, Event), found
    return found


@pytest.mark.parametrize(
    ("text", "seconds", "nanos"),
    [
        ("2011-12-03T10:15:30Z", 1_322_907_330, 0),
        ("2011-12-03T11:15:30+01:00", 1_322_907_330, 0),
        ("2011-12-02T10:16:30-23:59", 1_322_907_330, 0),
        ("2011-12-03T10:15:30-00:00", 1_322_907_330, 0),
        ("2011-12-03T10:15:30.5Z", 1_322_907_330, 500_000_000),
        ("2011-12-03T10:15:30.000000001+00:00", 1_322_907_330, 1),
        ("2012-02-29T00:00:00Z", 1_330_473_600, 0),
        ("2000-02-29T23:59:59Z", 951_868_799, 0),
        ("1969-12-31T23:59:59.25Z", -1, 250_000_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
        ("2011-12-03t10:15:30z", 1_322_907_330, 0),
        ("2011-12-03T10:15:30.5z", 1_322_907_330, 500_000_000),
        ("2011-12-03t11:15:30+0100", 1_322_907_330, 0),
        ("2011-12-02T10:16:30.25-2359", 1_322_907_330, 250_000_000),
        ("2023-11-15T22:13:20Z", 1_700_086_400, 0),  # a day after now, rounded down
    ],
)
def test_an_instant_with_seconds_and_an_offset_is_counted_in_utc(text: str, seconds: int, nanos: int) -> None:
    event = event_of(with_field("date", text))
    assert (event.seconds, event.nanos) == (seconds, nanos)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2011-12-03",
        "2011-12-03T10:15Z",
        "2011-12-03T10:15:30",
        "2011-12-03T10:15:30+01",
        "2011-12-03T10:15:30+010",
        "2011-12-03T10:15:30+01:0",
        "2011-12-03T10:15:30+01:000",
        "2011-12-03T10:15:30+2400",
        "2011-12-03T10:15:30+0060",
        "2011-12-03T10:15:30Z+0000",
        "2011-12-03 10:15:30Z",
        "2011-12-03T10:15:30.Z",
        "2011-12-03T10:15:30.1234567890Z",
        "2011-12-03T10:15:30,5Z",
        "2011-12-03T24:00:00Z",
        "2011-12-03T10:60:30Z",
        "2011-12-03T10:15:60Z",
        "2011-12-03T10:15:30+24:00",
        "2011-12-03T10:15:30+00:60",
        "2011-02-29T10:15:30Z",
        "1900-02-29T10:15:30Z",
        "2011-04-31T10:15:30Z",
        "2011-00-03T10:15:30Z",
        "2011-13-03T10:15:30Z",
        "2011-12-00T10:15:30Z",
        "2011-12-32T10:15:30Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "+2011-12-03T10:15:30Z",
        "٢٠١١-12-03T10:15:30Z",
        " 2011-12-03T10:15:30Z",
        "2011-12-03T10:15:30Z ",
        1_322_907_330,
        None,
        True,
        ["2011-12-03T10:15:30Z"],
    ],
)
def test_what_is_no_instant_is_rejected(value: object) -> None:
    assert reason_of(with_field("date", value)) == ("invalid_date", "date")


@pytest.mark.parametrize("text", ["2023-11-15T22:13:21Z", "2023-11-15T22:13:21.5Z", "9999-12-31T23:59:59Z"])
def test_a_date_more_than_a_day_in_the_future_is_rejected(text: str) -> None:
    assert reason_of(with_field("date", text)) == ("future_date", "date")


@pytest.mark.parametrize("cents", [0, 1, 999, 9_999_999, 10_000_000, 99_999_999, 999_999_999_999, 10**12])
def test_a_whole_number_of_cents_is_taken(cents: int) -> None:
    assert event_of(with_field("amount", cents)).amount == cents


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("4285.0", 4285),
        ("4.285e3", 4285),
        ("4.285E+3", 4285),
        ("428500e-2", 4285),
        ("42850000000000000000000000e-22", 4285),
        ("0.00000000000000000000004285e26", 4285),
        ("4285.00000000000000000000000000000", 4285),
        ("1e12", 10**12),
        ("1000000000000.000", 10**12),
        ("0.0", 0),
        ("-0.0", 0),
        ("0e999999999999999999999", 0),
        ("0." + "0" * 5_000, 0),
        ("1e00000000000000000000000002", 100),
        ("9007199254740993e-4", None),  # a float would lose its last digit
        ("4285.00000000000000001", None),
        ("1e-1", None),
        ("1e-999999999999999999999", None),
        ("1e13", None),
        ("1000000000000.1", None),
        ("1000000000001.0", None),
        ("1e999999999999999999999", None),
        ("-1.0", None),
        ("-1e2", None),
    ],
)
def test_an_amount_is_judged_by_its_decimal_value(text: str, cents: int | None) -> None:
    line = with_text("amount", text)
    if cents is None:
        assert reason_of(line) == ("invalid_amount", "amount")
    else:
        assert event_of(line).amount == cents


@pytest.mark.parametrize(
    "text",
    [
        "-1",
        str(10**12 + 1),
        str(10**13),
        "42.85",
        "42.8500",
        '"4285"',
        "true",
        "null",
        "[]",
        "{}",
        "1e400",
        "-1e400",
        "9" * 400,
        "9" * 5_000,
    ],
)
def test_what_is_no_whole_number_of_cents_in_range_is_rejected(text: str) -> None:
    assert reason_of(with_text("amount", text)) == ("invalid_amount", "amount")


@pytest.mark.parametrize("text", ["01", "00", "+1", "1.", ".5", "0x10", "NaN", "Infinity", "-Infinity", "1_000", "--1"])
def test_an_amount_that_is_no_json_is_rejected(text: str) -> None:
    assert reason_of(with_text("amount", text)) == ("not_json", None)


def test_minus_nothing_is_nothing() -> None:
    assert event_of(with_text("amount", "-0")).amount == 0


@pytest.mark.parametrize(("method", "index"), [("PAY_NOW", 0), ("PAY_LATER", 1), ("SLICE_IT", 2)])
def test_the_three_methods_are_taken(method: str, index: int) -> None:
    assert event_of(with_field("paymentMethod", method)).method == index


@pytest.mark.parametrize("method", ["", "pay_now", "PAY_NOW ", "PAY", "CASH", 0, None, True, ["PAY_NOW"]])
def test_any_other_method_is_rejected(method: object) -> None:
    assert reason_of(with_field("paymentMethod", method)) == ("unknown_method", "paymentMethod")


@pytest.mark.parametrize(
    "merchant",
    [
        "m",
        "Café",
        "日本 商店",
        "a b",
        '"quoted"',
        "back\\slash",
        "x" * 128,
        "é" * 128,
        "2011-12-3",
        "2011-13-03",
        "10-51",
        "2011-12-03:10",
        "PAY_NOW",
        "<100",
        "\U0001f6d2",
        "\u0645\u06cc\u200c\u0634\u0648\u062f",  # Persian, with the joiner that its spelling asks for
        "\u0915\u094d\u200d\u0937",
        "\u3000x",
        "a\u00a0b",
        "\u00ad",  # a soft hyphen
        "\ue000",  # for private use
        "\U0001fffd",
        "\U000e0041",  # a tag
        "\u0378",  # not assigned yet
        " m",
    ],
)
def test_a_merchant_is_judged_by_code_point(merchant: str) -> None:
    assert event_of(with_field("merchantId", merchant)).merchant == merchant
    raw = json.dumps(VALID | {"merchantId": merchant}, ensure_ascii=False).encode()
    assert event_of(raw).merchant == merchant


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " " * 128,
        "\u3000 \u00a0",
        "x" * 129,
        "é" * 129,
        "a\tb",
        "a\nb",
        *"\x00\x1f\x7f\x80\x9f\u2028\u2029\ufeff\u200e\u200f\u061c\u202a\u202e\u2066\u2069",
        *"\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0010ffff",
        "x\u202e",
        7,
        [],
        {"m": 1},
    ],
)
def test_what_is_no_name_is_rejected(name: Any) -> None:
    assert reason_of(with_field("merchantId", name)) == ("invalid_merchant", "merchantId")
    assert reason_of(with_field("id", name)) == ("invalid_id", "id")


def test_null_is_no_id_and_no_merchant() -> None:
    assert event_of(with_field("id", None)) == EVENT
    assert event_of(with_text("id", r'null, "x": "\ud83d"')) == EVENT
    assert reason_of(with_field("merchantId", None)) == ("invalid_merchant", "merchantId")


@pytest.mark.parametrize(
    "half", [r"\ud83d", r"\ud83dx", r"\ud83d\"", r"\ude00", r"\ude00\ud83d", r"\ud83d\ud83d\ude00"]
)
def test_half_a_surrogate_pair_is_ignored_where_everything_is_and_rejected_in_a_name(half: str) -> None:
    assert event_of(with_text("note", f'"thanks {half}"')) == EVENT
    assert event_of(with_text("more", f'{{"{half}": ["{half}", 1]}}')) == EVENT
    assert event_of(with_text(half, "1")) == EVENT
    assert reason_of(with_text("merchantId", f'"{half}"')) == ("invalid_merchant", "merchantId")
    assert reason_of(with_text("id", f'"{half}"')) == ("invalid_id", "id")
    assert reason_of(with_text("date", f'"{half}"')) == ("invalid_date", "date")
    found = decode_event(with_text("merchantId", f'"{half}"'), NOW_S)
    assert isinstance(found, Reason)
    assert found.message.encode()


@pytest.mark.parametrize(
    "bad", [r'"\ud8"', r'"\u+123"', '"a\tb"', r'"\x"', "NaN", "01", "[1,]", '{"a"}', "{1:2}", "1e", "'x'"]
)
@pytest.mark.parametrize("half", ["", r'"half": "\ud83d", '])
def test_what_is_no_json_is_none_beside_half_a_pair(bad: str, half: str) -> None:
    line = LINE[:-1] + f', {half}"x": {bad}}}'.encode()
    assert reason_of(line) == ("not_json", None)


@pytest.mark.parametrize(("opened", "closed", "depth"), [("[", "]", 400_000), ('{"a":', "}", 170_000)])
def test_a_field_that_is_ignored_may_nest_as_deep_as_an_event_is_long(opened: str, closed: str, depth: int) -> None:
    assert event_of(with_text("more", opened * depth + "1" + closed * depth)) == EVENT


@pytest.mark.parametrize("depth", [500, 20_000])
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_what_nests_deep_and_is_no_event_has_its_reason(depth: int, opened: str, closed: str) -> None:
    nested = opened * depth + "1" + closed * depth
    assert reason_of(with_text("more", nested[:-1])) == ("not_json", None)
    assert reason_of(with_text("amount", nested)) == ("invalid_amount", "amount")
    assert reason_of(nested.encode())[0] in {"not_an_object", "missing_field"}


@pytest.mark.parametrize("merchant", ["a|b", "|", "m|"])
def test_a_merchant_with_a_separator_is_rejected(merchant: str) -> None:
    assert reason_of(with_field("merchantId", merchant)) == ("invalid_merchant", "merchantId")


@pytest.mark.parametrize("merchant", ["<10", "10-50", "50-100", "100-500", ">500", "2011-12-03", "0001-01-01"])
def test_a_merchant_that_could_make_two_reports_share_a_datapoint_is_rejected(merchant: str) -> None:
    assert reason_of(with_field("merchantId", merchant)) == ("reserved_merchant", "merchantId")


def test_an_id_is_optional_and_may_have_a_separator() -> None:
    assert event_of(LINE).id == ""
    assert event_of(with_field("id", "a|b")).id == "a|b"
    assert event_of(with_field("id", "x" * 128)).id == "x" * 128


@pytest.mark.parametrize("field", ["date", "amount", "paymentMethod", "merchantId"])
def test_a_missing_field_is_named(field: str) -> None:
    rest = {name: value for name, value in VALID.items() if name != field}
    assert reason_of(json.dumps(rest).encode()) == ("missing_field", field)


@pytest.mark.parametrize(
    "text",
    [
        "1",
        '"x"',
        "null",
        "[]",
        '[{"a": 1}]',
        "{}",
        "{ }",
        "[ ]",
        "1.5",
        "1e400",
        "-1E-400",
        "1e" + "9" * 50,
        "9" * 5_000,
        '"\\u00e9"',
        '"\\u0000"',
        '"\x7f"',
        '"\U0010ffff"',
        '{"a": 1, "a": 2}',
        '[true, false, null, -0, "\\/"]',
    ],
)
def test_anything_else_is_ignored(text: str) -> None:
    assert event_of(with_text("more", text)) == EVENT
    assert event_of(with_text("", text)) == EVENT


@pytest.mark.parametrize("field", ["date", "amount", "paymentMethod", "merchantId", "id"])
def test_a_field_given_twice_is_rejected(field: str) -> None:
    twice = json.dumps(VALID | {"id": "i"})[:-1] + f', "{field}": {json.dumps((VALID | {"id": "i"})[field])}}}'
    assert reason_of(twice.encode()) == ("duplicate_field", field)
    escaped = twice.replace(f'"{field}"', f'"\\u{ord(field[0]):04x}{field[1:]}"', 1)
    assert reason_of(escaped.encode()) == ("duplicate_field", field)


def test_a_field_named_in_a_value_is_given_once() -> None:
    assert event_of(with_field("note", "date")) == EVENT
    assert event_of(with_field("more", {"date": 1, "amount": 2})) == EVENT


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"", "not_json"),
        (b"nope", "not_json"),
        (LINE[:-1], "not_json"),
        (LINE[:40], "not_json"),
        (LINE + b"}", "not_json"),
        (LINE + LINE, "not_json"),
        (LINE.replace(b"4285", b"NaN"), "not_json"),
        (LINE.replace(b'"', b"'"), "not_json"),
        (LINE.replace(b"}", b",}"), "not_json"),
        (b"\xef\xbb\xbf" + LINE, "not_json"),
        (b"[]", "not_an_object"),
        (b"[" + LINE + b"]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"42", "not_an_object"),
        (b'"text"', "not_an_object"),
        (LINE.replace(b'"m"', b'"\xff"'), "not_utf8"),
        (LINE.replace(b'"m"', b'"\xc0\x80"'), "not_utf8"),
        (LINE.replace(b'"m"', b'"\xed\xa0\x80"'), "not_utf8"),
        (LINE[:-1] + b', "x": ' + b"[" * 100_000, "not_json"),
        (b"[" * 100_000, "not_json"),
        (LINE[:-1] + b', "x": "' + b"x" * 2**20 + b'"}', "too_long"),
    ],
)
def test_what_is_no_event_at_all_is_told_apart(line: bytes, code: str) -> None:
    assert reason_of(line) == (code, None)


def test_an_event_comes_back_from_its_json() -> None:
    for event in (EVENT, Event(-1, 250_000_000, 0, 0, "Café", "i"), Event(-62_135_596_800, 1, 10**12, 1, "x")):
        assert decode_event(encode_event(event), NOW_S) == event


PRETTY = json.dumps(VALID, indent=2).encode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (LINE, [(0, LINE)]),
        (b" \n" + LINE + b"\r\n", [(1, LINE)]),
        (b"\xef\xbb\xbf" + LINE, [(0, LINE)]),
        (PRETTY, [(0, PRETTY)]),
        (PRETTY + b"\n" + PRETTY + b"{\n}", [(0, PRETTY), (6, PRETTY), (11, b"{\n}")]),
        (LINE + b"\r\n\r\n  \r\n" + LINE, [(0, LINE), (3, LINE)]),
        (b"\n\n" + LINE + b"\nnope\n", [(2, LINE), (3, b"nope")]),
        (b"[" + LINE + b", 1 ,\n" + LINE + b"]", [(0, LINE), (1, b"1"), (2, LINE)]),
        (b"[]", []),
        (b" [ ] \n", []),
        (b"[" + LINE, [(0, LINE), (1, b"")]),
        (b"[" + LINE + b",", [(0, LINE), (1, b"")]),
        (b"[" + LINE + b",]", [(0, LINE), (1, b"")]),
        (b"[," + LINE + b",,1]", [(0, b""), (1, LINE), (2, b""), (3, b"1")]),
        (b"[" + LINE + LINE + b" " + LINE + b"]", [(0, LINE), (1, LINE), (2, LINE)]),
        (b"[" + LINE + b', {"a": 1], ' + LINE + b"]", [(0, LINE), (1, b'{"a": 1], ' + LINE + b"]")]),
        (b"[" + LINE + b', {"a": 1],\n' + LINE + b"]", [(0, LINE), (1, b'{"a": 1],'), (2, LINE)]),
        (b"[" + LINE + b', {"a": "1}, ' + LINE[:20], [(0, LINE), (1, b'{"a": "1}, ' + LINE[:20])]),
        (b"[1]\n[2]", [(0, b"1"), (1, b"2")]),
        (b"[1]\n" + LINE + b"\n" + LINE, [(0, b"[1]"), (1, LINE), (2, LINE)]),
        (b"[1,\n2]\n" + LINE + b"\n[3]", [(0, b"1"), (1, b"2"), (2, LINE), (3, b"[3]")]),
        (b"[" + LINE + b"," + LINE + b"]\n]", [(0, LINE), (1, LINE), (2, b"]")]),
        (b"[1," + LINE + b"]\n" + LINE, [(0, b"1"), (1, LINE), (2, LINE)]),
        (b"[1] x\n", [(0, b"1"), (1, b"x")]),
        (b"nope\n" + LINE, [(0, b"nope"), (1, LINE)]),
        (b"nope\n[1]\n", [(0, b"nope"), (1, b"[1]")]),
        (b"nope\n" + PRETTY + b"\n" + PRETTY, [(0, b"nope"), (1, PRETTY), (7, PRETTY)]),
        (PRETTY[:-2] + b"\n" + PRETTY, [(0, PRETTY[:-2]), (5, PRETTY)]),
        (b"{\n7\n" + LINE + b"\n" + LINE, [(0, b"{"), (1, b"7"), (2, LINE), (3, LINE)]),
        (PRETTY[:-2], [(0, PRETTY[:-2])]),
        (LINE + b"\n" + PRETTY[:3], [(0, LINE), (1, b"{")]),
        (b"\x1e" + PRETTY + b"\n\x1e\x1e" + LINE[:8] + b"\n\x1e" + LINE, [(0, PRETTY), (1, LINE[:8]), (2, LINE)]),
        (b"\xef\xbb\xbf\xef\xbb\xbf" + LINE + b"\n\xef\xbb\xbf " + LINE + b"\n\xef\xbb\xbf", [(0, LINE), (1, LINE)]),
    ],
)
def test_a_body_is_an_array_lines_texts_or_a_sequence(body: bytes, expected: list[tuple[int, bytes]]) -> None:
    events = list(Body(body, KEY).events())
    assert [(position, text) for position, _, text in events] == expected
    assert all(body[byte : byte + len(text)] == text for _, byte, text in events)
    check_bodies([body, body])
    check_parts(body, range(len(body)), 1)


@pytest.mark.parametrize("body", [b"", b" \r\n\t", b"\xef\xbb\xbf\n", b"\x1e\n", b"\n\xef\xbb\xbf"])
def test_a_body_of_nothing_is_empty(body: bytes) -> None:
    assert is_empty(body)
    assert not list(Body(body, KEY).events())


@pytest.mark.parametrize("body", [b"[]", b"{}", b"x", b"\x00", b"\xbb", b"\x1ex"])
def test_a_body_of_anything_is_not_empty(body: bytes) -> None:
    assert not is_empty(body)


@pytest.mark.parametrize(
    "unit",
    [
        b'{"a":\n',
        b'{"a":[\n{}\n',
        b'"\n\\',
        b"[\n",
        b'{"a"\n',
        b"{]\n",
        b'{"a":{}\n{"b":\n',
        b"\n",
        b"\xef\xbb\xbf\n",
        b'"\n"x',
    ],
)
@pytest.mark.parametrize("before", [b"", b"[", b"{", b'["'])
def test_parting_takes_time_in_proportion_to_the_body_however_it_is_made(unit: bytes, before: bytes) -> None:
    way, size = (part, 800_000) if kernel.compiled else (part_by_reference, 80_000)

    def spent(size: int) -> float:
        started = time.process_time()
        way(before + unit * (size // len(unit)), PartingState(), True, size)
        return time.process_time() - started

    assert spent(size) < 10 * spent(size // 5) + 0.2  # as a square of the size it would take 25 times as long


def test_equal_bad_events_are_rejected_each_at_its_own_place_and_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = b'{"date":"2011-12-03T10:15:30Z","amount":1.5,"paymentMethod":"PAY_NOW","merchantId":"m"}'
    good = bad.replace(b"1.5", b"15.0")
    judged = []

    def judge(line: bytes, now_s: float) -> Event | Reason:
        judged.append(line)
        return decode_event(line, now_s)

    monkeypatch.setattr(parse_module, "decode_event", judge)
    (rejections,) = accept([Body(b"[" + b",".join([bad, good] * 50) + b"]", KEY)], NOW_S).rejections
    assert [each.position for each in rejections] == list(range(0, 100, 2))
    assert [each.byte for each in rejections] == [1 + index * (len(bad) + len(good) + 2) for index in range(50)]
    assert {(each.body, each.reason.code) for each in rejections} == {(bad, "invalid_amount")}
    if kernel.compiled:
        assert judged.count(bad) == 1


def test_a_bad_line_costs_no_other() -> None:
    data = LINE + b"\nnope\n" + LINE
    batch, events, rejections = accept([Body(data, KEY)], NOW_S)
    assert list(batch.events()) == [EVENT, EVENT]
    assert list(batch.positions) == [0, 2]
    assert events == [2]
    assert [(x.source, x.position, x.body, x.reason.code) for x in rejections[0]] == [(KEY, 1, b"nope", "not_json")]


def test_events_and_rejections_go_to_the_body_they_came_in() -> None:
    bodies = [
        Body(LINE, KEY),
        Body(b"nope", UNNAMED),
        Body(LINE + b"\n" + LINE + b"\n", KEY, first_position=10),
        Body(b"[" + LINE + b",7]", Source(NameKind.MESSAGE, "x"), first_position=3),
        Body(b"[]", KEY),
    ]
    batch, events, rejections = accept(bodies, NOW_S)
    assert events == [1, 0, 2, 1, 0]
    assert [[rejection.position for rejection in some] for some in rejections] == [[], [0], [], [4], []]
    assert list(batch.positions) == [0, 10, 11, 3]
    assert batch.runs == [Run(KEY, 3), Run(Source(NameKind.MESSAGE, "x"), 1)]


def test_what_only_the_reference_takes_stands_where_it_stood() -> None:
    lines = [LINE, with_field("merchantId", "Café"), LINE, with_text("id", '"\\u0069"'), b"nope", LINE]
    batch, wrong, size, count, _ = parse_some(b"\n".join(lines), 5, NOW_S, len(lines))
    assert (size, count) == (len(b"\n".join(lines)), 6)
    assert [event.merchant for event in batch.events()] == ["m", "Café", "m", "m", "m"]
    assert [event.id for event in batch.events()] == ["", "", "", "i", ""]
    assert list(batch.positions) == [5, 6, 7, 8, 10]
    assert wrong == [InvalidText(0, 9, len(b"\n".join(lines[:4])) + 1, b"nope", wrong[0].reason)]


def test_lines_without_an_event_are_an_empty_batch_without_runs() -> None:
    batch, wrong, size, lines, _ = parse_some(b"\n \r\n", 0, NOW_S, 1)
    assert (len(batch), batch.runs, wrong, size, lines) == (0, [], [], 4, 2)


@pytest.mark.skipif(not kernel.compiled, reason="without the kernel every text may have names")
def test_lines_are_plain_where_no_event_has_another_member_and_there_alone() -> None:
    member = b'{"_name":"key:1:a",' + LINE[1:]
    escaped = b'{"\\u005fname":"key:1:a",' + LINE[1:]
    plain = {
        "as ever": LINE,
        "with an id": with_field("id", "_name"),
        "in another order": LINE[:1] + b'"id":"a",' + LINE[1:],
        "with spaces": LINE.replace(b",", b" , "),
    }
    others = {"named": member, "escaped": escaped, "unknown": with_field("currency", "EUR"), "no event": b"nope"}
    for kind, line in (plain | others).items():
        for lines in (
            [line],
            [LINE, line, LINE],
            [LINE] * 50 + [line] + [LINE] * 50,
        ):  # as a name is met anew, or known
            assert parse_some(b"\n".join(lines), 0, NOW_S, len(lines)).plain is (kind in plain), kind


@pytest.mark.parametrize("body", [b'{"d{""},', b'{"d{""} ,\t', b'{"d":[1},', b'{"a":1},', b'{"a":1} , '])
def test_a_wrong_event_that_is_all_of_a_body_is_kept_as_the_body_is_parted(body: bytes) -> None:
    sent = Body(body, Source(NameKind.KEY, "key"))
    ((rejected,),) = accept([sent], 1_700_000_000.0).rejections
    assert list(sent.events()) == [(rejected.position, rejected.byte, rejected.body)]
