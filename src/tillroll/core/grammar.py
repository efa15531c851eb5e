"""JSON by the grammar of RFC 8259, nothing more and nothing less, and as deep as a text is long.

A text is only walked along: what is in it is made into objects where somebody asks for it. So half a surrogate pair, a
number that no float holds and any depth of nesting are what the grammar says they are: JSON.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from tillroll.core.pattern import pattern

if TYPE_CHECKING:
    from collections.abc import Container

_STRING: Final = r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+"'
_NUMBER: Final = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?"
_SPACE: Final = r"[ \t\n\r]*+"
_scalar: Final = pattern(rf"{_SPACE}(?:{_STRING}|{_NUMBER}|true|false|null)")
_bracket: Final = pattern(rf"{_SPACE}([\[{{])(?:{_SPACE}([\]}}]))?")
_name: Final = pattern(rf"{_SPACE}({_STRING}){_SPACE}:{_SPACE}")
_after: Final = pattern(rf"{_SPACE}([,\]}}])")
_space: Final = pattern(_SPACE)
_CLOSES: Final = {"[": "]", "{": "}"}
_WORDS: Final = {"true": True, "false": False, "null": None}
_parts_of_number: Final = pattern(r"(-?)(\d++)(?:\.(\d++))?(?:[eE]([-+]?)(\d++))?", re.ASCII)
_EXPONENT_DIGITS_MAX: Final = 7  # an event has no more digits than that could make up for


class InvalidJsonError(ValueError):
    """A text is not JSON."""

    def __init__(self, problem: str, at: int) -> None:
        super().__init__(f"{problem} (character {at})")


class Raw(str):
    """The JSON text of a number, an array or an object."""

    __slots__ = ()


def end_of_text(text: str) -> None:
    """See that a text is one JSON value with nothing but spaces around it.

    Raises:
        InvalidJsonError: it is not.
    """
    _see_end(text, _end_of_value(text, 0))


def is_json_text(text: str) -> bool:
    """Tell whether a text is one JSON value."""
    try:
        end_of_text(text)
    except InvalidJsonError:
        return False
    return True


def whole_number(text: str, largest: int) -> int | None:
    """Return what a JSON number is by its decimal value, None for what is not whole, or no number.

    One of more than `largest`, however large, is returned as some number that is more.
    """
    parts = _parts_of_number.fullmatch(text)
    if parts is None:
        return None
    minus, whole, fraction, exponent_sign, exponent = parts.groups(default="")
    digits = (whole + fraction).strip("0")
    if not digits:
        return 0
    sign = -1 if minus else 1
    exponent = exponent.lstrip("0")
    if len(exponent) > _EXPONENT_DIGITS_MAX:
        return None if exponent_sign == "-" else sign * (largest + 1)
    zeros = len(whole + fraction) - len((whole + fraction).rstrip("0"))
    power = int(f"{exponent_sign}{exponent or 0}") - len(fraction) + zeros
    if power < 0:
        return None
    if len(digits) + power > len(str(largest)):
        return sign * (largest + 1)
    return sign * int(digits + "0" * power)


def members(text: str, wanted: Container[str]) -> list[tuple[str, object]]:
    """Return the members of a JSON object that have one of these names, in order and as often as they are there.

    A string comes as str, true, false and null as Python's, anything else as Raw.

    Raises:
        InvalidJsonError: the text is not a JSON object.
    """
    opened = _bracket.match(text, 0)
    if opened is None or opened[1] != "{":
        raise InvalidJsonError("an object is expected", 0)
    if opened[2] == "}":
        _see_end(text, opened.end())
        return []
    found: list[tuple[str, object]] = []
    at = opened.end() if opened[2] is None else opened.start(2)
    while True:
        name = _name.match(text, at)
        if name is None:
            raise InvalidJsonError("a name and a colon are expected", at)
        start = name.end()
        at = _end_of_value(text, start)
        key = name[1][1:-1] if "\\" not in name[1] else json.loads(name[1])
        if key in wanted:
            found.append((key, _value_of(text[start:at])))
        after = _after.match(text, at)
        if after is None or after[1] == "]":
            raise InvalidJsonError("a comma or } is expected", at)
        at = after.end()
        if after[1] == "}":
            _see_end(text, at)
            return found


def _value_of(text: str) -> object:
    if text[0] == '"':
        return json.loads(text) if "\\" in text else text[1:-1]
    return _WORDS[text] if text in _WORDS else Raw(text)


def _see_end(text: str, at: int) -> None:
    space = _space.match(text, at)
    if space is not None and space.end() != len(text):
        raise InvalidJsonError("nothing more is expected", space.end())


def _end_of_value(text: str, at: int) -> int:
    """Return where the value ends that begins here, after spaces."""
    scalar = _scalar.match(text, at)
    if scalar is not None:
        return scalar.end()
    closers: list[str] = []  # of what is open, the innermost last
    while True:
        at, is_open = _begin_value(text, at, closers)
        while not is_open:
            if not closers:
                return at
            after = _after.match(text, at)
            if after is None or (after[1] != "," and after[1] != closers[-1]):
                raise InvalidJsonError(f"a comma or {closers[-1]} is expected", at)
            at = after.end()
            if after[1] == ",":
                at = _begin_member(text, at, closers)
                break
            closers.pop()


def _begin_value(text: str, at: int, closers: list[str]) -> tuple[int, bool]:
    """Return where a scalar or an empty bracket ends; with True, where the first value of an open one is due."""
    scalar = _scalar.match(text, at)
    if scalar is not None:
        return scalar.end(), False
    bracket = _bracket.match(text, at)
    if bracket is None:
        raise InvalidJsonError("a value is expected", at)
    closer = _CLOSES[bracket[1]]
    if bracket[2] == closer:
        return bracket.end(), False
    closers.append(closer)
    return _begin_member(text, bracket.end(1), closers), True


def _begin_member(text: str, at: int, closers: list[str]) -> int:
    """Return where the next value is due in the innermost bracket: after its name, in an object."""
    if closers[-1] == "]":
        return at
    name = _name.match(text, at)
    if name is None:
        raise InvalidJsonError("a name and a colon are expected", at)
    return name.end()
