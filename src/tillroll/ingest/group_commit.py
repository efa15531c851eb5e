"""Group commit: bodies that wait together are journaled in one commit, so that many requests share one sync.

While a commit is under way the next bodies gather; the busier it is, the larger the groups. One thread commits; what it
does most, waiting for the disk, it does without Python's lock. A second thread takes what takes longer, one body after
another: large ones, in slices and in turns with the first, those with many events that only the reference decoder can
judge, and what is to be kept of a body of which much was refused. So whoever sends such holds up others by one slice.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from tillroll.core import limits
from tillroll.core.clock_watch import ClockWatch
from tillroll.core.parse import FallbackError
from tillroll.errors import ClockError, OverloadedError, StoreError, TillrollError
from tillroll.ingest.field_watch import NO_WATCH
from tillroll.ingest.take import ONE, Receipt, Refused, journal_bodies, keep
from tillroll.ingest.turns import StoreInTurns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tillroll.core.accept import Accepted, Body, Rejection
    from tillroll.ingest.field_watch import FieldWatch
    from tillroll.ports import Clock, Store

_log: Final = logging.getLogger(__name__)
_GROUP_BYTES: Final = 8 * 2**20
_LARGE_BYTES: Final = 2**20
_JUDGED_MAX: Final = 32  # events of a small body that are judged, or kept, between two commits: 10 us each
_SWITCH_S: Final = 0.0005  # how long who takes long may keep Python's lock from who commits or answers
_FOLD_LOOK_S: Final = 1.0  # how often the store is asked whether a fold is due
_FOLD_PAUSE_S_MAX: Final = 30.0  # between folds that fail


Done = Callable[[Receipt | TillrollError], None]  # is told, in the loop's thread, what became of a body


class _Waiting(NamedTuple):
    body: Body
    done: Done
    refused: Refused | None = None  # the body is journaled, and this is to be kept


class Committed(NamedTuple):
    """What one group commit did, for whoever measures."""

    bodies: int
    receipts: Sequence[Receipt]
    seconds: float


class _SharedWatch(ClockWatch):
    """A clock watch for both committing threads."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def check(self, accepted: Accepted, now_s: float) -> None:
        """See ClockWatch."""
        with self._lock:
            super().check(accepted, now_s)


class GroupCommit:
    """Takes bodies into a store, in groups. Make it, and call everything but `close`, in the event loop's thread."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        timer: Clock,
        on_commit: Callable[[Committed], None] | None = None,
        on_refused: Callable[[ClockError], None] | None = None,
        fields: FieldWatch = NO_WATCH,
    ) -> None:
        """`timer` measures durations; `on_commit` and `on_refused` are called in the committing thread."""
        self._fields = fields
        self._clock = clock
        self._timer = timer
        self._on_commit = on_commit
        self._on_refused = on_refused
        self._clock_watch = _SharedWatch()
        self._loop = asyncio.get_running_loop()
        # The loop's thread appends and the committing thread takes; each counts its own side, so no lock is needed.
        self._waiting: deque[_Waiting] = deque()
        self._large: deque[_Waiting] = deque()
        self._submitted_bytes = 0
        self._submitted_large_bytes = 0
        self._taken_bytes = 0
        self._taken_large_bytes = 0
        self._taken_handed_over_bytes = 0
        self._handed_over_bytes = 0  # from the committing thread to that for large bodies
        self._wake = threading.Event()
        self._wake_large = threading.Event()
        self._closing = False
        self._handed_over_all = False
        self._committed = False
        self._store = cast("Store", StoreInTurns(store))
        self._thread = threading.Thread(target=self._run, name="tillroll-commit", daemon=True)
        self._large_thread = threading.Thread(target=self._run_large, name="tillroll-commit-large", daemon=True)
        self._large_thread.start()
        self._thread.start()

    @property
    def depth(self) -> int:
        """How many bodies wait for their commit."""
        return len(self._waiting) + len(self._large)

    def submit(self, body: Body) -> asyncio.Future[Receipt]:
        """Return a future of the body's receipt, which comes after the commit.

        The future raises StoreError when the store could not take it.

        Raises:
            OverloadedError: too much waits already, or the server is closing.
        """
        future: asyncio.Future[Receipt] = self._loop.create_future()
        self.submit_to(body, partial(_set_outcome, future))
        return future

    def submit_to(self, body: Body, done: Done) -> None:
        """Have `done` told the body's receipt after the commit, or the error for which there was none.

        Raises:
            OverloadedError: too much waits already, or the server is closing.
        """
        is_large = len(body.data) > _LARGE_BYTES
        if is_large:  # each kind has its own room: who sends large ones takes none from the others
            size = self._submitted_large_bytes - self._taken_large_bytes
        else:
            handed_over = self._handed_over_bytes - self._taken_handed_over_bytes
            size = self._submitted_bytes - self._taken_bytes + handed_over
        depth = len(self._waiting) + len(self._large)
        if size >= limits.WAITING_BYTES_MAX or depth >= limits.WAITING_REQUESTS_MAX or self._closing:
            raise OverloadedError(depth, size)
        if is_large:
            self._submitted_large_bytes += len(body.data)
            self._large.append(_Waiting(body, done))
            self._wake_large.set()
            return
        self._submitted_bytes += len(body.data)
        self._waiting.append(_Waiting(body, done))
        if len(self._waiting) <= 1:  # else whoever made it one has woken the thread, which has not emptied it since
            self._loop.call_soon(self._wake.set)  # once the loop has read whatever came with it: larger groups

    async def close(self) -> None:
        """Finish what was submitted, fold it, and stop."""
        self._closing = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        look_at = 0.0
        pause_s = _FOLD_LOOK_S
        while True:
            self._wake.wait(_FOLD_LOOK_S)
            self._wake.clear()
            group = self._next_group()
            if group:
                self._committed = True
                self._commit(group, _JUDGED_MAX)
            if self._closing and not self._waiting:
                self._handed_over_all = True
                self._wake_large.set()
                self._large_thread.join()
                if self._committed:
                    self._fold(self._store.fold)
                return
            if self._timer() >= look_at:
                done = self._fold(self._store.fold_if_due)
                pause_s = _FOLD_LOOK_S if done else min(2 * pause_s, _FOLD_PAUSE_S_MAX)
                look_at = self._timer() + pause_s

    def _run_large(self) -> None:
        while True:
            self._wake_large.wait()
            self._wake_large.clear()
            while self._large:
                self._committed = True
                waiting = self._large.popleft()
                if len(waiting.body.data) > _LARGE_BYTES:
                    self._taken_large_bytes += len(waiting.body.data)
                else:
                    self._taken_handed_over_bytes += len(waiting.body.data)
                with _switching_often():
                    if waiting.refused is None:
                        self._commit([waiting])
                    else:
                        self._keep([waiting])
            if self._handed_over_all and not self._large:
                return

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        size = 0
        queue, add = self._waiting, group.append
        while queue and size < _GROUP_BYTES:
            waiting = queue.popleft()
            size += len(waiting.body.data)
            add(waiting)
        self._taken_bytes += size
        if self._waiting:
            self._wake.set()
        return group

    def _commit(self, group: list[_Waiting], judged_max: int = sys.maxsize) -> None:
        """Commit some bodies. Those of which more is to be judged or kept are handed over."""
        started = self._timer()
        bodies = [waiting.body for waiting in group]
        try:
            taken = journal_bodies(self._store, bodies, self._clock(), self._clock_watch, judged_max, self._fields)
        except FallbackError as error:
            for index in sorted(error.texts):
                self._hand_over(group[index])
            self._commit_others(group, error.texts, judged_max)
        except ClockError as error:
            self._refuse(group, error)
            self._commit_others(group, frozenset(error.bodies), judged_max)
        except TillrollError as error:
            self._resolve(group, repeat(error))
        except Exception as error:  # noqa: BLE001 an entry loop: one body must not end it
            if len(group) > 1:  # whatever it was, it must not cost the others
                _log.exception("a commit of %d bodies failed", len(group))
                for waiting in group:
                    self._commit([waiting], judged_max)
            else:
                self._fail(group, error)
        else:
            self._finish(group, taken, self._timer() - started, judged_max)

    def _commit_others(self, group: list[_Waiting], left_out: frozenset[int], judged_max: int) -> None:
        others = [waiting for index, waiting in enumerate(group) if index not in left_out]
        if others:
            self._commit(others, judged_max)

    def _refuse(self, group: list[_Waiting], error: ClockError) -> None:
        """Refuse the bodies for which the clock is in doubt."""
        if self._on_refused is not None:
            self._on_refused(error)
        self._resolve([group[index] for index in sorted(set(error.bodies))], repeat(error))

    def _fail(self, group: list[_Waiting], error: Exception) -> None:
        _log.error("a commit of %d bodies failed", len(group), exc_info=error)
        problem = StoreError("the server failed on this body", "Report it, with the server's log")
        problem.__cause__ = error
        self._resolve(group, repeat(problem))

    def _finish(
        self, group: list[_Waiting], taken: Sequence[Receipt | Refused], seconds: float, judged_max: int
    ) -> None:
        """Answer the bodies of which all was accepted, and have what was refused of the others kept."""
        if taken.count(ONE) == len(taken):  # as most are
            self._answer(group, [ONE] * len(group), seconds)
            return
        whole: list[_Waiting] = []
        receipts: list[Receipt] = []
        rest: list[_Waiting] = []
        for waiting, each in zip(group, taken, strict=True):
            if isinstance(each, Receipt):
                whole.append(waiting)
                receipts.append(each)
            elif each.refused > judged_max:
                self._hand_over(waiting._replace(refused=each))
            else:
                rest.append(waiting._replace(refused=each))
        if whole:
            self._answer(whole, receipts, seconds)
        if rest:
            self._keep(rest)

    def _keep(self, group: list[_Waiting]) -> None:
        """Keep what was refused of bodies that are journaled, and answer them."""
        started = self._timer()
        now = self._clock()

        def set_aside(refused: list[list[Rejection]]) -> int:
            return self._store.set_aside([rejection for rejections in refused for rejection in rejections], now)

        try:
            receipts = keep([waiting.refused for waiting in group if waiting.refused is not None], set_aside)
        except TillrollError as error:
            self._resolve(group, repeat(error))
        except Exception as error:  # noqa: BLE001 an entry loop: one body must not end it
            self._fail(group, error)
        else:
            self._answer(group, receipts, self._timer() - started)

    def _hand_over(self, waiting: _Waiting) -> None:
        self._handed_over_bytes += len(waiting.body.data)
        self._large.append(waiting)
        self._wake_large.set()

    def _answer(self, group: list[_Waiting], receipts: Sequence[Receipt], seconds: float) -> None:
        try:
            if self._on_commit is not None:
                self._on_commit(Committed(len(group), receipts, seconds))
        except Exception:  # noqa: BLE001 an entry loop: what is measured must cost nobody an answer
            _log.exception("a commit could not be measured")
        self._resolve(group, receipts)

    def _resolve(self, group: list[_Waiting], outcomes: Iterable[Receipt | TillrollError]) -> None:
        self._loop.call_soon_threadsafe(_resolve, group, outcomes)

    def _fold(self, fold: Callable[[], int | None]) -> bool:
        """Fold, and return whether that worked."""
        try:
            fold()
        except Exception as error:  # noqa: BLE001 an entry loop: everything is journaled, and the next fold counts it
            _log.warning("a fold failed: %s", error, exc_info=not isinstance(error, TillrollError))
            return False
        return True


@contextmanager
def _switching_often() -> Iterator[None]:
    """Let the threads that commit and answer have Python's lock soon, for the body's time; always is dearer."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)


def _resolve(group: list[_Waiting], outcomes: Iterable[Receipt | TillrollError]) -> None:
    for waiting, outcome in zip(group, outcomes, strict=False):
        try:
            waiting.done(outcome)
        except Exception:  # noqa: BLE001 one connection must not cost the others their answer
            _log.exception("an answer could not be given")


def _set_outcome(future: asyncio.Future[Receipt], outcome: Receipt | TillrollError) -> None:
    if future.done():  # nobody waits for it any more
        return
    if isinstance(outcome, TillrollError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
