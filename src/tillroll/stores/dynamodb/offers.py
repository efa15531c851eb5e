"""Offers: what a worker that meets others asks whoever commits next to commit with its own. No I/O.

Commits follow each other one by one, so with many workers most attempts are lost. Who lost one, or finds that others
wait, puts its events beside the ledger, and the next winner writes them with its own: one commit holds what several
workers have in hand. Those that wait go by age, so that few attempt it at the same time.

An offer is a wish, and no part of the journal. It may be taken by two, come late, be left behind by a worker that died,
or never be taken: all its events have names, and it is journaled only if none of them is there, on the same conditions
as any chunk. The chunk then lists the offer's number, by which who made it knows that it is done. Whoever commits
deletes what it took, what cannot be taken, and what is old. Clocks decide only whose turn it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import chunk
from tillroll.stores.dynamodb.calls import Put, QueryTable
from tillroll.stores.dynamodb.schema import OFFERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tillroll.core.batch import Batch
    from tillroll.stores.dynamodb.calls import Context, Item

BYTES_MAX: Final = 16_384  # of a minute: a larger batch meets fewer others an event, and is dearer to write twice
EVENTS_MAX: Final = 500
TAKEN_BYTES_MAX: Final = 131_072  # of a minute by one commit, with its own
MINUTES_MAX: Final = 3  # of what is offered
READ_OFFERS: Final = QueryTable(OFFERS, limit=32)
FIRST_OFFERS: Final = QueryTable(OFFERS, limit=4)  # enough to see whose turn it is, at a tenth of the price
_AT_ONCE: Final = 2  # that attempt it at the same time: the second goes on if the first is slow, or dead
_FIRST_WAIT_S: Final = 0.015  # about as long as a commit takes
_WAIT_S: Final = 0.008
_TURN_S: Final = 0.2  # after which nobody waits for others
_OLD_S: Final = 5.0
_DRAWN_BITS: Final = 32


class Offer(NamedTuple):
    """Events that somebody would have in the log of a minute, and their bytes; None if this program cannot read it."""

    number: int
    minute: int
    size: int
    batch: Batch | None

    def is_old(self, now: float) -> bool:
        """Tell whether whoever made it has committed it by now, or given up."""
        return abs(now - _made_at(self.number)) > _OLD_S


def _made_at(number: int) -> float:
    return (number >> _DRAWN_BITS) / 1_000


def offers_of(items: Iterable[Item]) -> Iterator[Offer]:
    """Yield the offers that a query found, the oldest first."""
    for item in items:
        data = item["offer"]
        try:
            batch = chunk.decode(data) if isinstance(data, bytes) else None
        except chunk.ChunkError:  # of a later release
            batch = None
        size = len(data) if isinstance(data, bytes) else 0
        yield Offer(int(item["number"]), int(item["minute"]), size, batch)


class OwnOffers:
    """The offers that one attempt made, one a minute, and how long it has waited for others to take them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.numbers: dict[int, int] = {}  # by minute
        self.are_made = False
        self._waited_s = 0.0

    def make(self, chunks: Mapping[int, bytes]) -> list[Put]:
        """Return the calls that make them. Whether they have their effect does not matter."""
        self.are_made = True
        drawn = int(self._context.draw() * ((1 << _DRAWN_BITS) - MINUTES_MAX))
        first = int(self._context.clock() * 1_000) << _DRAWN_BITS | drawn
        self.numbers = {minute: first + index for index, minute in enumerate(chunks)}
        return [
            Put({"log": OFFERS, "number": number, "minute": minute, "offer": chunks[minute]})
            for minute, number in self.numbers.items()
        ]

    def wait_s(self) -> float:
        """Return how long to wait now."""
        seconds = (_WAIT_S if self._waited_s else _FIRST_WAIT_S) * (0.5 + self._context.draw())
        self._waited_s += seconds
        return seconds

    def is_its_turn(self, others: Iterable[int]) -> bool:
        """Tell whether to attempt the commit, with these offers waiting that others made."""
        now = self._context.clock()
        waiting = [number for number in others if abs(now - _made_at(number)) < _TURN_S]
        before = [number for number in waiting if not self.numbers or number < min(self.numbers.values())]
        return len(before) < _AT_ONCE or self._waited_s > _TURN_S


def list_numbers(offers: Iterable[Offer]) -> str:
    """Return what a chunk says of the offers that are in it."""
    return ",".join(str(offer.number) for offer in offers)


def listed_numbers(item: Item) -> list[int]:
    """Return the numbers of the offers that are in a chunk."""
    return [int(number) for number in str(item.get("offers", "")).split(",") if number]
