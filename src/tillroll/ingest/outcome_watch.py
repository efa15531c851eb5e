"""Notes what became of events, of one way in, and stores it once in a while: a picture, not the truth.

What was noted since it was last stored is lost when the process is killed.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from tillroll.core.outcome_tally import OutcomeTally
from tillroll.errors import TillrollError

if TYPE_CHECKING:
    from tillroll.core.outcome_counts import OutcomeCounts
    from tillroll.ports import Clock

_FLUSH_S: Final = 60.0
_log: Final = logging.getLogger(__name__)


class OutcomeStore(Protocol):
    """The part of a Store that a watch needs."""

    def note_outcomes(self, tally: OutcomeTally) -> None:
        """As Store.note_outcomes."""
        ...

    def noted_outcomes(self) -> OutcomeTally:
        """As Store.noted_outcomes."""
        ...


class OutcomeWatch:
    """Counts the outcomes of one way in. Safe to use from any number of threads."""

    def __init__(self, way: str, store: OutcomeStore, clock: Clock) -> None:
        self._way = way
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._tally = OutcomeTally()
        self._flushed_at = time.monotonic()

    def note(self, counts: OutcomeCounts) -> None:
        """Count events by outcome; and store what was counted once a minute."""
        if not counts.events:
            return
        with self._lock:
            self._tally.note(self._way, self._clock(), counts)
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Store what was counted if a minute has passed. To be called now and then: the next event may never come."""
        if time.monotonic() - self._flushed_at >= _FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Store what was counted. What cannot be stored now is stored later."""
        with self._lock:
            tally, self._tally = self._tally, OutcomeTally()
            self._flushed_at = time.monotonic()
        if not tally:
            return
        try:
            self._store.note_outcomes(tally)
        except TillrollError as error:
            _log.debug("the outcomes of events are stored later: %s", error)
            with self._lock:
                tally.add(self._tally)
                self._tally = tally

    def shown(self) -> OutcomeTally:
        """Return what is stored, of all ways and processes, with what this one has not stored yet."""
        found = self._store.noted_outcomes()
        with self._lock:
            found.add(self._tally)
        return found
