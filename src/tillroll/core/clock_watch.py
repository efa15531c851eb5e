"""A clock that may be slow: it would take today's purchases for future ones, and senders take that as final."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tillroll.core.batch import Event
from tillroll.core.decode import decode_event
from tillroll.errors import ClockError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tillroll.core.accept import Accepted, Rejection

_MINUTE_S: Final = 60
_SLOW_BY_S_MAX: Final = 100 * 365 * 86_400  # a clock that lost its battery begins in 1970 or 2000
_LOOKED_AT_MAX: Final = 20  # of a body: what is dated alike need not be decoded again and again


class ClockWatch:
    """Doubts the clock while more than half of what came in this minute and the last is dated in the future.

    Use from one thread.
    """

    def __init__(self) -> None:
        self._minute = 0
        self._events = [0, 0]  # in the last minute, and in this
        self._future = [0, 0]

    def check(self, accepted: Accepted, now_s: float) -> None:
        """Count what some bodies held.

        Raises:
            ClockError: some are to be sent again, since it may be the clock that is wrong; `bodies` are their indexes.
        """
        self._turn(int(now_s // _MINUTE_S))
        if not any(accepted.rejections):
            self._events[1] += sum(accepted.events)
            return
        future = [sum(each.reason.code == "future_date" for each in some) for some in accepted.rejections]
        doubtful = [
            index
            for index, rejections in enumerate(accepted.rejections)
            if future[index] and _may_be_now(rejections, now_s)
        ]
        if not doubtful:
            self._events[1] += sum(accepted.events)
            return
        self._future[1] += sum(future[index] for index in doubtful)
        self._events[1] += sum(future[index] + accepted.events[index] for index in doubtful)
        others = sum(accepted.events) - sum(accepted.events[index] for index in doubtful)
        if 2 * sum(self._future) > sum(self._events) + others:
            raise ClockError(doubtful, now_s)  # the others are handed in again, and counted then
        self._events[1] += others

    def _turn(self, minute: int) -> None:
        if minute != self._minute:
            kept = minute == self._minute + 1
            self._events = [self._events[1] if kept else 0, 0]
            self._future = [self._future[1] if kept else 0, 0]
            self._minute = minute


def _may_be_now(rejections: Sequence[Rejection], now_s: float) -> bool:
    """Tell whether most of a body's events of the future would be good ones if the clock were slow."""
    some = [each for each in rejections if each.reason.code == "future_date"][:_LOOKED_AT_MAX]
    good = sum(isinstance(decode_event(each.body, now_s + _SLOW_BY_S_MAX), Event) for each in some)
    return 2 * good > len(some)
