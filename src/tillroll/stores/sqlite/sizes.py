"""How large reports are: counted now and then, since all of a report is read for it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.stores.sqlite.counters import stored_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tillroll.core.report import Report
    from tillroll.stores.sqlite.reader import Reader

_SHARE: Final = 500  # of the time, one part in so many at most is spent on counting again

_TURN_S: Final = 0.0005


class Size(NamedTuple):
    """How large a report was at a position of the journal."""

    datapoints: int | None
    stored_bytes: int | None
    sized_position: int | None


NO_SIZE: Final = Size(None, None, None)


class Turns:
    """Gives Python's lock away after each moment of work, so that no commit waits for long."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self) -> None:
        """End a turn if it took long enough."""
        if time.monotonic() - self._began >= _TURN_S:
            time.sleep(2 * _TURN_S)
            self._began = time.monotonic()


class Sizes:
    """The sizes of a store's reports, for all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Size] = {}
        self._again_at = 0.0

    def of(self, reader: Reader, reports: Sequence[tuple[Report, int]], turns: Callable[[], None]) -> dict[str, Size]:
        """Return the sizes of reports by their keys, as they are or were a while ago. Call within a transaction.

        With each stands its position: how far what is stored of it goes. `turns` is called after each piece of work.
        """
        with self._lock:
            began = time.monotonic()
            held = self._held if began < self._again_at else {}
            self._held = {
                report.key: held.get(report.key) or self._size(reader, report, position, turns)
                for report, position in reports
            }
            took = time.monotonic() - began
            self._again_at = max(self._again_at, began) + took * _SHARE
            return self._held

    def _size(self, reader: Reader, report: Report, position: int, turns: Callable[[], None]) -> Size:
        held = self._held.get(report.key)
        if held is not None and held.sized_position == position:
            return held
        return Size(reader.stored_datapoints(report, turns), stored_bytes(reader.connection, report.key), position)
