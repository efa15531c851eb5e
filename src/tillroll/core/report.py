"""The reports, as data: a report is a name and the dimensions it counts by.

Nothing else in the product knows a report by name. A datapoint is the values of a report's dimensions joined by `|`,
in the contract's own spelling; two reports can never share one (see `reserved_merchants`).
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import Final, Literal

import msgspec

from tillroll.core.dimension import (
    BRACKET,
    BRACKET_FLOORS,
    BRACKETS,
    DAY,
    HOUR,
    MERCHANT,
    METHOD,
    Closed,
    Dimension,
    Open,
    Window,
)
from tillroll.core.limits import METHODS

SEPARATOR: Final = "|"

DimensionName = Literal["hour", "day", "bracket", "method", "merchant"]
_DIMENSIONS: Final[dict[DimensionName, Dimension]] = {
    "hour": HOUR,
    "day": DAY,
    "bracket": BRACKET,
    "method": METHOD,
    "merchant": MERCHANT,
}
WINDOW_SECONDS: Final[dict[str, int]] = {"hour": HOUR.seconds, "day": DAY.seconds}


class Report(msgspec.Struct, frozen=True, dict=True):
    """A report: its name and the dimensions it counts by, in the order of the datapoint."""

    name: str
    title: str
    dimensions: tuple[DimensionName, ...]

    @cached_property
    def by(self) -> tuple[Dimension, ...]:
        """The dimensions themselves."""
        return tuple(_DIMENSIONS[name] for name in self.dimensions)

    @cached_property
    def grouping(self) -> tuple[Window | None, tuple[Dimension, ...]]:
        """The window, and the other dimensions in the order of codes: an open one first, so that its lie together."""
        window = self.by[0] if isinstance(self.by[0], Window) else None
        keys = self.by[1:] if window else self.by
        return window, tuple(sorted(keys, key=lambda dimension: not isinstance(dimension, Open)))

    @cached_property
    def window(self) -> DimensionName | None:
        """The dimension that is a window of time, or None for a report over all time."""
        return self.dimensions[0] if isinstance(self.by[0], Window) else None

    @cached_property
    def window_s(self) -> int:
        """Seconds a window lasts, or 0 for a report over all time."""
        return WINDOW_SECONDS.get(self.dimensions[0], 0)

    @cached_property
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
    return bisect_right(BRACKET_FLOORS, amount)


def window_text(window_s: int, window: int) -> str:
    """Return a window, counted from 1970 in its own length of 3,600 or 86,400 seconds, as a datapoint spells it."""
    return DAY.text(window) if window_s == DAY.seconds else HOUR.text(window)


def parse_day(text: str) -> int | None:
    """Return the day, counted from 1970-01-01, that YYYY-MM-DD names, or None when it names none."""
    return DAY.parse(text)


def parse_window(window_s: int, text: str) -> int | None:
    """Return the window that a datapoint's text names, or None when it names none. The inverse of `window_text`."""
    return DAY.parse(text) if window_s == DAY.seconds else HOUR.parse(text)


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
    found: dict[str, int | str] = {}
    for dimension, part in zip(report.by, parts, strict=True):
        match dimension:
            case Open():
                value: int | str | None = part if dimension.may_be(part) else None
            case Window() | Closed():
                value = dimension.parse(part)
            case _:
                raise TypeError(dimension.name)
        if value is None:
            return None
        found["window" if isinstance(dimension, Window) else dimension.name] = value
    return msgspec.convert({"report": report, **found}, Coordinates)
