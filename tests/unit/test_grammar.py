"""JSON as RFC 8259 has it, nothing more and nothing less."""

from __future__ import annotations

import pytest

from tillroll.core.grammar import InvalidJsonError, Raw, is_json_text, members, whole_number


@pytest.mark.parametrize("text", ["0", "-0", "1e400", '"\\ud800"', "[" * 9_000 + "]" * 9_000, ' {"a" : [ ] } ', "null"])
def test_what_the_grammar_has_is_json_however_deep_or_large(text: str) -> None:
    assert is_json_text(text)


@pytest.mark.parametrize(
    "text", ["", "01", "+1", "1.", ".5", "NaN", "'a'", '"\t"', '"\\x"', "[1,]", "{a:1}", "[1}", "1 2", "\xa01"]
)
def test_what_it_has_not_is_none(text: str) -> None:
    assert not is_json_text(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("42.000", 42),
        ("4.2e1", 42),
        ("420e-1", 42),
        ("-0.0", 0),
        ("0e999999999999", 0),
        ("1.5", None),
        ("1e-1", None),
        ("1e-99999999999", None),
        ("x", None),
        ("1e3", 1_000),
        ("1001", 1_001),
        ("1e99999999999", 1_001),  # more than the largest, however large
        ("-1e99", -1_001),
    ],
)
def test_a_number_is_whole_by_its_decimal_value(text: str, value: int | None) -> None:
    assert whole_number(text, 1_000) == value


def test_members_of_an_object_come_in_order_and_as_often_as_they_are_there() -> None:
    text = '{"a": 1.50, "b": {"a": 2}, "\\u0061": "x\\n", "c": true, "a": null}'
    assert members(text, ("a", "c")) == [("a", "1.50"), ("a", "x\n"), ("c", True), ("a", None)]
    assert type(members(text, ("a",))[0][1]) is Raw
    assert members("{}", ("a",)) == []
    for wrong in ("[]", '{"a": 1', '{"a": 1} x'):
        with pytest.raises(InvalidJsonError):
            members(wrong, ("a",))
