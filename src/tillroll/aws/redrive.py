"""Redrive: take dead letters once more, through the journal's own check, under the names they first came with.

An event that was buried with a reason carries the id of its message and its place in it. A message that SQS moved,
after too many receives, keeps its id: so what of it was counted before it died is found to be counted. (SQS's own
redrive, by StartMessageMoveTask, gives each message a new id. It is safe for what was buried, for messages with an
eventId and for events with an id; for others use this.)
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tillroll.ingest.field_watch import NO_WATCH
from tillroll.ingest.worker import Taken, take_messages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tillroll.core.accept import Reason, Rejection
    from tillroll.ingest.field_watch import FieldWatch
    from tillroll.ingest.take import Receipt
    from tillroll.ports import Clock, Message, Queue, Store


HELD_MAX: Final = 100_000  # SQS lets 120,000 messages of a queue be received and not deleted
_SLICE: Final = 1_000
_HIDDEN_S: Final = 600.0


class DeadLetter(NamedTuple):
    """One dead letter and, after it was tried, why it is still one: None when the store or the queue was the reason."""

    message: Message
    reason: Reason | None

    @property
    def id(self) -> str:
        """What names it: the message it came in and where in it."""
        return f"{self.message.id}:{self.message.first_position}"


class Redriven(msgspec.Struct):
    """What a redrive did."""

    receipt: Receipt
    left: list[DeadLetter]


class _Kept:
    """Buries nothing: what is rejected once more stays where it is."""

    def __init__(self) -> None:
        self.reasons: dict[str, Reason] = {}

    def bury(self, bodies: Sequence[tuple[Message, Rejection]]) -> set[str]:
        for message, rejection in bodies:
            self.reasons.setdefault(message.receipt, rejection.reason)
        return {message.receipt for message, _ in bodies}


def look(queue: Queue) -> list[DeadLetter]:
    """Return the dead letters that there are, each once, with the reasons they were buried for. Changes nothing."""
    held: dict[str, Message] = {}
    for some in _slices(queue, held):
        held.update((_letter_key(message), message) for message in some)
    queue.extend(list(held.values()), 0)
    return [DeadLetter(message, message.reason) for message in held.values()]


def redrive(
    store: Store,
    queue: Queue,
    clock: Clock,
    corrections: Mapping[str, bytes] | None = None,
    fields: FieldWatch = NO_WATCH,
) -> Redriven:
    """Try all dead letters once, a slice at a time: delete those whose events are all counted now. Then fold.

    `corrections` has the body to take instead of a dead letter's own, by its id: then only those are tried. Interrupted
    anywhere and called again, it counts nothing twice. It ends early when very many are still wrong.

    Raises:
        StoreError, QueueError: what was not tried is left.
    """
    kept = _Kept()
    held: dict[str, Message] = {}  # still wrong, or not to be tried
    still: list[Message] = []
    done = Taken()
    try:
        for some in _slices(queue, held):
            chosen = some if corrections is None else [message for message in some if _id(message) in corrections]
            bodies = chosen
            if corrections is not None:
                bodies = [message._replace(body=corrections[_id(message)]) for message in chosen]
            taken = take_messages(store, kept, bodies, clock, fields=fields)
            left = set(taken.left)
            queue.delete([message for index, message in enumerate(chosen) if index not in left])
            still += [bodies[index] for index in taken.left]
            tried = {message.receipt for index, message in enumerate(chosen) if index not in left}
            held.update((_letter_key(message), message) for message in some if message.receipt not in tried)
            done.add(Taken(receipt=taken.receipt, error=taken.error))
            if taken.error is not None:
                break
    finally:
        queue.extend(list(held.values()), 0)
    if done.error is not None:
        raise done.error
    store.fold()
    return Redriven(done.receipt, [DeadLetter(message, kept.reasons.get(message.receipt)) for message in still])


def _slices(queue: Queue, held: Mapping[str, Message]) -> Iterator[list[Message]]:
    """Receive dead letters, some at a time, until no more come but those that are held, or too many are held."""
    empty = 0
    while empty < 2 and len(held) < HELD_MAX:  # a short poll asks only some of SQS's servers
        found: list[Message] = []
        while len(found) < _SLICE:
            messages = queue.receive(1.0 if not found else 0.0)
            if not messages:
                break
            found.extend(messages)
        queue.extend(found, _HIDDEN_S)
        fresh = [message for message in found if _letter_key(message) not in held]
        empty = 0 if fresh else empty + 1
        if fresh:
            yield fresh


def _id(message: Message) -> str:
    return DeadLetter(message, None).id


def _letter_key(message: Message) -> str:
    """What tells a dead letter from another: a copy, and one that comes again under another receipt, have the same."""
    return f"{_id(message)}:{hashlib.sha256(message.body).hexdigest()}"
