"""How large reports are: counted now and then, since all of a report is read for it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.stores.sqlite.counters import stored_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tillroll.core.report import Report
    from tillroll.stores.sqlite.reader import Reader

_SHARE: Final = 500  # of the time, one part in so many at most is spent on counting again


class Size(NamedTuple):
    """How large a report was at a position of the journal."""

    datapoints: int | None
    stored_bytes: int | None
    sized_position: int | None


NO_SIZE: Final = Size(None, None, None)


class Sizes:
    """The sizes of a store's reports, for all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Size] = {}
        self._again_at = 0.0

    def of(self, reader: Reader, reports: Sequence[tuple[Report, int]]) -> dict[str, Size]:
        """Return the sizes of reports by their keys, as they are or were a while ago. Call within a transaction.

        With each stands its position: how far what is stored of it goes.
        """
        with self._lock:
            began = time.monotonic()
            held = self._held if began < self._again_at else {}
            self._held = {
                report.key: held.get(report.key) or self._size(reader, report, position) for report, position in reports
            }
            took = time.monotonic() - began
            self._again_at = max(self._again_at, began) + took * _SHARE
            return self._held

    def _size(self, reader: Reader, report: Report, position: int) -> Size:
        held = self._held.get(report.key)
        if held is not None and held.sized_position == position:
            return held
        return Size(reader.stored_datapoints(report), stored_bytes(reader.connection, report.key), position)
