"""The reports, as data: a report is a name and the dimensions it counts by.

Nothing else in the product knows a report by name. A datapoint is the values of a report's dimensions joined by `|`,
in the contract's own spelling; two reports can never share one (see `reserved_merchants`).
"""

from __future__ import annotations

import datetime
import re
from typing import Final, Literal

import msgspec

METHODS: Final = ("PAY_NOW", "PAY_LATER", "SLICE_IT")
BRACKETS: Final = ("<10", "10-50", "50-100", "100-500", ">500")
# The first cent of each bracket after the first. 500.00 euro exactly is not more than 500, hence the odd one.
BRACKET_FLOORS: Final = (1_000, 5_000, 10_000, 50_001)
SEPARATOR: Final = "|"

DimensionName = Literal["hour", "day", "bracket", "method", "merchant"]
WINDOW_SECONDS: Final[dict[str, int]] = {"hour": 3_600, "day": 86_400}
_DAYS_TO_1970: Final = datetime.date(1970, 1, 1).toordinal()
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_HOUR: Final = re.compile(r"(\d{4}-\d{2}-\d{2}):([01]\d|2[0-3])", re.ASCII)


class Report(msgspec.Struct, frozen=True):
    """A report: its name and the dimensions it counts by, in the order of the datapoint."""

    name: str
    title: str
    dimensions: tuple[DimensionName, ...]

    @property
    def window(self) -> Literal["hour", "day"] | None:
        """The dimension that is a window of time, or None for a report over all time."""
        match self.dimensions[0]:
            case "hour" | "day" as window:
                return window
            case _:
                return None

    @property
    def window_s(self) -> int:
        """Seconds a window lasts, or 0 for a report over all time."""
        return WINDOW_SECONDS.get(self.dimensions[0], 0)

    @property
    def keys(self) -> tuple[DimensionName, ...]:
        """The dimensions that are not the window."""
        return self.dimensions[1:] if self.window else self.dimensions


REPORTS: Final = (
    Report("hour-bracket", "Purchases per hour by amount bracket", ("hour", "bracket")),
    Report(
        "hour-bracket-method",
        "Purchases per hour by amount bracket and payment method",
        ("hour", "bracket", "method"),
    ),
    Report("bracket-method", "Purchases by amount bracket and payment method", ("bracket", "method")),
    Report("day-merchant", "Purchases per day by merchant", ("day", "merchant")),
    Report("merchant-method", "Purchases by merchant and payment method", ("merchant", "method")),
)
REPORTS_BY_NAME: Final = {report.name: report for report in REPORTS}


def bracket_of(amount: int) -> int:
    """Return the index into BRACKETS of an amount in cents."""
    first, second, third, fourth = BRACKET_FLOORS
    if amount < second:
        return 0 if amount < first else 1
    if amount < fourth:
        return 2 if amount < third else 3
    return 4


def day_text(day: int) -> str:
    """Return a day, counted from 1970-01-01, as YYYY-MM-DD."""
    return datetime.date.fromordinal(day + _DAYS_TO_1970).isoformat()


def window_text(window_s: int, window: int) -> str:
    """Return a window, counted from 1970 in its own length of 3,600 or 86,400 seconds, as a datapoint spells it."""
    if window_s == WINDOW_SECONDS["day"]:
        return day_text(window)
    day, hour = divmod(window, 24)
    return f"{day_text(day)}:{hour:02}"


def parse_day(text: str) -> int | None:
    """Return the day, counted from 1970-01-01, that YYYY-MM-DD names, or None when it names none."""
    if not _DAY.fullmatch(text):
        return None
    try:
        return datetime.date.fromisoformat(text).toordinal() - _DAYS_TO_1970
    except ValueError:
        return None


def parse_window(window_s: int, text: str) -> int | None:
    """Return the window that a datapoint's text names, or None when it names none. The inverse of `window_text`."""
    if window_s == WINDOW_SECONDS["day"]:
        return parse_day(text)
    match = _HOUR.fullmatch(text)
    day = parse_day(match[1]) if match else None
    return None if match is None or day is None else day * 24 + int(match[2])


def datapoint(report: Report, window: int, bracket: int, method: int, merchant: str) -> str:
    """Return the datapoint that an event of these values counts for in the report."""
    values = {"bracket": BRACKETS[bracket], "method": METHODS[method], "merchant": merchant}
    rest = SEPARATOR.join(values[key] for key in report.keys)
    return f"{window_text(report.window_s, window)}{SEPARATOR}{rest}" if report.window else rest


class Coordinates(msgspec.Struct, frozen=True):
    """Where a datapoint lies in its report. What the report does not count by is 0 or the empty string."""

    report: Report
    window: int = 0
    bracket: int = 0
    method: int = 0
    merchant: str = ""


def parse_datapoint(text: str) -> Coordinates | None:
    """Return the coordinates of a datapoint, or None when no report could have it. The inverse of `datapoint`."""
    parts = text.split(SEPARATOR)
    for report in REPORTS:
        if len(parts) == len(report.dimensions):
            found = _parse_parts(report, parts)
            if found is not None:
                return found
    return None


def _parse_parts(report: Report, parts: list[str]) -> Coordinates | None:
    window = bracket = method = 0
    merchant = ""
    for dimension, part in zip(report.dimensions, parts, strict=True):
        match dimension:
            case "hour" | "day":
                parsed = parse_window(report.window_s, part)
                if parsed is None:
                    return None
                window = parsed
            case "bracket":
                if part not in BRACKETS:
                    return None
                bracket = BRACKETS.index(part)
            case "method":
                if part not in METHODS:
                    return None
                method = METHODS.index(part)
            case "merchant":
                if not part or merchant_is_reserved(part):
                    return None
                merchant = part
    return Coordinates(report, window, bracket, method, merchant)


def merchant_is_reserved(merchant: str) -> bool:
    """Tell whether a merchant of this name could make two reports share a datapoint.

    `10-50` would: `10-50|PAY_NOW` is a datapoint of bracket-method. So would a day: `2011-12-03|PAY_NOW` is what
    day-merchant calls a merchant named PAY_NOW. With these two kinds refused no others can.
    """
    return merchant in BRACKETS or parse_day(merchant) is not None
