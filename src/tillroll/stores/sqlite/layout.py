"""How the codes of a report are laid out in segments: told by what the report counts by, never by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from tillroll.core.report import Report

_PART_CODES: Final = 4_096  # that a part has at most, unless one value of an open dimension has more
_PART_VALUES: Final = 1_024  # of an open dimension, that a part has at most
_HOURS_TOGETHER: Final = 512  # that share a sparse segment
_DAYS_TOGETHER: Final = 64  # and so many weeks or months


class Layout(NamedTuple):
    """The sizes of a report's segments. A report of several open dimensions has none, see `cells`."""

    step: int  # codes of one value of the open dimension; without one, all there are
    size: int  # codes of a part
    windows: int  # that share a sparse segment; 0 of a report over all time

    @property
    def values(self) -> int:
        """How many values of the open dimension a part has."""
        return self.size // self.step


def layout_of(report: Report) -> Layout:
    """Return the layout of a report. Not by its key: two stores may have other definitions under one."""
    values = max(1, min(_PART_VALUES, _PART_CODES // report.inner)) if report.opens else 1
    windows = 0
    if report.window is not None:
        windows = _HOURS_TOGETHER if report.window.unit_hours == 1 else _DAYS_TOGETHER
    return Layout(report.inner, report.inner * values, windows)
