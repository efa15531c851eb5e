"""Redrive: take dead letters once more, through the journal's own check, under the names they first came with.

An event that was buried with a reason carries the id of its message and its place in it. A message that SQS moved,
after too many receives, keeps its id: so what of it was counted before it died is found to be counted. (SQS's own
redrive, by StartMessageMoveTask, gives each message a new id. It is safe for what was buried, for messages with an
eventId and for events with an id; for others use this.)
"""

from __future__ import annotations

import hashlib
import math
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tillroll.core.outcome_counts import NOTHING, OutcomeCounts
from tillroll.ingest.field_watch import NO_WATCH
from tillroll.ingest.worker import hidden, take_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tillroll.core.accept import Rejection
    from tillroll.core.decode import Reason
    from tillroll.ingest.field_watch import FieldWatch
    from tillroll.ports import Clock, Message, Queue, Store


HELD_MAX: Final = 100_000  # SQS lets 120,000 messages of a queue be received and not deleted
HELD_BYTES_MAX: Final = 256 * 2**20  # of bodies: a letter may be a mebibyte
_SLICE: Final = 1_000
_SLICE_BYTES: Final = 64 * 2**20
_HIDDEN_S: Final = 600.0
_SURELY_HIDDEN: Final = 0.6  # of that: a slice that is worked on is hidden anew each third of it, which takes a while
_LATER_S: Final = 300.0  # what dies so long after the beginning is left to the next redrive: it ends, whatever comes
_HASH_DIGITS: Final = 8


class DeadLetter(NamedTuple):
    """A dead letter, or copies of one, and why it is still one: None when it was only received too often."""

    message: Message
    reason: Reason | None
    copies: int = 1

    @property
    def id(self) -> str:
        """What names it: the message it came in, where in it, and the hash of what it holds."""
        digest = hashlib.sha256(self.message.body).hexdigest()[:_HASH_DIGITS]
        return f"{self.message.id}:{self.message.first_position}:{digest}"


class DeadLetterList(NamedTuple):
    """The dead letters that there are; all of them, or as many as may be held at once."""

    letters: list[DeadLetter]
    is_all: bool


class Redriven(msgspec.Struct):
    """What a redrive did, or has done so far."""

    counts: OutcomeCounts
    left: list[DeadLetter]
    tried: int = 0
    is_all: bool = True  # it did not end early because very many are still wrong


class _Kept:
    """Buries nothing: what is rejected once more stays where it is."""

    def __init__(self) -> None:
        self.reasons: dict[str, Reason] = {}

    def bury(self, bodies: Sequence[tuple[Message, Rejection]]) -> set[str]:
        for message, rejection in bodies:
            self.reasons.setdefault(message.receipt, rejection.reason)
        return {message.receipt for message, _ in bodies}


class _Held:
    """Letters that were received and stay: each with all its copies, so that every one is given back."""

    def __init__(self) -> None:
        self._letters: dict[str, Message] = {}  # as each first came, by what it is
        self._copies: dict[str, list[tuple[Message, float]]] = {}  # and from when on it may come again
        self._bytes = 0
        self.count = 0

    @property
    def is_full(self) -> bool:
        """Tell whether no more may be received beside what is held."""
        return self.count >= HELD_MAX or self._bytes >= HELD_BYTES_MAX

    def add(self, messages: Iterable[Message]) -> None:
        """Hold some more."""
        hidden_until = time.monotonic() + _SURELY_HIDDEN * _HIDDEN_S
        for message in messages:
            name = _id(message)
            if name not in self._letters:
                self._letters[name] = message
                self._bytes += len(message.body)
            copy = self._letters[name]._replace(receipt=message.receipt)  # with the same body, held once
            self._copies.setdefault(name, []).append((copy, hidden_until))
            self.count += 1

    def renew(self, message: Message) -> bool:
        """Hold a letter by its new receipt, if it is one that was hidden for so long that it came again."""
        copies = self._copies.get(_id(message), [])
        now = time.monotonic()
        for at, (copy, hidden_until) in enumerate(copies):
            if hidden_until <= now:
                copies[at] = copy._replace(receipt=message.receipt), now + _SURELY_HIDDEN * _HIDDEN_S
                return True
        return False

    def __contains__(self, message: Message) -> bool:
        return _id(message) in self._letters

    def letters(self, reasons: Mapping[str, Reason] | None = None) -> list[DeadLetter]:
        """Return each letter once, with the reason that was found, or without those with the one it came with."""
        found = []
        for name, letter in self._letters.items():
            reason = letter.reason if reasons is None else reasons.get(letter.receipt)
            found.append(DeadLetter(letter, reason, len(self._copies[name])))
        return found

    def release(self, queue: Queue) -> None:
        """Give all of them back."""
        queue.extend([message for copies in self._copies.values() for message, _ in copies], 0)


def look(queue: Queue) -> DeadLetterList:
    """Return the dead letters that there are, each once, with the reasons they were buried for. Changes nothing."""
    held = _Held()
    try:
        for some in _slices(queue, (held,), math.inf):
            held.add(some)
    finally:
        held.release(queue)
    return DeadLetterList(held.letters(), not held.is_full)


def redrive(
    store: Store,
    queue: Queue,
    clock: Clock,
    corrections: Mapping[str, bytes] | None = None,
    fields: FieldWatch = NO_WATCH,
    *,
    tell: Callable[[Redriven], None] = lambda _done: None,
) -> Redriven:
    """Try all dead letters once, a slice at a time: delete those whose events are all counted now. Then fold.

    `corrections` has the body to take instead of a dead letter's own, by its id: then only those are tried. Interrupted
    anywhere and called again, it counts nothing twice. `tell` is called after each slice. It ends when all that was
    there at the beginning has been tried, and early when very many are still wrong.

    Raises:
        StoreError, QueueError: what was not tried is left.
    """
    kept = _Kept()
    wrong, others = _Held(), _Held()
    done = Redriven(NOTHING, [])
    ends_s = clock() + _LATER_S
    error = None
    try:
        for some in _slices(queue, (wrong, others), ends_s):
            chosen = [message for message in some if corrections is None or _id(message) in corrections]
            others.add(message for message in some if not (corrections is None or _id(message) in corrections))
            bodies = [_corrected(message, corrections) for message in chosen]
            with hidden(queue, chosen, _HIDDEN_S):
                taken = take_messages(store, kept, bodies, clock, fields=fields)
            left = set(taken.left)
            queue.delete([message for index, message in enumerate(chosen) if index not in left])
            wrong.add(chosen[index] for index in taken.left)
            done.counts += taken.counts
            done.tried += len(chosen)
            tell(done)
            if taken.error is not None:
                error = taken.error
                break
    finally:
        wrong.release(queue)
        others.release(queue)
    if error is not None:
        raise error
    store.fold()
    done.left = wrong.letters(kept.reasons)
    done.is_all = not (wrong.is_full or others.is_full)
    return done


def _corrected(message: Message, corrections: Mapping[str, bytes] | None) -> Message:
    return message if corrections is None else message._replace(body=corrections[_id(message)])


def _slices(queue: Queue, held: Sequence[_Held], ends_s: float) -> Iterator[list[Message]]:
    """Receive dead letters, some at a time, until no more come but those that are held, or too many are held.

    What was sent after `ends_s` is added to the last of those that hold. What is held comes again when it has been
    hidden for long: as often as that is in the way of others, more is received.
    """
    empty = again = again_max = 0
    while empty < 2 and not any(each.is_full for each in held):  # a short poll asks only some of SQS's servers
        fresh = []
        renewed = 0
        for message in _receive_some(queue):
            if any(each.renew(message) for each in held):
                renewed += 1
                continue
            holder = next((each for each in held if message in each), None)  # of a copy, which is no other letter
            if holder is None and message.sent_at is not None and message.sent_at > ends_s:
                holder = held[-1]
            if holder is None:
                fresh.append(message)
            else:
                holder.add([message])
        if fresh:
            yield fresh
            empty, again, again_max = 0, 0, sum(each.count for each in held)
        elif renewed and again < again_max:
            again += renewed
        else:
            empty += 1


def _receive_some(queue: Queue) -> list[Message]:
    """Receive a slice, and hide it."""
    found: list[Message] = []
    size = 0
    while len(found) < _SLICE and size < _SLICE_BYTES:
        messages = queue.receive(1.0 if not found else 0.0)
        if not messages:
            break
        found.extend(messages)
        size += sum(len(message.body) for message in messages)
    queue.extend(found, _HIDDEN_S)
    return found


def _id(message: Message) -> str:
    return DeadLetter(message, None).id
