"""Dimensions: what a report counts by. Only here is one kind told from another.

A dimension makes events into codes, a column at a time, and codes into the texts that datapoints have, and back.
"""

from __future__ import annotations

import datetime
import re
from abc import ABC, abstractmethod
from array import array
from typing import TYPE_CHECKING, Final

from tillroll.core import kernel
from tillroll.core.codes import CodesOfWindows
from tillroll.core.limits import METHODS

if TYPE_CHECKING:
    from tillroll.core.codes import Codes

DAY_S: Final = 86_400

BRACKETS: Final = ("<10", "10-50", "50-100", "100-500", ">500")
# The first cent of each bracket after the first. 500.00 euro exactly is not more than 500, hence the odd one.
BRACKET_FLOORS: Final = (1_000, 5_000, 10_000, 50_001)
_DAYS_TO_1970: Final = datetime.date(1970, 1, 1).toordinal()
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_HOUR: Final = re.compile(r"(\d{4}-\d{2}-\d{2}):([01]\d|2[0-3])", re.ASCII)


class Dimension(ABC):
    """Something that events are told apart by."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def column(self, codes: Codes) -> int:
        """Return the index of this dimension's column among the codes, made if it was not there."""


class Closed(Dimension):
    """A dimension of a known number of values, by code."""

    def __init__(self, name: str, texts: tuple[str, ...]) -> None:
        super().__init__(name)
        self.texts = texts
        self._codes = {text: code for code, text in enumerate(texts)}

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.texts)

    def parse(self, text: str) -> int | None:
        """Return the code of a text, None when no value has it."""
        return self._codes.get(text)


class Bracket(Closed):
    """The bracket of an amount, by the first cent of each bracket after the first."""

    def __init__(self, floors: tuple[int, ...], texts: tuple[str, ...]) -> None:
        super().__init__("bracket", texts)
        self._floors = array("q", floors)

    def column(self, codes: Codes) -> int:
        """See Dimension."""
        key = (self.name, self.texts)
        made = codes.made.get(key)
        return codes.add(key, (kernel.bucketize(codes.amounts, self._floors), self.size)) if made is None else made


class Method(Closed):
    """The payment method."""

    def column(self, codes: Codes) -> int:
        """See Dimension."""
        made = codes.made.get(self.name)
        return codes.add(self.name, (codes.methods, self.size)) if made is None else made


class Open(Dimension):
    """A dimension whose values are not known beforehand. Its codes are their numbers in a dictionary."""

    @abstractmethod
    def may_be(self, text: str) -> bool:
        """Tell whether a value of this text is possible."""


class Merchant(Open):
    """The merchant."""

    def column(self, codes: Codes) -> int:
        """See Dimension."""
        made = codes.made.get(self.name)
        if made is not None:
            return made
        indexes, numbers, size = codes.merchants
        if numbers is None:
            return codes.add(self.name, (indexes, max(1, size)))
        listed = codes.add("merchants of the list", (indexes, max(1, len(numbers))))
        return codes.add(self.name, (listed, numbers or array("I", [0]), max(1, size)))

    def may_be(self, text: str) -> bool:
        """See Open."""
        return bool(text) and not merchant_is_reserved(text)


class Window(Dimension, ABC):
    """A stretch of time of a fixed length, in UTC. Its codes are counted from 1970 in that length."""

    def __init__(self, name: str, seconds: int, within: Window | None = None) -> None:
        """`within` is a window of which each of these has a whole number."""
        super().__init__(name)
        self.seconds = seconds
        self._within = within

    def column(self, codes: Codes) -> int:
        """See Dimension. The codes there count from the first window, see `windows`."""
        return self.windows(codes).column

    def windows(self, codes: Codes) -> CodesOfWindows:
        """Return this window's column, made if it was not there."""
        made = codes.windows.get(self.name)
        if made is None:
            made = codes.windows[self.name] = self._told(codes) or self._counted(codes)
        return made

    def _told(self, codes: Codes) -> CodesOfWindows | None:
        """Return the column by a table from that of the shorter windows, None when that would take longer."""
        if self._within is None:
            return None
        parent, first = self._within.windows(codes)
        count, ratio = codes.radix(parent), self.seconds // self._within.seconds
        if count > len(codes.seconds):  # a table pays when it is shorter than the column
            return None
        mine = first // ratio
        table = array("I", [window // ratio - mine for window in range(first, first + count)])
        return CodesOfWindows(codes.add(self.name, (parent, table, table[-1] + 1)), mine)

    def _counted(self, codes: Codes) -> CodesOfWindows:
        first, column, count = kernel.windows(codes.seconds, self.seconds)
        return CodesOfWindows(codes.add(self.name, (column, count)), first)

    @abstractmethod
    def text(self, window: int) -> str:
        """Return a window as datapoints spell it."""

    @abstractmethod
    def parse(self, text: str) -> int | None:
        """Return the window that a text names, None when it names none. The inverse of `text`."""


class Day(Window):
    """A day."""

    def text(self, window: int) -> str:
        """See Window."""
        return datetime.date.fromordinal(window + _DAYS_TO_1970).isoformat()

    def parse(self, text: str) -> int | None:
        """See Window."""
        if not _DAY.fullmatch(text):
            return None
        try:
            return datetime.date.fromisoformat(text).toordinal() - _DAYS_TO_1970
        except ValueError:
            return None


class Hour(Window):
    """An hour."""

    def text(self, window: int) -> str:
        """See Window."""
        day, hour = divmod(window, 24)
        return f"{DAY.text(day)}:{hour:02}"

    def parse(self, text: str) -> int | None:
        """See Window."""
        match = _HOUR.fullmatch(text)
        day = DAY.parse(match[1]) if match else None
        return None if match is None or day is None else day * 24 + int(match[2])


HOUR: Final = Hour("hour", 3_600)
DAY: Final = Day("day", DAY_S, HOUR)
BRACKET: Final = Bracket(BRACKET_FLOORS, BRACKETS)
METHOD: Final = Method("method", METHODS)
MERCHANT: Final = Merchant("merchant")


def merchant_is_reserved(merchant: str) -> bool:
    """Tell whether a merchant of this name could make two reports share a datapoint.

    `10-50` would: `10-50|PAY_NOW` is a datapoint of bracket-method. So would a day: `2011-12-03|PAY_NOW` is what
    day-merchant calls a merchant named PAY_NOW. With these two kinds refused no others can.
    """
    return merchant in BRACKETS or DAY.parse(merchant) is not None
