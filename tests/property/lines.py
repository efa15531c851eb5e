"""Lines that are valid events, nearly so, or not at all, for Hypothesis."""

from __future__ import annotations

import json

from hypothesis import strategies as st

NOW_S = 1_700_000_000.5

_digits = st.sampled_from(
    ["00", "01", "02", "09", "12", "13", "23", "24", "28", "29", "30", "31", "32", "59", "60", "99"]
)
_years = st.sampled_from(
    ["0000", "0001", "1900", "1969", "1970", "2000", "2011", "2023", "2024", "9999", "10000", "201"]
)
_fractions = st.sampled_from(["", "", ".5", ".25", ".000000001", ".999999999", ".1234567890", ".", ",5"])
_offsets = st.sampled_from(
    ["Z", "Z", "Z", "+01:00", "-23:59", "+24:00", "-00:00", "+0100", "-2360", "z", "", "+1:00", "+00:60"]
)
valid_dates = st.builds(
    lambda day, second, fraction, offset: (
        f"20{day % 23 + 1:02}-{day % 12 + 1:02}-{day % 28 + 1:02}"
        f"T{second % 24:02}:{second % 60:02}:{second % 59:02}{fraction}{offset}"
    ),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.sampled_from(["", "", "", ".5", ".000000001", ".123456789"]),
    st.sampled_from(["Z", "Z", "Z", "+02:00", "-11:30"]),
)
dates = st.one_of(
    valid_dates,
    st.builds(
        lambda y, mo, d, t, h, mi, s, f, o: f"{y}-{mo}-{d}{t}{h}:{mi}:{s}{f}{o}",
        _years,
        _digits,
        _digits,
        st.sampled_from(["T", "T", "T", "t", " "]),
        _digits,
        _digits,
        _digits,
        _fractions,
        _offsets,
    ),
)
_amount_texts = st.one_of(
    st.integers(0, 10**6).map(str),
    st.sampled_from(
        [999, 1000, 4999, 5000, 9999, 10000, 50000, 50001, 10**7 - 1, 10**7, 10**8, 10**12, 10**12 + 1]
    ).map(str),
    st.sampled_from(
        [
            "-1",
            "-0",
            "0",
            "00",
            "007",
            "1.0",
            "1e3",
            "1E3",
            "0.5",
            "4285.0",
            "4.285e3",
            "1e-2",
            "100e-2",
            "-0.0",
            "1e400",
            '"5"',
            "true",
            "null",
            "[]",
            "{}",
            "9" * 30,
        ]
    ),
)
merchants = st.one_of(
    st.uuids().map(str),
    st.sampled_from(
        [
            "m",
            "m",
            "Café",
            "日本",
            "10-50",
            "<10",
            ">500",
            "100-500",
            "2011-12-03",
            "2011-13-03",
            "2011-12-3",
            " ",
            " m",
        ]
    ),
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=20),
    st.text(max_size=10),
    st.integers(126, 130).map("x".__mul__),
)
_methods = st.one_of(
    st.sampled_from(["PAY_NOW", "PAY_LATER", "SLICE_IT"]), st.sampled_from(["pay_now", "", "PAY_NOW ", "PAY"])
)
_ids = st.one_of(
    st.uuids().map(str),
    st.sampled_from(["", "a", "a|b", "é", "\x7f", "x" * 128, "x" * 129, " ", "   ", " x"]),
    st.text(max_size=8),
)
_extra_values = st.one_of(
    st.sampled_from(
        [
            "true",
            "false",
            "null",
            "0",
            "-1",
            "-0",
            "12",
            "01",
            "1.5",
            "1e5",
            "-",
            "1" * 16,
            "tru",
            "NaN",
            "1e400",
            "[[[]]]",
        ]
    ),
    st.text(max_size=8).map(json.dumps),
    st.sampled_from(
        [
            '"x"',
            '""',
            '"a\\"b"',
            '"\\u0041"',
            '"date"',
            "[]",
            "[1,2]",
            '{"date":1}',
            '"\x01"',
            "'x'",
            r'"\ud83d"',
            r'"\ude00\ud83d"',
        ]
    ),
)


def _text(value: str, *, ascii_only: bool) -> str:
    return json.dumps(value, ensure_ascii=ascii_only)


_kept = st.sampled_from([True, True, True, True, True, True, True, True, True, True, True, False])


@st.composite
def objects(draw: st.DrawFn) -> str:
    """A JSON object, or nearly one, of the fields of an event in any order with others between them."""
    ascii_only = draw(st.booleans())
    fields = [
        ('"date"', draw(dates.map(lambda value: _text(value, ascii_only=ascii_only)))),
        ('"amount"', draw(_amount_texts)),
        ('"paymentMethod"', draw(_methods.map(lambda value: _text(value, ascii_only=ascii_only)))),
        ('"merchantId"', draw(merchants.map(lambda value: _text(value, ascii_only=ascii_only)))),
    ]
    fields = [field for field in fields if draw(_kept)]
    if draw(st.booleans()):
        fields.append(('"id"', draw(_ids.map(lambda value: _text(value, ascii_only=ascii_only)))))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        fields.append(
            (draw(st.sampled_from(['"x"', '"Date"', '""', '"date"', '"\\u0069d"', '"dat"', "x"])), draw(_extra_values))
        )
    if draw(st.booleans()):
        fields = draw(st.permutations(fields))
    space = draw(st.sampled_from(["", "", " ", "\t", " \t ", "\r"]))
    comma, colon = draw(st.sampled_from([(",", ":"), (", ", ": "), (f"{space},{space}", f"{space}:{space}")]))
    return f"{{{space}{comma.join(f'{key}{colon}{value}' for key, value in fields)}{space}}}"


plain_objects = st.builds(
    lambda date, amount, method, merchant, own, spaces: json.dumps(
        {"date": date, "amount": amount, "paymentMethod": method, "merchantId": merchant}
        | ({"id": own} if own else {}),
        separators=(", ", ": ") if spaces else (",", ":"),
    ),
    valid_dates,
    st.integers(0, 10**12),
    st.sampled_from(["PAY_NOW", "PAY_LATER", "SLICE_IT"]),
    st.sampled_from(["m", "1bb53ed1-787b-4543-9def-ea18eef7902e", "shop 7", "x" * 128]),
    st.sampled_from(["", "", "i", "1bb53ed1-787b-4543-9def-ea18eef7902e"]),
    st.booleans(),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """An object of which some bytes were changed, dropped or repeated."""
    line = bytearray(draw(st.one_of(objects(), plain_objects)).encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(len(line) - 1, 0)))
        match draw(st.sampled_from(["set", "drop", "repeat", "cut"])):
            case "set":
                line[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "drop":
                del line[at : at + 1]
            case "repeat":
                line[at:at] = line[at : at + draw(st.integers(1, 8))]
            case _:
                del line[at:]
    return bytes(line)


def _one_of(words: str, between: str = "|") -> st.SearchStrategy[str]:
    return st.sampled_from(words.split(between))


_keys = _one_of('country|n|x||a.b|customer|Date|dat|date |__proto__|日本|é|f7|y|q"|id')
_raw_numbers = _one_of(
    "0 -0 1 -1 42 42.0 42.00 -7.0 -0.0 0.5 1e3 1E+2 10e-1 1e400 1e-400 -0e5 01 1. .5 - 1e 12345678901234567890 "
    "999999999999999999 1000000000000000000 1000000000000000001 -1000000000000000000 1000000000000000000.0",
    " ",
)
_kept_texts = st.one_of(
    _one_of("SE|NO|in store|Köln|日本|1|-1|01|1.5|true|null|false|nul|nullx| null|null | 1 |{}|[]|[1,2]"),
    _one_of("[1,|{|{x}|(absent)|(absent|#1|#|a b|\x7f|\x85|\u2028|\u200d|😀|t|f|n|-|1e5|1e|0|00"),
    st.sampled_from(["a|b", "|", "", "(absent)", '"', "\\", "a\nb", "\x00", "/", "\ufffe"]),
    st.integers(250, 260).map("x".__mul__),
    st.integers(124, 130).map("é".__mul__),
    st.text(max_size=6),
)
_strings = st.builds(
    lambda text, ascii_only: _text(text, ascii_only=ascii_only), _kept_texts, st.sampled_from([True, False, False])
)
_scalars = st.one_of(
    _strings, _strings, _raw_numbers, st.sampled_from(["true", "false", "null", "tru", "nan", '"\\ud83d"', '"\\x"', ""])
)


def _array(items: list[str], space: str) -> str:
    return f"[{space}{(space + ',').join(items)}{space}]"


def _object(pairs: list[tuple[str, str]], space: str) -> str:
    return f"{{{space}{f'{space},{space}'.join(f'{k}{space}:{space}{v}' for k, v in pairs)}{space}}}"


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    spaces = st.sampled_from(["", "", " ", "\t"])
    pairs = st.lists(st.tuples(_keys.map(json.dumps), inner), max_size=3)
    return st.one_of(st.builds(_array, st.lists(inner, max_size=3), spaces), st.builds(_object, pairs, spaces))


_values = st.one_of(_scalars, _scalars, st.recursive(_scalars, _nested, max_leaves=6))


@st.composite
def rich_objects(draw: st.DrawFn) -> str:
    """An event with others fields between and behind its own, as producers add them."""
    plain = json.loads(draw(plain_objects))
    fields = [(json.dumps(name), json.dumps(value)) for name, value in plain.items()]
    escaped = draw(st.sampled_from([True, False, False]))
    for _ in range(draw(st.integers(1, 5))):
        at = len(fields) if draw(st.booleans()) else draw(st.integers(0, len(fields)))
        fields.insert(at, (json.dumps(draw(_keys), ensure_ascii=escaped), draw(_values)))
    comma, colon = draw(st.sampled_from([(",", ":"), (",", ":"), (", ", ": "), (" ,", " :")]))
    text = f"{{{comma.join(f'{key}{colon}{value}' for key, value in fields)}}}"
    return text + draw(st.sampled_from(["", "", " ", "\r"]))


rich_lines = st.one_of(rich_objects(), rich_objects(), st.just("{}" + "[" * 70 + "]" * 70)).map(
    lambda text: text.replace("\n", " ").encode("utf-8", "surrogatepass")
)
lines = st.one_of(
    plain_objects.map(str.encode),
    plain_objects.map(str.encode),
    objects().map(lambda text: text.encode("utf-8", "surrogatepass")),
    mutated(),
    st.sampled_from([b"", b" ", b"\t", b"\r", b"[]", b"null", b"1", b"{}", b"nope", b"\xef\xbb\xbf{}", b"\x00"]),
)
texts = st.builds(
    lambda some, end, last: end.join(some) + last,
    st.lists(lines, max_size=12),
    st.sampled_from([b"\n", b"\n", b"\r\n", b" \n", b"\n\n"]),
    st.sampled_from([b"", b"\n", b"\r\n"]),
)
