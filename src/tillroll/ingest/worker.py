"""Take messages of a queue into a store: for a Lambda function a batch at a time, for `tillroll work` for ever.

A message may be deleted when all its events are journaled, or buried with the reason. Until then it is left to come
back, and whatever of it was journaled is found to be there already.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from tillroll.core.clock_watch import ClockWatch
from tillroll.core.outcome_counts import NOTHING, OutcomeCounts
from tillroll.core.outcome_tally import QUEUE
from tillroll.errors import BusyError, ClockError, QueueError, StoreError, TillrollError
from tillroll.ingest.envelope import body_of, refusal
from tillroll.ingest.field_watch import NO_WATCH
from tillroll.ingest.outcome_watch import OutcomeWatch
from tillroll.ingest.take import take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tillroll.core.accept import Rejection
    from tillroll.ingest.field_watch import FieldWatch
    from tillroll.ports import Clock, Journal, Message, Queue, Store

SLICE_BYTES: Final = 2 * 2**20  # of bodies in one commit: past that, a commit gets no cheaper by the event
BATCH_MESSAGES_MAX: Final = 1_000  # that a worker collects before it commits
BATCH_BYTES_MAX: Final = 64 * 2**20  # of their bodies: a message may be a mebibyte
_IDLE_WAIT_S: Final = 20.0  # a long poll, by SQS at most
_IDLE_WAIT_S_MIN: Final = 1.0
_PAUSE_S_MAX: Final = 30.0
_FOLD_EVERY_S: Final = 1.0
_COUNT_S: Final = 5.0
_FOLD_S: Final = 10.0  # at a time: a worker that is told to stop waits for it
HAND_BACK_S: Final = 1.0  # after which another may take what was given up
_log: Final = logging.getLogger(__name__)


class DeadLetterSink(Protocol):
    """The part of a Queue that taking messages needs."""

    def bury(self, bodies: Sequence[tuple[Message, Rejection]]) -> set[str]:
        """As Queue.bury."""
        ...


class Taken(msgspec.Struct):
    """What became of some messages: `left` are the indices of those that must come back, by rising index.

    `given_up` are those of them with which nothing is wrong, nor with the store: no time is left, or others were first.
    """

    left: list[int] = []
    given_up: list[int] = []
    counts: OutcomeCounts = NOTHING
    error: TillrollError | None = None  # why some are left
    codes: dict[str, int] = {}  # reason codes of what was not accepted

    def add(self, other: Taken) -> None:
        """Count another part of the same messages in."""
        self.left = sorted([*self.left, *other.left])
        self.given_up = sorted([*self.given_up, *other.given_up])
        self.counts += other.counts
        for code, count in other.codes.items():
            self.codes[code] = self.codes.get(code, 0) + count
        self.error = self.error or other.error


def take_messages(
    journal: Journal,
    queue: DeadLetterSink,
    messages: Sequence[Message],
    clock: Clock,
    *,
    may_go_on: Callable[[], bool] = lambda: True,
    clock_watch: ClockWatch | None = None,
    fields: FieldWatch = NO_WATCH,
) -> Taken:
    """Take messages in as few commits as their bytes allow, and return what became of them.

    No error of the store or the queue is raised: the messages it concerns are left, and the first is returned. Before
    each commit `may_go_on` is asked; once it says no, the rest is left.
    """
    taken = Taken()
    watches = _Watches(clock_watch, fields)
    for indices in _slices(messages):
        if taken.error is not None or not may_go_on():
            given_up = [] if taken.error and not isinstance(taken.error, BusyError) else indices
            taken.add(Taken(left=indices, given_up=given_up))
            continue
        part = _take_slice(journal, queue, [messages[index] for index in indices], clock(), watches)
        taken.add(_at(part, indices))
    return taken


def _at(part: Taken, indices: Sequence[int]) -> Taken:
    """Return what became of a part of the messages, those at some indices, by the indices of all."""
    part.left = [indices[index] for index in part.left]
    part.given_up = [indices[index] for index in part.given_up]
    return part


class _Watches(NamedTuple):
    clock: ClockWatch | None
    fields: FieldWatch


def _slices(messages: Sequence[Message]) -> Iterator[list[int]]:
    indices: list[int] = []
    size = 0
    for index, message in enumerate(messages):
        if indices and size + len(message.body) > SLICE_BYTES:
            yield indices
            indices, size = [], 0
        indices.append(index)
        size += len(message.body)
    if indices:
        yield indices


def _take_slice(
    journal: Journal, queue: DeadLetterSink, messages: Sequence[Message], now_s: float, watches: _Watches
) -> Taken:
    """Take messages in one commit. One on which the code itself fails is found by halving, and left alone."""
    try:
        return _take_commit(journal, queue, messages, now_s, watches)
    except ClockError as error:  # they come back, by when the clock may be right
        _log.warning("%d messages are left: %s", len(error.bodies), error)
        others = [index for index in range(len(messages)) if index not in error.bodies]
        rest = _take_slice(journal, queue, [messages[index] for index in others], now_s, watches)
        rest = _at(rest, others)
        rest.left = sorted([*error.bodies, *rest.left])
        return rest
    except (StoreError, QueueError) as error:
        everything = list(range(len(messages)))
        return Taken(left=everything, given_up=everything if isinstance(error, BusyError) else [], error=error)
    except Exception:  # noqa: BLE001 an entry loop: one message must not hold up the others
        if len(messages) == 1:
            _log.exception("the message %s cannot be processed", messages[0].id)
            return Taken(left=[0])
    middle = len(messages) // 2
    taken = _take_slice(journal, queue, messages[:middle], now_s, watches)
    rest = _take_slice(journal, queue, messages[middle:], now_s, watches)
    taken.add(_at(rest, range(middle, len(messages))))
    return taken


def _take_commit(
    journal: Journal, queue: DeadLetterSink, messages: Sequence[Message], now_s: float, watches: _Watches
) -> Taken:
    refusals = [refusal(message) for message in messages]
    named = [index for index, refused in enumerate(refusals) if refused is None]
    to_bury = [(messages[index], refused) for index, refused in enumerate(refusals) if refused is not None]
    taken = Taken(counts=OutcomeCounts(rejected=len(to_bury)))

    def set_aside(rejections: list[list[Rejection]]) -> int:
        for index, refused in zip(named, rejections, strict=True):
            to_bury.extend((messages[index], rejection) for rejection in refused)
        return sum(map(len, rejections))  # what cannot be buried leaves its message on the queue

    try:
        receipts = take(journal, [body_of(messages[index]) for index in named], now_s, set_aside, *watches)
    except ClockError as error:
        raise ClockError([named[index] for index in error.bodies], now_s) from error
    taken.counts = sum(receipts, taken.counts)
    for _, rejection in to_bury:
        taken.codes[rejection.reason.code] = taken.codes.get(rejection.reason.code, 0) + 1
    unburied: set[str] = set()
    if to_bury:
        try:
            unburied = queue.bury(to_bury)
        except QueueError as error:
            unburied = {message.receipt for message, _ in to_bury}
            taken.error = error
    taken.left = [index for index, message in enumerate(messages) if message.receipt in unburied]
    return taken


def fold_if_due(store: Store, seconds: float | None = None) -> bool:
    """Fold when it is time, and return whether it was. No error of that may cost anybody a message: it is put off."""
    try:
        return store.fold_if_due(seconds) is not None
    except Exception as error:  # noqa: BLE001 the messages are journaled: nothing about a fold may fail them
        _log.warning("the fold is delayed: %s", error, exc_info=not isinstance(error, TillrollError))
        return False


def count_some(store: Store, seconds: float) -> None:
    """Count reports of one's own that lag. No error of that may cost anybody a message: it is put off."""
    try:
        store.count_some(seconds, beside_traffic=True)
    except Exception as error:  # noqa: BLE001 as above
        _log.warning("reports cannot be counted now: %s", error, exc_info=not isinstance(error, TillrollError))


class Worker:
    """Receives, takes, deletes and folds until it is told to stop."""

    def __init__(
        self,
        store: Store,
        queue: Queue,
        freshness_s: float,
        clock: Clock,
        *,
        visible_after_s: float = 300.0,
        fields: FieldWatch = NO_WATCH,
    ) -> None:
        self._fields = fields
        self.store = store
        self.queue = queue
        self.counted = Taken()
        self._clock = clock
        self._idle_wait_s = min(_IDLE_WAIT_S, max(freshness_s / 2, _IDLE_WAIT_S_MIN))
        self._visible_after_s = visible_after_s
        self._clock_watch = ClockWatch()
        self._outcomes = OutcomeWatch(QUEUE, store, clock)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make `run` return after the batch at hand. May be called from a signal handler, or another thread."""
        self._stopped.set()

    def run(self, *, until_empty: bool = False) -> None:
        """Work until stopped, or with `until_empty` until nothing more comes; then count what is left to be counted.

        What passes by itself (throttling, the network) is waited for. Raises what only a person can mend.
        """
        with self._folding():
            self._work(until_empty=until_empty)
        self._outcomes.flush()
        self.store.fold()

    def _work(self, *, until_empty: bool) -> None:
        pause_s = 1.0
        while not self._stopped.is_set():
            try:
                messages = self._collect(0.0 if until_empty else self._idle_wait_s)
                if not messages and until_empty:
                    break
                error = self._take(messages).error if messages else None
                self._outcomes.flush_if_due()
                self._fields.flush_if_due()
            except (StoreError, QueueError) as raised:
                error = raised
            pause_s = 1.0 if error is None else self._wait_out(error, pause_s)

    @contextmanager
    def _folding(self) -> Iterator[None]:
        """Fold and count beside the commits, in threads of their own: a slow fold holds up no message."""
        with (
            _every(_FOLD_EVERY_S, "fold", lambda: fold_if_due(self.store, _FOLD_S)),
            _every(_FOLD_EVERY_S, "count", lambda: count_some(self.store, _COUNT_S)),
        ):
            yield

    def _wait_out(self, error: TillrollError, pause_s: float) -> float:
        """Wait until it makes sense to try again, and return how long to wait if it fails once more."""
        if not isinstance(error, StoreError | QueueError) or error.retry_after_s is None:
            raise error
        _log.warning("waiting for %g s: %s", max(pause_s, error.retry_after_s), error)
        self._stopped.wait(max(pause_s, error.retry_after_s))
        return min(pause_s * 2, _PAUSE_S_MAX)

    def _collect(self, wait_s: float) -> list[Message]:
        messages = self.queue.receive(wait_s)
        while messages and not _is_much(messages) and not self._stopped.is_set():
            more = self.queue.receive(0.0)
            messages.extend(more)
            if not more:
                break
        return messages

    def _take(self, messages: list[Message]) -> Taken:
        with hidden(self.queue, messages, self._visible_after_s):
            taken = take_messages(
                self.store, self.queue, messages, self._clock, clock_watch=self._clock_watch, fields=self._fields
            )
            left = set(taken.left)
            self.queue.delete([message for index, message in enumerate(messages) if index not in left])
        if taken.given_up:
            self.queue.extend([messages[index] for index in taken.given_up], HAND_BACK_S)
        self.counted.add(Taken(counts=taken.counts, codes=taken.codes))
        self._outcomes.note(taken.counts)
        _log.info(
            "%d messages: %d accepted, %d duplicates, %d conflicts, %d rejected %s; %d messages left",
            len(messages),
            *taken.counts.plain().values(),
            taken.codes or "",
            len(left),
        )
        return taken


def _is_much(messages: Sequence[Message]) -> bool:
    return len(messages) >= BATCH_MESSAGES_MAX or sum(len(each.body) for each in messages) >= BATCH_BYTES_MAX


@contextmanager
def hidden(queue: Queue, messages: Sequence[Message], visible_after_s: float) -> Iterator[None]:
    """Keep messages from coming back while they are worked on, however long that takes."""

    def extend() -> None:
        try:
            queue.extend(messages, visible_after_s)
        except QueueError as error:  # they come back early, which is safe
            _log.warning("messages may come back early: %s", error)

    with _every(visible_after_s / 3, "extend", extend):
        yield


@contextmanager
def _every(seconds: float, name: str, work: Callable[[], object]) -> Iterator[None]:
    """Do something every so many seconds, in a thread of its own, for the body's time."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(seconds):
            work()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def wall_clock() -> float:
    """Return seconds since 1970."""
    return time.time()
