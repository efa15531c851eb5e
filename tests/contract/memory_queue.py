"""The oracle of the Queue port: the simplest queue that can be right, in memory, with dead letters."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tillroll.ports import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tillroll.core.accept import Rejection

VISIBLE_AFTER_S = 30.0


class MemoryQueue:
    """Messages in a list, each with the moment from which it may be delivered."""

    def __init__(self, clock: Callable[[], float], dead: MemoryQueue | None = None) -> None:
        self._clock = clock
        self._ids = itertools.count()
        self._messages: dict[str, tuple[Message, float]] = {}  # by receipt
        self.dead = dead
        self.reasons: list[tuple[Message, Rejection]] = []

    def __len__(self) -> int:
        return len(self._messages)

    def send(self, bodies: Sequence[tuple[bytes, str | None]]) -> None:
        for body, event_id in bodies:
            self.put(Message(f"message-{next(self._ids)}", "", body, event_id, self._clock()))

    def put(self, message: Message) -> None:
        receipt = f"receipt-{next(self._ids)}"
        self._messages[receipt] = (message._replace(receipt=receipt), 0.0)

    def receive(self, wait_s: float) -> list[Message]:
        del wait_s
        now = self._clock()
        ready = [receipt for receipt, (_, visible_at) in self._messages.items() if visible_at <= now][:10]
        received = []
        for old in ready:
            message, _ = self._messages.pop(old)
            receipt = f"receipt-{next(self._ids)}"
            message = message._replace(receipt=receipt)
            self._messages[receipt] = (message, now + VISIBLE_AFTER_S)
            received.append(message)
        return received

    def delete(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._messages.pop(message.receipt, None)

    def extend(self, messages: Sequence[Message], visible_after_s: float) -> None:
        for message in messages:
            if message.receipt in self._messages:
                self._messages[message.receipt] = (message, self._clock() + visible_after_s)

    def bury(self, bodies: Sequence[tuple[Message, Rejection]]) -> set[str]:
        for message, rejection in bodies:
            self.reasons.append((message, rejection))
            if self.dead is not None:
                body = rejection.body or b" "
                self.dead.put(message._replace(body=body, first_position=rejection.position))
        return set()
