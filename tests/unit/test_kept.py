"""Kept fields: their names, which values are kept, and how these are spelled."""

from __future__ import annotations

import json

import pytest

from tillroll.core.kept import ABSENT, UNKEPT, Keep, KeepError, json_of, path_text, spell


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("country", ("country",)),
        ("customer.country", ("customer", "country")),
        ("__proto__", ("__proto__",)),
        ("date ", ("date ",)),
        ('"a.b"', ("a.b",)),
        ('""', ("",)),
        ('customer."street.name".x', ("customer", "street.name", "x")),
        ('"say \\"hi\\""', ('say "hi"',)),
        ("customer.date", ("customer", "date")),
        ("日本", ("日本",)),
    ],
)
def test_a_name_says_where_the_field_is(name: str, path: tuple[str, ...]) -> None:
    assert Keep([name]).paths == (path,)
    assert path_text(path) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "a.",
        ".a",
        "a..b",
        '"a',
        'a"b',
        '"a"b',
        '"\\ud800"',
        '"\\x"',
        "a\nb",
        "x" * 129,
        "date",
        '"id"',
        "_name",
    ],
)
def test_what_is_no_name_of_a_field_is_refused(name: str) -> None:
    with pytest.raises(KeepError):
        Keep([name])


def test_a_field_is_listed_once_and_at_most_256_are() -> None:
    with pytest.raises(KeepError, match="twice"):
        Keep(["a", '"a"'])
    assert len(Keep(f"f{number}" for number in range(256)).names) == 256
    with pytest.raises(KeepError, match="at most 256"):
        Keep(f"f{number}" for number in range(257))


@pytest.mark.parametrize(
    ("value", "spelling"),
    [
        ("SE", "SE"),
        ("in store", "in store"),
        ("", '""'),
        ("a|b", '"a\\u007cb"'),
        ("|", '"\\u007c"'),
        ("a\nb", '"a\\nb"'),
        ("a\x7fb", '"a\x7fb"'),
        ("a\x85b", '"a\x85b"'),
        ("(absent)", '"(absent)"'),
        ('"quoted"', '"\\"quoted\\""'),
        ("#1", '"#1"'),
        ("1", '"1"'),
        (" 1 ", '" 1 "'),
        ("-0", '"-0"'),
        ("1e400", '"1e400"'),
        ("01", "01"),
        ("1.", "1."),
        ("null", '"null"'),
        ("NaN", "NaN"),
        ("{}", '"{}"'),
        ("[1,2]", '"[1,2]"'),
        ("{", "{"),
        ("\u2028", "\u2028"),
        (1, "1"),
        (-0, "0"),
        (10**18, "1" + "0" * 18),
        (-(10**18), "-1" + "0" * 18),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (42.0, "42"),
        ("x" * 254, "x" * 254),
        ('"' * 127, json.dumps('"' * 127)),
        ("é" * 127, "é" * 127),
    ],
)
def test_a_value_has_one_spelling_from_which_it_comes_back(value: str | float | None, spelling: str) -> None:
    assert spell(value) == spelling
    text = json_of(spelling)
    assert text is not None
    back = json.loads(text)
    assert back == value
    assert type(back) is type(value) or isinstance(value, float)


@pytest.mark.parametrize(
    "value", ["x" * 255, '"' * 128, "é" * 128, "\ud800", 0.5, 10**18 + 1, -(10**18) - 1, float("inf"), float("nan")]
)
def test_what_is_too_long_too_large_or_no_text_has_no_spelling(value: str | float) -> None:
    assert spell(value) is None


KEEP = Keep(["country", "n", "customer.country", "customer", '"a.b"', '""', "__proto__", "date "])


def values(event: str) -> dict[str, str]:
    return {name: value for name, value in zip(KEEP.names, KEEP.values(event), strict=True) if value != ABSENT}


@pytest.mark.parametrize(
    ("event", "kept"),
    [
        ("{}", {}),
        ('{"country":"SE"}', {"country": "SE"}),
        ('{"country":"\\u0053E"}', {"country": "SE"}),
        ('{"\\u0063ountry":"SE"}', {"country": "SE"}),
        ('{"country":null,"n":-0}', {"country": "null", "n": "0"}),
        ('{"n":4.2e1}', {"n": "42"}),
        ('{"n":42.0}', {"n": "42"}),
        ('{"n":1000000000000000000}', {"n": "1000000000000000000"}),
        ('{"n":1000000000000000001}', {"n": UNKEPT}),
        ('{"n":1e400}', {"n": UNKEPT}),
        ('{"n":1e-400}', {"n": UNKEPT}),
        ('{"n":0e400}', {"n": "0"}),
        ('{"n":0.5}', {"n": UNKEPT}),
        ('{"n":[1]}', {"n": UNKEPT}),
        ('{"n":{}}', {"n": UNKEPT}),
        ('{"n":"\\ud800"}', {"n": UNKEPT}),
        ('{"n":1,"n":1}', {"n": UNKEPT}),
        ('{"customer":{"country":"SE"}}', {"customer.country": "SE", "customer": UNKEPT}),
        ('{"customer":{"country":"SE"},"customer":7}', {"customer.country": UNKEPT, "customer": UNKEPT}),
        ('{"customer":"SE"}', {"customer": "SE"}),
        ('{"customer":[{"country":"SE"}]}', {"customer": UNKEPT}),
        ('{"customer":{"customer":{"country":"SE"}}}', {"customer": UNKEPT}),
        ('{"customer.country":"SE","a":{"b":1}}', {}),
        (
            '{"a.b":1,"":"","__proto__":true,"date ":false}',
            {'"a.b"': "1", '""': '""', "__proto__": "true", "date ": "false"},
        ),
        ('{ "customer" : { "x" : [ [ ] ] , "country" : "SE" } }', {"customer.country": "SE", "customer": UNKEPT}),
    ],
)
def test_the_values_of_an_event_are_found_where_the_names_say(event: str, kept: dict[str, str]) -> None:
    assert values(event) == kept


def test_kept_values_go_back_into_an_event_where_they_came_from() -> None:
    event = '{"country":"SE","customer":{"country":"a|b"},"a.b":1,"":null,"__proto__":"1"}'
    found = KEEP.values(event)
    found[3] = ABSENT  # an object
    assert json.loads(KEEP.add_to(b'{"amount":1}', found)) == {"amount": 1} | json.loads(event)
    assert KEEP.add_to(b'{"amount":1}', [ABSENT] * 8) == b'{"amount":1}'
