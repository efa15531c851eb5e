"""Dimensions: what a report counts by. Only here is one kind told from another.

A dimension makes events into codes, a column at a time, and codes into the texts that datapoints have, and back.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from array import array
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from tillroll.core import kernel
from tillroll.core.clocks import UTC_CLOCKS
from tillroll.core.kept import ABSENT
from tillroll.core.limits import METHODS, NAME_CHARACTERS_MAX
from tillroll.core.pattern import pattern
from tillroll.core.recount import MERCHANTS, Kind, Spelling
from tillroll.core.spans import SPANS, day_text, parse_day
from tillroll.core.zone import DAY_S, HOUR_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tillroll.core.batch import Event
    from tillroll.core.clocks import Clocks
    from tillroll.core.codes import Codes, CodesOfWindows
    from tillroll.core.spans import Span

BRACKETS: Final = ("<10", "10-50", "50-100", "100-500", ">500")
# The first cent of each bracket after the first. 500.00 euro exactly is not more than 500, hence the odd one.
BRACKET_FLOORS: Final = (1_000, 5_000, 10_000, 50_001)
FIELD_PREFIX: Final = "field."  # of a kept field's name where it could be taken for something else
_TABLE_MIN: Final = 256  # codes of a table that is always worth making
_DAY_HOURS: Final = DAY_S // HOUR_S
_HOUR: Final = pattern(r"(\d{4}-\d{2}-\d{2}):([01]\d|2[0-3])", re.ASCII)
_OFFSET: Final = pattern(r"([+-])(\d\d):([0-5]\d)(?::([0-5]\d))?", re.ASCII)


class Dimension(ABC):
    """Something that events are told apart by.

    `key` is the same for two dimensions of one meaning, and for no others. `spelling` is how the recount spells the
    text of an event; it shares nothing with `column`.
    """

    spelling: Spelling

    def __init__(self, name: str, *more: object) -> None:
        self.name = name
        self.key = (name, *more)

    @abstractmethod
    def column(self, codes: Codes) -> int:
        """Return the index of this dimension's column among the codes, made if it was not there."""

    @abstractmethod
    def may_be(self, text: str) -> bool:
        """Tell whether a datapoint may have this text."""

    @abstractmethod
    def of(self, event: Event, kept: Mapping[str, str]) -> str:
        """Return the text of an event that has these values of kept fields. Shares nothing with `column`."""

    def mask(self, codes: Codes, texts: frozenset[str]) -> bytes:
        """Return a byte for each event: 1 where it has one of the texts, else 0."""
        wanted = {code for text in texts if (code := self._code(codes, text)) is not None}
        column = self.column(codes)
        flat, radix = codes.flat(column), codes.radix(column)
        if radix > max(len(flat), _TABLE_MIN):
            return bytes(map(wanted.__contains__, flat))
        return kernel.accepts(flat, bytes(map(wanted.__contains__, range(radix))))

    @abstractmethod
    def _code(self, codes: Codes, text: str) -> int | None:
        """Return the code of a text in this dimension's column, None when it has none there."""


class Closed(Dimension):
    """A dimension of a known number of values, by code."""

    def __init__(self, name: str, texts: tuple[str, ...], *more: object) -> None:
        super().__init__(name, *more)
        self.texts = texts
        self._codes = {text: code for code, text in enumerate(texts)}

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.texts)

    def parse(self, text: str) -> int | None:
        """Return the code of a text, None when no value has it."""
        return self._codes.get(text)

    def may_be(self, text: str) -> bool:
        """See Dimension."""
        return text in self._codes

    def _code(self, codes: Codes, text: str) -> int | None:  # noqa: ARG002 the same whatever the events
        return self.parse(text)

    def column(self, codes: Codes) -> int:
        """See Dimension."""
        made = codes.made.get(self.key)
        return self._make(codes) if made is None else made

    @abstractmethod
    def _make(self, codes: Codes) -> int:
        """Make the column, and return its index."""


class Bracket(Closed):
    """The bracket of an amount, by the first cent of each bracket after the first."""

    def __init__(self, floors: tuple[int, ...], texts: tuple[str, ...]) -> None:
        super().__init__("bracket", texts, texts)
        self._floors = array("q", floors)
        self.spelling = Spelling(Kind.AMOUNT, starts=floors, texts=texts)

    def of(self, event: Event, kept: Mapping[str, str]) -> str:  # noqa: ARG002 every dimension takes both
        """See Dimension."""
        return self.texts[sum(event.amount >= floor for floor in self._floors)]

    def _make(self, codes: Codes) -> int:
        return codes.add(self.key, (kernel.bucketize(codes.amounts, self._floors), self.size))


class Method(Closed):
    """The payment method."""

    spelling = Spelling(Kind.METHOD, texts=METHODS)

    def of(self, event: Event, kept: Mapping[str, str]) -> str:  # noqa: ARG002 every dimension takes both
        """See Dimension."""
        return self.texts[event.method]

    def _make(self, codes: Codes) -> int:
        return codes.add(self.key, (codes.methods, self.size))


class ClosedSpan(Closed):
    """A part of the week or of the day, by a zone's clocks."""

    def __init__(self, span: Span, clocks: Clocks) -> None:
        super().__init__(span.name, span.texts, clocks.key)
        self._span = span
        self._clocks = clocks
        self.spelling = _by_clock(span.pattern, clocks)

    def of(self, event: Event, kept: Mapping[str, str]) -> str:  # noqa: ARG002 every dimension takes both
        """See Dimension."""
        return self._span.text(self._span.code(self._clocks.local(event.seconds) // HOUR_S))

    def _make(self, codes: Codes) -> int:
        unit = _DAY_HOURS if self._span.hours == _DAY_HOURS else 1
        shown = _shown(codes, self._clocks, unit)
        return _derived(codes, self.key, shown, lambda code: self._span.code(code * unit), self.size).column


class Open(Dimension):
    """A dimension whose values are not known beforehand. Its codes are their numbers in a dictionary."""

    characters_max: int  # of a value

    def __init__(self, name: str, dictionary: str) -> None:
        super().__init__(name)
        self.dictionary = dictionary

    def column(self, codes: Codes) -> int:
        """See Dimension."""
        made = codes.made.get(self.key)
        if made is not None:
            return made
        indexes, numbers, size = codes.opens[self.dictionary]
        if numbers is None:
            return codes.add(self.key, (indexes, max(1, size)))
        listed = codes.add((*self.key, "of the list"), (indexes, max(1, len(numbers))))
        return codes.add(self.key, (listed, numbers or array("I", [0]), max(1, size)))

    def _code(self, codes: Codes, text: str) -> int | None:
        return codes.find(self.dictionary, text)


class Merchant(Open):
    """The merchant."""

    characters_max = NAME_CHARACTERS_MAX
    spelling = Spelling(Kind.STRING, column=MERCHANTS)

    def of(self, event: Event, kept: Mapping[str, str]) -> str:  # noqa: ARG002 every dimension takes both
        """See Dimension."""
        return event.merchant

    def may_be(self, text: str) -> bool:
        """See Dimension."""
        return bool(text) and not merchant_is_reserved(text)


class Field(Open):
    """A field that the journal keeps, by its name in events."""

    characters_max = 6 * 256  # as its JSON text has it, with a character in six

    def __init__(self, name: str, field: str) -> None:
        super().__init__(name, f"{FIELD_PREFIX}{field}")
        self.field = field
        self.spelling = Spelling(Kind.STRING, column=field)

    def of(self, event: Event, kept: Mapping[str, str]) -> str:  # noqa: ARG002 every dimension takes both
        """See Dimension."""
        return kept.get(self.field, ABSENT)

    def may_be(self, text: str) -> bool:
        """See Dimension."""
        return bool(text)


class Window(Dimension, ABC):
    """A stretch of time by a zone's clocks. Its codes rise, and are counted from 1970 where it is one after another."""

    unit_hours: int  # that each has at least
    texts_rise = True  # with the codes

    def __init__(self, name: str, clocks: Clocks) -> None:
        super().__init__(name, clocks.key)
        self.clocks = clocks

    def column(self, codes: Codes) -> int:
        """See Dimension. The codes there count from the first window, see `windows`."""
        return self.windows(codes).column

    def windows(self, codes: Codes) -> CodesOfWindows:
        """Return this window's column, made if it was not there."""
        made = codes.windows.get(self.key)
        return self._make(codes) if made is None else made

    def of(self, event: Event, kept: Mapping[str, str]) -> str:  # noqa: ARG002 every dimension takes both
        """See Dimension."""
        return self.text(self.at(event.seconds))

    def may_be(self, text: str) -> bool:
        """See Dimension."""
        return self.parse(text) is not None

    def _code(self, codes: Codes, text: str) -> int | None:
        window = self.parse(text)
        return None if window is None else window - self.windows(codes).first

    @abstractmethod
    def _make(self, codes: Codes) -> CodesOfWindows:
        """Make the column."""

    @abstractmethod
    def text(self, window: int) -> str:
        """Return a window as datapoints spell it."""

    @abstractmethod
    def parse(self, text: str) -> int | None:
        """Return the window that a text names, None when it names none. The inverse of `text`."""

    @abstractmethod
    def at(self, moment: int) -> int:
        """Return the window that a moment lies in, in seconds since 1970."""

    @abstractmethod
    def hour(self, window: int) -> int:
        """Return the first hour of a window as the clocks show it, counted from 1970."""

    def cut(self, moment: int) -> int | None:
        """Return the window from which on all is at a moment or later, and before which nothing is; None if none is."""
        window = self.at(moment)
        near = self.clocks.changes_near(moment, 2 * DAY_S)  # when the clocks may go back over midnight
        before = [self.at(moment - 1), *(self.at(change - 1) for change in near if change <= moment)]
        after = [self.at(change) for change in near if change > moment]
        return window if max(before) < window <= min(after, default=window) else None

    def bounds(self, window: int) -> tuple[int, int]:
        """Return moments between which all of a window lies (half-open); more may lie there."""
        slack = 0 if self.clocks.is_utc else 2 * DAY_S
        return self.begins(window) - slack, self.begins(window + 1) + slack

    def cuts_near(self, moment: int) -> tuple[int, int]:
        """Return the last moment up to this one, and the first after it, that windows can be cut at."""
        window = self.at(moment)
        return self.begins(window), self.begins(window + 1)

    def begins(self, window: int) -> int:
        """Return the moment at which a window begins. Of an hour that the clocks show twice, that of the first."""
        return self.clocks.first_at(self.hour(window) * HOUR_S)


class Hour(Window):
    """An hour. One that the clocks show twice is two, told apart by the offset; so it may be shorter than others."""

    unit_hours = 1

    def __init__(self, name: str, clocks: Clocks) -> None:
        super().__init__(name, clocks)
        self.texts_rise = len(clocks.offsets) == 1
        self.spelling = _by_clock("%Y-%m-%d:%H" if clocks.is_utc else "%Y-%m-%d:%H%z", clocks)

    def _make(self, codes: Codes) -> CodesOfWindows:
        seconds = codes.seconds if self.clocks.is_utc else self.clocks.hours(codes.seconds)
        return _counted(codes, self.key, seconds, HOUR_S)

    def text(self, window: int) -> str:
        """See Window."""
        hour, offset = (window, 0) if self.clocks.is_utc else self.clocks.shown_hour(window)
        day, hour = divmod(hour, _DAY_HOURS)
        shown = f"{day_text(day)}:{hour:02}"
        return shown if self.clocks.is_utc else shown + offset_text(offset)

    def parse(self, text: str) -> int | None:
        """See Window."""
        match = _HOUR.match(text)
        day = parse_day(match[1]) if match else None
        if match is None or day is None:
            return None
        hour, rest = day * _DAY_HOURS + int(match[2]), text[match.end() :]
        if self.clocks.is_utc:
            return None if rest else hour
        offset = _OFFSET.fullmatch(rest)
        if offset is None:
            return None
        seconds = int(offset[2]) * HOUR_S + int(offset[3]) * 60 + int(offset[4] or 0)
        code = self.clocks.code_of_hour(hour, -seconds if offset[1] == "-" else seconds)
        return code if code is not None and self.text(code) == text else None

    def at(self, moment: int) -> int:
        """See Window."""
        return self.clocks.hour(moment)

    def hour(self, window: int) -> int:
        """See Window."""
        return window if self.clocks.is_utc else self.clocks.shown_hour(window)[0]

    def begins(self, window: int) -> int:
        """See Window."""
        return self.clocks.first_of_hour(window)


class SpanWindow(Window):
    """A window of whole days, such as a week."""

    def __init__(self, span: Span, clocks: Clocks) -> None:
        super().__init__(span.name, clocks)
        self._span = span
        # Weeks and months cannot be added up to anything that months or years are parts of.
        self.unit_hours = _DAY_HOURS if span is SPANS["day"] else 7 * _DAY_HOURS
        self.spelling = _by_clock(span.pattern, clocks)

    def _make(self, codes: Codes) -> CodesOfWindows:
        days = _shown(codes, self.clocks, _DAY_HOURS)
        if self.key == (SPANS["day"].name, self.clocks.key):
            return days
        return _derived(codes, self.key, days, lambda day: self._span.code(day * _DAY_HOURS))

    def text(self, window: int) -> str:
        """See Window."""
        return self._span.text(window)

    def parse(self, text: str) -> int | None:
        """See Window."""
        return self._span.parse(text)

    def at(self, moment: int) -> int:
        """See Window."""
        return self._span.code(self.clocks.local(moment) // HOUR_S)

    def hour(self, window: int) -> int:
        """See Window."""
        first = self._span.first
        return 0 if first is None else first(window)


def _by_clock(pattern: str, clocks: Clocks) -> Spelling:
    return Spelling(Kind.CLOCK, pattern, tuple(clocks.starts), tuple(clocks.offsets))


def _counted(codes: Codes, key: object, seconds: array[int], length_s: int) -> CodesOfWindows:
    first, column, count = kernel.windows(seconds, length_s)
    return codes.add_windows(key, (column, count), first)


def _shown(codes: Codes, clocks: Clocks, unit_hours: int) -> CodesOfWindows:
    """Return the column of the days, or the hours, that clocks show."""
    key = ("hours shown" if unit_hours == 1 and not clocks.is_utc else "hour" if unit_hours == 1 else "day", clocks.key)
    made = codes.windows.get(key)
    if made is not None:
        return made
    hours = codes.windows.get(("hour", clocks.key)) if clocks.is_utc and unit_hours > 1 else None
    if hours is not None and codes.radix(hours.column) <= max(len(codes.seconds), _TABLE_MIN):
        return _derived(codes, key, hours, lambda hour: hour // _DAY_HOURS)
    seconds = codes.seconds if clocks.is_utc else clocks.locals(codes.seconds)
    return _counted(codes, key, seconds, unit_hours * HOUR_S)


def _derived(
    codes: Codes, key: object, of: CodesOfWindows, code: Callable[[int], int], size: int | None = None
) -> CodesOfWindows:
    """Return a column by what each code of another becomes: by a table, unless that is longer than the column.

    With a size codes are kept as they are; else they count from the first.
    """
    count = codes.radix(of.column)
    told: Sequence[int] = range(of.first, of.first + count)
    by_table = count <= max(len(codes.seconds), _TABLE_MIN)
    if not by_table:
        told = [of.first + each for each in codes.flat(of.column)]
    made = list(map(code, told))
    first = min(made, default=0) if size is None else 0
    column = array("I", [each - first for each in made])
    radix = size or max(column, default=0) + 1
    return codes.add_windows(key, (of.column, column, radix) if by_table else (column, radix), first)


def offset_text(offset: int) -> str:
    """Return seconds to the east of UTC as `+01:00`, with seconds if there are any."""
    hours, rest = divmod(abs(offset), HOUR_S)
    minutes, seconds = divmod(rest, 60)
    return f"{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}" + (f":{seconds:02}" if seconds else "")


def brackets_text(bounds: Sequence[int]) -> tuple[str, ...]:
    """Return the texts of brackets between rising bounds in cents, each bound in the bracket above it."""
    shown = [_euro(bound) for bound in bounds]
    between = [f"{low}-{high}" for low, high in pairwise(shown)]
    return (f"<{shown[0]}", *between, f">={shown[-1]}")


def _euro(cents: int) -> str:
    euro, rest = divmod(cents, 100)
    return f"{euro}.{rest:02}" if rest else str(euro)


HOUR: Final = Hour("hour", UTC_CLOCKS)
DAY: Final = SpanWindow(SPANS["day"], UTC_CLOCKS)
BRACKET: Final = Bracket(BRACKET_FLOORS, BRACKETS)
METHOD: Final = Method("method", METHODS)
MERCHANT: Final = Merchant("merchant", "merchant")
WINDOWS: Final = ("hour", *(name for name, span in SPANS.items() if span.rises))
KEYS: Final = (*(name for name, span in SPANS.items() if not span.rises), "bracket", "method", "merchant")


def dimension(name: str, clocks: Clocks = UTC_CLOCKS, bounds: Sequence[int] = ()) -> Dimension:
    """Return the dimension of a name, by a zone's clocks and brackets of one's own if there are any.

    What is none of WINDOWS and KEYS is a kept field, which may be written `field.NAME`.
    """
    made: Dimension
    match name:
        case "hour":
            made = HOUR if clocks.is_utc else Hour(name, clocks)
        case _ if name in SPANS:
            made = (SpanWindow if SPANS[name].rises else ClosedSpan)(SPANS[name], clocks)
        case "bracket":
            made = Bracket(tuple(bounds), brackets_text(bounds)) if bounds else BRACKET
        case "method":
            made = METHOD
        case "merchant":
            made = MERCHANT
        case _:  # every other name is a kept field's
            made = Field(name, name.removeprefix(FIELD_PREFIX))
    return made


def merchant_is_reserved(merchant: str) -> bool:
    """Tell whether a merchant of this name could make two reports share a datapoint.

    `10-50` would: `10-50|PAY_NOW` is a datapoint of bracket-method. So would a day: `2011-12-03|PAY_NOW` is what
    day-merchant calls a merchant named PAY_NOW. With these two kinds refused no others can.
    """
    return merchant in BRACKETS or parse_day(merchant) is not None
