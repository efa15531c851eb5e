"""A store whose commits are taken in turns by several threads, a large batch in slices with others in between."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from tillroll.core import kernel
from tillroll.core.identity import named_events

if TYPE_CHECKING:
    from array import array

    from tillroll.core.batch import Batch
    from tillroll.ports import Store

SLICE_EVENTS: Final = 20_000  # in one commit: some 50 ms
_TURNED: Final = bytes([1, 0]) + bytes(254)  # by which a mask is translated to the mask of all others


class Turns:
    """A lock that is given to threads in the order in which they ask."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._queue: deque[threading.Lock] = deque()
        self._held = False

    def __enter__(self) -> None:
        with self._mutex:
            if not self._held:
                self._held = True
                return
            gate = threading.Lock()
            gate.acquire()
            self._queue.append(gate)
        gate.acquire()  # until whoever is before this has left

    def __exit__(self, *_: object) -> None:
        with self._mutex:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._held = False


class StoreInTurns:
    """Stands where a store does. Whoever journals through it is held up by one slice of another's batch."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turns = Turns()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def journal(self, batch: Batch) -> bytes:
        """See ports.Journal.

        Events without a name go together, in the last slice: a batch that is refused halfway is sent again, and what
        was stored of it must be recognised then.
        """
        slices = _slices(batch) if len(batch) > SLICE_EVENTS else []
        if len(slices) <= 1:
            with self._turns:
                return self._store.journal(batch)
        outcomes = 0
        for indexes in slices:
            piece = batch.masked(kernel.place(len(batch), indexes, b"\x01" * len(indexes)))
            with self._turns:
                became = self._store.journal(piece)
            outcomes |= int.from_bytes(kernel.place(len(batch), indexes, became), "little")
        return outcomes.to_bytes(len(batch), "little")


def _slices(batch: Batch) -> list[array[int]]:
    """Return the indexes (I) of each slice."""
    named = named_events(batch)
    indexes = kernel.indexes_of(named)
    slices = [indexes[start : start + SLICE_EVENTS] for start in range(0, len(indexes), SLICE_EVENTS)]
    if len(indexes) < len(batch):
        slices.append(kernel.indexes_of(named.translate(_TURNED)))
    return slices
