"""Redrive: take dead letters once more, through the journal's own check, under the names they first came with.

An event that was buried with a reason carries the id of its message and its place in it. A message that SQS moved,
after too many receives, keeps its id: so what of it was counted before it died is found to be counted. (SQS's own
redrive, by StartMessageMoveTask, gives each message a new id. It is safe for what was buried, for messages with an
eventId and for events with an id; for others use this.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tillroll.field_watch import NO_WATCH
from tillroll.worker import take_messages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tillroll.core.accept import Reason, Rejection
    from tillroll.field_watch import FieldWatch
    from tillroll.ports import Clock, Message, Queue, Store
    from tillroll.service import Receipt


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


def look(queue: Queue) -> list[Message]:
    """Return the dead letters that there are, without changing anything; they are visible again afterwards."""
    messages = _all(queue)
    queue.extend(messages, 0)
    return messages


def redrive(
    store: Store,
    queue: Queue,
    clock: Clock,
    corrections: Mapping[str, bytes] | None = None,
    fields: FieldWatch = NO_WATCH,
) -> Redriven:
    """Try all dead letters once, delete those whose events are all counted now, and fold.

    `corrections` has the body to take instead of a dead letter's own, by its id: then only those are tried. Interrupted
    anywhere and called again, it counts nothing twice.

    Raises:
        StoreError, QueueError: what was not tried is left.
    """
    messages = _all(queue)
    if corrections is not None:
        messages = _corrected(queue, messages, corrections)
    kept = _Kept()
    taken = take_messages(store, kept, messages, clock, fields=fields)
    left = set(taken.left)
    queue.delete([message for index, message in enumerate(messages) if index not in left])
    still = [messages[index] for index in taken.left]
    queue.extend(still, 0)
    if taken.error is not None:
        raise taken.error
    store.fold()
    return Redriven(taken.receipt, [DeadLetter(message, kept.reasons.get(message.receipt)) for message in still])


def _all(queue: Queue) -> list[Message]:
    """Receive until no more comes. Each is hidden meanwhile; should one come twice, that costs nothing."""
    found: list[Message] = []
    empty = 0
    while empty < 2:  # a short poll asks only some of SQS's servers
        messages = queue.receive(1.0)
        empty = 0 if messages else empty + 1
        found.extend(messages)
    return found


def _corrected(queue: Queue, messages: list[Message], corrections: Mapping[str, bytes]) -> list[Message]:
    """Return the messages that are to be corrected, with their new bodies, and let the others be seen again."""
    chosen = [message for message in messages if DeadLetter(message, None).id in corrections]
    queue.extend([message for message in messages if message not in chosen], 0)
    return [message._replace(body=corrections[DeadLetter(message, None).id]) for message in chosen]
