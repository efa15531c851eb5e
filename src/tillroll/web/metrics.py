"""What the server measures of itself: for Prometheus, and by the minute for the page."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from tillroll import __version__
from tillroll.core.outcome_counts import NOTHING, OUTCOMES, OutcomeCounts
from tillroll.ingest.take import ONE
from tillroll.web.problem import CODES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tillroll.errors import ClockError
    from tillroll.ingest.group_commit import Committed
    from tillroll.ingest.take import Receipt
    from tillroll.ports import Clock, Room, Status

_log: Final = logging.getLogger(__name__)
_MINUTES_KEPT: Final = 24 * 60
_COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZE_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 10_000)


class Metrics:
    """Counters and histograms of one server. Safe to use from any thread."""

    def __init__(self, clock: Clock, note: Callable[[OutcomeCounts], None] = lambda _: None) -> None:
        """`note` is told the events of each commit by outcome."""
        self._clock = clock
        self._note = note
        self._lock = threading.Lock()
        self._clock_told = -1  # the minute in which it was said last that the clock is in doubt
        self._totals = NOTHING
        self._minutes: deque[tuple[int, OutcomeCounts]] = deque(maxlen=_MINUTES_KEPT)
        # A time of birth beside each counter is what nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        Info("tillroll_build", "The release that runs", registry=registry).info({"version": __version__})
        self._events = Counter("tillroll_events", "Events by outcome", ["outcome"], registry=registry)
        for outcome in OUTCOMES:
            self._events.labels(outcome)
        self._commit = Histogram(
            "tillroll_commit_seconds", "How long a group commit took", buckets=_COMMIT_BUCKETS, registry=registry
        )
        self._bodies = Histogram(
            "tillroll_commit_bodies", "Bodies that shared a commit", buckets=_SIZE_BUCKETS, registry=registry
        )
        self.fold = Histogram(
            "tillroll_fold_seconds", "How long a fold took", buckets=_COMMIT_BUCKETS, registry=registry
        )
        self.requests = Counter(
            "tillroll_http_answers", "Answers by route and status", ["route", "status"], registry=registry
        )
        self._problems = Counter(
            "tillroll_problems", "Answers that are not a success, by code", ["code"], registry=registry
        )
        for code in CODES:  # an increase is seen only of what was there before it
            self._problems.labels(code)
        self.readable = Gauge("tillroll_store_readable", "1 while the store can be read", registry=registry)
        self._stored = _unknown("tillroll_store_bytes", "Bytes of the store's files on the disk", registry)
        self._free = _unknown("tillroll_disk_free_bytes", "Free bytes on the disk of the store", registry)
        self._clock_refused = Counter(
            "tillroll_clock_refused_bodies", "Bodies refused since the clock may be slow", registry=registry
        )
        self.audit_at = Gauge("tillroll_audit_timestamp_seconds", "When the last audit ended", registry=registry)
        self.audit_differences = Gauge(
            "tillroll_audit_differences", "Differences that the last audit found", registry=registry
        )
        self.audit_failed = Gauge("tillroll_audit_failed", "1 when the last audit failed", registry=registry)
        self.queued = Counter("tillroll_queued_bodies", "Bodies put on the queue", registry=registry)
        self.waiting = Gauge("tillroll_waiting_bodies", "Bodies that wait for their commit", registry=registry)
        self.receiving = Gauge("tillroll_receiving_bytes", "Bytes of bodies received in part", registry=registry)
        self._journal_position = Gauge("tillroll_journal_position", "The end of the journal", registry=registry)
        self._folded_position = Gauge("tillroll_folded_position", "How far aggregates are stored", registry=registry)
        self._visible_position = Gauge("tillroll_visible_position", "How far reports go", registry=registry)
        self._rejected = Gauge("tillroll_rejected_waiting", "Rejected events to be corrected", registry=registry)
        self._rejected_full = Gauge(
            "tillroll_rejected_full", "1 after there was no room for some rejected events", registry=registry
        )
        self._not_kept = Counter(
            "tillroll_rejected_not_kept", "Rejected events for which there was no room", registry=registry
        )
        self._merchants = Gauge("tillroll_merchants", "Merchants that purchases have had", registry=registry)
        self._freshness = Gauge(
            "tillroll_freshness_seconds", "Age of the oldest acknowledged event no report shows yet", registry=registry
        )
        self.live = Gauge("tillroll_live_streams", "Pages that watch", registry=registry)

    def note_commit(self, committed: Committed) -> None:
        """Count a group commit."""
        counts = _counts(committed.receipts)
        self._commit.observe(committed.seconds)
        self._bodies.observe(committed.bodies)
        for outcome, count in counts.plain().items():
            if count:
                self._events.labels(outcome).inc(count)
        if counts.refused:
            self._not_kept.inc(sum(receipt.not_kept for receipt in committed.receipts))
        minute = int(self._clock() // 60)
        with self._lock:
            self._totals += counts
            if not self._minutes or self._minutes[-1][0] != minute:
                self._minutes.append((minute, NOTHING))
            self._minutes[-1] = (minute, self._minutes[-1][1] + counts)
        self._note(counts)

    def note_problem(self, code: str) -> None:
        """Count an answer that is no success."""
        self._problems.labels(code).inc()

    def note_status(self, status: Status, freshness_s: float) -> None:
        """Say where the store stands, as could be read."""
        self.readable.set(1)
        self._journal_position.set(status.journal_position)
        self._folded_position.set(status.folded_position)
        self._visible_position.set(status.visible_position)
        self._freshness.set(freshness_s)
        self._rejected_full.set(status.rejected_full)
        for gauge, value in ((self._rejected, status.rejected), (self._merchants, status.merchants)):
            if value is not None:
                gauge.set(value)

    def note_room(self, room: Room) -> None:
        """Say what the store takes on its disk, and what is left."""
        self._stored.set(room.stored_bytes)
        self._free.set(room.free_bytes)

    def note_clock(self, error: ClockError) -> None:
        """Count bodies for which the clock is in doubt, and say so, once a minute."""
        self._clock_refused.inc(len(error.bodies))
        minute = int(self._clock() // 60)
        if minute != self._clock_told:
            self._clock_told = minute
            _log.error("%s", error)

    def totals(self) -> dict[str, int]:
        """Return events by outcome since the server started."""
        with self._lock:
            return self._totals.plain()

    def series(self) -> Sequence[list[int]]:
        """Return [minute since 1970, accepted, duplicates, conflicts, rejected] of each minute of the last day.

        A minute without events is left out.
        """
        oldest = int(self._clock() // 60) - _MINUTES_KEPT
        with self._lock:
            return [[minute, *counts.plain().values()] for minute, counts in self._minutes if minute > oldest]

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return everything, in the format that an Accept header asks for, and the content type of that."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


def _unknown(name: str, help_text: str, registry: CollectorRegistry) -> Gauge:
    """Return a gauge that is no number until it is set: of a store without a disk no alert is given."""
    gauge = Gauge(name, help_text, registry=registry)
    gauge.set(math.nan)
    return gauge


def _counts(receipts: Sequence[Receipt]) -> OutcomeCounts:
    """Return how many events there are of each outcome."""
    others = [receipt for receipt in receipts if receipt is not ONE]
    return sum(others, OutcomeCounts(accepted=len(receipts) - len(others)))
