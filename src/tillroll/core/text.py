"""Text that may name something, and text that is shown: judged by code point.

Not by `str.isprintable` or the like: those use the Unicode tables of the interpreter, which differ between versions, so
that one server would take what the next refuses.
"""

from __future__ import annotations

from typing import Final

from tillroll.core import limits
from tillroll.core.pattern import pattern

# Line and paragraph separators, the mark of byte order, and the controls of direction: what can make one name look
# like another, or break a line. Joiners (200C, 200D) are required spelling in Persian and Hindi, and stay.
_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"
_SURROGATES: Final = r"\ud800-\udfff"
_NONCHARACTERS: Final = r"\ufdd0-\ufdef" + "".join(f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(17))
_SPACES: Final = r"\x20\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_REFUSED: Final = pattern(f"[{_CONTROLS}{_SURROGATES}{_NONCHARACTERS}]")
NAME_PATTERN: Final = (
    rf"(?=.*[^{_SPACES}])[^{_CONTROLS}{_SURROGATES}{_NONCHARACTERS}]{{1,{limits.NAME_CHARACTERS_MAX}}}"
)
_is_name: Final = pattern(NAME_PATTERN)
_SHOWN_CHARACTERS_MAX: Final = 80
NAME_RULE: Final = (
    f"1 to {limits.NAME_CHARACTERS_MAX} characters, not only spaces, none of them a control character or a mark of "
    "direction"
)


def is_name(text: str) -> bool:
    """Tell whether a text may name a merchant, an event, or the body it came in."""
    return _is_name.fullmatch(text) is not None


def shown(text: str) -> str:
    """Return the beginning of a text in one line, with what cannot be seen escaped."""
    text = text if len(text) <= _SHOWN_CHARACTERS_MAX else f"{text[:_SHOWN_CHARACTERS_MAX]}…"
    return visible(text)


def visible(text: str, *, kept: str = "") -> str:
    """Return a text with what cannot be seen, or could steer a terminal, escaped, but for the characters in `kept`."""
    if text.isascii() and text.isprintable():  # as most is; the pattern takes long to compile
        return text
    return _REFUSED.sub(lambda found: found[0] if found[0] in kept else f"\\u{ord(found[0]):04x}", text)
