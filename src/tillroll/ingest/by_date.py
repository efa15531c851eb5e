"""Put a file's events into the journal: as they come, or, where a store is billed by the minute, in order of date."""

from __future__ import annotations

import time
from array import array
from typing import TYPE_CHECKING, Final

from tillroll.core.batch import BatchBuilder
from tillroll.ports import BilledByMinute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tillroll.core.accept import Stretch
    from tillroll.core.batch import Batch
    from tillroll.ports import Clock, Journal

WINDOW_EVENTS: Final = 500_000  # put in order at once: some 200 MB with their text
PIECE_EVENTS: Final = 20_000  # in a commit
_CAUGHT_UP_S: Final = 1.0  # of what was slower than it might have been
_Place = tuple[int, int, int]  # of an event: its minute, the stretch, the index there


class Pace:
    """So many events a second, and no more, over any length of time."""

    def __init__(self, rate: float, clock: Clock = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        self.rate = rate
        self._clock = clock
        self._sleep = sleep
        self._due_at: float | None = None

    def spend(self, events: int) -> None:
        """Wait until so many events more may come."""
        now = self._clock()
        due_at = now if self._due_at is None else max(self._due_at, now - _CAUGHT_UP_S)
        self._due_at = due_at + events / self.rate
        self._sleep(max(0.0, self._due_at - now))


def journal_stretches(
    journal: Journal, stretches: Iterator[Stretch], pace: Pace | None = None
) -> Iterator[tuple[Stretch, bytes]]:
    """Journal the events of a file and yield each stretch of it with the outcomes of its events, in the file's order.

    A store that is billed by the minute gets the events of a window of the file by their minutes: a minute is then
    written once, where events in any order would have it written once a commit. Their names stay what they are.
    """
    if not isinstance(journal, BilledByMinute):
        for stretch in stretches:
            yield stretch, journal.journal(stretch.batch) if len(stretch.batch) else b""
            if pace is not None:
                pace.spend(len(stretch.batch))
        return
    window: list[Stretch] = []
    events = 0
    for stretch in stretches:
        window.append(stretch._replace(text=bytes(stretch.text)))  # its buffer is read into again
        events += len(stretch.batch)
        if events >= WINDOW_EVENTS:
            yield from _journal_window(journal, window, pace)
            window, events = [], 0
    yield from _journal_window(journal, window, pace)


def _journal_window(journal: Journal, window: Sequence[Stretch], pace: Pace | None) -> Iterator[tuple[Stretch, bytes]]:
    outcomes = [bytearray(len(stretch.batch)) for stretch in window]
    for piece in _pieces(window, PIECE_EVENTS if pace is None else min(PIECE_EVENTS, max(1, int(pace.rate)))):
        found = journal.journal(_gather(window, piece))
        for (_, number, index), outcome in zip(piece, found, strict=True):
            outcomes[number][index] = outcome
        if pace is not None:
            pace.spend(len(piece))
    for stretch, of_stretch in zip(window, outcomes, strict=True):
        yield stretch, bytes(of_stretch)


def _pieces(window: Sequence[Stretch], events_max: int) -> Iterator[list[_Place]]:
    """Yield the events of a window by minute, whole minutes in a piece as far as they fit."""
    places = sorted(
        (second // 60, number, index)
        for number, stretch in enumerate(window)
        for index, second in enumerate(stretch.batch.seconds)
    )
    start = 0
    while start < len(places):
        stop = min(start + events_max, len(places))
        whole = stop
        while start < whole < len(places) and places[whole][0] == places[whole - 1][0]:
            whole -= 1
        if whole > start:
            stop = whole
        yield places[start:stop]
        start = stop


def _gather(window: Sequence[Stretch], piece: Sequence[_Place]) -> Batch:
    """Return a batch of events of several stretches, in this order, with their names and all that is kept of them."""
    numbers = sorted({number for _, number, _ in piece})
    names = list(dict.fromkeys(name for number in numbers for name in window[number].batch.kept))
    sources = {number: list(window[number].batch.sources()) for number in numbers}
    without: dict[str, list[int]] = {}
    known = {number: _unkept(window[number].batch) for number in numbers}
    builder = BatchBuilder(names)
    for at, (_, number, index) in enumerate(piece):
        batch = window[number].batch
        kept = batch.kept_of(index)
        builder.add(batch.event(index), sources[number][index], batch.positions[index], [kept[name] for name in names])
        for name in known[number].get(index, ()):
            without.setdefault(name, []).append(at)
    gathered = builder.build()
    for name, indexes in without.items():
        gathered.unkept[name] = array("I", indexes)
    return gathered


def _unkept(batch: Batch) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name, indexes in batch.unkept.items():
        for index in indexes:
            found.setdefault(index, []).append(name)
    return found
