"""Bodies of purchases as senders deliver them: named in every way, repeated, cut anew, with bad events beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tests.simulation.traffic import Traffic

from tillroll.core.accept import Body
from tillroll.core.batch import UNNAMED, NameKind, Source

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.oracle import Ledger, Name, Purchase

BAD: Final = (
    b'{"date": "2011-12-03T10:15:30Z", "amount": -1, "paymentMethod": "PAY_NOW", "merchantId": "kiosk"}',
    b'{"amount": 5}',
    b'"no purchase"',
)
KINDS: Final = {NameKind.KEY: "key", NameKind.MESSAGE: "message", NameKind.FILE: "file"}


class Delivery(NamedTuple):
    """A body, with its purchases by position; None is an event that is not valid."""

    source: Source
    purchases: list[Purchase | None]
    texts: list[bytes]
    first_position: int = 0

    @property
    def body(self) -> Body:
        """Return it as the service takes it."""
        if self.source.kind is NameKind.FILE:
            return Body(b"\n".join(self.texts), self.source, first_position=self.first_position)
        return Body(b"[" + b",".join(self.texts) + b"]", self.source, first_position=self.first_position)

    def carrier(self, index: int) -> Name | None:
        """Return what names the event at an index if it has no id of its own."""
        if self.source.kind is NameKind.NONE:
            return None
        return (KINDS[self.source.kind], self.source.value, self.first_position + index)

    def sent(self, ledger: Ledger) -> None:
        """Note in the oracle that it was sent."""
        for index, purchase in enumerate(self.purchases):
            if purchase is not None:
                ledger.send(purchase, self.carrier(index))

    def acknowledged(self, ledger: Ledger) -> None:
        """Note in the oracle that it was acknowledged."""
        for index, purchase in enumerate(self.purchases):
            if purchase is not None:
                ledger.acknowledge(purchase, self.carrier(index))


class Senders:
    """Draws deliveries from a seed."""

    def __init__(self, random: Random, *, unnamed: float = 0.2) -> None:
        """`unnamed` is how many deliveries nothing names."""
        self._random = random
        self._traffic = Traffic(random)
        self._count = 0
        self._unnamed = unnamed
        self._file: list[Purchase | None] = []

    def draw(self, events_max: int = 4) -> Delivery:
        """Return something new to deliver."""
        draw = self._random.random()
        if draw < self._unnamed:
            return self._delivery(UNNAMED, events_max)
        draw = self._random.random()
        if draw < 0.25:
            return self._lines(events_max)
        self._count += 1
        kind = NameKind.KEY if draw < 0.7 else NameKind.MESSAGE
        return self._delivery(Source(kind, f"{KINDS[kind]}{self._count}"), events_max)

    def _delivery(self, source: Source, events_max: int) -> Delivery:
        count = self._random.randint(1, events_max)
        purchases = [None if self._random.random() < 0.08 else self._traffic.purchase() for _ in range(count)]
        return Delivery(source, purchases, [self._text(purchase) for purchase in purchases])

    def _lines(self, events_max: int) -> Delivery:
        """Return a stretch of lines of the one file, which may have been delivered already, cut in another way."""
        while len(self._file) < 8:
            self._file.append(self._traffic.purchase())
        first = self._random.randrange(len(self._file))
        lines = self._file[first : first + self._random.randint(1, events_max)]
        return Delivery(Source(NameKind.FILE, "till.ndjson"), lines, [self._text(line) for line in lines], first)

    def _text(self, purchase: Purchase | None) -> bytes:
        return self._random.choice(BAD) if purchase is None else purchase.text()
