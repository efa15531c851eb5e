"""Spans: the parts of a calendar that hours of local time lie in."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core.pattern import pattern

if TYPE_CHECKING:
    from collections.abc import Callable

_DAYS_TO_1970: Final = datetime.date(1970, 1, 1).toordinal()
_LAST_DAY: Final = datetime.date.max.toordinal()
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HOURS_OF_DAY: Final = tuple(f"{hour:02}" for hour in range(24))
_THURSDAY: Final = 3  # 1970-01-01 was one
_DAY: Final = pattern(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_WEEK: Final = pattern(r"(\d{4})-W(\d{2})", re.ASCII)
_MONTH: Final = pattern(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)


class Span(NamedTuple):
    """A part of the calendar. Hours are counted from 1970-01-01T00."""

    name: str
    code: Callable[[int], int]  # which one an hour lies in
    text: Callable[[int], str]  # how a code is written
    parse: Callable[[str], int | None]  # the inverse of `text`
    hours: int  # that each has at least: a report by longer windows cannot be added up to it
    first: Callable[[int], int] | None  # the first hour of a code; None where later hours lie in the same ones again
    pattern: str  # how `text` writes it, in the words of strftime
    texts: tuple[str, ...] = ()  # of all codes, where they are few

    @property
    def rises(self) -> bool:
        """Whether later hours lie in later ones, and later ones have greater texts."""
        return self.first is not None


def _date(day: int) -> datetime.date:
    """Return the date of a day counted from 1970; outside the years 1 to 9999, the nearest."""
    return datetime.date.fromordinal(min(max(day + _DAYS_TO_1970, 1), _LAST_DAY))


def _number(date: datetime.date) -> int:
    return date.toordinal() - _DAYS_TO_1970


def _day(hour: int) -> int:
    """Return the day of an hour, both counted from 1970; outside the years 1 to 9999, the nearest. Asked very often."""
    return min(max(hour // 24, 1 - _DAYS_TO_1970), _LAST_DAY - _DAYS_TO_1970)


def day_text(day: int) -> str:
    """Return a day, counted from 1970, as datapoints spell it."""
    return _date(day).isoformat()


def parse_day(text: str) -> int | None:
    """Return the day, counted from 1970-01-01, that YYYY-MM-DD names, or None when it names none."""
    try:
        return _number(datetime.date.fromisoformat(text)) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


def _week(hour: int) -> int:
    """Return how many weeks, from Monday to Sunday, lie between an hour's and that of 1970-01-01."""
    return (_day(hour) + _THURSDAY) // 7


def _week_text(week: int) -> str:
    iso = _date(week * 7 - _THURSDAY).isocalendar()
    return f"{iso.year:04}-W{iso.week:02}"


def _parse_week(text: str) -> int | None:
    match = _WEEK.fullmatch(text)
    try:
        monday = datetime.date.fromisocalendar(int(match[1]), int(match[2]), 1) if match else None
    except ValueError:
        return None
    return None if monday is None else _week(_number(monday) * 24)


def _month(hour: int) -> int:
    date = _date(hour // 24)
    return date.year * 12 + date.month - 1


def _month_text(month: int) -> str:
    return f"{month // 12:04}-{month % 12 + 1:02}"


def _parse_month(text: str) -> int | None:
    match = _MONTH.fullmatch(text)
    return int(match[1]) * 12 + int(match[2]) - 1 if match and match[1] != "0000" else None


def _first_of_month(month: int) -> int:
    return _number(datetime.date(month // 12, month % 12 + 1, 1)) * 24


def _weekday(hour: int) -> int:
    return _date(hour // 24).weekday()


def _code_in(texts: tuple[str, ...]) -> Callable[[str], int | None]:
    return {text: code for code, text in enumerate(texts)}.get


SPANS: Final = {
    span.name: span
    for span in (
        Span("day", _day, day_text, parse_day, 24, lambda day: day * 24, "%Y-%m-%d"),
        Span("week", _week, _week_text, _parse_week, 24, lambda week: (week * 7 - _THURSDAY) * 24, "%G-W%V"),
        Span("month", _month, _month_text, _parse_month, 24, _first_of_month, "%Y-%m"),
        Span("weekday", _weekday, WEEKDAYS.__getitem__, _code_in(WEEKDAYS), 24, None, "%a", WEEKDAYS),
        Span(
            "hour-of-day",
            lambda hour: hour % 24,
            HOURS_OF_DAY.__getitem__,
            _code_in(HOURS_OF_DAY),
            1,
            None,
            "%H",
            HOURS_OF_DAY,
        ),
    )
}
