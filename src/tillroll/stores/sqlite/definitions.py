"""The definitions of reports: which there are, how far they are counted, and counting those that lag."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from tillroll.core.report import FIVE
from tillroll.core.versions import applied, dropped, swapped
from tillroll.errors import StoreDamagedError
from tillroll.ports import ReportState
from tillroll.stores.sqlite.chunks import chunk_start, read_chunks
from tillroll.stores.sqlite.commits import FOLD_AFTER_S, FOLD_STRIDE
from tillroll.stores.sqlite.counters import Counters, clear, clear_segments, stored_bytes
from tillroll.stores.sqlite.counting import count_stride, find_lag
from tillroll.stores.sqlite.merchants import UnnumberedError
from tillroll.stores.sqlite.reader import LAG_MAX
from tillroll.stores.sqlite.reports import Roster, read_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tillroll.core.batch import Batch
    from tillroll.core.definition import Definition
    from tillroll.core.report import Report, Reports
    from tillroll.core.versions import Version
    from tillroll.stores.sqlite.reader import Reader
    from tillroll.stores.sqlite.readers import Readers
    from tillroll.stores.sqlite.state import StoreState
    from tillroll.stores.sqlite.writer import Writer

_log: Final = logging.getLogger(__name__)
_COUNT_STRIDE: Final = 16_384  # events of a version that lags, counted in one transaction, at first
_COUNT_S: Final = 0.02  # that such a transaction should take
_CLEARED_AT_ONCE: Final = 256  # rows of aggregates that nobody reads, deleted in one transaction


class Definitions:
    """The definitions of one store, see ports.Definitions. `stride` is how many events are counted at a time."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self.stride = _COUNT_STRIDE
        self._writer = writer
        self._readers = readers
        self._own_counted_at = 0.0
        self._holds_segments = True  # those of a release before sums, maybe
        self._datapoints: dict[str, tuple[int, int]] = {}  # of versions: at which position, and how many

    def catalogue(self) -> Reports:
        """See ports.Definitions."""
        with self._readers.lend() as reader:
            return reader.roster.catalogue

    def states(self) -> list[ReportState]:
        """See ports.Definitions. Readers count what is not stored themselves, so what can be read is whole."""
        with self._readers.lend() as reader:
            versions, events = read_versions(reader.connection), reader.state.events
            states = []
            for version, report in Roster(versions, {}).of("counting", "readable"):
                stored = reader.state.folded if version.position is None else version.position
                readable = version.state == "readable" or not report.is_own
                counted = self._datapoints_of(reader, report, stored) if version.state == "readable" else None
                size = stored_bytes(reader.connection, report.key)
                states.append(ReportState(report, readable, events if readable else stored, events, counted, size))
        five = [report.name for report in FIVE]
        return sorted(states, key=lambda each: len(five) if each.report.is_own else five.index(each.report.name))

    def _datapoints_of(self, reader: Reader, report: Report, position: int) -> int:
        held = self._datapoints.get(report.key)
        if held is None or held[0] != position:
            held = self._datapoints[report.key] = (position, reader.stored_datapoints(report))
        return held[1]

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

    def count_some(self, seconds: float) -> bool:
        """See ports.Definitions."""
        give_up = time.monotonic() + seconds
        while True:
            try:
                left = self.count_stride()
            except StoreDamagedError as error:  # what is damaged is told to who reads it
                _log.error("%s. What lags is counted then", error)
                return False
            if not left or time.monotonic() >= give_up:
                return left

    def count_stride(self, *, all_behind: bool = False) -> bool:
        """Count a stride of the versions that are furthest behind; return whether something is left.

        What is slow is done before the transaction: no commit waits for it. It is kept short too: it holds Python's
        lock.
        """
        began = time.monotonic()
        own_are_due = time.monotonic() - self._own_counted_at >= FOLD_AFTER_S
        stride, unnumbered = None, ""
        with self._readers.lend() as reader:
            if reader.roster.unknown:
                return False
            lag = find_lag(reader, all_behind=all_behind or own_are_due)
            if lag is not None:
                try:
                    stride = count_stride(reader, lag, self.stride)
                except UnnumberedError as error:
                    unnumbered = error.dictionary
        if lag is None:
            self._own_counted_at = time.monotonic() if own_are_due else self._own_counted_at
            return self._clear_some()
        writer = self._writer
        if stride is None:
            writer.number_chunks(unnumbered, lag.position, self.stride)
            return True
        with writer.write():
            state = writer.state()
            versions = stride.write(writer.connection, state)
            if versions is not None and stride.reached >= state.folded:
                self._swap([version for version in versions if version.state == "counting"], state)
        took = time.monotonic() - began
        self.stride = min(max(int(self.stride * _COUNT_S / max(took, _COUNT_S / 4)), 1), FOLD_STRIDE)
        return True

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
            after = reader.least
        self._writer.number_chunks(dictionary, after, LAG_MAX)
