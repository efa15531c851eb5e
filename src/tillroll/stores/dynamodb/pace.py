"""A pace: write units a second that counting reports of one's own may take, so that it leaves room for traffic. No I/O.

It bounds what is at work with it. Several processes keep to it together since one counts at a time, see `counting`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tillroll.stores.dynamodb.calls import Sleep

if TYPE_CHECKING:
    from collections.abc import Callable

    from tillroll.stores.dynamodb.calls import Procedure

UNITS_A_WRITE = 2  # of a counter that is new, or goes, with its entry in the index


class Pace:
    """Holds back what writes, so that it takes so many units a second."""

    def __init__(self, units_s: float, clock: Callable[[], float]) -> None:
        self._units_s = units_s
        self._clock = clock
        self._free_at = 0.0

    @property
    def writes_at_once(self) -> int:
        """As many as take about a second."""
        return max(1, int(self._units_s / UNITS_A_WRITE))

    def wait(self) -> Procedure[None]:
        """Wait until what was taken before is paid off."""
        left_s = self._free_at - self._clock()
        if left_s > 0:
            yield Sleep(left_s)

    def took(self, units: int) -> None:
        """Note what writes have taken."""
        self._free_at = max(self._free_at, self._clock()) + units / self._units_s
