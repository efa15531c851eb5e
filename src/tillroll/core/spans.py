"""Spans: the parts of a calendar that hours of local time are added up to when a question asks for them."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_DAYS_TO_1970: Final = datetime.date(1970, 1, 1).toordinal()
_LAST_DAY: Final = datetime.date.max.toordinal()
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_THURSDAY: Final = 3  # 1970-01-01 was one


class Span(NamedTuple):
    """A part of the calendar: which one an hour counted from 1970 lies in, by its code, and how a code is written."""

    name: str
    code: Callable[[int], int]
    text: Callable[[int], str]
    hours: int  # that each has at least: a report by longer windows cannot be added up to it
    rises: bool  # later hours lie in later ones, and later ones have greater texts


def _date(day: int) -> datetime.date:
    """Return the date of a day counted from 1970; outside the years 1 to 9999, the nearest."""
    return datetime.date.fromordinal(min(max(day + _DAYS_TO_1970, 1), _LAST_DAY))


def _day(hour: int) -> int:
    return _date(hour // 24).toordinal() - _DAYS_TO_1970


def _day_text(day: int) -> str:
    return _date(day).isoformat()


def _week(hour: int) -> int:
    """Return how many weeks, from Monday to Sunday, lie between an hour's and that of 1970-01-01."""
    return (_day(hour) + _THURSDAY) // 7


def _week_text(week: int) -> str:
    iso = _date(week * 7 - _THURSDAY).isocalendar()
    return f"{iso.year:04}-W{iso.week:02}"


def _month(hour: int) -> int:
    date = _date(hour // 24)
    return date.year * 12 + date.month - 1


def _month_text(month: int) -> str:
    return f"{month // 12:04}-{month % 12 + 1:02}"


def _weekday(hour: int) -> int:
    return _date(hour // 24).weekday()


SPANS: Final = {
    span.name: span
    for span in (
        Span("day", _day, _day_text, 24, rises=True),
        Span("week", _week, _week_text, 24, rises=True),
        Span("month", _month, _month_text, 24, rises=True),
        Span("weekday", _weekday, _WEEKDAYS.__getitem__, 24, rises=False),
        Span("hour-of-day", lambda hour: hour % 24, "{:02}".format, 1, rises=False),
    )
}
