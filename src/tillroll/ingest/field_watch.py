"""What fields events bring: which are to be kept, and, of samples, which are not.

Events are looked at while there is a budget: the first 1,000, then 20 a second. So what is looked at costs nothing to
speak of, and whatever comes at less than that is looked at whole.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from tillroll.core.accept import Body
from tillroll.core.batch import UNNAMED
from tillroll.core.field_tally import FieldTally, KeptTally, shown_fields
from tillroll.core.parse import KEEP_NOTHING
from tillroll.errors import TillrollError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tillroll.core.kept import Keep
    from tillroll.ports import Store

_BUDGET: Final = 1_000.0
_BUDGET_A_SECOND: Final = 20.0
_WINDOW_BYTES: Final = 64 * 2**10  # of a long body that is looked into
_FLUSH_S: Final = 60.0
_log: Final = logging.getLogger(__name__)


class FieldStore(Protocol):
    """The part of a Store that a watch needs."""

    def note_fields(self, tally: FieldTally) -> None:
        """As Store.note_fields."""
        ...


class FieldWatch:
    """Knows which fields are to be kept, and looks at samples of events. Safe to use from any number of threads."""

    def __init__(self, keep: Keep = KEEP_NOTHING, store: FieldStore | None = None) -> None:
        """Without a store nothing is looked at."""
        self.keep = keep
        self._store = store
        self._lock = threading.Lock()
        self._tally = FieldTally()
        self._budget = _BUDGET
        self._at = self._look_at = time.monotonic()
        self._flushed_at = float("-inf")
        self._kept = KeptTally()
        self._kept_lock = threading.Lock()  # held while the journal is read, for which no commit may wait

    def attach(self, store: FieldStore) -> None:
        """Store what is seen in a store, which is opened only now."""
        self._store = store

    def look(self, texts: Iterable[bytes | memoryview]) -> None:
        """Look at some of the events in some texts, and store what was seen once in a while."""
        if self._store is None:
            return
        now = time.monotonic()
        if now < self._look_at:  # a commit must not pay for it every time
            return
        self._budget = min(_BUDGET, self._budget + (now - self._at) * _BUDGET_A_SECOND)
        self._at = now
        if self._budget >= 1:
            with self._lock:
                self._look(texts)
        self._look_at = now + max(0.0, 1 - self._budget) / _BUDGET_A_SECOND
        self.flush_if_due()

    def _look(self, texts: Iterable[bytes | memoryview]) -> None:
        self._tally.since = self._tally.since or time.time()
        for text in texts:
            for event in _sample(text):
                if self._budget < 1:
                    return
                self._budget -= 1
                self._tally.look(event)

    def flush_if_due(self) -> None:
        """Store what was seen if a minute has passed. To be called now and then: the next event may never come."""
        if self._tally.looked_at and time.monotonic() - self._flushed_at >= _FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Store what was seen. What cannot be stored now is stored later."""
        with self._lock:
            tally, self._tally = self._tally, FieldTally()
            self._flushed_at = time.monotonic()
        if self._store is None or not tally.looked_at:
            return
        try:
            self._store.note_fields(tally)
        except TillrollError as error:
            _log.debug("the fields of events are stored later: %s", error)
            with self._lock:
                tally.add(self._tally)
                self._tally = tally

    def shown(self, store: Store) -> dict[str, Any]:
        """Return what people are shown: of the kept fields by the journal, of the others by samples."""
        self.flush()
        with self._kept_lock:
            for part in store.read(self._kept.position):
                self._kept.add(part.batch)
                self._kept.position = part.position
            return shown_fields(store.noted_fields(), self._kept, self.keep.names)


def _sample(text: bytes | memoryview) -> Iterator[bytes]:
    """Yield the events of a text, of a long one those in a part of it."""
    data = bytes(text[: _WINDOW_BYTES + 1]) if len(text) > _WINDOW_BYTES else bytes(text)
    if len(text) > _WINDOW_BYTES:
        if data.startswith(b"{"):
            start = int.from_bytes(os.urandom(8), "little") % (len(text) - _WINDOW_BYTES + 1)
            data = bytes(text[start : start + _WINDOW_BYTES])
            data = data[data.find(b"\n") + 1 :] if start else data
        data = data[: data.rfind(b"\n" if data.startswith(b"{") else b"}") + 1]
    if data.startswith(b"{") and b"\n" not in data:
        yield data
        return
    for _, _, event in Body(data, UNNAMED).events():
        yield event


NO_WATCH: Final = FieldWatch()
