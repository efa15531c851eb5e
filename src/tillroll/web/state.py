"""What the routes of one server share: the store, the group commit, the measures, and threads for work that blocks."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

from tillroll.core import limits
from tillroll.core.kept import Keep
from tillroll.core.outcome_tally import HTTP
from tillroll.errors import OverloadedError
from tillroll.ingest.field_watch import FieldWatch
from tillroll.ingest.group_commit import GroupCommit
from tillroll.ingest.outcome_watch import OutcomeWatch
from tillroll.web.auth import Gate
from tillroll.web.body import BodyReader
from tillroll.web.metrics import Metrics
from tillroll.web.names import MerchantNames

if TYPE_CHECKING:
    from collections.abc import Callable

    from tillroll.ports import Queue, Status, Store
    from tillroll.web.settings import ServerSettings

_P = ParamSpec("_P")
_T = TypeVar("_T")
_THREADS: Final = 4
_WAITING_MAX: Final = 256
_STATUS_KEPT_S: Final = 0.25


class Lane:
    """Threads for work of one kind: it waits for its like, and for nothing else. Use it in the event loop's thread."""

    def __init__(self, name: str, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, f"tillroll-{name}")
        self._depth = 0

    async def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a function that blocks, in a thread, and return what it returns.

        Raises:
            OverloadedError: too many wait for a thread already.
        """
        if self._depth >= _WAITING_MAX:
            raise OverloadedError(self._depth, 0)
        self._depth += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))
        finally:
            self._depth -= 1

    def close(self) -> None:
        """Wait for what is under way."""
        self._pool.shutdown(wait=True)


class ServerState:
    """One server's. Made in the event loop."""

    def __init__(self, store: Store, settings: ServerSettings, queue: Queue | None) -> None:
        self.store = store
        self.settings = settings
        self.queue = queue
        self.clock = time.time
        self.outcomes = OutcomeWatch(HTTP, store, self.clock)
        self.metrics = Metrics(self.clock, self.outcomes.note)
        self.gate = Gate(settings)
        self.body_reader = BodyReader(settings.body_bytes_max)
        folding = cast("Store", _TimedFolds(store, self.metrics))
        measured = (self.metrics.note_commit, self.metrics.note_clock)
        self.names = MerchantNames(settings.merchants)
        self.fields = FieldWatch(Keep(settings.events_keep), store)
        self.group_commit = GroupCommit(folding, self.clock, time.perf_counter, *measured, self.fields)
        self.stopping = asyncio.Event()
        self.streams_max = limits.STREAMS_MAX
        # Who asks for much holds up neither those who ask for little nor those who watch, and no reader a sender.
        reads, long_reads, self._watching = Lane("read", _THREADS), Lane("read-long", 1), Lane("watch", 1)
        bodies, large_bodies = Lane("body", _THREADS), Lane("body-large", 1)
        self._lanes = (reads, long_reads, self._watching, bodies, large_bodies)
        self.read = reads.call
        self.read_long = long_reads.call  # for what may read all of the journal
        self.take_in = bodies.call
        self.take_in_large = large_bodies.call  # one at a time: each takes the memory of the largest body
        self._status: asyncio.Future[Status] | None = None
        self._status_at = 0.0

    async def status(self) -> Status:
        """Return where the store stands, or stood a moment ago: many who ask at once cost one read."""
        now = time.monotonic()
        if self._status is None or now - self._status_at > _STATUS_KEPT_S:
            self._status = asyncio.ensure_future(self._watching.call(self.store.status))
            self._status_at = now
        return await asyncio.shield(self._status)

    def freshness_s(self, status: Status) -> float:
        """Return how long ago the oldest event was acknowledged that no report shows yet; 0 when they show all."""
        return 0.0 if status.unfolded_since is None else max(0.0, self.clock() - status.unfolded_since)

    async def close(self) -> None:
        """Finish what was accepted, and release the threads. The store is the caller's."""
        await self.group_commit.close()
        await asyncio.to_thread(self.fields.flush)
        await asyncio.to_thread(self.outcomes.flush)
        for lane in self._lanes:
            lane.close()


class _TimedFolds:
    """A store whose folds are measured."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    def fold(self, seconds: float | None = None) -> int:
        with self._metrics.fold.time():
            return self._store.fold(seconds)

    def fold_if_due(self, seconds: float | None = None) -> int | None:
        began = time.perf_counter()
        position = self._store.fold_if_due(seconds)
        if position is not None:
            self._metrics.fold.observe(time.perf_counter() - began)
        return position

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
