"""The definitions of reports: which there are, how far they are counted, and counting those that lag."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import kernel
from tillroll.core.report import FIVE
from tillroll.core.versions import applied, dropped, swapped
from tillroll.errors import StoreDamagedError
from tillroll.ports import ReportState
from tillroll.stores.sqlite.chunks import chunk_start, read_chunks
from tillroll.stores.sqlite.commits import FOLD_AFTER_S, FOLD_STRIDE
from tillroll.stores.sqlite.counter_process import CounterProcess
from tillroll.stores.sqlite.counters import Counters, clear, clear_segments
from tillroll.stores.sqlite.counting import Bounds, Stride, Strides, Unnumbered, find_lag, unnumbered
from tillroll.stores.sqlite.reader import LAG_MAX
from tillroll.stores.sqlite.reports import Roster, read_positions, read_versions
from tillroll.stores.sqlite.sizes import NO_SIZE, Sizes, Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tillroll.core.batch import Batch
    from tillroll.core.definition import Definition
    from tillroll.core.report import Reports
    from tillroll.core.versions import Version
    from tillroll.stores.sqlite.readers import Readers
    from tillroll.stores.sqlite.state import StoreState
    from tillroll.stores.sqlite.writer import Writer

_log: Final = logging.getLogger(__name__)
_COUNT_STRIDE: Final = 4_096  # events of a version that lags, counted in one transaction, at first
_STRIDE_MIN: Final = 256  # fewer would take hardly less time
_HELD_SHARE: Final = 0.01  # of the time that others journal in, that transactions of strides may take together
_MUCH: Final = 50_000  # events that are left to be counted, for which another process is worth its start
_NUMBERED_AT_ONCE: Final = 1_024  # texts that are numbered in one transaction
_CLEARED_AT_ONCE: Final = 256  # rows of aggregates that nobody reads, deleted in one transaction


class _Pace(NamedTuple):
    """What a stride may take."""

    held_s: float  # its transaction
    stride_s: float  # all of it
    cells: int  # that it may change


_BESIDE: Final = _Pace(held_s=0.001, stride_s=0.25, cells=16_384)
_WITHIN: Final = _Pace(held_s=0.001, stride_s=0.02, cells=16_384)  # it holds Python's lock, which others wait for
_ALONE: Final = _Pace(held_s=0.1, stride_s=1.0, cells=262_144)  # fewer strides change fewer rows again and again


class Definitions:
    """The definitions of one store, see ports.Definitions. `stride` is how many events are counted at a time."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self.stride = _COUNT_STRIDE
        self._writer = writer
        self._readers = readers
        self._strides = Strides()
        self._process = CounterProcess(writer.files.path.parent)
        self._counting = threading.Lock()
        self._closed = threading.Event()
        self._pause_s = 0.0  # that commits shall have after a stride
        self._events = 0  # in the journal at the last one
        self._others_write = True  # events were journaled between the last two
        self._own_counted_at = 0.0
        self._holds_segments = True  # those of a release before sums, maybe
        self._sizes = Sizes()
        self._is_beside = False  # traffic, as who counts has said

    def catalogue(self) -> Reports:
        """See ports.Definitions."""
        with self._readers.lend() as reader:
            return reader.roster.catalogue

    def states(self) -> list[ReportState]:
        """See ports.Definitions. Readers count what is not stored themselves, so what can be read is whole."""
        with self._readers.lend() as reader:
            events, folded = reader.state.events, reader.state.folded
            stands = reader.roster.of("counting", "readable")
            stored = dict.fromkeys((report.key for _, report in stands), folded) | read_positions(reader.connection)
            readable = [(report, stored[report.key]) for version, report in stands if version.state == "readable"]
            sizes = self._sizes.of(reader, readable, Turns() if self._is_beside else _take_no_turns)
            states = []
            for version, report in stands:
                is_read = version.state == "readable" or not report.is_own
                size = sizes.get(report.key, NO_SIZE)
                states.append(ReportState(report, is_read, events if is_read else stored[report.key], events, *size))
        five = [report.name for report in FIVE]
        return sorted(states, key=lambda each: len(five) if each.report.is_own else five.index(each.report.name))

    def apply(self, definitions: Sequence[Definition]) -> None:
        """See ports.Definitions."""
        self._change(lambda versions: applied(versions, definitions))

    def drop(self, name: str) -> bool:
        """See ports.Definitions."""
        return self._change(lambda versions: dropped(versions, name))

    def _change(self, change: Callable[[list[Version]], list[Version]]) -> bool:
        """Change versions in one transaction; return whether there was anything to be changed."""
        writer = self._writer
        with writer.write():
            state = writer.state()
            changed = change(read_versions(writer.connection))
            if changed:
                begun = [report for _, report in Roster(changed, {}).of("counting")]
                Counters(writer.connection).begin(begun)
                writer.write_definitions(changed, state)
        return bool(changed)

    def last_events(self, count: int) -> Iterator[Batch]:
        """See ports.Definitions."""
        with self._readers.lend() as reader:
            first = max(reader.state.events - count, 0)
            rows = read_chunks(reader.connection, chunk_start(reader.connection, first), reader.state.events)
            batches = [row.batch().slice(max(first + 1 - row.first, 0), row.events) for row in rows]
        yield from batches

    def count_some(self, seconds: float, *, apart: bool = False) -> bool:
        """See ports.Definitions."""
        give_up = time.monotonic() + seconds
        self._is_beside = apart
        left = True
        while left and not self._closed.is_set():
            try:
                left = self.count_stride(apart=apart)
            except StoreDamagedError as error:  # what is damaged is told to who reads it
                _log.error("%s. Other reports are counted later", error)
                return False
            if apart:
                self._closed.wait(self._pause_s)
            if time.monotonic() >= give_up:
                break
        return left

    def count_stride(self, *, all_behind: bool = False, apart: bool = False) -> bool:
        """Count a stride of the versions that are furthest behind; return whether something is left.

        What is slow is done before the transaction, and where it is much, `apart` in another process: no commit waits
        for it, neither for the file nor for Python's lock.
        """
        with self._counting:
            began, self._pause_s = time.monotonic(), 0.0
            own_are_due = began - self._own_counted_at >= FOLD_AFTER_S
            found = self._next(all_behind=all_behind or own_are_due, apart=apart)
            if found is None:
                self.stride = _COUNT_STRIDE
                self._own_counted_at = began if own_are_due else self._own_counted_at
                return self._clear_some()
            if isinstance(found, Unnumbered):
                self._number(found)
                return True
            held_s = self._write(found)
            took_s = time.monotonic() - began
            self._pause_s = max(0.0, held_s / _HELD_SHARE - took_s) if self._others_write else 0.0
            pace = self._pace(apart=apart)
            share = max(held_s / pace.held_s, took_s / pace.stride_s)
            self.stride = min(max(int(self.stride / max(share, 0.25)), _STRIDE_MIN), FOLD_STRIDE)
            return True

    def _pace(self, *, apart: bool) -> _Pace:
        if apart and not self._process.pid:
            return _WITHIN
        return _BESIDE if self._others_write else _ALONE

    def _next(self, *, all_behind: bool, apart: bool) -> Stride | Unnumbered | None:
        """Return the next stride, from another process if it is much that is to be counted."""
        bounds = Bounds(self.stride, self._pace(apart=apart).cells)
        if apart and (self._process.pid or self._is_much(all_behind=all_behind)):
            within = partial(self._next, all_behind=all_behind, apart=False)
            return self._process.next(bounds, all_behind=all_behind, otherwise=within)
        with self._readers.lend() as reader:
            return self._strides.next(reader, bounds, all_behind=all_behind)

    def _is_much(self, *, all_behind: bool) -> bool:
        with self._readers.lend() as reader:
            lag = None if reader.roster.unknown else find_lag(reader, all_behind=all_behind)
        return lag is not None and lag.left >= _MUCH

    def _write(self, stride: Stride) -> float:
        """Write a stride in one transaction; return how long it took.

        It need not last: what a loss of power takes back is counted again. So no commit waits for its sync.
        """
        writer = self._writer
        with writer.write(sync=False):
            began = time.monotonic()
            state = writer.state()
            self._others_write, self._events = state.events != self._events, state.events
            versions = stride.write(writer.connection, state)
            if versions is not None and stride.reached >= state.folded:
                self._swap([version for version in versions if version.state == "counting"], state)
        return time.monotonic() - began

    def _number(self, found: Unnumbered) -> None:
        """Number texts, some at a time."""
        writer = self._writer
        for start in range(0, len(found.texts), _NUMBERED_AT_ONCE):
            with writer.write():
                writer.state()
                texts = found.texts[start : start + _NUMBERED_AT_ONCE]
                writer.dictionaries.of(found.dictionary).number(*kernel.join_strings(texts))

    def close(self) -> None:
        """Stop counting, and wait for the end of it."""
        self._closed.set()
        self._process.close()
        with self._counting:
            self._process.close()  # if one was started meanwhile

    def _swap(self, whole: list[Version], state: StoreState) -> None:
        """Have readers read, and commits fold into, versions that have come to where readers are: one write."""
        if whole:
            self._writer.write_definitions(swapped(read_versions(self._writer.connection), whole), state)

    def _clear_some(self) -> bool:
        """Delete some of the aggregates that nobody reads any more; return whether there may be more."""
        writer = self._writer
        gone = any(version.state == "dropped" for version in writer.roster.versions)
        if not gone and not self._holds_segments:
            return False
        with writer.write():
            state = writer.state()
            if writer.roster.unknown:
                return False
            versions = [version for version in writer.roster.versions if version.state == "dropped"]
            if versions:
                if not clear(writer.connection, versions[0].key, _CLEARED_AT_ONCE):
                    left = versions[0]._replace(definition="", state="gone", position=None)
                    writer.write_definitions([left], state)
                return True
            if writer.roster.five_are_whole:
                self._holds_segments = clear_segments(writer.connection, _CLEARED_AT_ONCE)
        return self._holds_segments

    def number_tail(self, dictionary: str) -> None:
        """Number values that were journaled by a process that did not know that they are counted by."""
        with self._readers.lend() as reader:
            found = unnumbered(reader, dictionary, reader.least, reader.least + LAG_MAX)
        self._number(found)


def _take_no_turns() -> None:
    """Go on at once: nobody waits."""
