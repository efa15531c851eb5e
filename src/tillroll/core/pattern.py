"""Regular expressions that are compiled when they are first used: a command has dozens at hand, and needs few."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Pattern:
    """Stands for a pattern until one of its methods is asked for, and then has that method as its own."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self._text, self._flags), name)
        setattr(self, name, found)
        return found


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what does as the pattern of a text, and is compiled at its first use."""
    return cast("re.Pattern[AnyStr]", _Pattern(text, flags))
