"""How many counters reports of one's own touch, and make: predicted from their definitions. Pure.

Brackets of one's own and the values of a kept field are taken to be equally likely, and conditions to let all pass: so
it is rather too much than too little.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core.dimension import BRACKET, Bracket, Closed, Field, Merchant, Method, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tillroll.core.dimension import Dimension
    from tillroll.core.report import Report

_RATIO: Final = 1.05  # merchants of about one share are taken together
_HOUR_S: Final = 3_600


class Cells(NamedTuple):
    """So many cells, each with this share of the events."""

    share: float
    cells: float


class Shares(NamedTuple):
    """How events spread."""

    merchants: int
    values: int  # of a kept field
    brackets: Sequence[float]
    methods: Sequence[float]


def _zipf(merchants: int) -> list[Cells]:
    total = math.log(merchants) + 0.5772 + 1 / (2 * merchants)
    found: list[Cells] = []
    first = 1
    while first <= merchants:
        last = min(merchants, max(first, int(first * _RATIO)))
        found.append(Cells(2 / (first + last) / total, last - first + 1))
        first = last + 1
    return found


def _even(cells: int) -> list[Cells]:
    return [Cells(1 / cells, cells)]


def _spread(dimension: Dimension, shares: Shares, *, at_once: bool) -> list[Cells]:
    """Return how events spread over a dimension; those of one moment have one weekday and hour of the day."""
    match dimension:
        case Merchant():
            return _zipf(shares.merchants)
        case Field():
            return _even(shares.values)
        case Method():
            return [Cells(share, 1) for share in shares.methods]
        case Bracket():
            own = dimension.key != BRACKET.key
            return _even(dimension.size) if own else [Cells(share, 1) for share in shares.brackets]
        case Closed():
            return _even(1 if at_once else dimension.size)
        case _:
            raise ValueError(f"nothing is known of how events spread over {dimension.name}")


def _cells(report: Report, shares: Shares, *, at_once: bool) -> list[Cells]:
    cells = [Cells(1.0, 1)]
    for dimension in report.by:
        if not isinstance(dimension, Window):
            mine = _spread(dimension, shares, at_once=at_once)
            cells = [Cells(a.share * b.share, a.cells * b.cells) for a in cells for b in mine]
    return cells


def _touched(cells: Iterable[Cells], events: float) -> float:
    return sum(n * (1.0 if share >= 1 else -math.expm1(events * math.log1p(-share))) for share, n in cells)


def touched(reports: Iterable[Report], events: float, shares: Shares) -> float:
    """Return how many counters so many events of one moment are expected to touch."""
    return sum(_touched(_cells(report, shares, at_once=True), events) for report in reports)


def made_a_second(reports: Iterable[Report], rate: float, shares: Shares) -> float:
    """Return how many counters appear a second, on average, that were not there: in each window anew."""
    found = 0.0
    for report in reports:
        if report.window is not None:
            window_s = report.window.unit_hours * _HOUR_S
            found += _touched(_cells(report, shares, at_once=False), rate * window_s) / window_s
    return found
